package keyspec

import (
	"bytes"
	"encoding/asn1"
)

// Object identifiers: RFC 8017, RFC 5480, SEC 2, RFC 8410, RFC 9881.
var (
	oidRSA     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEC      = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidP256    = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP384    = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	oidP521    = asn1.ObjectIdentifier{1, 3, 132, 0, 35}
	oidP256K1  = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidMLDSA44 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}
	oidMLDSA65 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}
	oidMLDSA87 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}
)

// algorithmIdentifier is the AlgorithmIdentifier of all keys of a spec, the same
// in private and public keys. Parameters are absent, NULL or a curve's name.
type algorithmIdentifier struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// id is the algorithmIdentifier with an object identifier as its parameters, or
// without any.
func id(algorithm, parameters asn1.ObjectIdentifier) (a algorithmIdentifier) {
	a.Algorithm = algorithm
	if parameters != nil {
		a.Parameters.FullBytes = encode(parameters)
	}
	return a
}

func (a algorithmIdentifier) equal(b algorithmIdentifier) bool {
	return a.Algorithm.Equal(b.Algorithm) && bytes.Equal(a.Parameters.FullBytes, b.Parameters.FullBytes)
}

// privateKeyInfo is OneAsymmetricKey of RFC 5958, which with version 0 is the
// PrivateKeyInfo of RFC 5208.
type privateKeyInfo struct {
	Version    int
	Algorithm  algorithmIdentifier
	PrivateKey []byte
	Attributes asn1.RawValue  `asn1:"optional,tag:0"`
	PublicKey  asn1.BitString `asn1:"optional,tag:1"`
}

// publicKeyInfo is SubjectPublicKeyInfo of RFC 5280.
type publicKeyInfo struct {
	Algorithm algorithmIdentifier
	PublicKey asn1.BitString
}

// bitString is the BIT STRING of whole bytes.
func bitString(b []byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }

// sameBits reports whether s is bitString(b).
func sameBits(s asn1.BitString, b []byte) bool {
	return s.BitLength == 8*len(b) && bytes.Equal(s.Bytes, b)
}

// decode parses one value in DER. It fails unless encode gives back the same
// bytes: encoding/asn1 alone ignores what follows a value, and what a sequence
// has beyond the fields of a struct.
func decode[T any](der []byte) (v T, ok bool) {
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return v, false
	}
	again, err := asn1.Marshal(v)
	defer clear(again)
	return v, err == nil && bytes.Equal(again, der)
}

// encode prints one of the fixed structures of this package.
func encode(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err) // only for types that have no encoding
	}
	return der
}
