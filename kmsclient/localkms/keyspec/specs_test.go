package keyspec

import (
	"slices"
	"strings"
	"testing"
)

// What AWS documents, written out a second time.
var documented = []struct {
	spec   Spec
	usages string // usage: algorithms; usage: algorithms
	pair   bool   // GenerateDataKeyPair has it
}{
	{"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT: SYMMETRIC_DEFAULT", false},
	{"RSA_2048", "ENCRYPT_DECRYPT: RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256; SIGN_VERIFY: RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512", true},
	{"RSA_3072", "ENCRYPT_DECRYPT: RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256; SIGN_VERIFY: RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512", true},
	{"RSA_4096", "ENCRYPT_DECRYPT: RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256; SIGN_VERIFY: RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512", true},
	{"ECC_NIST_P256", "SIGN_VERIFY: ECDSA_SHA_256; KEY_AGREEMENT: ECDH", true},
	{"ECC_NIST_P384", "SIGN_VERIFY: ECDSA_SHA_384; KEY_AGREEMENT: ECDH", true},
	{"ECC_NIST_P521", "SIGN_VERIFY: ECDSA_SHA_512; KEY_AGREEMENT: ECDH", true},
	{"ECC_SECG_P256K1", "SIGN_VERIFY: ECDSA_SHA_256", true},
	{"ECC_NIST_EDWARDS25519", "SIGN_VERIFY: ED25519_SHA_512 ED25519_PH_SHA_512", true},
	{"HMAC_224", "GENERATE_VERIFY_MAC: HMAC_SHA_224", false},
	{"HMAC_256", "GENERATE_VERIFY_MAC: HMAC_SHA_256", false},
	{"HMAC_384", "GENERATE_VERIFY_MAC: HMAC_SHA_384", false},
	{"HMAC_512", "GENERATE_VERIFY_MAC: HMAC_SHA_512", false},
	{"ML_DSA_44", "SIGN_VERIFY: ML_DSA_SHAKE_256", false},
	{"ML_DSA_65", "SIGN_VERIFY: ML_DSA_SHAKE_256", false},
	{"ML_DSA_87", "SIGN_VERIFY: ML_DSA_SHAKE_256", false},
}

func TestSpecs(t *testing.T) {
	var specs []Spec
	for _, d := range documented {
		specs = append(specs, d.spec)
		var usages []string
		for _, u := range d.spec.Usages() {
			line := string(u) + ":"
			for _, a := range d.spec.Algorithms(u) {
				line += " " + string(a)
			}
			usages = append(usages, line)
		}
		if got := strings.Join(usages, "; "); got != d.usages || !d.spec.Known() {
			t.Errorf("%s is known: %v, and does %s", d.spec, d.spec.Known(), got)
		}
		if got := d.spec.DataKeyPair(); got != d.pair {
			t.Errorf("%s is a data key pair: %v", d.spec, got)
		}
		if raw := d.spec == "SYMMETRIC_DEFAULT" || strings.HasPrefix(string(d.spec), "HMAC_"); d.spec.Asymmetric() == raw {
			t.Errorf("%s is asymmetric: %v", d.spec, !raw)
		}
		if u, ok := d.spec.DefaultUsage(); ok != (d.spec == "SYMMETRIC_DEFAULT") || ok && u != "ENCRYPT_DECRYPT" {
			t.Errorf("%s has default usage %s, %v", d.spec, u, ok)
		}
	}
	if !slices.Equal(Specs(), specs) {
		t.Errorf("specs %v, want %v", Specs(), specs)
	}
}

// The table is not the caller's to change.
func TestListsAreCopies(t *testing.T) {
	Specs()[0] = "x"
	RSA2048.Usages()[0] = "x"
	RSA2048.Algorithms(SignVerify)[0] = "x"
	WrappingSpecs()[0] = "x"
	if Specs()[0] != SymmetricDefault || RSA2048.Usages()[0] != EncryptDecrypt ||
		RSA2048.Algorithms(SignVerify)[0] != PKCS1SHA256 || WrappingSpecs()[0] != RSA2048 {
		t.Error("a caller changed the table")
	}
}

func TestUnknownSpecs(t *testing.T) {
	for _, s := range []Spec{"", "SM2", "RSA_1024", "rsa_2048", "ECC_NIST_P224", "SYMMETRIC_DEFAULT "} {
		if s.Known() || s.Asymmetric() || s.DataKeyPair() || s.Usages() != nil || s.Algorithms(SignVerify) != nil ||
			s.MaxPlaintext(OAEPSHA256) != 0 || s.WrappingAlgorithms(RSA4096) != nil {
			t.Errorf("%q can do something", s)
		}
		if _, err := Generate(s); err != ErrSpec {
			t.Errorf("generating %q: %v", s, err)
		}
		if _, err := ParsePrivate(s, make([]byte, 32)); err != ErrSpec {
			t.Errorf("parsing %q: %v", s, err)
		}
		if err := CheckMaterial(s, make([]byte, 32)); err != ErrSpec {
			t.Errorf("checking %q: %v", s, err)
		}
		if _, err := PublicKey(s, make([]byte, 32)); err != ErrSpec {
			t.Errorf("public key of %q: %v", s, err)
		}
	}
}
