package awskms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/middleware"

	"kmsfs/kmsclient"
)

// Answers with status 200 that no KMS gives are errors, and never a key.
func TestOddAnswers(t *testing.T) {
	isolate(t)
	f := newFake(t, good)
	c := open(t, f.URL, Options{Attempts: 1, Rate: -1})
	long := b64(make([]byte, maxBlob+1))
	for _, row := range []struct {
		op, field string
		value     any // nil: the field is missing
		want      string
	}{
		{"GenerateDataKey", "Plaintext", nil, "a data key of 0 bytes"},
		{"GenerateDataKey", "Plaintext", "", "a data key of 0 bytes"},
		{"GenerateDataKey", "Plaintext", b64(testDataKey[:31]), "a data key of 31 bytes"},
		{"GenerateDataKey", "Plaintext", b64(append(testDataKey, 0)), "a data key of 33 bytes"},
		{"GenerateDataKey", "Plaintext", b64(make([]byte, 32)), "a data key of zeros"},
		{"GenerateDataKey", "Plaintext", "%%%", "not KMS's"},
		{"GenerateDataKey", "Plaintext", 7, "not KMS's"},
		{"GenerateDataKey", "CiphertextBlob", nil, "a blob of 0 bytes"},
		{"GenerateDataKey", "CiphertextBlob", long, "a blob of 6145 bytes"},
		{"GenerateDataKey", "KeyId", nil, `"" for the ARN`},
		{"GenerateDataKey", "KeyId", testKey[len(testKey)-36:], "for the ARN"},
		{"GenerateDataKey", "KeyId", strings.Replace(testKey, "key/", "alias/", 1), "for the ARN"},
		{"GenerateDataKey", "KeyMaterialId", "abcd", "for the id of the key material"},
		{"GenerateDataKey", "KeyMaterialId", strings.Repeat("xy", 32), "for the id of the key material"},
		{"Encrypt", "CiphertextBlob", nil, "a blob of 0 bytes"},
		{"Encrypt", "KeyId", nil, "for the ARN"},
		{"Decrypt", "Plaintext", nil, "a plaintext of 0 bytes"},
		{"Decrypt", "Plaintext", b64(make([]byte, 4097)), "a plaintext of 4097 bytes"},
		{"Decrypt", "KeyId", nil, "for the ARN"},
		{"Decrypt", "KeyMaterialId", "é\n", "for the id of the key material"},
		{"ReEncrypt", "CiphertextBlob", nil, "a blob of 0 bytes"},
		{"ReEncrypt", "KeyId", nil, "for the ARN"},
		{"ReEncrypt", "DestinationKeyMaterialId", "0", "for the id of the key material"},
		{"DescribeKey", "KeyMetadata", nil, "no key"},
		{"DescribeKey", "KeyMetadata", map[string]any{}, "for the ARN"},
		{"DescribeKey", "KeyMetadata", map[string]any{"Arn": testKey}, "a key without a state"},
		{"DescribeKey", "KeyMetadata", map[string]any{"Arn": testKey, "KeyState": "Enabled", "CurrentKeyMaterialId": "0"}, "for the id of the key material"},
	} {
		fields := goodAnswers()[row.op]
		delete(fields, row.field)
		if row.value != nil {
			fields[row.field] = row.value
		}
		f.script(ok(fields))
		e := wantError(t, call(t.Context(), t, c, row.op), kmsclient.ErrUnavailable)
		if !strings.Contains(e.Error(), row.want) {
			t.Errorf("%s with %s %.20v: error %q, want it to contain %q", row.op, row.field, row.value, e, row.want)
		}
	}
}

