package shape

import (
	"bytes"
	"encoding/base64"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// valid is an everything without a violation.
func valid(change func(*everything)) everything {
	in := everything{Name: "n"}
	change(&in)
	return in
}

const (
	lengthAtLeast = "Member must have length greater than or equal to "
	lengthAtMost  = "Member must have length less than or equal to "
	operations    = "Member must satisfy constraint: [Member must satisfy enum value set: [Decrypt, Encrypt, GenerateDataKey, " +
		"GenerateDataKeyWithoutPlaintext, ReEncryptFrom, ReEncryptTo, Sign, Verify, GetPublicKey, CreateGrant, RetireGrant, DescribeKey, " +
		"GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext, GenerateMac, VerifyMac, DeriveSharedSecret]]"
)

// Go structs, and what AWS would say of them: "value at 'path'" and the constraint.
func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*everything)
		want   []string
	}{
		"nothing wrong":         {func(*everything) {}, nil},
		"may be empty":          {func(in *everything) { in.Name = "" }, nil},
		"longest":               {func(in *everything) { in.Name = "é€😀x" }, nil},
		"one too long":          {func(in *everything) { in.Name = "12345" }, []string{"'12345' at 'theName'", lengthAtMost + "4"}},
		"enum":                  {func(in *everything) { in.Spec = "a" }, []string{"'a' at 'spec'", "Member must satisfy enum value set: [A, B]"}},
		"enum, right":           {func(in *everything) { in.Spec = "B" }, nil},
		"secret":                {func(in *everything) { in.Password = "secret" }, []string{"at 'password'", lengthAtLeast + "7"}},
		"low":                   {func(in *everything) { in.Count = -6 }, []string{"'-6' at 'count'", "Member must have value greater than or equal to -5"}},
		"high":                  {func(in *everything) { in.Count = 6 }, []string{"'6' at 'count'", "Member must have value less than or equal to 5"}},
		"pointer to zero":       {func(in *everything) { in.Limit = new(0) }, []string{"'0' at 'limit'", "Member must have value greater than or equal to 1"}},
		"bounds":                {func(in *everything) { in.Limit, in.Count = new(1000), -5 }, nil},
		"empty blob":            {func(in *everything) { in.Blob = []byte{} }, []string{"at 'blob'", lengthAtLeast + "1"}},
		"long blob":             {func(in *everything) { in.Blob = make([]byte, 9) }, []string{"at 'blob'", lengthAtMost + "8"}},
		"pattern":               {func(in *everything) { in.Marker = "aÿĀ" }, []string{"'aÿĀ' at 'marker'", `Member must satisfy regular expression pattern: [\u0020-\u00FF]*`}},
		"pattern, a line":       {func(in *everything) { in.Marker = "a\n" }, []string{"'a\n' at 'marker'", `Member must satisfy regular expression pattern: [\u0020-\u00FF]*`}},
		"pattern, right":        {func(in *everything) { in.Marker = " ÿ" }, nil},
		"operation":             {func(in *everything) { in.Operations = []operation{"Sign", "sign"} }, []string{"'[Sign, sign]' at 'operations'", operations}},
		"secret items":          {func(in *everything) { in.Words = []string{"a", "abcd"} }, []string{"at 'words'", "Member must satisfy constraint: [" + lengthAtMost + "3, " + lengthAtLeast + "1]"}},
		"many secret items":     {func(in *everything) { in.Words = []string{"a", "b", "c"} }, []string{"at 'words'", lengthAtMost + "2"}},
		"no tags":               {func(in *everything) { in.Tags = []tag{} }, []string{"at 'tags'", lengthAtLeast + "1"}},
		"tag without key":       {func(in *everything) { in.Tags = []tag{{"a", ""}, {"", "b"}} }, []string{"null at 'tags.2.member.tagKey'", "Member must not be null"}},
		"map":                   {func(in *everything) { in.Plain.EncryptionContextSubset = context{"b": "2", "a": "1", "c": "3"} }, []string{"'{a=1, b=2, c=3}' at 'plain.encryptionContextSubset'", lengthAtMost + "2"}},
		"nested":                {func(in *everything) { in.Constraints = &constraints{Note: "a"} }, []string{"at 'constraints.note'", lengthAtLeast + "2"}},
		"not UTF-8":             {func(in *everything) { in.Name = "\xff" }, []string{"at 'theName'", "Member must be valid UTF-8"}},
		"not UTF-8 in a list":   {func(in *everything) { in.Tokens = []string{"a", "\xff"} }, []string{"at 'tokens'", "Member must be valid UTF-8"}},
		"not UTF-8, a key":      {func(in *everything) { in.Context = context{"\xff": ""} }, []string{"at 'context'", "Member must be valid UTF-8"}},
		"not UTF-8, a value":    {func(in *everything) { in.Context = context{"": "\xff"} }, []string{"at 'context'", "Member must be valid UTF-8"}},
		"two of one member":     {func(in *everything) { in.Marker = strings.Repeat("Ā", 1025) }, []string{"'" + strings.Repeat("Ā", shown) + "...' at 'marker'", lengthAtMost + "1024", "'" + strings.Repeat("Ā", shown) + "...' at 'marker'", `Member must satisfy regular expression pattern: [\u0020-\u00FF]*`}},
		"in the members' order": {func(in *everything) { in.Limit, in.Plain.Note, in.Tags, in.Spec = new(0), "a", []tag{{"", "b"}}, "x" }, []string{"'x' at 'spec'", "Member must satisfy enum value set: [A, B]", "null at 'tags.1.member.tagKey'", "Member must not be null", "at 'plain.note'", lengthAtLeast + "2", "'0' at 'limit'", "Member must have value greater than or equal to 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := valid(test.change)
			want := violationMessage(test.want)
			for _, in := range []any{in, &in} {
				if got := message(Validate(in)); got != want {
					t.Errorf("\n got %s\nwant %s", got, want)
				}
			}
			if strings.Contains(want, "UTF-8") {
				return
			}
			// The same request over HTTP; omitempty hides the empty blob and list.
			body := Encode(in, Wire)
			if len(in.Blob) == 0 && in.Blob != nil {
				body = slices.Replace(body, len(body)-1, len(body), []byte(`,"Blob":""}`)...)
			}
			if len(in.Tags) == 0 && in.Tags != nil {
				body = slices.Replace(body, len(body)-1, len(body), []byte(`,"Tags":[]}`)...)
			}
			if got := message(Decode(body, &everything{})); got != want {
				t.Errorf("\n decoding %s\n got %s\nwant %s", body, got, want)
			}
		})
	}
}

