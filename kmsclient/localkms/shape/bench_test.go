package shape

import (
	"encoding/base64"
	"strings"
	"testing"
)

// encryptRequest is as an SDK sends it: 32 bytes, two entries of context.
var encryptRequest = []byte(`{"KeyId":"arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",` +
	`"Plaintext":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `",` +
	`"EncryptionContext":{"purpose":"file system","volume":"1234abcd-12ab-34cd-56ef-1234567890ab"}}`)

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(encryptRequest)))
	for b.Loop() {
		var in encryptInput
		if err := Decode(encryptRequest, &in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodePolicy(b *testing.B) {
	var in struct {
		Policy string `kms:"len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	}
	body := []byte(`{"Policy":"` + strings.Repeat("{ }", 1000) + `"}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := Decode(body, &in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	var in encryptInput
	if err := Decode(encryptRequest, &in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate(&in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParams(b *testing.B) {
	var in encryptInput
	if err := Decode(encryptRequest, &in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(Params(&in)) == 0 {
			b.Fatal("nothing")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	out := struct {
		CiphertextBlob             []byte
		KeyId, EncryptionAlgorithm string
	}{make([]byte, 149), "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab", "SYMMETRIC_DEFAULT"}
	b.ReportAllocs()
	for b.Loop() {
		Encode(&out, Wire)
	}
}
