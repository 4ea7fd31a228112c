package sigv4

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// edit replaces part of the Authorization header.
func edit(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		h := r.Header.Get("Authorization")
		if !strings.Contains(h, old) {
			panic(old + " is not in " + h)
		}
		r.Header.Set("Authorization", strings.Replace(h, old, new, 1))
	}
}

func set(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

func TestRefusals(t *testing.T) {
	const (
		needCredential = "Authorization header requires 'Credential' parameter."
		needSignature  = "Authorization header requires 'Signature' parameter."
		needHeaders    = "Authorization header requires 'SignedHeaders' parameter."
		needDate       = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
		badDate        = "Date must be in ISO-8601 'basic format'. Got '"
	)
	for name, c := range map[string]struct {
		change        func(*http.Request)
		code, message string
	}{
		"no authorization": {set("Authorization"), CodeMissing, "Missing Authentication Token"},
		"bearer":           {set("Authorization", "Bearer AWS4-HMAC"), CodeMissing, "Missing Authentication Token"},
		"version 2":        {set("Authorization", "AWS AKID:c2ln"), CodeMissing, "Missing Authentication Token"},
		"presigned": {func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00"
		}, CodeIncomplete, "presigned URLs"},
		"two authorizations": {set("Authorization", "AWS4-HMAC-SHA256 a=b", "AWS4-HMAC-SHA256 a=b"), CodeIncomplete, "'Authorization' must be given once"},
		"long": {edit(", Signature", ","+strings.Repeat(" ", maxAuthorization)+"Signature"), CodeIncomplete,
			"Authorization header is longer than 8192 bytes."},
		"algorithm alone": {set("Authorization", "AWS4-HMAC-SHA256"), CodeIncomplete,
			needCredential + " " + needSignature + " " + needHeaders},
		"no date": {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, CodeIncomplete, needDate},
		"nothing": {func(r *http.Request) { r.Header = http.Header{"Authorization": {"AWS4-X"}} }, CodeIncomplete,
			needCredential + " " + needSignature + " " + needHeaders + " " + needDate},
		"no credential":   {edit("Credential="+id, "Credential=,x="+id), CodeIncomplete, "unknown or repeated parameter 'x'"},
		"empty signature": {edit("Signature=", "Signature=,"), CodeIncomplete, "missing equal-sign"},
		"repeated":        {edit("Signature=", "Signature=a,Signature="), CodeIncomplete, "repeated parameter 'Signature'"},
		"algorithm":       {edit("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512"), CodeIncomplete, "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512' (only AWS4-HMAC-SHA256 for now)."},
		"elliptic":        {edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), CodeIncomplete, "Unsupported AWS 'algorithm'"},
		"four elements":   {edit("/aws4_request", ""), CodeIncomplete, "Credential must have exactly 5 slash-delimited elements"},
		"six elements":    {edit(id, id+"/x"), CodeIncomplete, "Credential must have exactly 5 slash-delimited elements"},
		"day":             {set("X-Amz-Date", "20260101"), CodeIncomplete, badDate + "20260101'. See http://en.wikipedia.org/wiki/ISO_8601"},
		"fraction":        {set("X-Amz-Date", "20260101T000200.1Z"), CodeIncomplete, badDate},
		"http date":       {set("X-Amz-Date", "Thu, 01 Jan 2026 00:02:00 GMT"), CodeIncomplete, badDate},
		"two dates":       {set("X-Amz-Date", "20260101T000200Z", "20260101T000200Z"), CodeIncomplete, "'X-Amz-Date' must be given once"},
		"region":          {edit("eu-central-1", "EU"), CodeInvalid, "Credential should be scoped to a valid region."},
		"no region":       {edit("eu-central-1", ""), CodeInvalid, "Credential should be scoped to a valid region."},
		"service":         {edit("/kms/", "/s3/"), CodeInvalid, "Credential should be scoped to correct service: 'kms'."},
		"terminator":      {edit("aws4_request", "aws5"), CodeInvalid, "Credential should be scoped with a valid terminator: 'aws4_request'."},
		"scope date": {edit("/20260101/", "/20251231/"), CodeInvalid, "Date in Credential scope does not match YYYYMMDD from ISO-8601 " +
			"version of date from HTTP: '20251231' != '20260101', from '20260101T000200Z'."},
		"all of the scope": {edit("/20260101/eu-central-1/kms/aws4_request", "////"), CodeInvalid, "valid region. Credential should be scoped to correct service: 'kms'. Credential"},
		"host":             {edit(";host", ""), CodeInvalid, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
		"target":           {edit(";x-amz-target", ""), CodeInvalid, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization."},
		"token":            {set("X-Amz-Security-Token", "t"), CodeInvalid, "'X-Amz-Security-Token' must be a 'SignedHeader'"},
		"upper case":       {edit("host", "Host"), CodeIncomplete, "SignedHeaders must be names in lower case"},
		"order":            {edit(";host;x-amz-date;", ";x-amz-date;host;"), CodeIncomplete, "SignedHeaders must be names in lower case, in ascending order"},
		"twice":            {edit(";host", ";host;host"), CodeIncomplete, "SignedHeaders must be names in lower case, in ascending order, each once."},
		"line break":       {edit(";host", ";ho\nst"), CodeIncomplete, "SignedHeaders must be names"},
		"many": {func(r *http.Request) {
			var names strings.Builder
			for i := range maxSignedHeaders {
				fmt.Fprintf(&names, ";a%03d", i)
			}
			edit("amz-sdk-request", "amz-sdk-request"+names.String())(r)
		}, CodeIncomplete, "SignedHeaders names more than 100 headers."},
		"signature":       {edit("Signature=", "Signature=0"), CodeInvalid, noMatch},
		"not hex":         {func(r *http.Request) { edit("Signature=", "Signature=x")(r) }, CodeInvalid, noMatch},
		"absent header":   {edit(";host", ";expect;host"), CodeInvalid, noMatch},
		"another region":  {edit("eu-central-1", "eu-central-2"), CodeInvalid, noMatch},
		"another target":  {set("X-Amz-Target", "TrentService.Decrypt"), CodeInvalid, noMatch},
		"content type":    {set("Content-Type", "text/plain"), CodeInvalid, noMatch},
		"unsigned header": {set("Content-Encoding", "gzip"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := sign(t, "kms", now, "")
			c.change(r)
			err := verify(NewVerifier("kms"), r, body)
			if c.code == "" && err != nil {
				t.Error(err)
			} else if c.code != "" {
				refusedWith(t, err, c.code, c.message)
			}
		})
	}
}

func TestPayloads(t *testing.T) {
	v := NewVerifier("kms")
	for payload, want := range map[string]string{
		"UNSIGNED-PAYLOAD":                   "unsigned and streaming payloads are not accepted",
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD": "unsigned and streaming payloads are not accepted",
		strings.Repeat("0", 64):              "The provided 'x-amz-content-sha256' header does not match what was computed.",
	} {
		r := sign(t, "kms", now, "", set("X-Amz-Content-Sha256", payload))
		refusedWith(t, verify(v, r, body), CodeInvalid, want)
	}
	twice := sign(t, "kms", now, "", set("X-Amz-Content-Sha256", "a", "b"))
	refusedWith(t, verify(v, twice, body), CodeIncomplete, "must be given once")
}

func TestTime(t *testing.T) {
	v := NewVerifier("kms")
	for at, want := range map[time.Duration]string{
		0: "", 5 * time.Minute: "", -5 * time.Minute: "", -5*time.Minute + 1: "",
		-5*time.Minute - time.Second: "Signature expired: 20251231T235659Z is now earlier than 20251231T235700Z (20260101T000200Z - 5 min.)",
		5*time.Minute + time.Second:  "Signature not yet current: 20260101T000701Z is still later than 20260101T000700Z (20260101T000200Z + 5 min.)",
		-time.Hour:                   "Signature expired: ", 24 * time.Hour: "Signature not yet current: ",
	} {
		err := verify(v, sign(t, "kms", now.Add(at), ""), body)
		if want == "" && err != nil {
			t.Errorf("%v: %v", at, err)
		} else if want != "" {
			refusedWith(t, err, CodeInvalid, want)
		}
	}
	// The clock of the server may be in any zone.
	s, err := v.Parse(sign(t, "kms", now, ""), now.In(time.FixedZone("", 3600*14)))
	if err != nil || s.Date != "20260101" {
		t.Errorf("%v, %v", s, err)
	}
	_, err = v.Parse(sign(t, "kms", now, ""), now.Add(time.Hour).In(time.FixedZone("", -3600)))
	refusedWith(t, err, CodeInvalid, "(20260101T010200Z - 5 min.)")
}

// TestDateHeader: without X-Amz-Date the time is that of Date, in either format.
func TestDateHeader(t *testing.T) {
	for _, date := range []string{"20260101T000200Z", "Thu, 01 Jan 2026 00:02:00 GMT", "Thursday, 01-Jan-26 00:02:00 GMT"} {
		r := sign(t, "kms", now, "")
		r.Header.Del("X-Amz-Date")
		r.Header.Set("Date", date)
		edit(";x-amz-date", "")(r)
		v := NewVerifier("kms")
		s, err := v.Parse(r, now)
		if err != nil || !s.Time.Equal(now) {
			t.Errorf("%s: %v", date, err)
			continue
		}
		// The SDK always sends X-Amz-Date: sign anew, by hand.
		s.mac = resign(s, r)
		if err := s.Verify(secret, []byte(body)); err != nil {
			t.Errorf("%s: %v", date, err)
		}
		s.Time = s.Time.Add(time.Second)
		if err := s.Verify(secret, []byte(body)); err == nil {
			t.Errorf("%s: the time is not signed", date)
		}
	}
}
