package keyspec

import (
	"bytes"
	"slices"
	"testing"
)

// The table of Encrypt in AWS's API reference.
func TestMaxPlaintext(t *testing.T) {
	limits := map[Spec]map[Algorithm]int{
		SymmetricDefault: {AES256GCM: 4096},
		RSA2048:          {OAEPSHA1: 214, OAEPSHA256: 190},
		RSA3072:          {OAEPSHA1: 342, OAEPSHA256: 318},
		RSA4096:          {OAEPSHA1: 470, OAEPSHA256: 446},
	}
	for _, s := range Specs() {
		for _, alg := range []Algorithm{AES256GCM, OAEPSHA1, OAEPSHA256, RSAAESKeyWrapSHA256, PSSSHA256, ECDH, ""} {
			if got := s.MaxPlaintext(alg); got != limits[s][alg] {
				t.Errorf("%s %s: %d", s, alg, got)
			}
		}
	}
}

func TestEncryptDecrypt(t *testing.T) {
	for _, s := range Specs() {
		p := private(t, s)
		algs := s.Algorithms(EncryptDecrypt)
		for _, alg := range []Algorithm{OAEPSHA1, OAEPSHA256, AES256GCM, RSAAESKeyWrapSHA1, PKCS1SHA256, ""} {
			if slices.Contains(algs, alg) && s != SymmetricDefault {
				continue
			}
			if _, err := p.Decrypt(alg, make([]byte, 256)); err != ErrAlgorithm {
				t.Errorf("%s decrypts with %s: %v", s, alg, err)
			}
			if s.Asymmetric() {
				if _, err := p.Public().Encrypt(alg, nil); err != ErrAlgorithm {
					t.Errorf("%s encrypts with %s: %v", s, alg, err)
				}
			}
		}
		if s == SymmetricDefault {
			continue // its ciphertext is the store's
		}
		for _, alg := range algs {
			limit := s.MaxPlaintext(alg)
			for _, n := range []int{0, 1, 32, limit} {
				plaintext := bytes.Repeat([]byte{0xa5}, n)
				ciphertext, err := p.Public().Encrypt(alg, plaintext)
				if err != nil {
					t.Errorf("%s %s, %d bytes: %v", s, alg, n, err)
					continue
				}
				if again, _ := p.Public().Encrypt(alg, plaintext); bytes.Equal(again, ciphertext) {
					t.Errorf("%s %s: the same ciphertext twice", s, alg)
				}
				if got, err := p.Decrypt(alg, ciphertext); err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("%s %s, %d bytes: %x, %v", s, alg, n, got, err)
				}
				other := OAEPSHA1
				if alg == OAEPSHA1 {
					other = OAEPSHA256
				}
				if _, err := p.Decrypt(other, ciphertext); err != ErrDecrypt {
					t.Errorf("%s: ciphertext of %s with %s: %v", s, alg, other, err)
				}
				for _, bad := range [][]byte{
					nil, {}, {0}, ciphertext[1:], ciphertext[:len(ciphertext)-1], append(slices.Clone(ciphertext), 0),
					append([]byte{0}, ciphertext...), flip(ciphertext, 0), flip(ciphertext, len(ciphertext)-1),
					make([]byte, len(ciphertext)), bytes.Repeat([]byte{255}, len(ciphertext)),
				} {
					if _, err := p.Decrypt(alg, bad); err != ErrDecrypt {
						t.Errorf("%s %s, ciphertext %x: %v", s, alg, bad, err)
					}
				}
			}
			for _, n := range []int{limit + 1, 4096, 5000} {
				if _, err := p.Public().Encrypt(alg, make([]byte, n)); err != ErrTooLong {
					t.Errorf("%s %s, %d bytes: %v", s, alg, n, err)
				}
			}
		}
	}
}

// A ciphertext whose first byte is zero is one number with and without it; RFC
// 8017 takes the one of the modulus' length alone.
func TestDecryptWantsTheFullLength(t *testing.T) {
	p := private(t, RSA2048)
	for {
		ciphertext, err := p.Public().Encrypt(OAEPSHA256, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if ciphertext[0] != 0 {
			continue
		}
		if _, err := p.Decrypt(OAEPSHA256, ciphertext); err != nil {
			t.Errorf("the full length: %v", err)
		}
		if _, err := p.Decrypt(OAEPSHA256, ciphertext[1:]); err != ErrDecrypt {
			t.Errorf("without the leading zero: %v", err)
		}
		return
	}
}
