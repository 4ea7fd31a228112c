package keyspec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// MessageType says what the message of Sign and Verify is. One signature can be
// made with one type and verified with another: of the same message. ExternalMu is
// for Sign alone.
type MessageType string

// The message types.
const (
	Raw        MessageType = "RAW"         // the message
	Digest     MessageType = "DIGEST"      // its digest by the hash of the algorithm
	ExternalMu MessageType = "EXTERNAL_MU" // the 64 bytes μ of FIPS 204, section 6.2
)

// Sign signs with a key pair: RSA signatures as in RFC 8017 (PSS with a salt as
// long as the hash), ECDSA in ASN.1 DER, Ed25519 as in RFC 8032 and ML-DSA as in
// FIPS 204. The length of a raw message is the caller's to limit. The caller owns
// the slice.
//
// ED25519_PH_SHA_512 takes a digest and hashes it once more: the message of
// Ed25519ph is the digest, as AWS documents it.
func (p *Private) Sign(alg Algorithm, t MessageType, message []byte) ([]byte, error) {
	in, opts, err := p.row.signatureInput(alg, t, message)
	if err != nil {
		return nil, err
	}
	if p.key == nil {
		return nil, ErrMaterial // wiped
	}
	signature, err := p.key.Sign(rand.Reader, in, opts)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", alg, err)
	}
	return signature, nil
}

// Verify checks a signature; one that is not valid, or not encoded as Sign
// encodes it, is ErrSignature. By an external μ it checks none: ErrExternalMu.
func (p *Public) Verify(alg Algorithm, t MessageType, message, signature []byte) error {
	in, opts, err := p.row.signatureInput(alg, t, message)
	if err != nil {
		return err
	}
	if t == ExternalMu {
		return ErrExternalMu
	}
	if !verify(p.key, in, opts, signature) {
		return ErrSignature
	}
	return nil
}

// signatureInput applies the message type: it returns what a crypto.Signer of
// the spec takes, and the options that select the algorithm.
func (r *row) signatureInput(alg Algorithm, t MessageType, message []byte) ([]byte, crypto.SignerOpts, error) {
	if err := r.check(SignVerify, alg); err != nil {
		return nil, nil, err
	}
	switch alg {
	case Ed25519SHA512:
		if t != Raw {
			return nil, nil, ErrMessageType
		}
		return message, crypto.Hash(0), nil
	case Ed25519PHSHA512:
		if t != Digest {
			return nil, nil, ErrMessageType
		}
		if len(message) != crypto.SHA512.Size() {
			return nil, nil, ErrDigestLength
		}
		return sum(crypto.SHA512, message), &ed25519.Options{Hash: crypto.SHA512}, nil
	case MLDSASHAKE256:
		if t == Raw {
			return message, crypto.Hash(0), nil
		}
		if t != ExternalMu {
			return nil, nil, ErrMessageType
		}
		if len(message) != muSize {
			return nil, nil, ErrDigestLength
		}
		return message, mldsacrypto.MLDSAMu, nil
	}
	hash := hashes[alg]
	switch {
	case t == Raw:
		message = sum(hash, message)
	case t != Digest:
		return nil, nil, ErrMessageType
	case len(message) != hash.Size():
		return nil, nil, ErrDigestLength
	}
	if alg == PSSSHA256 || alg == PSSSHA384 || alg == PSSSHA512 {
		return message, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}, nil
	}
	return message, hash, nil
}

func sum(hash crypto.Hash, message []byte) []byte {
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// verify is to public keys what crypto.Signer's Sign is to private ones.
func verify(key crypto.PublicKey, in []byte, opts crypto.SignerOpts, signature []byte) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(k, pss.Hash, in, signature, pss) == nil
		}
		return rsa.VerifyPKCS1v15(k, opts.HashFunc(), in, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, in, signature)
	case *secp256k1.PublicKey:
		return verifySecp(k, in, signature)
	case ed25519.PublicKey:
		return ed25519.VerifyWithOptions(k, in, signature, &ed25519.Options{Hash: opts.HashFunc()}) == nil
	case *mldsa.PublicKey:
		return mldsa.Verify(k, in, signature, nil) == nil
	}
	return false
}
