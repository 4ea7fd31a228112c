package keyspec

import (
	"crypto/rand"
	"math/big"
	"slices"
	"testing"

	"filippo.io/mldsa"
)

// What verifies by μ is what the module verifies by the message: signatures as
// they are made, and with one bit changed anywhere.
func TestVerifyMuAgreesWithTheModule(t *testing.T) {
	for _, s := range []Spec{MLDSA44, MLDSA65, MLDSA87} {
		for range 10 {
			m, err := Generate(s)
			if err != nil {
				t.Fatal(err)
			}
			p := parse(t, s, m)
			key := p.key.Public().(*mldsa.PublicKey)
			message := make([]byte, 40)
			rand.Read(message)
			signature, err := p.Sign(MLDSASHAKE256, Raw, message)
			if err != nil {
				t.Fatal(err)
			}
			if !verifyMu(key, mu(p.Public(), message), signature) {
				t.Fatalf("%s: a signature does not verify", s)
			}
			for range 20 {
				i, _ := rand.Int(rand.Reader, big.NewInt(int64(len(signature))))
				bad := flip(signature, int(i.Int64()))
				if verifyMu(key, mu(p.Public(), message), bad) != (mldsa.Verify(key, message, bad, nil) == nil) {
					t.Errorf("%s: byte %d changed: not the module's verdict", s, i)
				}
			}
		}
	}
}

// The hints are the part of a signature that has more than one encoding, if it
// is not read strictly (FIPS 204, Algorithm 21).
func TestHints(t *testing.T) {
	p := muParameterSets[mldsa.MLDSA44()] // 80 positions, 4 counts
	hint := func(positions []byte, counts ...byte) []byte {
		return slices.Concat(positions, make([]byte, 80-len(positions)), counts)
	}
	for _, c := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"none", hint(nil, 0, 0, 0, 0), true},
		{"some", hint([]byte{3, 9, 1, 255}, 2, 3, 3, 4), true},
		{"as many as can be", hint(slices.Collect(func(yield func(byte) bool) {
			for i := range 80 {
				if !yield(byte(i)) {
					return
				}
			}
		}), 80, 80, 80, 80), true},
		{"the same in two polynomials", hint([]byte{3, 3}, 1, 2, 2, 2), true},
		{"twice the same", hint([]byte{3, 3}, 2, 2, 2, 2), false},
		{"not in order", hint([]byte{9, 3}, 2, 2, 2, 2), false},
		{"counts that fall", hint([]byte{3, 9}, 2, 1, 2, 2), false},
		{"more than there can be", hint(nil, 0, 0, 0, 81), false},
		{"a position beyond the count", hint([]byte{3, 9}, 1, 1, 1, 1), false},
	} {
		h, ok := p.hints(c.in)
		if ok != c.ok {
			t.Errorf("%s: %v", c.name, ok)
		}
		if c.name == "some" && (!h[0][3] || !h[0][9] || !h[1][1] || !h[3][255] || h[2][255]) {
			t.Errorf("%s: not where they should be", c.name)
		}
	}
}

// A coefficient of z is γ1 - x, and below γ1 - β in absolute value.
func TestZBounds(t *testing.T) {
	for parameters, p := range muParameterSets {
		gamma1 := uint32(1) << (p.gamma1Bits - 1)
		for x, want := range map[uint32]bool{
			0: false, p.beta: false, p.beta + 1: true, gamma1: true,
			2*gamma1 - p.beta - 1: true, 2*gamma1 - p.beta: false, 2*gamma1 - 1: false,
		} {
			b := make([]byte, 32*p.gamma1Bits)
			for i := range mldsaN * p.gamma1Bits { // x in every place
				b[i/8] |= byte(x>>(i%p.gamma1Bits)&1) << (i % 8)
			}
			var z poly
			got := p.unpackZ(b, &z)
			if coefficient := (gamma1 + mldsaQ - x) % mldsaQ; got != want || z[0] != coefficient || z[255] != coefficient {
				t.Errorf("%s, x = %d: %v, z = %d", parameters, x, got, z[0])
			}
		}
	}
}

func TestNTTRoundTrip(t *testing.T) {
	var w poly
	for i := range w {
		w[i] = uint32(i) * 32749 % mldsaQ
	}
	again := w
	again.ntt()
	if again == w {
		t.Error("the transform does nothing")
	}
	again.inverseNTT()
	if again != w {
		t.Error("the inverse is none")
	}
}
