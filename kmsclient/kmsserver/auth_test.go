package kmsserver

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"kmsfs/kmsclient"
)

// tamper alters requests after the SDK has signed them.
type tamper func(*http.Request)

// Do implements aws.HTTPClient.
func (f tamper) Do(r *http.Request) (*http.Response, error) {
	f(r)
	return http.DefaultTransport.RoundTrip(r)
}

// TestSignatures has the SDK sign, and shows what its user sees of each failure.
func TestSignatures(t *testing.T) {
	const (
		noMatch = "The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
		invalidToken = "The security token included in the request is invalid."
		bad          = "InvalidSignatureException"
	)
	edit := func(old, new string) tamper {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	set := func(name, value string) tamper { return func(r *http.Request) { r.Header.Set(name, value) } }
	e := &engine{}
	r := start(t, e, Options{})
	for name, c := range map[string]struct {
		id, secret, session string
		tamper              tamper
		code, message       string // none if it is accepted
		op                  string // the engine is told; Encrypt if it is empty
	}{
		"good":                  {},
		"session":               {session: session},
		"unknown key":           {id: "AKIAI44QH8DHBEXAMPLE", code: "UnrecognizedClientException", message: invalidToken},
		"unknown session":       {session: "x", code: "UnrecognizedClientException", message: invalidToken},
		"expired session":       {session: "old", code: "ExpiredTokenException", message: "The security token included in the request is expired"},
		"broken engine":         {id: "AKIABROKEN", code: "KMSInternalException"},
		"no secret":             {id: "AKIAEMPTY", secret: "AWS4", code: "KMSInternalException"},
		"secret":                {secret: strings.ToLower(secret), code: bad, message: noMatch},
		"anonymous":             {tamper: func(r *http.Request) { r.Header.Del("Authorization") }, code: "MissingAuthenticationTokenException", message: "Missing Authentication Token"},
		"no signature":          {tamper: edit(", Signature=", ",Signature=,"), code: "IncompleteSignatureException", message: "missing equal-sign"},
		"no credential":         {tamper: edit("Credential=", "Credential=,"), code: "IncompleteSignatureException", message: "missing equal-sign"},
		"algorithm":             {tamper: edit("SHA256", "SHA1"), code: "IncompleteSignatureException", message: "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'"},
		"signature":             {tamper: edit("Signature=", "Signature=0"), code: bad, message: noMatch},
		"service":               {tamper: edit("/kms/", "/sts/"), code: bad, message: "Credential should be scoped to correct service: 'kms'."},
		"region":                {tamper: edit(region, "us-east-1"), code: bad, message: noMatch},
		"target":                {tamper: set("X-Amz-Target", "TrentService.ScheduleKeyDeletion"), code: bad, message: noMatch, op: "ScheduleKeyDeletion"},
		"content type":          {tamper: set("Content-Type", "text/plain"), code: bad, message: noMatch},
		"token added":           {tamper: set("X-Amz-Security-Token", session), code: bad, message: "'X-Amz-Security-Token' must be a 'SignedHeader'"},
		"token removed":         {session: session, tamper: func(r *http.Request) { r.Header.Del("X-Amz-Security-Token") }, code: bad, message: noMatch},
		"host":                  {tamper: func(r *http.Request) { r.Host = "kms.eu-central-1.amazonaws.com" }, code: bad, message: noMatch},
		"host unsigned":         {tamper: edit(";host", ""), code: bad, message: "'Host' or ':authority' must be a 'SignedHeader'"},
		"query":                 {tamper: func(r *http.Request) { r.URL.RawQuery = "a" }, code: bad, message: noMatch},
		"date":                  {tamper: set("X-Amz-Date", time.Now().UTC().Add(-time.Minute).Format("20060102T150405Z")), code: bad},
		"unsigned header":       {tamper: set("X-Other", "a")},
		"wrong method is first": {id: "AKIAI44QH8DHBEXAMPLE", tamper: func(r *http.Request) { r.Method = "PUT" }, code: codeUnknownOperation, op: "-"},
	} {
		t.Run(name, func(t *testing.T) {
			id, key := accessKey, secret
			if c.id != "" {
				id = c.id
			}
			if c.secret != "" {
				key = c.secret
			}
			client := r.client(id, key, c.session, func(o *kms.Options) {
				if c.tamper != nil {
					o.HTTPClient = c.tamper
				}
			})
			_, err := client.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String("alias/a"), Plaintext: []byte("plain")})
			told := e.takeRefused()
			if c.code == "" {
				if err != nil || len(told) > 0 {
					t.Errorf("%v, the engine was told %+v", err, told)
				}
				return
			}
			refusedWith(t, err, c.code, c.message)
			if c.op == "" {
				c.op = "Encrypt"
			}
			switch {
			case c.op == "-" || c.code == "KMSInternalException":
				if len(told) > 0 {
					t.Errorf("the engine was told %+v", told)
				}
			case len(told) != 1 || told[0].err.Code != c.code || told[0].op != c.op || told[0].c.Principal != nil || len(told[0].c.RequestID) != 36:
				t.Errorf("the engine was told %+v", told)
			}
		})
	}
}

