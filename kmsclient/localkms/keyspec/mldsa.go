package keyspec

import (
	"bytes"
	"crypto"
	"crypto/sha3"
	"encoding/asn1"

	"filippo.io/mldsa"
)

// muSize is the length of μ in bytes.
const muSize = 64

// mldsaFamily is ML-DSA (FIPS 204) with one set of parameters, encoded as in RFC
// 9881. Signatures are hedged and have an empty context.
type mldsaFamily struct {
	parameters mldsa.Parameters
	oid        asn1.ObjectIdentifier
	expanded   int // length of an expanded private key (FIPS 204, Table 2)
}

// seedHead is what precedes the seed in the form that is the seed alone: the
// identifier and length of [0] IMPLICIT OCTET STRING.
const seedHead = "\x80\x20"

// mldsaBoth is the form of ML-DSA-PrivateKey that has the expanded key too, as
// OpenSSL prints it by default.
type mldsaBoth struct {
	Seed     []byte
	Expanded []byte
}

func (f mldsaFamily) algorithm() algorithmIdentifier { return id(f.oid, nil) }

func (f mldsaFamily) generate() (crypto.Signer, error) { return mldsa.GenerateKey(f.parameters) }

// parsePrivate reads the seed, alone or with the expanded key. An expanded key
// without its seed is refused. Of an expanded key it checks what FIPS 204,
// Algorithm 24 puts first and what ties it to the public key: ρ and tr.
func (f mldsaFamily) parsePrivate(octets []byte) (crypto.Signer, bool) {
	both, hasBoth := decode[mldsaBoth](octets)
	defer clear(both.Seed)
	defer clear(both.Expanded)
	seed := both.Seed
	if !hasBoth {
		if len(octets) != len(seedHead)+mldsa.PrivateKeySize || string(octets[:len(seedHead)]) != seedHead {
			return nil, false
		}
		seed = octets[len(seedHead):]
	}
	key, err := mldsa.NewPrivateKey(f.parameters, seed)
	if err != nil {
		return nil, false
	}
	if hasBoth {
		pk := f.printPublic(key.PublicKey())
		x := both.Expanded
		return key, len(x) == f.expanded && bytes.Equal(x[:32], pk[:32]) && bytes.Equal(x[64:128], sha3.SumSHAKE256(pk, 64))
	}
	return key, true
}

func (mldsaFamily) printPrivate(key crypto.Signer) []byte {
	seed := key.(*mldsa.PrivateKey).Bytes()
	defer clear(seed)
	return append([]byte(seedHead), seed...)
}

func (f mldsaFamily) parsePublic(bits []byte) (crypto.PublicKey, bool) {
	key, err := mldsa.NewPublicKey(f.parameters, bits)
	return key, err == nil
}

func (mldsaFamily) printPublic(key crypto.PublicKey) []byte { return key.(*mldsa.PublicKey).Bytes() }

// wipe has nothing to do: the module lets no one reach what it keeps.
func (mldsaFamily) wipe(crypto.Signer) {}
