package sigv4

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// print is the inverse of Parse, for the Authorization header.
func (s *Signature) print(signature string) string {
	return algorithm + " Credential=" + strings.Join([]string{s.AccessKeyID, s.Date, s.Region, s.Service, scopeEnd}, "/") +
		", SignedHeaders=" + strings.Join(s.SignedHeaders, ";") + ", Signature=" + signature
}

// FuzzParse: what is accepted prints as a header that parses to the same, meets
// the rules, and does not verify.
func FuzzParse(f *testing.F) {
	good := sign(f, "kms", now, "")
	f.Add(good.Header.Get("Authorization"), "20260101T000200Z", "", "x-amz-target", "")
	f.Add(strings.ReplaceAll(good.Header.Get("Authorization"), ", ", ","), "", "Thu, 01 Jan 2026 00:02:00 GMT", "date", "token")
	f.Add("AWS4-HMAC-SHA256 Credential=a/20260101/b/kms/aws4_request, SignedHeaders=host, Signature="+strings.Repeat("0", 64), "", "20260101T000200Z", "x", "")
	f.Add("AWS4-HMAC-SHA256 ,=,a=b;Credential=////", "2026", "x", "", "y")
	f.Fuzz(func(t *testing.T, head, amzDate, date, other, token string) {
		v := NewVerifier("kms")
		h := http.Header{"Authorization": {head}}
		for name, value := range map[string]string{"X-Amz-Date": amzDate, "Date": date, http.CanonicalHeaderKey(other): "v", "X-Amz-Security-Token": token} {
			if value != "" && h.Get(name) == "" {
				h[name] = []string{value}
			}
		}
		r := httptest.NewRequest("POST", "/", nil)
		r.Header = h
		s, err := v.Parse(r, now)
		if err != nil {
			return
		}
		if s.Service != "kms" || s.Date != s.Time.Format("20060102") || s.SessionToken != h.Get("X-Amz-Security-Token") ||
			s.Time.Sub(now).Abs() > MaxSkew || !slices.Contains(s.SignedHeaders, "host") || !slices.IsSorted(s.SignedHeaders) {
			t.Errorf("accepted: %+v", s)
		}
		for name := range h {
			if strings.HasPrefix(strings.ToLower(name), "x-amz-") && !slices.Contains(s.SignedHeaders, strings.ToLower(name)) {
				t.Errorf("%s is not signed", name)
			}
		}
		_, p, _ := authorization(r)
		again := r.Clone(t.Context())
		again.Header.Set("Authorization", s.print(p.signature))
		s2, err := v.Parse(again, now)
		if err != nil || s2.print("") != s.print("") || s2.mac != s.mac {
			t.Errorf("%+v prints as %q, %v", s, s.print(p.signature), err)
		}
		if err := s.Verify(secret, nil); err == nil {
			t.Errorf("%q verifies", head)
		}
	})
}

// FuzzCanonical: a canonical path or query is a fixed point (a path is encoded
// once more, so its decoded form is), made of unreserved characters, and means
// what url.ParseQuery reads.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/a/../b//c/", "a=b&c=d%20e&&x", "/%2e%2e/é", "  a   b ", "%zz=%4", "b=1&a=2&a=1&=", "a=0&a=\xc4", "+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		path := string(appendPath(nil, s))
		decoded, err := url.PathUnescape(path)
		if err != nil || path[0] != '/' || strings.Contains(path, "//") || string(appendPath(nil, decoded)) != path {
			t.Errorf("path %q: %q, again %q, %v", s, path, appendPath(nil, decoded), err)
		}
		query := string(appendQuery(nil, s))
		if again := string(appendQuery(nil, query)); again != query {
			t.Errorf("query %q: %q, again %q", s, query, again)
		}
		if i := strings.IndexFunc(path+query, func(c rune) bool {
			return c > 127 || c < '%' || strings.ContainsRune("'()*+,:;<>?@[\\]^`{|}", c)
		}); i >= 0 {
			t.Errorf("%q: reserved character in %q", s, path+query)
		}
		if want, err := url.ParseQuery(s); err == nil && !strings.Contains(s, "+") {
			got, err := url.ParseQuery(query)
			if err != nil || sortedValues(got) != sortedValues(want) {
				t.Errorf("query %q means %q, canonical %q", s, want, got)
			}
		}
		value := appendValue(nil, s)
		if again := appendValue(nil, string(value)); !bytes.Equal(again, value) || bytes.Contains(value, []byte("  ")) {
			t.Errorf("value %q: %q, again %q", s, value, again)
		}
		if strings.Join(strings.FieldsFunc(s, isBlank), "") != strings.Join(strings.FieldsFunc(string(value), isBlank), "") {
			t.Errorf("value %q lost more than blanks: %q", s, value)
		}
	})
}

func isBlank(c rune) bool { return c == ' ' || c == '\t' }

func sortedValues(v url.Values) string {
	for _, values := range v {
		slices.Sort(values)
	}
	return v.Encode()
}

func BenchmarkParse(b *testing.B) {
	v, r := NewVerifier("kms"), sign(b, "kms", now, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Parse(r, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for name, max := range map[string]int{"cached key": 1024, "derived key": 0} {
		b.Run(name, func(b *testing.B) {
			v := NewVerifier("kms")
			v.keys.max = max
			r := sign(b, "kms", now, "")
			body := []byte(body)
			b.ReportAllocs()
			for b.Loop() {
				if max == 0 {
					clear(v.keys.keys)
				}
				s, err := v.Parse(r, now)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Verify(secret, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
