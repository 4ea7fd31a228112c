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
	secp256k1.PrivateKey
	public *secp256k1.PublicKey
}

func (k *secpKey) Public() crypto.PublicKey { return k.public }

// newSecpKey computes the public key of a scalar, which is not zero.
func newSecpKey(scalar *secp256k1.ModNScalar) (*secpKey, error) {
	point, err := blindBaseMult(scalar)
	if err != nil {
		return nil, err
	}
	return &secpKey{*secp256k1.NewPrivateKey(scalar), secp256k1.NewPublicKey(&point.X, &point.Y)}, nil
}

// Sign signs a digest of 32 bytes: deterministically (RFC 6979), with the lower
// of the two possible values of s, in ASN.1 DER. It gives the signatures of the
// module's own Sign, which however takes a time that depends on the nonce.
func (k *secpKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	secret := k.Key.Bytes()
	defer clear(secret[:])
	for i := uint32(0); ; i++ {
		nonce := secp256k1.NonceRFC6979(secret[:], digest, nil, nil, i)
		point, err := blindBaseMult(nonce)
		if err != nil {
			return nil, err
		}
		inverse, err := blindInverse(nonce)
		if err != nil {
			return nil, err
		}
		var r, e secp256k1.ModNScalar
		r.SetBytes(point.X.Bytes())
		e.SetByteSlice(digest)
		s := new(secp256k1.ModNScalar).Mul2(&k.Key, &r).Add(&e).Mul(inverse)
		nonce.Zero()
		inverse.Zero()
		if r.IsZero() || s.IsZero() {
			continue // as FIPS 186-5 says; no one has seen it happen
		}
		return ecdsa.NewSignature(&r, s).Serialize(), nil // makes s the lower
	}
}

// blindBaseMult is k times the base point, in affine coordinates: as the sum of
// two multiples that each are random, because the time the module takes for one
// depends on the scalar.
func blindBaseMult(k *secp256k1.ModNScalar) (*secp256k1.JacobianPoint, error) {
	b, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	defer b.Zero()
	var p, q, sum secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(&b.Key, &p)
	rest := new(secp256k1.ModNScalar).NegateVal(&b.Key).Add(k)
	defer rest.Zero()
	secp256k1.ScalarBaseMultNonConst(rest, &q)
	secp256k1.AddNonConst(&p, &q, &sum)
	sum.ToAffine()
	return &sum, nil
}

// blindInverse is 1/k, computed as b/(bk) with a random b for the same reason.
func blindInverse(k *secp256k1.ModNScalar) (*secp256k1.ModNScalar, error) {
	b, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return nil, err
	}
	defer b.Zero()
	return new(secp256k1.ModNScalar).Mul2(&b.Key, k).InverseNonConst().Mul(&b.Key), nil
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
	defer key.Zero()
	return newSecpKey(&key.Key)
}

func (f secpFamily) parsePrivate(octets []byte) (crypto.Signer, bool) {
	scalar, point, ok := parseECPrivate(octets, oidP256K1)
	defer clear(scalar)
	var d secp256k1.ModNScalar
	defer d.Zero()
	if !ok || len(scalar) != secp256k1.PrivKeyBytesLen || d.SetByteSlice(scalar) || d.IsZero() {
		return nil, false
	}
	key, err := newSecpKey(&d)
	if err != nil {
		return nil, false
	}
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
