package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestSigningKey holds AWS's published derivation examples.
// Source: https://docs.aws.amazon.com/general/latest/gr/signature-v4-examples.html
func TestSigningKey(t *testing.T) {
	for _, c := range []struct{ date, service, want string }{
		{"20120215", "iam", "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"},
		{"20150830", "iam", "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"},
	} {
		key := signingKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", c.date, "us-east-1", c.service)
		if got := hex.EncodeToString(key[:]); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.date, c.service, got, c.want)
		}
	}
}

// resign computes a signature as the description has it, apart from Verify.
func resign(s *Signature, r *http.Request) [sha256.Size]byte {
	sum := sha256.Sum256([]byte(body))
	canonical := sha256.Sum256(appendCanonical(nil, r, s.SignedHeaders, []byte(hex.EncodeToString(sum[:]))))
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", s.Time.Format(timeFormat),
		s.Date + "/" + s.Region + "/kms/aws4_request", hex.EncodeToString(canonical[:])}, "\n")
	key := signingKey(secret, s.Date, s.Region, "kms")
	return [sha256.Size]byte(mac(key[:], []byte(toSign)))
}

func TestKeyCache(t *testing.T) {
	c := &keyCache{max: 3}
	for i := range 10 {
		id := keyID{date: fmt.Sprint(i)}
		if _, ok := c.get(id); ok {
			t.Fatalf("key %d is there before it was added", i)
		}
		c.add(id, [32]byte{byte(i)})
		if key, ok := c.get(id); !ok || key[0] != byte(i) {
			t.Fatalf("key %d: %v, %v", i, key, ok)
		}
		if len(c.keys) > c.max {
			t.Fatalf("%d keys", len(c.keys))
		}
	}
	if len(c.keys) != 3 {
		t.Errorf("%d keys, want 3", len(c.keys))
	}
}

// TestForgersLeaveNoKeys: a request that does not verify puts nothing into the
// cache, whatever day or region it claims.
func TestForgersLeaveNoKeys(t *testing.T) {
	v := NewVerifier("kms")
	r := sign(t, "kms", now, "")
	edit("eu-central-1", "eu-central-2")(r)
	if err := verify(v, r, body); err == nil || len(v.keys.keys) != 0 {
		t.Errorf("%v, %d keys", err, len(v.keys.keys))
	}
	var wg sync.WaitGroup
	for range 8 {
		good := sign(t, "kms", now, "")
		wg.Go(func() {
			if err := verify(v, good, body); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(v.keys.keys) != 1 {
		t.Errorf("%d keys, want 1", len(v.keys.keys))
	}
}
