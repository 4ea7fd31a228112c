package keyspec

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
)

// MaxPlaintext is the most bytes that Encrypt takes with a spec and an
// encryption algorithm, 0 if they do not fit together: 4096 for
// SYMMETRIC_DEFAULT, for RSA modulus length - 2 × hash length - 2 (RFC 8017,
// section 7.1.1).
func (s Spec) MaxPlaintext(alg Algorithm) int {
	r, _ := s.row()
	if r.check(EncryptDecrypt, alg) != nil {
		return 0
	}
	if f, ok := r.pair.(rsaFamily); ok {
		return f.bits/8 - 2*hashes[alg].Size() - 2
	}
	return 4096
}

// Encrypt encrypts with an RSA key: OAEP with an empty label, the same hash in
// the mask generation. Above MaxPlaintext it is ErrTooLong. The caller owns the
// slice.
func (p *Public) Encrypt(alg Algorithm, plaintext []byte) ([]byte, error) {
	key, ok := p.key.(*rsa.PublicKey)
	if !ok || p.row.check(EncryptDecrypt, alg) != nil {
		return nil, ErrAlgorithm
	}
	if len(plaintext) > p.Spec().MaxPlaintext(alg) {
		return nil, ErrTooLong
	}
	ciphertext, err := rsa.EncryptOAEP(hashes[alg].New(), rand.Reader, key, plaintext, nil)
	if err != nil {
		return nil, fmt.Errorf("encrypt with %s: %w", alg, err)
	}
	return ciphertext, nil
}

// Decrypt undoes Encrypt. All failures are ErrDecrypt. The caller owns the
// slice, and should clear it.
func (p *Private) Decrypt(alg Algorithm, ciphertext []byte) ([]byte, error) {
	if _, ok := p.row.pair.(rsaFamily); !ok || p.row.check(EncryptDecrypt, alg) != nil {
		return nil, ErrAlgorithm
	}
	return p.decryptOAEP(hashes[alg], ciphertext)
}

// decryptOAEP is Decrypt for an RSA key. A ciphertext has the length of the
// modulus (RFC 8017, section 7.1.2); crypto/rsa would take a shorter one.
func (p *Private) decryptOAEP(hash crypto.Hash, ciphertext []byte) ([]byte, error) {
	key, ok := p.key.(*rsa.PrivateKey)
	if !ok {
		return nil, ErrMaterial // wiped
	}
	if len(ciphertext) != key.Size() {
		return nil, ErrDecrypt
	}
	plaintext, err := rsa.DecryptOAEP(hash.New(), nil, key, ciphertext, nil)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plaintext, nil
}
