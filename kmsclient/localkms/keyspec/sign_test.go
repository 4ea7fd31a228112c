package keyspec

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"slices"
	"sync"
	"testing"
)

// Every spec with every algorithm and message type: what is signed in one way
// verifies in all ways to say the same message, and nothing else does. By μ
// nothing does.
func TestSignVerify(t *testing.T) {
	message := []byte("a message to sign")
	for _, s := range pairs() {
		p := private(t, s)
		public, err := ParsePublic(p.Public().DER())
		if err != nil {
			t.Fatal(err)
		}
		for _, alg := range s.Algorithms(SignVerify) {
			types := messageTypes(p, alg, message)
			for st, in := range types {
				signature, err := p.Sign(alg, st, in)
				if err != nil {
					t.Errorf("%s %s %s: %v", s, alg, st, err)
					continue
				}
				for vt, m := range types {
					if vt == ExternalMu {
						for _, sig := range [][]byte{signature, flip(signature, 0), nil} {
							if err := public.Verify(alg, vt, m, sig); err != ErrExternalMu {
								t.Errorf("%s, signed as %s, verified by μ: %v", s, st, err)
							}
						}
						continue
					}
					if err := public.Verify(alg, vt, m, signature); err != nil {
						t.Errorf("%s %s: signed as %s, verified as %s: %v", s, alg, st, vt, err)
					}
					if err := public.Verify(alg, vt, flip(m, 0), signature); err != ErrSignature {
						t.Errorf("%s %s %s, another message: %v", s, alg, vt, err)
					}
					for _, bad := range [][]byte{
						nil, {}, {0}, signature[:len(signature)-1], signature[1:], append(slices.Clone(signature), 0),
						make([]byte, len(signature)), bytes.Repeat([]byte{255}, len(signature)),
						flip(signature, 0), flip(signature, len(signature)/2), flip(signature, len(signature)-1),
					} {
						if err := public.Verify(alg, vt, m, bad); err != ErrSignature {
							t.Errorf("%s %s %s, signature %x: %v", s, alg, vt, bad, err)
						}
					}
				}
				for _, other := range s.Algorithms(SignVerify) {
					m, ok := messageTypes(p, other, message)[st]
					if other != alg && ok && public.Verify(other, st, m, signature) != ErrSignature {
						t.Errorf("%s: a signature of %s verifies as %s", s, alg, other)
					}
				}
			}
		}
	}
}

func TestSignRefuses(t *testing.T) {
	types := []MessageType{Raw, Digest, ExternalMu, "", "raw"}
	for _, s := range Specs() {
		p := private(t, s)
		refused := func(alg Algorithm, mt MessageType, message []byte, want error) {
			t.Helper()
			if _, err := p.Sign(alg, mt, message); err != want {
				t.Errorf("%s %s %q, %d bytes: %v, want %v", s, alg, mt, len(message), err, want)
			}
			if public := p.Public(); public != nil {
				if err := public.Verify(alg, mt, message, make([]byte, 64)); err != want {
					t.Errorf("%s %s %q, %d bytes: Verify: %v, want %v", s, alg, mt, len(message), err, want)
				}
			}
		}
		algs := s.Algorithms(SignVerify)
		for _, d := range documented {
			for _, u := range d.spec.Usages() {
				for _, alg := range d.spec.Algorithms(u) {
					if !slices.Contains(algs, alg) {
						refused(alg, Raw, nil, ErrAlgorithm)
					}
				}
			}
		}
		refused("", Raw, nil, ErrAlgorithm)
		for _, alg := range algs {
			allowed := messageTypes(p, alg, nil)
			for _, mt := range types {
				in, ok := allowed[mt]
				switch {
				case !ok:
					refused(alg, mt, make([]byte, 64), ErrMessageType)
				case mt != Raw:
					for _, bad := range [][]byte{nil, in[1:], append(slices.Clone(in), 0), make([]byte, 20)} {
						refused(alg, mt, bad, ErrDigestLength)
					}
				}
			}
		}
	}
}

// The message of Ed25519ph is the digest itself, so SHA-512 runs twice.
func TestEd25519PHHashesTheDigest(t *testing.T) {
	p := private(t, Edwards25519)
	digest := sum(crypto.SHA512, []byte("message"))
	signature, err := p.Sign(Ed25519PHSHA512, Digest, digest)
	if err != nil {
		t.Fatal(err)
	}
	key := p.key.Public().(ed25519.PublicKey)
	opts := &ed25519.Options{Hash: crypto.SHA512}
	if err := ed25519.VerifyWithOptions(key, sum(crypto.SHA512, digest), signature, opts); err != nil {
		t.Error(err)
	}
	if ed25519.VerifyWithOptions(key, digest, signature, opts) == nil {
		t.Error("the digest is hashed once")
	}
}

// A signature of a large s is valid ECDSA, and what other signers make.
func TestSecp256k1TakesBothHalves(t *testing.T) {
	p := private(t, SECGP256K1)
	signature, err := p.Sign(ECDSASHA256, Raw, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	high := otherS(t, signature)
	if err := p.Public().Verify(ECDSASHA256, Raw, []byte("message"), high); err != nil {
		t.Errorf("%x: %v", high, err)
	}
}

// One Private serves several goroutines.
func TestConcurrentUse(t *testing.T) {
	for _, s := range pairs() {
		p := private(t, s)
		public := p.Public()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for _, alg := range s.Algorithms(SignVerify) {
					types := messageTypes(p, alg, []byte("message"))
					for mt, in := range types {
						signature, err := p.Sign(alg, mt, in)
						if err != nil || verifySigned(public, alg, mt, types, signature) != nil {
							t.Errorf("%s %s: %v", s, alg, err)
						}
					}
				}
				for _, alg := range s.Algorithms(KeyAgreement) {
					if _, err := p.DeriveSharedSecret(alg, public.DER()); err != nil {
						t.Errorf("%s %s: %v", s, alg, err)
					}
				}
				if !bytes.Equal(p.Public().DER(), public.DER()) {
					t.Errorf("%s: another public key", s)
				}
			})
		}
		wg.Wait()
	}
}
