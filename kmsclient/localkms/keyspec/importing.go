package keyspec

import (
	"slices"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"
)

// WrappingSpecs lists the specs of wrapping keys that GetParametersForImport
// offers. The caller owns the slice.
func WrappingSpecs() []Spec { return []Spec{RSA2048, RSA3072, RSA4096} }

// WrappingAlgorithms lists how material of the spec may be wrapped under a key
// of the wrapping spec; nil if not at all. RSAES takes everything but RSA keys,
// and P-521 keys under RSA_2048, for which they are too long; RSA_AES_KEY_WRAP
// takes key pairs. RSAES_PKCS1_V1_5, which AWS has given up, and SM2PKE are not
// there. The caller owns the slice.
//
// Source: GetParametersForImport in the API reference. It names RSA and ECC for
// RSA_AES_KEY_WRAP; that ML-DSA is among them is this package's reading.
func (s Spec) WrappingAlgorithms(wrapping Spec) (algs []Algorithm) {
	if !s.Known() || !slices.Contains(WrappingSpecs(), wrapping) {
		return nil
	}
	r, _ := s.row()
	if _, isRSA := r.pair.(rsaFamily); !isRSA && (s != NISTP521 || wrapping != RSA2048) {
		algs = append(algs, OAEPSHA1, OAEPSHA256)
	}
	if s.Asymmetric() {
		algs = append(algs, RSAAESKeyWrapSHA1, RSAAESKeyWrapSHA256)
	}
	return algs
}

// UnwrapImport takes imported material out of its wrapping. RSAES is OAEP over
// the material; RSA_AES_KEY_WRAP is OAEP over an AES-256 key, as long as the
// modulus, followed by the material under that key (RFC 5649). All failures to
// unwrap are ErrDecrypt. What comes out is for CheckMaterial to judge; the caller
// owns the slice, and should clear it.
func UnwrapImport(alg Algorithm, wrapping *Private, wrapped []byte) ([]byte, error) {
	f, ok := wrapping.row.pair.(rsaFamily)
	if !ok {
		return nil, ErrAlgorithm
	}
	hash := hashes[alg]
	switch alg {
	case OAEPSHA1, OAEPSHA256:
		return wrapping.decryptOAEP(hash, wrapped)
	case RSAAESKeyWrapSHA1:
		hash = hashes[OAEPSHA1]
	case RSAAESKeyWrapSHA256:
		hash = hashes[OAEPSHA256]
	default:
		return nil, ErrAlgorithm
	}
	size := f.bits / 8
	if len(wrapped) < size {
		return nil, ErrDecrypt
	}
	key, err := wrapping.decryptOAEP(hash, wrapped[:size])
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if len(key) != 32 {
		return nil, ErrDecrypt
	}
	kwp, err := subtle.NewKWP(key)
	if err != nil {
		return nil, ErrDecrypt
	}
	material, err := kwp.Unwrap(wrapped[size:])
	if err != nil {
		return nil, ErrDecrypt
	}
	return material, nil
}