// Whatever else answers is no KMS.
func TestForeignAnswers(t *testing.T) {
	isolate(t)
	f := newFake(t, good)
	c := open(t, f.URL, Options{Attempts: 1, Rate: -1})
	const html = "<html><body>Service Unavailable</body></html>"
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed, with plaintext in the request")
	}))
	defer elsewhere.Close()
	redirect := func(status int) answer {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) }
	}
	for _, row := range []struct {
		name   string
		answer answer
		kind   error
		want   string
	}{
		{"html 503", text(503, html), kmsclient.ErrUnavailable, "HTTP status 503 with an answer that is not KMS's"},
		{"html 403", text(403, html), kmsclient.ErrUnavailable, "HTTP status 403 with"},
		{"html 200", text(200, html), kmsclient.ErrUnavailable, "HTTP status 200 with"},
		{"empty 200", text(200, ""), kmsclient.ErrUnavailable, "the answer has"},
		{"empty object", text(200, "{}"), kmsclient.ErrUnavailable, "the answer has"},
		{"null", text(200, "null"), kmsclient.ErrUnavailable, "HTTP status 200 with"},
		{"list", text(200, "[]"), kmsclient.ErrUnavailable, "HTTP status 200 with"},
		{"cut JSON", text(200, `{"KeyId":"`+testKey+`","Plain`), kmsclient.ErrUnavailable, "HTTP status 200 with"},
		{"cut connection", hangUp(`{"KeyId":"`), kmsclient.ErrUnavailable, "unexpected EOF"},
		{"cut error", text(400, `{"__type":"Disab`), kmsclient.ErrUnavailable, "HTTP status 400 with"},
		{"empty 500", text(500, ""), kmsclient.ErrUnavailable, "HTTP status 500"},
		{"empty 400", text(400, ""), kmsclient.ErrUnavailable, "HTTP status 400 without an error of KMS"},
		{"empty 429", text(429, ""), kmsclient.ErrThrottled, "HTTP status 429"},
		{"gateway 403", text(403, `{"message":"Forbidden"}`), kmsclient.ErrDenied, "HTTP status 403"},
		{"not found", text(404, `{}`), kmsclient.ErrUnavailable, "HTTP status 404"},
		{"redirect 307", redirect(307), kmsclient.ErrUnavailable, "HTTP status 307"},
		{"redirect 302", redirect(302), kmsclient.ErrUnavailable, "HTTP status 302"},
		{"endless", text(200, `{"KeyId":"`+strings.Repeat("x", maxAnswer)+`"}`), kmsclient.ErrUnavailable, "longer than 65536 bytes"},
		{"endless error", text(400, `{"__type":"`+strings.Repeat("x", maxAnswer)+`"}`), kmsclient.ErrUnavailable, "longer than 65536 bytes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.script(row.answer)
			for _, op := range operations {
				e := wantError(t, call(t.Context(), t, c, op), row.kind)
				if !strings.Contains(e.Error(), row.want) || strings.Contains(e.Error(), "<html>") {
					t.Errorf("%s: error %q, want it to contain %q", op, e, row.want)
				}
			}
		})
	}
}

// An answer that was given up half-way lends nothing to the next.
func TestStaleAnswer(t *testing.T) {
	isolate(t)
	for _, op := range operations {
		whole, err := json.Marshal(goodAnswers()[op])
		if err != nil {
			t.Fatal(err)
		}
		f := newFake(t, text(200, "{}"))
		c := open(t, f.URL, Options{Attempts: 2})
		want := wantError(t, call(t.Context(), t, c, op), kmsclient.ErrUnavailable)
		f.script(text(200, string(whole[:len(whole)-1])+`,"x":`), text(200, "{}"))
		got := wantError(t, call(t.Context(), t, c, op), kmsclient.ErrUnavailable)
		if len(f.seen()) != 2 || got.Error() != want.Error() {
			t.Errorf("%s: after %d requests %v, want %v", op, len(f.seen()), got, want)
		}
	}
}

