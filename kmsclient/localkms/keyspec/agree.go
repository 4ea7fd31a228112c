package keyspec

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"fmt"
)

// DeriveSharedSecret is ECDH with the peer's public key, a SubjectPublicKeyInfo
// in DER: the x coordinate of the shared point (SP 800-56A, section 5.7.1.2), as
// long as the field of the curve, 32, 48 or 66 bytes. A peer's key that
// ParsePublic refuses, or of another spec, is ErrPublicKey. The caller owns the
// slice, and should clear it.
func (p *Private) DeriveSharedSecret(alg Algorithm, peer []byte) ([]byte, error) {
	if err := p.row.check(KeyAgreement, alg); err != nil {
		return nil, err
	}
	pub, err := ParsePublic(peer)
	if err != nil || pub.row != p.row {
		return nil, ErrPublicKey
	}
	if p.ecdh == nil {
		return nil, ErrMaterial // wiped
	}
	secret, err := sharedSecret(p.ecdh, pub.key.(*ecdsa.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("derive shared secret: %w", err)
	}
	return secret, nil
}

func sharedSecret(own func() (*ecdh.PrivateKey, error), peer *ecdsa.PublicKey) ([]byte, error) {
	private, err := own()
	if err != nil {
		return nil, err
	}
	public, err := peer.ECDH()
	if err != nil {
		return nil, err
	}
	return private.ECDH(public)
}
