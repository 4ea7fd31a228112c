package kmsserver

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"
)

// What a client says of itself goes into every record of its calls, so it is short.
func TestCallerIsBounded(t *testing.T) {
	r := httptest.NewRequest("POST", "/", nil)
	r.TLS, r.Host = &tls.ConnectionState{}, strings.Repeat("h", 30_000)
	r.Header.Set("User-Agent", strings.Repeat("é", 10_000))
	c := newCaller(r)
	if len(c.TLS.ClientProvidedHostHeader) > 259 || len(c.UserAgent) > 1024 {
		t.Errorf("host of %d bytes, user agent of %d", len(c.TLS.ClientProvidedHostHeader), len(c.UserAgent))
	}
}
