package kmsserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kmsclient"
)

// TestErrors: what the engine says, what goes over the wire.
func TestErrors(t *testing.T) {
	e := &engine{}
	r := start(t, e, Options{})
	kmsErr := func(code, message string, kind error) error {
		return &kmsclient.Error{Op: "Decrypt", KeyID: "k", Code: code, Message: message, Kind: kind}
	}
	for _, c := range []struct {
		err    error
		status int
		body   string
	}{
		{kmsErr("NotFoundException", "Alias arn is not found.", kmsclient.ErrNotFound), 400, `{"__type":"NotFoundException","message":"Alias arn is not found."}`},
		{kmsErr("InvalidCiphertextException", "", kmsclient.ErrInvalidCiphertext), 400, `{"__type":"InvalidCiphertextException"}`},
		{kmsErr("KMSInvalidStateException", "k is unavailable.", kmsclient.ErrUnavailable), 400, `{"__type":"KMSInvalidStateException","message":"k is unavailable."}`},
		{kmsErr("ThrottlingException", "slow", kmsclient.ErrThrottled), 400, `{"__type":"ThrottlingException","message":"slow"}`},
		{kmsErr("UnknownOperationException", "", kmsclient.ErrInvalidRequest), 400, `{"__type":"UnknownOperationException"}`},
		{kmsErr("SerializationException", "", kmsclient.ErrInvalidRequest), 400, `{"__type":"SerializationException"}`},
		{kmsErr("KMSInternalException", "", kmsclient.ErrUnavailable), 500, `{"__type":"KMSInternalException"}`},
		{kmsErr("KeyUnavailableException", "m", kmsclient.ErrUnavailable), 500, `{"__type":"KeyUnavailableException","message":"m"}`},
		{kmsErr("DependencyTimeoutException", "m", kmsclient.ErrUnavailable), 500, `{"__type":"DependencyTimeoutException","message":"m"}`},
		{fmt.Errorf("wrapped: %w", kmsErr("DisabledException", "k is disabled.", kmsclient.ErrDisabled)), 400, `{"__type":"DisabledException","message":"k is disabled."}`},
		{kmsErr("", "no code", kmsclient.ErrNotFound), 500, `{"__type":"KMSInternalException"}`},
		{errors.New("/var/lib/store: disk full"), 500, `{"__type":"KMSInternalException"}`},
	} {
		e.call = func(context.Context, Caller, string, []byte) ([]byte, error) { return nil, c.err }
		resp, body := roundTrip(t, r.request(t, "{}"))
		if resp.StatusCode != c.status || body != c.body {
			t.Errorf("%v: %d %s, want %d %s", c.err, resp.StatusCode, body, c.status, c.body)
		}
	}
	if log := r.log.String(); !strings.Contains(log, "disk full") || strings.Contains(log, "is disabled") {
		t.Errorf("log: %s", log)
	}
	if told := e.takeRefused(); len(told) > 0 {
		t.Errorf("the engine was told of its own refusals: %+v", told)
	}
}

// TestErrorTypes: the SDK makes its typed errors of the answers.
func TestErrorTypes(t *testing.T) {
	e := &engine{}
	r := start(t, e, Options{})
	decrypt := func(code, message string) error {
		e.call = func(context.Context, Caller, string, []byte) ([]byte, error) {
			return nil, &kmsclient.Error{Kind: kmsclient.ErrInvalidCiphertext, Code: code, Message: message}
		}
		_, err := r.client(accessKey, secret, "").Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: []byte("x")})
		return err
	}
	var invalid *types.InvalidCiphertextException
	if err := decrypt("InvalidCiphertextException", ""); !errors.As(err, &invalid) || invalid.ErrorMessage() != "" {
		t.Errorf("got %v", err)
	}
	var state *types.KMSInvalidStateException
	if err := decrypt("KMSInvalidStateException", `"é" <&>`); !errors.As(err, &state) || state.ErrorMessage() != `"é" <&>` {
		t.Errorf("got %v", err)
	}
}

// TestEmptyAnswer: DisableKey and others answer nothing.
func TestEmptyAnswer(t *testing.T) {
	r := start(t, &engine{call: func(context.Context, Caller, string, []byte) ([]byte, error) { return nil, nil }}, Options{})
	if _, err := r.client(accessKey, secret, "").DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: aws.String("k")}); err != nil {
		t.Error(err)
	}
}

// TestPanics: the server answers, says what happened but not with what, and lives.
func TestPanics(t *testing.T) {
	e := &engine{}
	r := start(t, e, Options{MaxInFlight: 1})
	for _, p := range []any{"the plaintext", errors.New("the plaintext"), []byte("the plaintext")} {
		e.call = func(context.Context, Caller, string, []byte) ([]byte, error) { panic(p) }
		resp, body := roundTrip(t, r.request(t, `{"Plaintext":"the plaintext"}`))
		checkAnswer(t, resp, body, 500, codeInternal, "")
	}
	e.call = func(_ context.Context, _ Caller, _ string, body []byte) ([]byte, error) {
		return nil, fmt.Errorf("%d", body[len(body)])
	}
	resp, body := roundTrip(t, r.request(t, `{}`))
	checkAnswer(t, resp, body, 500, codeInternal, "")
	e.call = nil
	if resp, _ := roundTrip(t, r.request(t, "{}")); resp.StatusCode != 200 {
		t.Errorf("after the panics: %d", resp.StatusCode)
	}
	log := r.log.String()
	if !strings.Contains(log, "index out of range") || !strings.Contains(log, "*errors.errorString") || !strings.Contains(log, "TestPanics") {
		t.Errorf("no panic in the log: %s", log)
	}
	if strings.Contains(log, "the plaintext") {
		t.Errorf("plaintext in the log: %s", log)
	}
}

