package keyspec

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What the package comment says about FIPS 140, in a process of its own: the
// setting is read at the start.
func TestFIPS140Only(t *testing.T) {
	const smallKey = "KEYSPEC_SMALL_EXPONENT" // the child cannot make this key itself
	e3, child := os.LookupEnv(smallKey)
	if !child {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS140Only$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", smallKey+"="+hex.EncodeToString(smallExponent(t).Bytes()))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFIPS140Only") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for _, s := range Specs() {
		p := private(t, s)
		for _, alg := range s.Algorithms(SignVerify) {
			types := messageTypes(p, alg, []byte("message"))
			for mt, in := range types {
				signature, err := p.Sign(alg, mt, in)
				if err != nil {
					t.Errorf("%s %s: %v", s, alg, err)
				} else if err := verifySigned(p.Public(), alg, mt, types, signature); err != nil {
					t.Errorf("%s %s: %v", s, alg, err)
				}
			}
		}
		for _, alg := range s.Algorithms(GenerateVerifyMAC) {
			if _, err := p.GenerateMAC(alg, nil); err != nil {
				t.Errorf("%s %s: %v", s, alg, err)
			}
		}
		for _, alg := range s.Algorithms(KeyAgreement) {
			if _, err := p.DeriveSharedSecret(alg, p.Public().DER()); err != nil {
				t.Errorf("%s %s: %v", s, alg, err)
			}
		}
		if s == SymmetricDefault {
			continue
		}
		for _, alg := range s.Algorithms(EncryptDecrypt) {
			ciphertext, err := p.Public().Encrypt(alg, []byte("x"))
			if (err == nil) != (alg == OAEPSHA256) {
				t.Errorf("%s encrypts with %s: %v", s, alg, err)
			}
			if alg == OAEPSHA1 {
				ciphertext = make([]byte, s.MaxPlaintext(alg)+42)
			}
			if _, err := p.Decrypt(alg, ciphertext); (err == nil) != (alg == OAEPSHA256) {
				t.Errorf("%s decrypts with %s: %v", s, alg, err)
			}
		}
	}
	p := parse(t, RSA2048, unhex(t, e3))
	if signature, err := p.Sign(PSSSHA256, Raw, nil); err == nil {
		t.Errorf("a key with e = 3 signs %x", signature)
	}
	if ciphertext, err := p.Public().Encrypt(OAEPSHA256, nil); err == nil {
		t.Errorf("a key with e = 3 encrypts to %x", ciphertext)
	}
	if _, err := UnwrapImport(OAEPSHA1, private(t, RSA2048), make([]byte, 256)); err != ErrDecrypt {
		t.Errorf("import wrapped with SHA-1: %v", err)
	}
}

// smallExponent is an RSA key with the public exponent 3, which has an inverse
// where both primes are 2 modulo 3.
func smallExponent(t *testing.T) *Private {
	t.Helper()
	var primes []*big.Int
	for len(primes) < 2 {
		p, err := rand.Prime(rand.Reader, 1024)
		if err != nil {
			t.Fatal(err)
		}
		if new(big.Int).Mod(p, big.NewInt(3)).Int64() == 2 {
			primes = append(primes, p)
		}
	}
	der, ok := rsaMaterial(t, primes[0], primes[1], 3)
	if !ok {
		t.Fatal("no key of two primes")
	}
	return parse(t, RSA2048, der)
}

// Without the setting a key with a small exponent is as good as any.
func TestSmallPublicExponent(t *testing.T) {
	p := smallExponent(t)
	signature, err := p.Sign(PSSSHA256, Raw, nil)
	if err != nil || p.Public().Verify(PSSSHA256, Raw, nil, signature) != nil {
		t.Errorf("%x, %v", signature, err)
	}
}
