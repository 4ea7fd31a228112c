package keyspec

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openssl runs the openssl command, which these tests need: an interpretation of
// a standard is worth most where another implementation shares it. Arguments
// that are bytes become the names of files that have them.
func openssl(t *testing.T, args ...any) []byte {
	t.Helper()
	dir := t.TempDir()
	words := make([]string, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			words[i] = a
		case []byte:
			words[i] = filepath.Join(dir, string(rune('a'+i)))
			if err := os.WriteFile(words[i], a, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := filepath.Join(dir, "out")
	cmd := exec.Command("openssl", slices.Insert(words, 1, "-out", out)...)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(words, " "), err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opensslSpecs are the specs that OpenSSL 3.0 knows: all but ML-DSA.
func opensslSpecs() []Spec {
	return slices.DeleteFunc(pairs(), func(s Spec) bool { return strings.HasPrefix(string(s), "ML_DSA") })
}

// genpkey is a private key of OpenSSL's own making, in the two steps that AWS
// documents: OpenSSL 3.0 alone would print the form before PKCS #8.
func genpkey(t *testing.T, s Spec) []byte {
	t.Helper()
	curve := map[Spec]string{NISTP256: "P-256", NISTP384: "P-384", NISTP521: "P-521", SECGP256K1: "secp256k1"}
	kind := []any{"EC", "-pkeyopt", "ec_paramgen_curve:" + curve[s]}
	if bits, ok := strings.CutPrefix(string(s), "RSA_"); ok {
		kind = []any{"RSA", "-pkeyopt", "rsa_keygen_bits:" + bits}
	} else if s == Edwards25519 {
		kind = []any{"ED25519"}
	}
	return pkcs8(t, openssl(t, append([]any{"genpkey", "-algorithm"}, kind...)...))
}

func pkcs8(t *testing.T, pem []byte) []byte {
	t.Helper()
	return openssl(t, "pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", pem)
}

// OpenSSL's keys are material, its public keys are ours, and the reverse.
func TestOpenSSLKeys(t *testing.T) {
	for _, s := range opensslSpecs() {
		theirs := genpkey(t, s)
		if err := CheckMaterial(s, theirs); err != nil {
			t.Errorf("%s: a key of OpenSSL: %v", s, err)
			continue
		}
		p := parse(t, s, theirs)
		public := openssl(t, "pkey", "-inform", "DER", "-in", theirs, "-pubout", "-outform", "DER")
		if got := p.Public().DER(); !bytes.Equal(got, public) {
			t.Errorf("%s: public key %x, OpenSSL has %x", s, got, public)
		}
		if !bytes.Equal(p.Bytes(), theirs) {
			t.Errorf("%s: we print %x, OpenSSL %x", s, p.Bytes(), theirs)
		}
		ours := material(t, s)
		openssl(t, "pkey", "-inform", "DER", "-in", ours, "-check", "-noout")
		public = openssl(t, "pkey", "-inform", "DER", "-in", ours, "-pubout", "-outform", "DER")
		if got, err := PublicKey(s, ours); err != nil || !bytes.Equal(got, public) {
			t.Errorf("%s: our public key is %x, %v; OpenSSL has %x", s, got, err, public)
		}
	}
}

// What OpenSSL can print too, and is not for us: compressed points, and the
// parameters of a curve instead of its name.
func TestOpenSSLOtherEncodings(t *testing.T) {
	for _, s := range []Spec{NISTP256, NISTP384, NISTP521, SECGP256K1} {
		m := material(t, s)
		compressed := openssl(t, "pkey", "-inform", "DER", "-in", m, "-pubout", "-outform", "DER", "-ec_conv_form", "compressed")
		explicit := pkcs8(t, openssl(t, "pkey", "-inform", "DER", "-in", m, "-ec_param_enc", "explicit"))
		if len(compressed) >= len(parse(t, s, m).Public().DER()) || len(explicit) <= len(m)+100 {
			t.Fatalf("%s: OpenSSL did not do what it was asked", s)
		}
		if _, err := ParsePublic(compressed); err != ErrPublicKey {
			t.Errorf("%s, a compressed point: %v", s, err)
		}
		if _, err := ParsePrivate(s, explicit); err != ErrMaterial {
			t.Errorf("%s, explicit parameters: %v", s, err)
		}
	}
}

func TestOpenSSLSignatures(t *testing.T) {
	message := []byte("a message that two implementations sign")
	for _, s := range opensslSpecs() {
		p := private(t, s)
		public := p.Public().DER()
		for _, alg := range s.Algorithms(SignVerify) {
			if alg == Ed25519PHSHA512 {
				continue // OpenSSL has it from 3.2 on
			}
			options := []any{"-rawin"}
			if alg != Ed25519SHA512 {
				options = append(options, "-digest", "sha"+string(alg[len(alg)-3:]))
			}
			if strings.HasPrefix(string(alg), "RSASSA_PSS") {
				options = append(options, "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest")
			}
			theirs := openssl(t, append([]any{"pkeyutl", "-sign", "-keyform", "DER", "-inkey", p.Bytes(), "-in", message}, options...)...)
			for vt, m := range messageTypes(p, alg, message) {
				if err := p.Public().Verify(alg, vt, m, theirs); err != nil {
					t.Errorf("%s %s %s: OpenSSL's signature: %v", s, alg, vt, err)
				}
				ours, err := p.Sign(alg, vt, m)
				if err != nil {
					t.Errorf("%s %s %s: %v", s, alg, vt, err)
					continue
				}
				said := openssl(t, append([]any{"pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", public, "-in", message, "-sigfile", ours}, options...)...)
				if !strings.Contains(string(said), "Verified Successfully") {
					t.Errorf("%s %s %s: OpenSSL says %s", s, alg, vt, said)
				}
			}
		}
	}
}

func oaepOptions(alg Algorithm) []any {
	md := "sha1"
	if alg == OAEPSHA256 || alg == RSAAESKeyWrapSHA256 {
		md = "sha256"
	}
	return []any{"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:" + md, "-pkeyopt", "rsa_mgf1_md:" + md}
}

func opensslOAEP(t *testing.T, alg Algorithm, public, plaintext []byte) []byte {
	t.Helper()
	return openssl(t, append([]any{"pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public, "-in", plaintext}, oaepOptions(alg)...)...)
}

func TestOpenSSLEncryption(t *testing.T) {
	for _, s := range []Spec{RSA2048, RSA3072, RSA4096} {
		p := private(t, s)
		for _, alg := range s.Algorithms(EncryptDecrypt) {
			plaintext := bytes.Repeat([]byte{7}, s.MaxPlaintext(alg))
			if got, err := p.Decrypt(alg, opensslOAEP(t, alg, p.Public().DER(), plaintext)); err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("%s %s: OpenSSL's ciphertext: %x, %v", s, alg, got, err)
			}
			ours, err := p.Public().Encrypt(alg, plaintext)
			if err != nil {
				t.Errorf("%s %s: %v", s, alg, err)
				continue
			}
			got := openssl(t, append([]any{"pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", p.Bytes(), "-in", ours}, oaepOptions(alg)...)...)
			if !bytes.Equal(got, plaintext) {
				t.Errorf("%s %s: OpenSSL decrypts %x", s, alg, got)
			}
		}
	}
}

func TestOpenSSLKeyAgreement(t *testing.T) {
	for _, s := range []Spec{NISTP256, NISTP384, NISTP521} {
		p := private(t, s)
		theirs := genpkey(t, s)
		public, err := PublicKey(s, theirs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.DeriveSharedSecret(ECDH, public)
		want := openssl(t, "pkeyutl", "-derive", "-keyform", "DER", "-inkey", theirs, "-peerform", "DER", "-peerkey", p.Public().DER())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v; OpenSSL has %x", s, got, err, want)
		}
	}
}

func TestOpenSSLMAC(t *testing.T) {
	for _, s := range []Spec{HMAC224, HMAC256, HMAC384, HMAC512} {
		p, alg := private(t, s), s.Algorithms(GenerateVerifyMAC)[0]
		said := openssl(t, "mac", "-digest", "SHA"+string(alg[len(alg)-3:]), "-macopt", "hexkey:"+hex.EncodeToString(p.Bytes()), "-binary", "-in", []byte("message"), "HMAC")
		if err := p.VerifyMAC(alg, []byte("message"), said); err != nil {
			t.Errorf("%s: OpenSSL's MAC %x: %v", s, said, err)
		}
	}
}

// The steps that AWS documents for importing key material, with every wrapping
// that is allowed.
func TestOpenSSLImport(t *testing.T) {
	for _, w := range WrappingSpecs() {
		wrapping := private(t, w)
		public := wrapping.Public().DER()
		for _, s := range Specs() {
			m := material(t, s)
			for _, alg := range s.WrappingAlgorithms(w) {
				var wrapped []byte
				if alg == OAEPSHA1 || alg == OAEPSHA256 {
					wrapped = opensslOAEP(t, alg, public, m)
				} else {
					aes := make([]byte, 32)
					rand.Read(aes)
					wrapped = append(opensslOAEP(t, alg, public, aes),
						openssl(t, "enc", "-id-aes256-wrap-pad", "-K", hex.EncodeToString(aes), "-iv", "A65959A6", "-in", m)...)
				}
				got, err := UnwrapImport(alg, wrapping, wrapped)
				if err != nil || !bytes.Equal(got, m) {
					t.Errorf("%s wrapped with %s under %s: %v", s, alg, w, err)
				}
			}
		}
	}
}