// Plaintext that the caller does not get is wiped.
func TestWipes(t *testing.T) {
	fields := goodAnswers()
	delete(fields["Decrypt"], "KeyId")
	fields["GenerateDataKey"]["Plaintext"] = b64(append(testDataKey, 1))
	for _, op := range []string{"GenerateDataKey", "Decrypt"} {
		body, err := json.Marshal(fields[op])
		if err != nil {
			t.Fatal(err)
		}
		var plaintext []byte
		spy := func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("spy", func(
				ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
			) (middleware.InitializeOutput, middleware.Metadata, error) {
				out, meta, err := next.HandleInitialize(ctx, in)
				switch r := out.Result.(type) {
				case *kms.GenerateDataKeyOutput:
					plaintext = r.Plaintext
				case *kms.DecryptOutput:
					plaintext = r.Plaintext
				}
				if len(plaintext) < 32 || plaintext[0] != testDataKey[0] {
					t.Errorf("%s: the SDK gives %x", op, plaintext)
				}
				return out, meta, err
			}), middleware.Before)
		}
		r := &recorder{answer: func(int) (int, string) { return 200, string(body) }}
		cfg := aws.Config{Region: "eu-central-1", APIOptions: []func(*middleware.Stack) error{spy}}
		c := newClient(cfg, staticChain(), &http.Client{Transport: r}, Options{})
		wantError(t, call(t.Context(), t, c, op), kmsclient.ErrUnavailable)
		if !bytes.Equal(plaintext, make([]byte, len(plaintext))) {
			t.Errorf("%s leaves %x", op, plaintext)
		}
	}
	key := slices.Clone(testDataKey)
	discard(&kms.GenerateDataKeyOutput{Plaintext: key[:16]})
	discard(&kms.DecryptOutput{Plaintext: key[16:]})
	if !bytes.Equal(key, make([]byte, 32)) {
		t.Errorf("discard leaves %x", key)
	}
}

// FuzzAnswers: whatever answers, the outcome is a whole answer or one refusal.
func FuzzAnswers(f *testing.F) {
	for _, fields := range goodAnswers() {
		body, err := json.Marshal(fields)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(200, string(body))
	}
	f.Add(400, `{"__type":"KMSInvalidStateException","message":"x is pending import."}`)
	f.Add(503, "<html>")
	f.Fuzz(func(t *testing.T, status int, body string) {
		r := &recorder{answer: func(int) (int, string) { return 200 + max(0, status)%400, body }}
		c := bubble(Options{Attempts: 1, Rate: -1}, r)
		checked := func(op string, w kmsclient.Wrapped, err error) {
			if err != nil {
				wantOneKind(t, err)
			} else if len(w.Blob) == 0 || len(w.Blob) > maxBlob || !strings.HasPrefix(w.KeyID, "arn:") {
				t.Errorf("%s: %+v without an error", op, w)
			}
		}
		key, w, err := c.GenerateDataKey(t.Context(), testKey, nil)
		checked("GenerateDataKey", w, err)
		if (err == nil) != (len(key) == kmsclient.DataKeySize) {
			t.Errorf("a data key of %d bytes with error %v", len(key), err)
		}
		plaintext, w, err := c.Decrypt(t.Context(), []byte("a blob"), nil)
		checked("Decrypt", w, err)
		if (err == nil) != (len(plaintext) > 0) {
			t.Errorf("a plaintext of %d bytes with error %v", len(plaintext), err)
		}
		w, err = c.Encrypt(t.Context(), testKey, []byte("x"), nil)
		checked("Encrypt", w, err)
		w, err = c.ReEncrypt(t.Context(), []byte("a blob"), nil, testKey)
		checked("ReEncrypt", w, err)
		if info, err := c.DescribeKey(t.Context(), testKey); err != nil {
			wantOneKind(t, err)
		} else if info.State == "" || !strings.HasPrefix(info.KeyID, "arn:") {
			t.Errorf("DescribeKey: %+v without an error", info)
		}
	})
}

// wantOneKind checks that err is an *Error of one kind, whichever.
func wantOneKind(t *testing.T, err error) {
	t.Helper()
	i := slices.IndexFunc(kinds, func(k error) bool { return errors.Is(err, k) })
	if i < 0 {
		t.Fatalf("error %v is of no kind", err)
	}
	wantError(t, err, kinds[i])
}
