package sigv4

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	id     = "AKIAIOSFODNN7EXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	body   = `{"KeyId":"alias/a","Plaintext":"c2VjcmV0"}`
)

var now = time.Date(2026, 1, 1, 0, 2, 0, 0, time.UTC)

// sign makes a request as aws-sdk-go-v2 sends it to KMS.
func sign(t testing.TB, service string, at time.Time, session string, change ...func(*http.Request)) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "http://kms.example.com:8443/", strings.NewReader(body))
	r.URL.Scheme, r.URL.Host = "", "" // as a server sees it
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService.Encrypt")
	r.Header.Set("Amz-Sdk-Invocation-Id", "2f4bbf4b-4b8f-4c0e-a0c6-0c6b2cbb0d0b")
	r.Header.Set("Amz-Sdk-Request", "attempt=1;  max=3")
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.47.7")
	for _, f := range change {
		f(r)
	}
	sum := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session},
		r, hex.EncodeToString(sum[:]), service, "eu-central-1", at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verify parses and verifies a request at now.
func verify(v *Verifier, r *http.Request, body string) error {
	s, err := v.Parse(r, now)
	if err != nil {
		return err
	}
	return s.Verify(secret, []byte(body))
}

func refusedWith(t *testing.T, err error, code, message string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, message) {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}

const noMatch = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

func TestVerifySDK(t *testing.T) {
	v := NewVerifier("kms")
	for name, change := range map[string]func(*http.Request){
		"plain":                func(*http.Request) {},
		"query":                func(r *http.Request) { r.URL.RawQuery = "b=%20x&a=1&a=0" },
		"path":                 func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/a b/é", "/a%20b/%C3%A9" },
		"two values":           func(r *http.Request) { r.Header["X-Amz-Extra"] = []string{" a  b", "c "} },
		"Date beside the date": func(r *http.Request) { r.Header.Set("Date", "Mon, 02 Jan 2006 15:04:05 GMT") },
		"body hash": func(r *http.Request) {
			sum := sha256.Sum256([]byte(body))
			r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := verify(v, sign(t, "kms", now, "", change), body); err != nil {
				t.Error(err)
			}
		})
	}
	s, err := v.Parse(sign(t, "kms", now, "the session"), now)
	if err != nil || s.SessionToken != "the session" || s.Verify(secret, []byte(body)) != nil {
		t.Errorf("session token %q, %v", s.SessionToken, err)
	}
	// A cached signing key answers as a derived one does.
	if err := s.Verify(secret, []byte(body+" ")); err == nil {
		t.Error("a cached key verifies another body")
	}
	if err := s.Verify(secret[1:], []byte(body)); err == nil {
		t.Error("the cached key of one secret verifies for another")
	}
}

// TestEveryByteCounts alters each byte of the Authorization header, of the
// values of the signed headers, the body, the method and the host, one by one.
func TestEveryByteCounts(t *testing.T) {
	v := NewVerifier("kms")
	changed := func(s string, i int, c byte) string { return s[:i] + string(c) + s[i+1:] }
	refused := func(what string, r *http.Request, body string) {
		t.Helper()
		if err := verify(v, r, body); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	good := sign(t, "kms", now, "session")
	for _, name := range slices.Sorted(maps.Keys(good.Header)) {
		value := good.Header.Get(name)
		if name == "User-Agent" { // the only one the SDK does not sign
			continue
		}
		for i := range len(value) {
			// A bit elsewhere: 1 turns letters to letters, 0x20 the case.
			for _, bit := range []byte{1, 0x20} {
				r := good.Clone(good.Context())
				c := value[i] ^ bit
				r.Header.Set(name, changed(value, i, c))
				// The access key id is proven by the secret it names, which the
				// caller looks up, and by nothing else.
				if at := i - strings.Index(value, id); name == "Authorization" && at >= 0 && at < len(id) {
					if s, err := v.Parse(r, now); err == nil && s.AccessKeyID == id {
						t.Errorf("access key id %q", value)
					}
					continue
				}
				refused(fmt.Sprintf("%s with %q at %d", name, c, i), r, body)
			}
		}
		r := good.Clone(good.Context())
		r.Header.Del(name)
		refused("without "+name, r, body)
		if name != "Authorization" {
			r.Header[name] = []string{value, value}
			refused("twice "+name, r, body)
		}
	}
	for i := range len(body) {
		refused(fmt.Sprintf("body with another byte %d", i), good, changed(body, i, body[i]^1))
	}
	refused("shorter body", good, body[1:])
	refused("no body", good, "")
	for what, change := range map[string]func(*http.Request){
		"method":         func(r *http.Request) { r.Method = "PUT" },
		"host":           func(r *http.Request) { r.Host = "kms.example.com" },
		"path":           func(r *http.Request) { r.URL.Path = "/x" },
		"query":          func(r *http.Request) { r.URL.RawQuery = "x" },
		"content length": func(r *http.Request) { r.ContentLength++ },
		"amz header":     func(r *http.Request) { r.Header.Set("X-Amz-New", "") },
	} {
		r := good.Clone(good.Context())
		change(r)
		refused(what, r, body)
	}
	if err := verify(v, good, body); err != nil {
		t.Errorf("unaltered: %v", err)
	}
}
