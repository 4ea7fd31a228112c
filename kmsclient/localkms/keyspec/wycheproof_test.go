package keyspec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var wycheproof = flag.String("wycheproof", "testdata/wycheproof", "the directory of the Wycheproof vectors")

// hexBytes are bytes that JSON has in hexadecimal. The few files with something
// else under the same name mean something else by it.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) (err error) {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*h, err = hex.DecodeString(s)
	}
	return err
}

type wycheproofGroup struct {
	PublicKeyDER    hexBytes `json:"publicKeyDer"`
	PrivateKeyPKCS8 hexBytes `json:"privateKeyPkcs8"`
	PrivateSeed     hexBytes `json:"privateSeed"`
	PublicKey       hexBytes `json:"publicKey"`
	PrivateKey      hexBytes `json:"privateKey"`
	KeySize         int      `json:"keySize"`
	Tests           []wycheproofCase
}

type wycheproofCase struct {
	ID      int `json:"tcId"`
	Comment string
	Result  string // valid, invalid, acceptable
	Flags   []string
	Msg     hexBytes
	Ciph    hexBytes `json:"ct"`
	Key     hexBytes
	Label   hexBytes
	Public  hexBytes
	Private hexBytes
	Shared  hexBytes
	Sig     hexBytes
	Mu      hexBytes
	Ctx     hexBytes
}

func (c wycheproofCase) has(flag string) bool { return slices.Contains(c.Flags, flag) }

