package keyspec

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"
)

// wrap is what a client does before ImportKeyMaterial.
func wrap(t testing.TB, alg Algorithm, public *Public, aes, material []byte) []byte {
	t.Helper()
	oaep := alg
	switch alg {
	case RSAAESKeyWrapSHA1:
		oaep = OAEPSHA1
	case RSAAESKeyWrapSHA256:
		oaep = OAEPSHA256
	}
	direct := material
	if oaep != alg {
		direct = aes
	}
	wrapped, err := public.Encrypt(oaep, direct)
	if err != nil {
		t.Fatal(err)
	}
	if oaep != alg {
		kwp, err := subtle.NewKWP(aes)
		if err != nil {
			t.Fatal(err)
		}
		b, err := kwp.Wrap(material)
		if err != nil {
			t.Fatal(err)
		}
		wrapped = append(wrapped, b...)
	}
	return wrapped
}

func TestWrappingAlgorithms(t *testing.T) {
	direct := []Algorithm{OAEPSHA1, OAEPSHA256}
	twoStep := []Algorithm{RSAAESKeyWrapSHA1, RSAAESKeyWrapSHA256}
	for _, s := range Specs() {
		for _, w := range Specs() {
			var want []Algorithm
			switch {
			case !slices.Contains([]Spec{RSA2048, RSA3072, RSA4096}, w):
			case slices.Contains([]Spec{RSA2048, RSA3072, RSA4096}, s), s == NISTP521 && w == RSA2048:
				want = twoStep
			case s.Asymmetric():
				want = slices.Concat(direct, twoStep)
			default:
				want = direct
			}
			got := s.WrappingAlgorithms(w)
			if !slices.Equal(got, want) {
				t.Errorf("%s under %s: %v, want %v", s, w, got, want)
			}
			for _, alg := range got {
				if max := w.MaxPlaintext(alg); max != 0 && len(material(t, s)) > max {
					t.Errorf("%s under %s: %s takes %d bytes, material has %d", s, w, alg, max, len(material(t, s)))
				}
			}
		}
	}
	if got := Spec("SM2").WrappingAlgorithms(RSA4096); got != nil {
		t.Errorf("SM2: %v", got)
	}
}

func TestUnwrapImport(t *testing.T) {
	wrapping := private(t, RSA2048)
	public := wrapping.Public()
	aes := make([]byte, 32)
	rand.Read(aes)
	for _, alg := range []Algorithm{OAEPSHA1, OAEPSHA256, RSAAESKeyWrapSHA1, RSAAESKeyWrapSHA256} {
		for _, s := range []Spec{SymmetricDefault, HMAC512, NISTP256} {
			m := material(t, s)
			wrapped := wrap(t, alg, public, aes, m)
			if got, err := UnwrapImport(alg, wrapping, wrapped); err != nil || !bytes.Equal(got, m) {
				t.Errorf("%s with %s: %x, %v", s, alg, got, err)
			}
			for _, bad := range [][]byte{
				nil, {}, wrapped[:255], wrapped[:len(wrapped)-1], wrapped[1:], append(slices.Clone(wrapped), 0),
				append(slices.Clone(wrapped), make([]byte, 8)...), flip(wrapped, 0), flip(wrapped, 255), flip(wrapped, len(wrapped)-1),
			} {
				if got, err := UnwrapImport(alg, wrapping, bad); err != ErrDecrypt || got != nil {
					t.Errorf("%s with %s, altered: %x, %v", s, alg, got, err)
				}
			}
			for _, other := range []Algorithm{OAEPSHA1, OAEPSHA256, RSAAESKeyWrapSHA1, RSAAESKeyWrapSHA256} {
				if got, err := UnwrapImport(other, wrapping, wrapped); other != alg && err != ErrDecrypt {
					t.Errorf("%s with %s, taken for %s: %x, %v", s, alg, other, got, err)
				}
			}
		}
	}
	if _, err := UnwrapImport(RSAAESKeyWrapSHA256, wrapping, wrap(t, OAEPSHA256, public, nil, aes)); err != ErrDecrypt {
		t.Errorf("an AES key and nothing after it: %v", err)
	}
	for _, n := range []int{16, 24} {
		key, err := public.Encrypt(OAEPSHA256, aes[:n])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := UnwrapImport(RSAAESKeyWrapSHA256, wrapping, append(key, make([]byte, 40)...)); err != ErrDecrypt {
			t.Errorf("an AES key of %d bytes: %v", n, err)
		}
	}
	sound := wrap(t, RSAAESKeyWrapSHA256, public, aes[:16], material(t, SymmetricDefault))
	if _, err := UnwrapImport(RSAAESKeyWrapSHA256, wrapping, sound); err != ErrDecrypt {
		t.Errorf("sound, under AES-128: %v", err)
	}
	for _, alg := range []Algorithm{"RSAES_PKCS1_V1_5", "SM2PKE", AES256GCM, PSSSHA256, ""} {
		if _, err := UnwrapImport(alg, wrapping, make([]byte, 256)); err != ErrAlgorithm {
			t.Errorf("%q: %v", alg, err)
		}
	}
	for _, s := range []Spec{SymmetricDefault, HMAC256, NISTP256, Edwards25519, MLDSA44} {
		if _, err := UnwrapImport(OAEPSHA256, private(t, s), make([]byte, 256)); err != ErrAlgorithm {
			t.Errorf("wrapping key of %s: %v", s, err)
		}
	}
}
