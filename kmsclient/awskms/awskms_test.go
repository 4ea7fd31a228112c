package awskms

import (
	"os"
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

// Region, profile and endpoint come from the AWS configuration, unless the options
// say otherwise.
func TestConfiguration(t *testing.T) {
	isolate(t)
	f, other := newFake(t, good), newFake(t, good)
	config := "[default]\nregion = eu-west-1\n[profile work]\nregion = us-west-2\n" +
		"aws_access_key_id = AKIDWORK\naws_secret_access_key = secret\n"
	if err := os.WriteFile(os.Getenv("AWS_CONFIG_FILE"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		env   map[string]string
		o     Options
		scope string // of the signature: access key and region
	}{
		{"environment", nil, Options{}, "AKIDEXAMPLE/eu-central-1"},
		{"option", nil, Options{Region: "ap-south-1"}, "AKIDEXAMPLE/ap-south-1"},
		{"default profile", map[string]string{"AWS_REGION": ""}, Options{}, "AKIDEXAMPLE/eu-west-1"},
		{"profile", map[string]string{"AWS_REGION": "", "AWS_PROFILE": "work", "AWS_ACCESS_KEY_ID": ""}, Options{}, "AKIDWORK/us-west-2"},
		{"endpoint option", map[string]string{"AWS_ENDPOINT_URL_KMS": other.URL}, Options{Endpoint: f.URL}, "AKIDEXAMPLE/eu-central-1"},
		{"general endpoint", map[string]string{"AWS_ENDPOINT_URL": f.URL, "AWS_ENDPOINT_URL_KMS": ""}, Options{}, "AKIDEXAMPLE/eu-central-1"},
		{"endpoint with a path", map[string]string{"AWS_ENDPOINT_URL_KMS": f.URL + "/kms"}, Options{}, "AKIDEXAMPLE/eu-central-1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("AWS_ENDPOINT_URL_KMS", f.URL)
			for name, value := range row.env {
				t.Setenv(name, value)
				if value == "" { // to the SDK an endpoint that is set and empty is set
					os.Unsetenv(name)
				}
			}
			f.script(good)
			c, err := New(t.Context(), row.o)
			if err != nil {
				t.Fatal(err)
			}
			if err := call(t.Context(), t, c, "Decrypt"); err != nil {
				t.Fatal(err)
			}
			key, rest, _ := strings.Cut(row.scope, "/")
			q := f.seen()[0]
			if signer(q) != key || !strings.Contains(q.header.Get("Authorization"), "/"+rest+"/kms/aws4_request") || c.Region() != rest {
				t.Errorf("signed %s, in region %s; want %s", q.header.Get("Authorization"), c.Region(), row.scope)
			}
		})
	}
	if n := len(other.seen()); n != 0 {
		t.Errorf("%d requests went where they should not", n)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, row := range map[string]struct {
		env  map[string]string
		o    Options
		want string
	}{
		"no region":           {map[string]string{"AWS_REGION": ""}, Options{}, "no region is given"},
		"no such profile":     {map[string]string{"AWS_PROFILE": "missing"}, Options{}, "missing"},
		"no CA bundle":        {map[string]string{"AWS_CA_BUNDLE": "/none"}, Options{}, "/none"},
		"clear text":          {nil, Options{Endpoint: "http://kms.example:8080"}, "want https://"},
		"clear text by env":   {map[string]string{"AWS_ENDPOINT_URL_KMS": "http://192.0.2.1"}, Options{}, "want https://"},
		"clear text, any env": {map[string]string{"AWS_ENDPOINT_URL": "http://10.0.0.1"}, Options{}, "want https://"},
		"other scheme":        {nil, Options{Endpoint: "ftp://127.0.0.1"}, "want https://"},
		"no URL":              {map[string]string{"AWS_ENDPOINT_URL_KMS": "http://me:hush@[::1"}, Options{}, "not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			os.Unsetenv("AWS_ENDPOINT_URL_KMS")
			for name, value := range row.env {
				t.Setenv(name, value)
			}
			_, err := New(t.Context(), row.o)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want an error that contains %q", err, row.want)
			}
		})
	}
}

func TestCheckEndpoint(t *testing.T) {
	for _, s := range []string{
		"", "https://kms.example", "https://192.0.2.1:8443/kms", "http://127.0.0.1", "http://127.8.9.1:80/", "http://[::1]:7600",
		"http://[::ffff:127.0.0.1]", "http://localhost:4566",
	} {
		if err := checkEndpoint(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{
		"http://kms.example", "http://localhost.example", "http://127.0.0.1.example", "http://128.0.0.1", "http://[2001:db8::1]",
		"http://[::ffff:192.0.2.1]", "http://", "http:127.0.0.1", "ftp://127.0.0.1", "127.0.0.1:80", "kms.example", "http://a b",
	} {
		if checkEndpoint(s) == nil {
			t.Errorf("%s is accepted", s)
		}
	}
}

func TestUserAgent(t *testing.T) {
	isolate(t)
	f := newFake(t, good)
	if err := call(t.Context(), t, open(t, f.URL, Options{Version: "v1.2-3-gabc"}), "DescribeKey"); err != nil {
		t.Fatal(err)
	}
	if got := f.seen()[0].header.Get("User-Agent"); !strings.Contains(got, " kmsfs/v1.2-3-gabc") || !strings.HasPrefix(got, "aws-sdk-go-v2/") {
		t.Errorf("user agent is %q", got)
	}
}

// What the SDK refuses before it sends anything is the caller's mistake.
func TestInvalidRegion(t *testing.T) {
	isolate(t)
	c, err := New(t.Context(), Options{Region: "not_a region"})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, call(t.Context(), t, c, "Decrypt"), kmsclient.ErrInvalidRequest)
}