// TestLog: a line each for what goes wrong, few for a flood, no secrets.
func TestLog(t *testing.T) {
	e := &engine{}
	r := start(t, e, Options{})
	asID := strings.ReplaceAll(secret, "/", "x")
	swapped := r.client(asID, accessKey, "") // id and secret the wrong way round
	forger := r.client(accessKey, strings.ToLower(secret), session)
	for range 50 {
		swapped.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String("the key"), Plaintext: []byte("the plaintext")})
		forger.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String("the key"), Plaintext: []byte("the plaintext")})
	}
	roundTrip(t, r.request(t, "the body", func(r *http.Request) { r.Method = "PUT" }))
	e.call = func(context.Context, Caller, string, []byte) ([]byte, error) { return nil, errors.New("store is gone") }
	roundTrip(t, r.request(t, `the body`))
	log := r.log.String()
	for _, want := range []string{"request refused", "UnrecognizedClientException", "InvalidSignatureException", "access_key=" + accessKey,
		"malformed request", "call failed", "store is gone", "source=127.0.0.1", "count=1"} {
		if !strings.Contains(log, want) {
			t.Errorf("log lacks %q", want)
		}
	}
	for _, no := range []string{secret, asID, strings.ToLower(secret), session, "the key", "dGhlIHBsYWludGV4dA", "the body"} {
		if strings.Contains(log, no) {
			t.Errorf("log shows %q", no)
		}
	}
	if n := strings.Count(log, "request refused"); n > 10 {
		t.Errorf("%d lines for 100 refusals", n)
	}
	if t.Failed() {
		t.Log(log)
	}
}

// TestInFlight: what does not fit into the engine is throttled, not queued, and a
// stranger takes no place.
func TestInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	e := &engine{call: func(context.Context, Caller, string, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-leave
		return []byte("{}"), nil
	}}
	r := start(t, e, Options{MaxInFlight: 2})
	answers := make(chan int, 2)
	for range 2 {
		req := r.request(t, "{}")
		go func() {
			resp, _ := roundTrip(t, req)
			answers <- resp.StatusCode
		}()
		<-entered
	}
	resp, body := roundTrip(t, r.request(t, "{}"))
	checkAnswer(t, resp, body, 400, "ThrottlingException", "You have exceeded the rate at which you may call KMS.")
	_, err := r.client(accessKey, secret[1:], "").ListKeys(t.Context(), &kms.ListKeysInput{})
	refusedWith(t, err, "InvalidSignatureException", "")
	close(leave)
	for range 2 {
		if status := <-answers; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	go func() { <-entered }()
	if resp, _ := roundTrip(t, r.request(t, "{}")); resp.StatusCode != 200 {
		t.Errorf("after the others have left: %d", resp.StatusCode)
	}
	if told := e.takeRefused(); len(told) != 1 {
		t.Errorf("the engine was told of %d", len(told))
	}
}

func TestRate(t *testing.T) {
	now := time.Now()
	r := start(t, &engine{}, Options{Rate: 3}, func(s *Server) { s.now = func() time.Time { return now } })
	statuses := func(n int) (s []int) {
		for range n {
			resp, _ := roundTrip(t, r.request(t, "{}"))
			s = append(s, resp.StatusCode)
		}
		return s
	}
	if got := fmt.Sprint(statuses(5)); got != "[200 200 200 400 400]" {
		t.Errorf("5 requests in no time: %s", got)
	}
	now = now.Add(700 * time.Millisecond)
	if got := fmt.Sprint(statuses(3)); got != "[200 200 400]" {
		t.Errorf("3 requests 700ms later: %s", got)
	}
	if !strings.Contains(r.log.String(), "limit=rate") {
		t.Error("no throttling in the log")
	}
}

// TestWiping: body and answer are overwritten when they have been used.
func TestWiping(t *testing.T) {
	var used [][]byte
	r := start(t, &engine{call: func(_ context.Context, _ Caller, _ string, body []byte) ([]byte, error) {
		answer := bytes.Clone(body)
		used = append(used, body, answer)
		return answer, nil
	}}, Options{})
	for _, size := range []int{10, 4 * maxPooled} {
		text := strings.Repeat("a", size)
		if _, got := roundTrip(t, r.request(t, text)); got != text {
			t.Fatalf("%d bytes", len(got))
		}
	}
	r.stop()
	if err := <-r.done; err != nil { // now all of them are done with
		t.Fatal(err)
	}
	r.done <- nil
	for i, b := range used {
		if len(b) == 0 || bytes.Contains(b, []byte("a")) {
			t.Errorf("%d: plaintext is left in a buffer of %d bytes", i, len(b))
		}
	}
}