func readWycheproof(t testing.TB, name string) []wycheproofGroup {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(*wycheproof, name+"_test.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ TestGroups []wycheproofGroup }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.TestGroups
}

// eachWycheproof calls f for each case of a file. At least one must be there.
func eachWycheproof(t *testing.T, name string, f func(*testing.T, wycheproofGroup, wycheproofCase)) {
	t.Helper()
	n := 0
	t.Run(name, func(t *testing.T) {
		for _, g := range readWycheproof(t, name) {
			for _, c := range g.Tests {
				n++
				f(t, g, c)
				if t.Failed() {
					t.Fatalf("in case %d: %s %v, %s", c.ID, c.Comment, c.Flags, c.Result)
				}
			}
		}
	})
	if n == 0 {
		t.Errorf("%s has no case", name)
	}
}

func TestWycheproofSignatures(t *testing.T) {
	for name, use := range map[string]struct {
		spec Spec
		alg  Algorithm
	}{
		"ecdsa_secp256r1_sha256": {NISTP256, ECDSASHA256}, "ecdsa_secp384r1_sha384": {NISTP384, ECDSASHA384},
		"ecdsa_secp521r1_sha512": {NISTP521, ECDSASHA512}, "ecdsa_secp256k1_sha256": {SECGP256K1, ECDSASHA256},
		"ed25519":                     {Edwards25519, Ed25519SHA512},
		"rsa_pss_2048_sha256_mgf1_32": {RSA2048, PSSSHA256}, "rsa_pss_2048_sha384_mgf1_48": {RSA2048, PSSSHA384},
		"rsa_pss_4096_sha512_mgf1_64": {RSA4096, PSSSHA512},
		"rsa_signature_2048_sha256":   {RSA2048, PKCS1SHA256}, "rsa_signature_4096_sha512": {RSA4096, PKCS1SHA512},
	} {
		eachWycheproof(t, name, func(t *testing.T, g wycheproofGroup, c wycheproofCase) {
			p, err := ParsePublic(g.PublicKeyDER)
			if err != nil || p.Spec() != use.spec || !bytes.Equal(p.DER(), g.PublicKeyDER) {
				t.Fatalf("public key of group: %v", err)
			}
			// What is acceptable to some (PKCS #1 without NULL) is not to us.
			if err := p.Verify(use.alg, Raw, c.Msg, c.Sig); (err == nil) != (c.Result == "valid") {
				t.Error(err)
			}
		})
	}
}

// A PSS signature with a salt that is not as long as the hash is not AWS's.
func TestWycheproofPSSSaltLength(t *testing.T) {
	eachWycheproof(t, "rsa_pss_2048_sha256_mgf1_0", func(t *testing.T, g wycheproofGroup, c wycheproofCase) {
		if c.Result != "valid" {
			return // among them is one with a salt of 32 bytes
		}
		p, err := ParsePublic(g.PublicKeyDER)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Verify(PSSSHA256, Raw, c.Msg, c.Sig); err != ErrSignature {
			t.Error(err)
		}
	})
}

func TestWycheproofOAEP(t *testing.T) {
	for name, use := range map[string]struct {
		spec Spec
		alg  Algorithm
	}{
		"rsa_oaep_2048_sha1_mgf1sha1": {RSA2048, OAEPSHA1}, "rsa_oaep_2048_sha256_mgf1sha256": {RSA2048, OAEPSHA256},
		"rsa_oaep_4096_sha256_mgf1sha256": {RSA4096, OAEPSHA256},
	} {
		eachWycheproof(t, name, func(t *testing.T, g wycheproofGroup, c wycheproofCase) {
			p := parse(t, use.spec, g.PrivateKeyPKCS8)
			got, err := p.Decrypt(use.alg, c.Ciph)
			if valid := c.Result == "valid" && len(c.Label) == 0; valid && (err != nil || !bytes.Equal(got, c.Msg)) || !valid && err != ErrDecrypt {
				t.Errorf("%x, %v", got, err)
			}
			if again, err := UnwrapImport(use.alg, p, c.Ciph); err == nil != (got != nil) || !bytes.Equal(again, got) {
				t.Errorf("as imported material: %x, %v", again, err)
			}
		})
	}
}

func TestWycheproofThreePrimes(t *testing.T) {
	eachWycheproof(t, "rsa_three_primes_oaep_2048_sha1_mgf1sha1", func(t *testing.T, g wycheproofGroup, _ wycheproofCase) {
		if _, err := ParsePrivate(RSA2048, g.PrivateKeyPKCS8); err != ErrMaterial {
			t.Error(err)
		}
	})
}

func TestWycheproofECDH(t *testing.T) {
	for name, s := range map[string]Spec{"ecdh_secp256r1": NISTP256, "ecdh_secp384r1": NISTP384, "ecdh_secp521r1": NISTP521} {
		r, _ := s.row()
		size := (r.pair.(nistFamily).curve.Params().BitSize + 7) / 8
		eachWycheproof(t, name, func(t *testing.T, _ wycheproofGroup, c wycheproofCase) {
			scalar := c.Private
			for len(scalar) > size && scalar[0] == 0 {
				scalar = scalar[1:]
			}
			if len(scalar) > size {
				return // a key of another curve
			}
			scalar = append(make([]byte, size-len(scalar)), scalar...)
			p, err := ParsePrivate(s, ecMaterial(t, s, scalar))
			if err != nil {
				if c.Result == "valid" {
					t.Error(err)
				}
				return
			}
			got, err := p.DeriveSharedSecret(ECDH, c.Public)
			strict := c.has("CompressedPoint") || c.has("CompressedPublic") || c.has("UnnamedCurve") || c.Result == "invalid"
			switch {
			case c.Result == "valid" && err != nil, strict && err != ErrPublicKey, err != nil && err != ErrPublicKey:
				t.Error(err)
			case err == nil && !bytes.Equal(got, c.Shared):
				t.Errorf("derived %x, want %x", got, c.Shared)
			}
		})
	}
}

func TestWycheproofKeyWrap(t *testing.T) {
	p := private(t, RSA2048)
	eachWycheproof(t, "aes_kwp", func(t *testing.T, g wycheproofGroup, c wycheproofCase) {
		key, err := p.Public().Encrypt(OAEPSHA256, c.Key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := UnwrapImport(RSAAESKeyWrapSHA256, p, slices.Concat(key, c.Ciph))
		// Only AES-256 is a wrapping key here. RFC 5649 wraps up to 8 bytes in
		// another way, for which the module has no use, and no material either.
		valid := c.Result == "valid" && g.KeySize == 256 && len(c.Msg) > 8
		if valid && (err != nil || !bytes.Equal(got, c.Msg)) || !valid && err != ErrDecrypt {
			t.Errorf("%x, %v", got, err)
		}
	})
}
