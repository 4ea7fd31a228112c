package keyspec

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
)

// rsaFamily is RSA with two primes and a modulus of exactly so many bits.
type rsaFamily struct{ bits int }

func (rsaFamily) algorithm() algorithmIdentifier {
	return algorithmIdentifier{oidRSA, asn1.RawValue{FullBytes: asn1.NullBytes}}
}

func (f rsaFamily) generate() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, f.bits) }

// parsePrivate reads RSAPrivateKey of RFC 8017. crypto/x509 checks that the
// numbers are consistent; printing shows that nothing else is there.
func (f rsaFamily) parsePrivate(octets []byte) (crypto.Signer, bool) {
	key, err := x509.ParsePKCS1PrivateKey(octets)
	if err != nil || len(key.Primes) != 2 || key.N.BitLen() != f.bits {
		return nil, false
	}
	again := f.printPrivate(key)
	defer clear(again)
	return key, bytes.Equal(again, octets)
}

func (rsaFamily) printPrivate(key crypto.Signer) []byte {
	return x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey))
}

func (f rsaFamily) parsePublic(bits []byte) (crypto.PublicKey, bool) {
	key, err := x509.ParsePKCS1PublicKey(bits)
	if err != nil || key.N.BitLen() != f.bits || key.N.Bit(0) == 0 || key.E < 3 || key.E%2 == 0 {
		return nil, false
	}
	return key, bytes.Equal(f.printPublic(key), bits)
}

func (rsaFamily) printPublic(key crypto.PublicKey) []byte {
	return x509.MarshalPKCS1PublicKey(key.(*rsa.PublicKey))
}

func (rsaFamily) wipe(key crypto.Signer) {
	k := key.(*rsa.PrivateKey)
	for _, x := range []*big.Int{k.D, k.Primes[0], k.Primes[1], k.Precomputed.Dp, k.Precomputed.Dq, k.Precomputed.Qinv} {
		clear(x.Bits())
	}
}
