package kmsserver

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"time"
)

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

// TestMalformed: every request here is signed, so what it is refused for is its
// form, target or body.
func TestMalformed(t *testing.T) {
	e := &engine{}
	r := start(t, e, Options{})
	const needs = "The request needs Content-Type application/x-amz-json-1.1 and X-Amz-Target TrentService.Operation."
	for name, c := range map[string]struct {
		change        func(*http.Request)
		status        int
		code, message string
		told          string // operation the engine is told of, "-" for none, "" if it is not told
	}{
		"method":              {func(r *http.Request) { r.Method = "PUT" }, 400, codeUnknownOperation, "The only request is POST /.", ""},
		"get":                 {func(r *http.Request) { r.Method = "GET" }, 400, codeUnknownOperation, "The only request is POST /.", ""},
		"path":                {func(r *http.Request) { r.URL.Path = "/x" }, 400, codeUnknownOperation, "The only request is POST /.", ""},
		"post ping":           {func(r *http.Request) { r.URL.Path = "/ping" }, 400, codeUnknownOperation, "The only request is POST /.", ""},
		"gzip":                {header("Content-Encoding", "gzip"), 400, codeMalformed, "Content-Encoding", ""},
		"encodings":           {header("Content-Encoding", "identity", "gzip"), 400, codeMalformed, "Content-Encoding", ""},
		"chunked":             {header("Content-Encoding", "aws-chunked"), 400, codeMalformed, "Content-Encoding", ""},
		"identity":            {header("Content-Encoding", "identity"), 200, "", "", ""},
		"no content type":     {header("Content-Type"), 400, codeUnknownOperation, needs, "Encrypt"},
		"json 1.0":            {header("Content-Type", "application/x-amz-json-1.0"), 400, codeUnknownOperation, needs, "Encrypt"},
		"two content types":   {header("Content-Type", contentType, contentType), 400, codeUnknownOperation, needs, "Encrypt"},
		"charset":             {header("Content-Type", contentType+"; charset=utf-8"), 200, "", "", ""},
		"no target":           {header("X-Amz-Target"), 400, codeUnknownOperation, needs, "-"},
		"two targets":         {header("X-Amz-Target", "TrentService.Encrypt", "TrentService.Encrypt"), 400, codeUnknownOperation, needs, "-"},
		"another service":     {header("X-Amz-Target", "DynamoDB_20120810.ListTables"), 400, codeUnknownOperation, needs, "-"},
		"no operation":        {header("X-Amz-Target", "TrentService."), 400, codeUnknownOperation, needs, "-"},
		"odd operation":       {header("X-Amz-Target", "TrentService.En-crypt"), 400, codeUnknownOperation, needs, "-"},
		"long operation":      {header("X-Amz-Target", "TrentService."+strings.Repeat("E", 65)), 400, codeUnknownOperation, needs, "-"},
		"query is of no harm": {func(r *http.Request) { r.URL.RawQuery = "a=b" }, 200, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := roundTrip(t, r.request(t, `{}`, c.change))
			told := e.takeRefused()
			if c.status == 200 {
				if resp.StatusCode != 200 || body != `{}` {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			} else {
				checkAnswer(t, resp, body, c.status, c.code, c.message)
			}
			switch {
			case len(told) == 0 && c.told == "":
			case len(told) != 1 || told[0].c.Principal != principal || told[0].err.Code != c.code || cmp.Or(told[0].op, "-") != c.told:
				t.Errorf("the engine was told %+v, want %q", told, c.told)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	e := &engine{}
	r := start(t, e, Options{})
	long := `{"a":"` + strings.Repeat("a", maxBody-8) + `"}`
	for _, body := range []string{"", "{", "\x00", "null", `{"a":"b"}`, long} {
		if resp, got := roundTrip(t, r.request(t, body)); resp.StatusCode != 200 || got != body {
			t.Errorf("body of %d bytes: the engine saw %d bytes, %d", len(body), len(got), resp.StatusCode)
		}
	}
	resp, got := roundTrip(t, r.request(t, long+" "))
	checkAnswer(t, resp, got, 413, codeTooLarge, "")

	chunked := func(body string) *http.Request {
		req := r.request(t, body, func(r *http.Request) { r.ContentLength = -1 })
		req.ContentLength = -1
		return req
	}
	if resp, got := roundTrip(t, chunked(`{"b":1}`)); resp.StatusCode != 200 || got != `{"b":1}` {
		t.Errorf("chunked: %d %s", resp.StatusCode, got)
	}
	resp, got = roundTrip(t, chunked(long+" "))
	checkAnswer(t, resp, got, 413, codeTooLarge, "")
}

// head prints the head of a signed request, as on the wire.
func head(req *http.Request, contentLength string) string {
	var b strings.Builder
	b.WriteString("POST / HTTP/1.1\r\nHost: " + req.URL.Host + "\r\n" + contentLength + "\r\n")
	req.Header.Write(&b)
	return b.String() + "\r\n"
}

func TestBodiesOnTheWire(t *testing.T) {
	r := start(t, &engine{}, Options{}, func(s *Server) { s.timeouts.read = 200 * time.Millisecond })
	signed := r.request(t, `{}`)
	for name, c := range map[string]struct {
		text          string
		cut           bool
		status        int
		code, message string
	}{
		"truncated":         {head(signed, "Content-Length: 3") + `{}`, true, 400, codeAborted, "The body ended early."},
		"truncated chunks":  {head(signed, "Transfer-Encoding: chunked") + "2\r\n{}\r\n", true, 400, codeAborted, "The body ended early."},
		"bad chunk":         {head(signed, "Transfer-Encoding: chunked") + "zz\r\n{}\r\n", false, 400, codeMalformed, "The body cannot be read."},
		"slow":              {head(signed, "Content-Length: 3") + `{}`, false, 408, codeTimeout, "The body did not arrive in time."},
		"slow chunks":       {head(signed, "Transfer-Encoding: chunked") + "2\r\n{}\r\n", false, 408, codeTimeout, "The body did not arrive in time."},
		"oversize, no body": {head(signed, "Content-Length: 262145"), false, 413, codeTooLarge, ""},
		"huge, no body":     {head(signed, "Content-Length: 9223372036854775807"), false, 413, codeTooLarge, ""},
		"unsigned":          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", false, 400, "MissingAuthenticationTokenException", "Missing Authentication Token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := r.raw(t, c.text, c.cut)
			checkAnswer(t, resp, body, c.status, c.code, c.message)
		})
	}
}

func TestHTTPRefuses(t *testing.T) {
	r := start(t, &engine{}, Options{})
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"no HTTP":      {"hello\r\n\r\n", 400},
		"no host":      {"POST / HTTP/1.1\r\n\r\n", 400},
		"two lengths":  {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		"long head":    {"POST / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 2*maxHead) + "\r\n\r\n", 431},
		"header space": {"POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target : b\r\n\r\n", 400},
	} {
		if resp, body := r.raw(t, c.text, false); resp.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, c.status)
		}
	}
}

func TestPing(t *testing.T) {
	r := start(t, &engine{}, Options{})
	resp, err := http.Get(r.url + "/ping")
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, resp); resp.StatusCode != 200 || body != "healthy" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
}
