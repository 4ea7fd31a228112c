package config

import "testing"

func TestParseKMSURI(t *testing.T) {
	for _, c := range []struct {
		in   string
		want KMSURI
		err  string
	}{
		{in: "local:", want: KMSURI{Scheme: "local"}},
		{in: "local:/srv/kms", want: KMSURI{Scheme: "local", Dir: "/srv/kms"}},
		{in: "local:/srv//kms/", want: KMSURI{Scheme: "local", Dir: "/srv/kms"}},
		{in: "local:/a#b?c", want: KMSURI{Scheme: "local", Dir: "/a#b?c"}},
		{in: "aws:", want: KMSURI{Scheme: "aws"}},
		{in: "aws:eu-central-1", want: KMSURI{Scheme: "aws", Region: "eu-central-1"}},
		{in: "aws:us-east-1?endpoint=http://127.0.0.1:7600", want: KMSURI{Scheme: "aws", Region: "us-east-1", Endpoint: "http://127.0.0.1:7600"}},
		{in: "aws:?endpoint=https://[::1]:7600/kms", want: KMSURI{Scheme: "aws", Endpoint: "https://[::1]:7600/kms"}},

		{in: "aws:?endpoint=http://localhost:7600", want: KMSURI{Scheme: "aws", Endpoint: "http://localhost:7600"}},
		{in: "aws:?endpoint=http://[::1]", want: KMSURI{Scheme: "aws", Endpoint: "http://[::1]"}},
		{in: "aws:?endpoint=http://[::ffff:127.0.0.1]", want: KMSURI{Scheme: "aws", Endpoint: "http://[::ffff:127.0.0.1]"}},
		{in: "aws:?endpoint=https://kms.example", want: KMSURI{Scheme: "aws", Endpoint: "https://kms.example"}},

		{in: "", err: "no scheme"},
		{in: "local", err: "no scheme"},
		{in: "/srv/kms", err: "no scheme"},
		{in: ":x", err: `unknown scheme "": want local:[DIR] or aws:[REGION]`},
		{in: "vault:x", err: `unknown scheme "vault": want local:[DIR] or aws:[REGION]`},
		{in: "Local:", err: "unknown scheme"},
		{in: "local:kms", err: "not an absolute path"},
		{in: "local:~/kms", err: "not an absolute path"},
		{in: "local:/a\nb", err: "control characters"},
		{in: "local:/a\xff", err: "not UTF-8"},
		{in: "local:/a ", err: "ends in a space"},
		{in: "aws:Frankfurt", err: "not a region"},
		{in: "aws:/srv", err: "not a region"},
		{in: "aws:us-east-1?", err: `unknown parameter ""`},
		{in: "aws:us-east-1?region=x", err: `unknown parameter "region"`},
		{in: "aws:?endpoint=", err: "endpoint is empty"},
		{in: "aws:?endpoint=http://a&endpoint=http://b", err: "given twice"},
		{in: "aws:?endpoint=127.0.0.1:7600", err: "not a URL"},
		{in: "aws:?endpoint=localhost:7600", err: "want http:// or https://"},
		{in: "aws:?endpoint=file:///etc", err: "want http:// or https://"},
		{in: "aws:?endpoint=http://", err: "names no host"},
		{in: "aws:?endpoint=http://:7600", err: "names no host"},
		{in: "aws:?endpoint=http://h/?x=1", err: "without query"},
		{in: "aws:?endpoint=http://h/#x", err: "without query"},
		{in: "aws:?endpoint=https://me:pw@h", err: "credentials"},
		{in: "aws:?endpoint=http://kms.example", err: "in clear"},
		{in: "aws:?endpoint=http://localhost.example", err: "in clear"},
		{in: "aws:?endpoint=http://127.0.0.1.example:80", err: "in clear"},
		{in: "aws:?endpoint=http://192.0.2.1", err: "in clear"},
		{in: "aws:?endpoint=http://[2001:db8::1]:80", err: "in clear"},
		{in: "aws:?endpoint=HTTP://kms.example", err: "in clear"},
	} {
		got, err := ParseKMSURI(c.in)
		checkErr(t, c.in, err, c.err)
		if got != c.want {
			t.Errorf("ParseKMSURI(%q) = %+v, want %+v", c.in, got, c.want)
		}
	}
}

// FuzzKMSURI: what parses prints as something that parses to the same.
func FuzzKMSURI(f *testing.F) {
	for _, s := range []string{"local:", "local:/a/../b", "local:/x /.", "aws:", "aws:eu-central-1",
		"aws:?endpoint=http://127.0.0.1:7600", "aws:x?endpoint=https://[::1]/&endpoint=x", "vault:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		u, err := ParseKMSURI(in)
		if err != nil {
			if u != (KMSURI{}) {
				t.Errorf("ParseKMSURI(%q) gave %+v with an error", in, u)
			}
			return
		}
		again, err := ParseKMSURI(u.String())
		if err != nil || again != u {
			t.Errorf("ParseKMSURI(%q) = %+v; printed %q, which gives %+v, %v", in, u, u, again, err)
		}
	})
}