// violationMessage is AWS's message for pairs of value and constraint.
func violationMessage(pairs []string) string {
	if len(pairs) == 0 {
		return ""
	}
	var all []string
	for p := range slices.Chunk(pairs, 2) {
		all = append(all, "Value "+p[0]+" failed to satisfy constraint: "+p[1])
	}
	count := "1 validation error detected: "
	if len(all) > 1 {
		count = string(rune('0'+len(all))) + " validation errors detected: "
	}
	return "ValidationException: " + count + strings.Join(all, "; ")
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// JSON tells "" and 0 from absent, where a Go struct does not.
func TestDecodePresence(t *testing.T) {
	for body, want := range map[string][]string{
		`{}`: {"null at 'keyId'", "Member must not be null", "null at 'plaintext'", "Member must not be null"},
		`{"KeyId":"","Plaintext":"","EncryptionAlgorithm":""}`: {
			"'' at 'keyId'", lengthAtLeast + "1", "at 'plaintext'", lengthAtLeast + "1",
			"'' at 'encryptionAlgorithm'", "Member must satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]",
		},
		`{"KeyId":null,"Plaintext":"YQ=="}`:                  {"null at 'keyId'", "Member must not be null"},
		`{"Plaintext":"YQ==","GrantTokens":[""],"KeyId":""}`: {"'' at 'keyId'", lengthAtLeast + "1", "'[]' at 'grantTokens'", "Member must satisfy constraint: [" + lengthAtMost + "8192, " + lengthAtLeast + "1]"},
	} {
		if got, want := message(Decode([]byte(body), &encryptInput{})), violationMessage(want); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	for body, want := range map[string][]string{
		`{"Tags":[{"TagKey":"k"},{"TagValue":"v","TagKey":""}]}`: {
			"null at 'theName'", "Member must not be null",
			"null at 'tags.1.member.tagValue'", "Member must not be null", "'' at 'tags.2.member.tagKey'", lengthAtLeast + "1",
		},
		`{"Limit":0,"TheName":"","Marker":""}`: {"'0' at 'limit'", "Member must have value greater than or equal to 1", "'' at 'marker'", lengthAtLeast + "1"},
		`{"TheName":"","Count":0}`:             nil,
	} {
		if got, want := message(Decode([]byte(body), &everything{})), violationMessage(want); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
}

func TestValidateUnsupported(t *testing.T) {
	in := valid(func(in *everything) { in.Recipient, in.Spec = map[string]int{}, "wrong" })
	var e *Error
	if err := Validate(in); !errors.As(err, &e) || e.Code != "UnsupportedOperationException" ||
		e.Message != "The Recipient parameter is not supported." {
		t.Errorf("%v", err)
	}
	nested := struct{ Within []struct{ everything } }{[]struct{ everything }{{in}}}
	if err := Validate(nested); !errors.As(err, &e) || e.Code != "UnsupportedOperationException" {
		t.Errorf("%v", err)
	}
}

// A request with countless violations gets a message of bounded length.
func TestManyViolations(t *testing.T) {
	in := struct{ Tags []tag }{make([]tag, 100_000)}
	body := []byte(`{"Tags":[` + strings.Repeat("{},", 99_999) + `{}]}`)
	for want, err := range map[string]error{
		"100000 validation errors detected: ": Validate(in), // an empty TagValue may be meant
		"200000 validation errors detected: ": Decode(body, &in),
	} {
		m := err.(*Error).Message
		if !strings.HasPrefix(m, want) || len(m) > 10_000 || strings.Count(m, "Value null") != printed {
			t.Errorf("%d bytes: %.200s", len(m), m)
		}
	}
}

// However many there are, few are kept.
func TestViolationsKept(t *testing.T) {
	var b violations
	for range 1000 {
		b.add(0, &member{}, "", "")
	}
	if len(b.list) != kept || b.count != 1000 {
		t.Errorf("%d of %d kept, want %d", len(b.list), b.count, kept)
	}
}

// A secret that arrives with escapes stays in the struct alone.
func TestScratchIsWiped(t *testing.T) {
	for _, body := range []string{`{"Password":"\TOPSECRET"}`, `{"SecretBlob":"\/TOPSECRET"}`, `{"Password":"\TOPSECRET`} {
		var in everything
		d := decoder{scanner: scanner{data: []byte(body)}}
		_ = d.request(planOf(reflect.TypeFor[everything]()), reflect.ValueOf(&in).Elem())
		if s := d.scratch[:cap(d.scratch)]; len(s) == 0 || bytes.Count(s, []byte{0}) != len(s) {
			t.Errorf("%s leaves %q", body, s)
		}
	}
}

// No message and no audit record shows what a secret member holds.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "TOPSECRET"
	long := strings.Repeat(secret, 10)
	in := valid(func(in *everything) {
		in.Password, in.Blob, in.SecretBlob = long, []byte(long), []byte(long)
		in.Words = []string{secret, secret, secret}
		in.Constraints, in.Plain.Note = &constraints{Note: secret}, secret
	})
	decoded := Decode(Encode(in, Wire), &everything{})
	for _, s := range []string{message(Validate(in)), message(decoded), string(Params(in))} {
		if strings.Contains(s, secret[:3]) || strings.Contains(s, base64.StdEncoding.EncodeToString([]byte(secret))) {
			t.Error(s)
		}
	}
	if n := strings.Count(message(decoded), "; "); n != 5 {
		t.Errorf("%d violations, want 6: %v", n+1, decoded)
	}
	// Nor does a message about JSON that goes wrong at a secret.
	for _, value := range []string{`"` + secret + `"`, secret, `["` + secret + `"]`, `"` + secret, `{"` + secret + `":1}`} {
		if err := Decode([]byte(`{"SecretBlob":`+value+`}`), &in); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}
