package awskms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kmsfs/kmsclient"
)

const (
	testKey   = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	otherKey  = "arn:aws:kms:eu-central-1:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321"
	testAlias = "alias/test"
)

var (
	testContext  = kmsclient.EncryptionContext{"kmsfs:volume": "0123", "kmsfs:file": "4567"}
	testMaterial = kmsclient.MaterialID{0xab, 31: 0xcd}
	testDataKey  = []byte("0123456789abcdef0123456789abcdef")
)

// fake is an endpoint that records requests and gives scripted answers.
type fake struct {
	*httptest.Server
	mu       sync.Mutex // guards requests and answers
	requests []request
	answers  []answer // the last one again and again
}

type request struct {
	op     string
	header http.Header
	body   map[string]any
}

// answer writes an answer to the nth request.
type answer func(w http.ResponseWriter, r *http.Request)

// ok is an answer of AWS's that is none of an error.
func ok(fields map[string]any) answer {
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return text(200, string(body))
}

// refuse is an error as AWS gives it: a name, a text and a request id.
func refuse(status int, code, message string) answer {
	return text(status, fmt.Sprintf(`{"__type":%q,"message":%q}`, code, message))
}

func text(status int, body string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Requestid", "7f2d5e1c-request")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// hangUp cuts the connection after some bytes of a longer answer.
func hangUp(some string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, some)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// What AWS answers to the operations, with all that a caller may want.
func goodAnswers() map[string]map[string]any {
	material := fmt.Sprintf("%x", testMaterial)
	return map[string]map[string]any{
		"GenerateDataKey": {"CiphertextBlob": b64([]byte("a blob")), "Plaintext": b64(testDataKey), "KeyId": testKey, "KeyMaterialId": material},
		"Encrypt":         {"CiphertextBlob": b64([]byte("a blob")), "KeyId": testKey, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
		"Decrypt":         {"Plaintext": b64(testDataKey), "KeyId": testKey, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyMaterialId": material},
		"ReEncrypt": {"CiphertextBlob": b64([]byte("a blob")), "KeyId": otherKey, "SourceKeyId": testKey,
			"SourceKeyMaterialId": strings.Repeat("0", 64), "DestinationKeyMaterialId": material},
		"DescribeKey": {"KeyMetadata": map[string]any{"Arn": testKey, "KeyId": testKey[len(testKey)-36:], "KeyState": "Enabled",
			"Description": "a key", "CurrentKeyMaterialId": material, "CreationDate": 1.7e9}},
	}
}

// good answers each operation as it should be.
func good(w http.ResponseWriter, r *http.Request) {
	ok(goodAnswers()[opOf(r)])(w, r)
}

func opOf(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
}

func newFake(t *testing.T, answers ...answer) *fake {
	f := &fake{answers: answers}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// ServeHTTP implements http.Handler.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := request{op: opOf(r), header: r.Header}
	json.NewDecoder(r.Body).Decode(&q.body)
	f.mu.Lock()
	f.requests = append(f.requests, q)
	a := f.answers[min(len(f.requests), len(f.answers))-1]
	f.mu.Unlock()
	a(w, r)
}

// script sets the answers to come, and forgets the requests so far.
func (f *fake) script(answers ...answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers, f.requests = answers, nil
}

// seen gives the requests so far.
func (f *fake) seen() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// isolate keeps the AWS configuration of whoever runs the tests away from them.
// There are static credentials and a region, and no metadata service.
func isolate(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE":             filepath.Join(t.TempDir(), "config"),
		"AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "credentials"),
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_ACCESS_KEY_ID":           "AKIDEXAMPLE",
		"AWS_SECRET_ACCESS_KEY":       "wJalrXUtnFEMI/EXAMPLE",
		"AWS_REGION":                  "eu-central-1",
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS",
		"AWS_CA_BUNDLE", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "AWS_NEW_RETRIES_2026", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	} {
		t.Setenv(name, "")
	}
}

// open makes a client of an endpoint.
func open(t *testing.T, endpoint string, o Options) *Client {
	t.Helper()
	o.Endpoint = endpoint
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// call runs an operation with arguments that suit it, for its error; an answer
// that comes with an error fails the test.
func call(ctx context.Context, t *testing.T, kms kmsclient.KMS, op string) error {
	t.Helper()
	var plaintext []byte
	var w kmsclient.Wrapped
	var info kmsclient.KeyInfo
	var err error
	switch op {
	case "GenerateDataKey":
		plaintext, w, err = kms.GenerateDataKey(ctx, testAlias, testContext)
	case "Encrypt":
		w, err = kms.Encrypt(ctx, testAlias, []byte("secret"), testContext)
	case "Decrypt":
		plaintext, w, err = kms.Decrypt(ctx, []byte("a blob"), testContext)
	case "ReEncrypt":
		w, err = kms.ReEncrypt(ctx, []byte("a blob"), testContext, testAlias)
	case "DescribeKey":
		info, err = kms.DescribeKey(ctx, testAlias)
	default:
		t.Fatalf("no operation %s", op)
	}
	if err != nil && (plaintext != nil || w.Blob != nil || w.KeyID != "" || info != (kmsclient.KeyInfo{})) {
		t.Errorf("%s: an answer with an error: %x %+v %+v, %v", op, plaintext, w, info, err)
	}
	return err
}

var operations = []string{"GenerateDataKey", "Encrypt", "Decrypt", "ReEncrypt", "DescribeKey"}

var kinds = []error{
	kmsclient.ErrNotFound, kmsclient.ErrDenied, kmsclient.ErrDisabled, kmsclient.ErrPendingDeletion,
	kmsclient.ErrInvalidCiphertext, kmsclient.ErrThrottled, kmsclient.ErrUnavailable, kmsclient.ErrInvalidRequest,
}
