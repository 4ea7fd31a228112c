package kmsserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"kmsfs/kmsclient"
)

const (
	accessKey = "AKIAIOSFODNN7EXAMPLE"
	secret    = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	session   = "the session token"
	region    = "eu-central-1"
)

// engine is one with a single access key, for long-term use and for one session.
type engine struct {
	call func(ctx context.Context, c Caller, op string, body []byte) ([]byte, error)

	mu      sync.Mutex
	refused []refusal
}

// refusal is what Refused was told.
type refusal struct {
	c   Caller
	op  string
	err kmsclient.Error
}

var principal = &struct{ name string }{"user/alice"}

func (e *engine) Authenticate(_ context.Context, id, token string) (Credentials, error) {
	switch {
	case id == "AKIABROKEN":
		return Credentials{}, errors.New("store is gone")
	case id == "AKIAEMPTY":
		return Credentials{Principal: principal}, nil
	case id == accessKey && token == "old":
		return Credentials{}, &kmsclient.Error{Kind: kmsclient.ErrDenied, Code: "ExpiredTokenException"}
	case id != accessKey || token != "" && token != session:
		return Credentials{}, &kmsclient.Error{Kind: kmsclient.ErrDenied, Code: "UnrecognizedClientException"}
	}
	return Credentials{Secret: secret, Principal: principal}, nil
}

func (e *engine) Call(ctx context.Context, c Caller, op string, body []byte) ([]byte, error) {
	if e.call == nil {
		return slices.Clone(body), nil
	}
	return e.call(ctx, c, op, body)
}

func (e *engine) Refused(_ context.Context, c Caller, op string, err *kmsclient.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused = append(e.refused, refusal{c, op, *err})
}

// takeRefused gives what Refused was told since the last time.
func (e *engine) takeRefused() []refusal {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.refused
	e.refused = nil
	return r
}

// logBuffer collects what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// running is a server on a loopback port.
type running struct {
	*Server
	addr string
	url  string
	log  *logBuffer
	stop context.CancelFunc
	done chan error // what Serve returned
}

// start runs a server until the test ends. set may change it before.
func start(t testing.TB, e Engine, o Options, set ...func(*Server)) *running {
	t.Helper()
	log := &logBuffer{}
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := New(e, o)
	for _, f := range set {
		f(s)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, s, l, "http", log)
}

func serve(t testing.TB, s *Server, l net.Listener, scheme string, log *logBuffer) *running {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{s, l.Addr().String(), scheme + "://" + l.Addr().String(), log, stop, make(chan error, 1)}
	go func() { r.done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		select {
		case <-r.done:
		case <-time.After(10 * time.Second):
			t.Error("the server does not stop")
		}
	})
	return r
}

// client is the SDK's, with retries off.
func (r *running) client(id, secret, session string, set ...func(*kms.Options)) *kms.Client {
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(r.url),
		Region:       region,
		Retryer:      aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}, nil
		}),
	}, set...)
}

// request makes a signed request, as the SDK would; change alters it before it is
// signed.
func (r *running) request(t testing.TB, body string, change ...func(*http.Request)) *http.Request {
	t.Helper()
	req, err := http.NewRequest("POST", r.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Amz-Target", "TrentService.Encrypt")
	for _, f := range change {
		f(req)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret},
		req, hex.EncodeToString(sum[:]), "kms", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	return req
}

// roundTrip sends a request and reads the answer.
func roundTrip(t testing.TB, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, readAll(t, resp)
}

// raw sends bytes and reads one answer. The connection is closed for writing
// after them if cut is set.
func (r *running) raw(t testing.TB, text string, cut bool) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if cut {
		conn.(*net.TCPConn).CloseWrite()
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp, readAll(t, resp)
}

func readAll(t testing.TB, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkAnswer compares an error answer: status, code, message in part, and what
// every answer has.
func checkAnswer(t testing.TB, resp *http.Response, body string, status int, code, message string) {
	t.Helper()
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil || resp.StatusCode != status || e.Type != code || !strings.Contains(e.Message, message) {
		t.Errorf("got %d %s (%v), want %d %s %s", resp.StatusCode, body, err, status, code, message)
	}
	if id := resp.Header.Get("X-Amzn-Requestid"); len(id) != 36 || resp.Header.Get("Content-Type") != contentType {
		t.Errorf("request id %q, content type %q", id, resp.Header.Get("Content-Type"))
	}
}

// refusedWith compares an error as the SDK's user sees it.
func refusedWith(t testing.TB, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Errorf("got %v, want %s: %s", err, code, message)
	}
}
