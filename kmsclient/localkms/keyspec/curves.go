package keyspec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
)

// ecPrivateKey is ECPrivateKey of RFC 5915.
type ecPrivateKey struct {
	Version    int
	PrivateKey []byte                // big endian, as long as the order of the curve
	NamedCurve asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	PublicKey  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

// printECPrivate prints what crypto/x509 prints inside of PKCS #8: without the
// curve, which the AlgorithmIdentifier names, and with the public key.
func printECPrivate(scalar, point []byte) []byte {
	return encode(ecPrivateKey{Version: 1, PrivateKey: scalar, PublicKey: bitString(point)})
}

// parseECPrivate returns the scalar, which may be out of range, and the public
// point, whose Bytes are nil if there is none.
func parseECPrivate(octets []byte, curve asn1.ObjectIdentifier) (scalar []byte, point asn1.BitString, ok bool) {
	k, ok := decode[ecPrivateKey](octets)
	ok = ok && k.Version == 1 && (k.NamedCurve == nil || k.NamedCurve.Equal(curve))
	return k.PrivateKey, k.PublicKey, ok
}

// nistFamily is ECDSA, and ECDH with the same key, over one NIST curve.
type nistFamily struct {
	curve elliptic.Curve
	oid   asn1.ObjectIdentifier
}

func (f nistFamily) algorithm() algorithmIdentifier { return id(oidEC, f.oid) }

func (f nistFamily) generate() (crypto.Signer, error) { return ecdsa.GenerateKey(f.curve, rand.Reader) }

func (f nistFamily) parsePrivate(octets []byte) (crypto.Signer, bool) {
	scalar, point, ok := parseECPrivate(octets, f.oid)
	defer clear(scalar)
	if !ok {
		return nil, false
	}
	key, err := ecdsa.ParseRawPrivateKey(f.curve, scalar)
	if err != nil {
		return nil, false
	}
	return key, point.Bytes == nil || sameBits(point, f.printPublic(key.Public()))
}

func (f nistFamily) printPrivate(key crypto.Signer) []byte {
	scalar, err := key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		panic(err) // only for scalars out of range and custom curves
	}
	defer clear(scalar)
	return printECPrivate(scalar, f.printPublic(key.Public()))
}

func (f nistFamily) parsePublic(bits []byte) (crypto.PublicKey, bool) {
	key, err := ecdsa.ParseUncompressedPublicKey(f.curve, bits)
	return key, err == nil
}

func (nistFamily) printPublic(key crypto.PublicKey) []byte {
	point, err := key.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		panic(err) // only for points not on the curve and custom curves
	}
	return point
}

func (nistFamily) wipe(key crypto.Signer) {
	//lint:ignore SA1019 the field is deprecated for being set, and this key is not used any more
	clear(key.(*ecdsa.PrivateKey).D.Bits())
}

// edwardsFamily is Ed25519 (RFC 8032, encoded as in RFC 8410).
type edwardsFamily struct{}

func (edwardsFamily) algorithm() algorithmIdentifier { return id(oidEd25519, nil) }

func (edwardsFamily) generate() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func (edwardsFamily) parsePrivate(octets []byte) (crypto.Signer, bool) {
	seed, ok := decode[[]byte](octets)
	defer clear(seed)
	if !ok || len(seed) != ed25519.SeedSize {
		return nil, false
	}
	return ed25519.NewKeyFromSeed(seed), true
}

func (edwardsFamily) printPrivate(key crypto.Signer) []byte {
	return encode(key.(ed25519.PrivateKey).Seed())
}

func (edwardsFamily) parsePublic(bits []byte) (crypto.PublicKey, bool) {
	return ed25519.PublicKey(bits), len(bits) == ed25519.PublicKeySize
}

func (edwardsFamily) printPublic(key crypto.PublicKey) []byte {
	return bytes.Clone(key.(ed25519.PublicKey))
}

func (edwardsFamily) wipe(key crypto.Signer) { clear(key.(ed25519.PrivateKey)) }
