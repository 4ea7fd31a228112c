package keyspec

import (
	"bytes"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
)

func TestWycheproofMLDSAVerify(t *testing.T) {
	for name, s := range map[string]Spec{"mldsa_44_verify": MLDSA44, "mldsa_65_verify": MLDSA65, "mldsa_87_verify": MLDSA87} {
		eachWycheproof(t, name, func(t *testing.T, g wycheproofGroup, c wycheproofCase) {
			r, _ := s.row()
			f := r.pair.(mldsaFamily)
			p, err := ParsePublic(encode(publicKeyInfo{f.algorithm(), bitString(g.PublicKey)}))
			if c.has("IncorrectPublicKeyLength") {
				if err != ErrPublicKey {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(g.PublicKeyDER) > 0 && !bytes.Equal(p.DER(), g.PublicKeyDER) {
				t.Error("another encoding of the public key")
			}
			valid := c.Result == "valid" && len(c.Ctx) == 0
			if err := p.Verify(MLDSASHAKE256, Raw, c.Msg, c.Sig); (err == nil) != valid {
				t.Error(err)
			}
		})
	}
}

// Key generation from the seed, and signatures of other implementations, whose
// deterministic signing is the module's.
func TestWycheproofMLDSASign(t *testing.T) {
	for name, s := range map[string]Spec{"mldsa_44_sign_seed": MLDSA44, "mldsa_65_sign_seed": MLDSA65, "mldsa_87_sign_seed": MLDSA87} {
		eachWycheproof(t, name, func(t *testing.T, g wycheproofGroup, c wycheproofCase) {
			r, _ := s.row()
			material := encode(privateKeyInfo{Algorithm: r.pair.algorithm(), PrivateKey: append([]byte(seedHead), g.PrivateSeed...)})
			p, err := ParsePrivate(s, material)
			if c.Result != "valid" && err != nil || len(g.PublicKey) == 0 {
				return // a seed of another length
			}
			if err != nil || !bytes.HasSuffix(p.Public().DER(), g.PublicKey) {
				t.Fatalf("another public key, %v", err)
			}
			if c.Result != "valid" || len(c.Mu) == 0 {
				return
			}
			byMu, err := p.Sign(MLDSASHAKE256, ExternalMu, c.Mu)
			if err != nil {
				t.Fatal(err)
			}
			if c.Msg != nil && len(c.Ctx) == 0 {
				for name, signature := range map[string][]byte{"theirs": c.Sig, "ours, of μ": byMu} {
					if err := p.Public().Verify(MLDSASHAKE256, Raw, c.Msg, signature); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if got := mu(p.Public(), c.Msg); !bytes.Equal(got, c.Mu) {
					t.Errorf("μ is %x", got)
				}
			}
			if c.has("Randomized") {
				return
			}
			key := p.key.(*mldsa.PrivateKey)
			if got, err := key.SignDeterministic(c.Mu, mldsacrypto.MLDSAMu); err != nil || !bytes.Equal(got, c.Sig) {
				t.Errorf("another signature of μ, %v", err)
			}
			if c.Msg == nil {
				return
			}
			got, err := key.SignDeterministic(c.Msg, &mldsa.Options{Context: string(c.Ctx)})
			if err != nil || !bytes.Equal(got, c.Sig) {
				t.Errorf("another signature, %v", err)
			}
		})
	}
}

// The form with seed and expanded key, put together from the two files that
// have one each of the same key.
func TestWycheproofMLDSABothForms(t *testing.T) {
	for n, s := range map[string]Spec{"44": MLDSA44, "65": MLDSA65, "87": MLDSA87} {
		expanded := map[string][]byte{} // by public key
		eachWycheproof(t, "mldsa_"+n+"_sign_noseed", func(t *testing.T, g wycheproofGroup, _ wycheproofCase) {
			expanded[string(g.PublicKey)] = g.PrivateKey
		})
		r, _ := s.row()
		with := func(octets []byte) []byte {
			return encode(privateKeyInfo{Algorithm: r.pair.algorithm(), PrivateKey: octets})
		}
		tried := 0
		eachWycheproof(t, "mldsa_"+n+"_sign_seed", func(t *testing.T, g wycheproofGroup, _ wycheproofCase) {
			x := expanded[string(g.PublicKey)]
			if len(g.PublicKey) == 0 || x == nil {
				return
			}
			tried++
			seedOnly := with(append([]byte(seedHead), g.PrivateSeed...))
			if p := parse(t, s, with(encode(mldsaBoth{g.PrivateSeed, x}))); !bytes.Equal(p.Bytes(), seedOnly) {
				t.Error("another key")
			}
			for name, octets := range map[string][]byte{
				"another seed":   encode(mldsaBoth{flip(g.PrivateSeed, 0), x}),
				"another rho":    encode(mldsaBoth{g.PrivateSeed, flip(x, 0)}),
				"another tr":     encode(mldsaBoth{g.PrivateSeed, flip(x, 127)}),
				"expanded cut":   encode(mldsaBoth{g.PrivateSeed, x[:len(x)-1]}),
				"short":          encode(mldsaBoth{g.PrivateSeed, x[:64]}),
				"seed cut":       encode(mldsaBoth{g.PrivateSeed[1:], x}),
				"expanded alone": encode(x),
			} {
				if _, err := ParsePrivate(s, with(octets)); err != ErrMaterial {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
		if tried == 0 {
			t.Errorf("%s: no key in both forms", s)
		}
	}
}
