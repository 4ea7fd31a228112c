package kmsserver

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// handler is a server without a listener, and what its engine was last called with.
func handler() (r *running, called *string) {
	called = new(string)
	log := &logBuffer{}
	s := New(&engine{call: func(_ context.Context, _ Caller, op string, body []byte) ([]byte, error) {
		*called = op + " " + string(body)
		return slices.Clone(body), nil
	}}, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	return &running{Server: s, url: "http://kms.example.com", log: log}, called
}

// FuzzRequest: nothing that comes over the wire reaches the engine unsigned, panics
// or goes without a well-formed answer.
func FuzzRequest(f *testing.F) {
	r, _ := handler()
	good := r.request(f, "{}")
	f.Add([]byte(strings.Replace(head(good, "Content-Length: 2"), "Signature=", "Signature=0", 1) + "{}"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	f.Add([]byte("GET /ping HTTP/1.0\r\n\r\n"))
	f.Add([]byte("POST http://a/?X-Amz-Signature=1 HTTP/1.1\r\nHost: b\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/b/c/d/e\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(raw))))
		if err != nil {
			return
		}
		r, called := handler()
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		if *called != "" {
			t.Errorf("the engine was called: %s", *called)
		}
		if w.Code == http.StatusOK && w.Body.String() == "healthy" {
			return
		}
		var e struct {
			Type string `json:"__type"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Type == "" || w.Code/100 != 4 {
			t.Errorf("%d %s, %v", w.Code, w.Body, err)
		}
		if log := r.log.String(); strings.Contains(log, "panic") {
			t.Error(log)
		}
	})
}

// FuzzSigned: a signed request reaches the engine with the operation of its target
// and the body it was sent with, or is refused for what it is.
func FuzzSigned(f *testing.F) {
	f.Add("TrentService.Encrypt", contentType, "", `{"a":"b"}`)
	f.Add("TrentService.", contentType+"; charset=utf-8", "identity", "")
	f.Add("TrentService.A.B", "text/plain", "gzip", "\x00\xff")
	f.Fuzz(func(t *testing.T, target, media, encoding, body string) {
		if strings.ContainsAny(target+media+encoding, "\r\n\x00") {
			return // net/http lets none of these in
		}
		r, called := handler()
		req := r.request(t, body, header("X-Amz-Target", target), header("Content-Type", media), header("Content-Encoding", encoding))
		req.Body = io.NopCloser(strings.NewReader(body))
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		op, ours := strings.CutPrefix(target, "TrentService.")
		switch {
		case *called != "":
			if !ours || *called != op+" "+body || w.Body.String() != body || w.Code != 200 || encoding != "" && encoding != "identity" ||
				!strings.HasPrefix(strings.ToLower(strings.TrimSpace(media)), contentType) {
				t.Errorf("%q %q %q: called with %q, answered %d", target, media, encoding, *called, w.Code)
			}
		case target == "TrentService.Encrypt" && media == contentType && encoding == "" && len(body) <= maxBody:
			t.Errorf("not called: %d %s", w.Code, w.Body)
		case w.Code != 400 && w.Code != 413:
			t.Errorf("%q %q %q: %d %s", target, media, encoding, w.Code, w.Body)
		}
	})
}
