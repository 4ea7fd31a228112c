package keyspec

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha3"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"slices"
	"sync"
	"testing"
)

// generated gives one material per spec to all tests: RSA keys take long.
var generated = func() map[Spec]func() ([]byte, error) {
	m := map[Spec]func() ([]byte, error){}
	for _, s := range Specs() {
		m[s] = sync.OnceValues(func() ([]byte, error) { return Generate(s) })
	}
	return m
}()

func material(t testing.TB, s Spec) []byte {
	t.Helper()
	b, err := generated[s]()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(b)
}

func private(t testing.TB, s Spec) *Private {
	t.Helper()
	return parse(t, s, material(t, s))
}

func parse(t testing.TB, s Spec, material []byte) *Private {
	t.Helper()
	p, err := ParsePrivate(s, material)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return p
}

// pairs are the specs of key pairs.
func pairs() []Spec {
	return slices.DeleteFunc(Specs(), func(s Spec) bool { return !s.Asymmetric() })
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// flip returns b with one bit of byte i changed.
func flip(b []byte, i int) []byte {
	c := bytes.Clone(b)
	c[i] ^= 1
	return c
}

// mu is μ of FIPS 204 for a message with an empty context.
func mu(public *Public, message []byte) []byte {
	info, _ := decode[publicKeyInfo](public.DER())
	tr := sha3.SumSHAKE256(info.PublicKey.Bytes, 64)
	return sha3.SumSHAKE256(slices.Concat(tr, []byte{0, 0}, message), 64)
}

// messageTypes are those an algorithm takes, with the message to give for each
// to sign the same thing.
func messageTypes(p *Private, alg Algorithm, message []byte) map[MessageType][]byte {
	switch alg {
	case Ed25519SHA512:
		return map[MessageType][]byte{Raw: message}
	case Ed25519PHSHA512:
		return map[MessageType][]byte{Digest: sum(crypto.SHA512, message)}
	case MLDSASHAKE256:
		return map[MessageType][]byte{Raw: message, ExternalMu: mu(p.Public(), message)}
	}
	return map[MessageType][]byte{Raw: message, Digest: sum(hashes[alg], message)}
}

// verifySigned is Verify of what was signed as one of messageTypes: in the same
// way, but for μ, where the message itself must do.
func verifySigned(p *Public, alg Algorithm, mt MessageType, types map[MessageType][]byte, signature []byte) error {
	if mt == ExternalMu {
		mt = Raw
	}
	return p.Verify(alg, mt, types[mt], signature)
}

// rsaMaterial is RSA_2048 material of given factors, as if they were prime. It
// is not ok if the modulus has another length, or e no inverse.
func rsaMaterial(t *testing.T, p, q *big.Int, e int64) (der []byte, ok bool) {
	t.Helper()
	less1 := func(x *big.Int) *big.Int { return new(big.Int).Sub(x, big.NewInt(1)) }
	n := new(big.Int).Mul(p, q)
	d := new(big.Int).ModInverse(big.NewInt(e), new(big.Int).Mul(less1(p), less1(q)))
	if n.BitLen() != 2048 || d == nil {
		return nil, false
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e)}, D: d, Primes: []*big.Int{p, q}}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der, true
}