// TestBodyIsSigned alters the body on its way.
func TestBodyIsSigned(t *testing.T) {
	r := start(t, &engine{}, Options{})
	req := r.request(t, `{"a":1}`)
	other := r.request(t, `{"a":2}`)
	req.Body = other.Body
	resp, body := roundTrip(t, req)
	checkAnswer(t, resp, body, 400, "InvalidSignatureException", "does not match")
}

func TestSkew(t *testing.T) {
	for skew, message := range map[time.Duration]string{
		4 * time.Minute: "", -4 * time.Minute: "",
		6 * time.Minute: "Signature expired: ", -6 * time.Minute: "Signature not yet current: ",
	} {
		r := start(t, &engine{}, Options{}, func(s *Server) { s.now = func() time.Time { return time.Now().Add(skew) } })
		_, err := r.client(accessKey, secret, "").Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String("a"), Plaintext: []byte("p")})
		if message == "" && err != nil {
			t.Errorf("%v: %v", skew, err)
		} else if message != "" {
			refusedWith(t, err, "InvalidSignatureException", message)
		}
	}
}

// TestCaller: what the engine learns of an accepted request.
func TestCaller(t *testing.T) {
	var got Caller
	var op, body string
	r := start(t, &engine{call: func(_ context.Context, c Caller, o string, b []byte) ([]byte, error) {
		got, op, body = c, o, string(b)
		return []byte(`{"KeyId":"k","CiphertextBlob":"Y2lwaGVy"}`), nil
	}}, Options{})
	out, err := r.client(accessKey, secret, session).Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String("alias/a"), Plaintext: []byte("plain")})
	if err != nil || string(out.CiphertextBlob) != "cipher" {
		t.Fatal(out, err)
	}
	if got.Principal != principal || got.AccessKeyID != accessKey || got.Region != region || got.SourceIP != "127.0.0.1" ||
		!strings.HasPrefix(got.UserAgent, "aws-sdk-go-v2/") || got.TLS != nil {
		t.Errorf("caller %+v", got)
	}
	if op != "Encrypt" || body != `{"KeyId":"alias/a","Plaintext":"cGxhaW4="}` {
		t.Errorf("%s %s", op, body)
	}
	resp, _ := roundTrip(t, r.request(t, "{}", header("User-Agent", strings.Repeat("ü", 1000))))
	if id := resp.Header.Get("X-Amzn-Requestid"); id != got.RequestID || len(got.UserAgent) > maxUserAgent || len(got.UserAgent) < maxUserAgent-2 {
		t.Errorf("answer %s, call %s, user agent of %d bytes", id, got.RequestID, len(got.UserAgent))
	}
}

// TestConcurrentClients: many clients at once, good and bad, get their own answers.
func TestConcurrentClients(t *testing.T) {
	r := start(t, &engine{call: func(_ context.Context, _ Caller, _ string, body []byte) ([]byte, error) {
		if strings.Contains(string(body), "bad") {
			return nil, &kmsclient.Error{Kind: kmsclient.ErrNotFound, Code: "NotFoundException", Message: string(body)}
		}
		return append([]byte(nil), body...), nil
	}}, Options{})
	var wg sync.WaitGroup
	for i := range 32 {
		client := r.client(accessKey, secret, "")
		forger := r.client(accessKey, secret[1:], "")
		name := "alias/" + strings.Repeat("x", i*40)
		wg.Go(func() {
			for range 10 {
				out, err := client.Encrypt(context.Background(), &kms.EncryptInput{KeyId: &name, Plaintext: []byte("p")})
				if err != nil || aws.ToString(out.KeyId) != name {
					t.Errorf("%v, %v", out, err)
				}
				_, err = client.DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: aws.String("bad" + name)})
				refusedWith(t, err, "NotFoundException", "bad"+name)
				_, err = forger.DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: &name})
				refusedWith(t, err, "InvalidSignatureException", "")
			}
		})
	}
	wg.Wait()
}
