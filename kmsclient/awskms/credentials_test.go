package awskms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kmsfs/kmsclient"
)

// signer is the access key that a request was signed with.
func signer(r request) string {
	_, rest, _ := strings.Cut(r.header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}

// writeProfile makes a profile with static credentials.
func writeProfile(t *testing.T, accessKey string) {
	t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = secret\naws_session_token = token of %[1]s\n", accessKey)
	if err := os.WriteFile(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func noKeys(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
}

// Where nothing is configured the error says so, and soon, whatever the machine
// has at the address of the metadata service.
func TestNoCredentials(t *testing.T) {
	silent := listen(t, "127.0.0.1:0")
	closed := listen(t, "127.0.0.1:0")
	closed.Close()
	noRole := httptest.NewServer(http.NotFoundHandler())
	defer noRole.Close()
	for name, endpoint := range map[string]string{
		"switched off": "", "silent": "http://" + silent.Addr().String(), "closed": "http://" + closed.Addr().String(), "no role": noRole.URL,
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			noKeys(t)
			if endpoint != "" {
				t.Setenv("AWS_EC2_METADATA_DISABLED", "")
				t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint)
			}
			f := newFake(t, good)
			start := time.Now()
			c := open(t, f.URL, Options{})
			e := wantError(t, call(t.Context(), t, c, "DescribeKey"), kmsclient.ErrDenied)
			if !e.Credentials || !strings.Contains(e.Error(), "neither the environment nor the AWS profile has any") {
				t.Errorf("credentials %v in %q", e.Credentials, e)
			}
			if d := time.Since(start); d > firstPatience+time.Second {
				t.Errorf("took %v", d)
			}
			if n := len(f.seen()); n != 0 {
				t.Errorf("%d requests without a signature", n)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ctx, t, c, "DescribeKey"); !errors.Is(err, context.Canceled) || errors.Is(err, kmsclient.ErrDenied) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
}

// Temporary credentials in a profile are replaced by some tool from time to time:
// a client that runs for months takes the new ones when AWS refuses the old.
func TestRotatedProfile(t *testing.T) {
	isolate(t)
	noKeys(t)
	writeProfile(t, "ASIAOLD")
	var valid atomic.Pointer[string]
	accept := func(key string) { valid.Store(&key) }
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if signer(request{header: r.Header}) != *valid.Load() {
			refuse(400, "ExpiredTokenException", "The security token included in the request is expired")(w, r)
			return
		}
		good(w, r)
	})
	accept("ASIAOLD")
	c := open(t, f.URL, Options{Rate: -1})
	c.forget()
	if err := call(t.Context(), t, c, "Decrypt"); err != nil {
		t.Fatal(err)
	}

	writeProfile(t, "ASIANEW")
	accept("ASIANEW")
	f.script(f.answers...)
	if err := call(t.Context(), t, c, "Decrypt"); err != nil {
		t.Fatalf("after the profile was rotated: %v", err)
	}
	seen := f.seen()
	if len(seen) != 2 || signer(seen[0]) != "ASIAOLD" || signer(seen[1]) != "ASIANEW" || seen[1].header.Get("X-Amz-Security-Token") != "token of ASIANEW" {
		t.Errorf("%d requests, the last by %s", len(seen), signer(seen[len(seen)-1]))
	}

	// Expired, and nothing new in the profile: one request a call, and one reading
	// of the profile for a while.
	accept("ASIALATER")
	f.script(f.answers...)
	c.forget()
	for range 3 {
		if e := wantError(t, call(t.Context(), t, c, "Decrypt"), kmsclient.ErrDenied); !e.Credentials {
			t.Errorf("credentials are not what is wrong in %q", e)
		}
	}
	if n := len(f.seen()); n != 3 {
		t.Errorf("%d requests for 3 calls", n)
	}
	writeProfile(t, "ASIALATER")
	wantError(t, call(t.Context(), t, c, "Decrypt"), kmsclient.ErrDenied) // too soon
	c.forget()
	if err := call(t.Context(), t, c, "Decrypt"); err != nil {
		t.Errorf("after %v: %v", renewPause, err)
	}
}

// forget makes as if the configuration had been read long ago.
func (c *Client) forget() {
	p := c.api.Options().Credentials.(*chain)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.loaded = time.Time{}
}

// Many goroutines that meet expired credentials at once all get the new ones.
func TestRotatedProfileConcurrently(t *testing.T) {
	isolate(t)
	noKeys(t)
	writeProfile(t, "ASIAOLD")
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if signer(request{header: r.Header}) == "ASIAOLD" {
			refuse(403, "ExpiredTokenException", "")(w, r)
			return
		}
		good(w, r)
	})
	c := open(t, f.URL, Options{Rate: -1})
	c.forget()
	writeProfile(t, "ASIANEW")
	errs := make(chan error)
	for range 16 {
		go func() { errs <- call(t.Context(), t, c, "Decrypt") }()
	}
	for range 16 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// A container's credentials tell when they end: they are asked for anew before,
// and when their source is away for a while the KMS is, too, not denied.
func TestExpiringCredentials(t *testing.T) {
	isolate(t)
	noKeys(t)
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	var n atomic.Int32
	var down atomic.Bool
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(503)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":"ASIA%d","SecretAccessKey":"s","Token":"t","Expiration":%q}`,
			n.Add(1), time.Now().Add(time.Second).UTC().Format(time.RFC3339))
	}))
	defer source.Close()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", source.URL)
	f := newFake(t, good)
	c := open(t, f.URL, Options{})
	for range 2 {
		if err := call(t.Context(), t, c, "Decrypt"); err != nil {
			t.Fatal(err)
		}
	}
	if seen := f.seen(); signer(seen[0]) != "ASIA1" || signer(seen[1]) != "ASIA2" {
		t.Errorf("signed by %s and %s", signer(seen[0]), signer(seen[1]))
	}
	down.Store(true)
	if e := wantError(t, call(t.Context(), t, c, "Decrypt"), kmsclient.ErrUnavailable); !e.Credentials {
		t.Errorf("credentials are not what is wrong in %q", e)
	}
	down.Store(false)
	if err := call(t.Context(), t, c, "Decrypt"); err != nil {
		t.Error(err)
	}
}

// A role that may not be assumed, and an STS that does not answer.
func TestAssumedRole(t *testing.T) {
	isolate(t)
	noKeys(t)
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	token := t.TempDir() + "/token"
	if err := os.WriteFile(token, []byte("jwt"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/kmsfs")
	f := newFake(t, good)

	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(403)
		fmt.Fprint(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>`)
	}))
	t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
	e := wantError(t, call(t.Context(), t, open(t, f.URL, Options{}), "Decrypt"), kmsclient.ErrDenied)
	if !e.Credentials || !strings.Contains(e.Error(), "sts:AssumeRoleWithWebIdentity") {
		t.Errorf("credentials %v in %q", e.Credentials, e)
	}
	sts.Close()
	e = wantError(t, call(t.Context(), t, open(t, f.URL, Options{}), "Decrypt"), kmsclient.ErrUnavailable)
	if !e.Credentials || !strings.Contains(e.Error(), "connection refused") {
		t.Errorf("credentials %v in %q", e.Credentials, e)
	}
	if n := len(f.seen()); n != 0 {
		t.Errorf("%d requests reached KMS", n)
	}
}
