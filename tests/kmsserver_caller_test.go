package tests

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// caller makes signed requests, one at a time and without retries, so that the
// test knows of each whether it was answered. Copies with another url call other
// servers.
type caller struct {
	url, id, secret, token string
	http                   *http.Client
}

// at is c calling a server.
func (c *caller) at(s *kmsServer) *caller {
	d := *c
	d.url = s.url()
	return &d
}

// answer is what came back for a request.
type answer struct {
	status int
	id     string // x-amzn-RequestId
	header http.Header
	body   []byte
}

// code is the error's name, "" in an answer that is none.
func (a answer) code() string {
	var e struct {
		Type string `json:"__type"`
	}
	json.Unmarshal(a.body, &e) // no JSON: no error of KMS
	return e.Type
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// errUnanswered is a request that got no answer: whether it was carried out
// nobody knows.
var errUnanswered = errors.New("no answer")

// call sends an operation; in is encoded as JSON unless it is []byte. An error is
// errUnanswered.
func (c *caller) call(op string, in any) (answer, error) {
	body, ok := in.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return answer{}, err
		}
	}
	req, err := c.request(op, body)
	if err != nil {
		return answer{}, err
	}
	return c.send(req)
}

// request makes a signed request.
func (c *caller) request(op string, body []byte) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, c.url+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil // or the transport would send it twice
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+op)
	return req, c.sign(req, body)
}

func (c *caller) sign(req *http.Request, body []byte) error {
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: c.id, SecretAccessKey: c.secret, SessionToken: c.token}
	return v4.NewSigner().SignHTTP(context.Background(), credentials, req, hex.EncodeToString(sum[:]), "kms", "us-east-1", time.Now())
}

func (c *caller) send(req *http.Request) (answer, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil { // part of an answer is none
		return answer{}, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	return answer{resp.StatusCode, resp.Header.Get("X-Amzn-Requestid"), resp.Header, body}, nil
}

// get calls an operation that must succeed, and decodes its answer into out
// unless that is nil.
func (c *caller) get(t testing.TB, op string, in, out any) answer {
	t.Helper()
	a, err := c.call(op, in)
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	if a.status != http.StatusOK {
		t.Fatalf("%s: %v", op, a)
	}
	if out != nil {
		if err := json.Unmarshal(a.body, out); err != nil {
			t.Fatalf("%s: %v in %s", op, err, a.body)
		}
	}
	return a
}

// refused calls an operation that must be refused with an error name.
func (c *caller) refused(t testing.TB, op string, in any, code string) answer {
	t.Helper()
	a, err := c.call(op, in)
	if err != nil || a.code() != code {
		t.Errorf("%s: %v, %v; want %s", op, a, err, code)
	}
	return a
}

// params is a request.
type params map[string]any

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
