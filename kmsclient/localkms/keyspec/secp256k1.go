package keyspec

import (
	"bytes"
	"crypto"
	"io"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// secpFamily is ECDSA over secp256k1 (SEC 2, section 2.4.1), which the standard
// library does not have.
type secpFamily struct{}

// secpKey makes a secp256k1 key a crypto.Signer.
type secpKey struct {
	*secp256k1.PrivateKey
	public *secp256k1.PublicKey
}

func newSecpKey(key *secp256k1.PrivateKey) *secpKey { return &secpKey{key, key.PubKey()} }

func (k *secpKey) Public() crypto.PublicKey { return k.public }

// Sign signs a digest of 32 bytes: deterministically (RFC 6979), with the lower
// of the two possible values of s, in ASN.1 DER.
func (k *secpKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return ecdsa.Sign(k.PrivateKey, digest).Serialize(), nil
}

// verifySecp accepts both values of s, as ECDSA does.
func verifySecp(key *secp256k1.PublicKey, digest, signature []byte) bool {
	s, err := ecdsa.ParseDERSignature(signature)
	return err == nil && s.Verify(digest, key)
}

func (secpFamily) algorithm() algorithmIdentifier { return id(oidEC, oidP256K1) }

func (secpFamily) generate() (crypto.Signer, error) {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	return newSecpKey(key), nil
}

func (f secpFamily) parsePrivate(octets []byte) (crypto.Signer, bool) {
	scalar, point, ok := parseECPrivate(octets, oidP256K1)
	defer clear(scalar)
	var d secp256k1.ModNScalar
	defer d.Zero()
	if !ok || len(scalar) != secp256k1.PrivKeyBytesLen || d.SetByteSlice(scalar) || d.IsZero() {
		return nil, false
	}
	key := newSecpKey(secp256k1.NewPrivateKey(&d))
	return key, point.Bytes == nil || sameBits(point, f.printPublic(key.public))
}

func (f secpFamily) printPrivate(key crypto.Signer) []byte {
	scalar := key.(*secpKey).Key.Bytes()
	defer clear(scalar[:])
	return printECPrivate(scalar[:], f.printPublic(key.Public()))
}

// parsePublic takes uncompressed points only: ParsePubKey knows compressed and
// hybrid ones too, and checks that the point is on the curve.
func (f secpFamily) parsePublic(bits []byte) (crypto.PublicKey, bool) {
	key, err := secp256k1.ParsePubKey(bits)
	return key, err == nil && bytes.Equal(f.printPublic(key), bits)
}

func (secpFamily) printPublic(key crypto.PublicKey) []byte {
	return key.(*secp256k1.PublicKey).SerializeUncompressed()
}

func (secpFamily) wipe(key crypto.Signer) { key.(*secpKey).Zero() }
