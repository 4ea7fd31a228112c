package shape

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type more struct {
	Truncated  bool
	NextMarker string `json:",omitempty"`
}

// answer has what answers of AWS are made of.
type answer struct {
	KeyID      string `json:"KeyId"`
	Enabled    bool
	Days       int
	Plaintext  []byte `json:",omitempty"`
	Blob       []byte
	Created    *Time
	Deleted    *Time
	Plain      Time
	Algorithms []operation
	Tags       []tag
	Context    context
	Nested     constraints
	more
	Optional *bool
	secret   string
}

func TestEncode(t *testing.T) {
	at := &Time{time.Date(2026, 1, 2, 3, 4, 5, 678912e3, time.UTC)}
	for want, out := range map[string]any{
		`{}`:                            struct{}{},
		`{"Truncated":false}`:           more{},
		`{"TagValue":""}`:               &tag{},
		`{"TagKey":"a","TagValue":"b"}`: tag{"a", "b"},
		`{"KeyId":"","Enabled":false,"Days":0,"Blob":"","Algorithms":[],"Tags":[],"Context":{},"Nested":{},"Truncated":false}`: answer{secret: "x"},
		`{"KeyId":"k","Enabled":true,"Days":-7,"Plaintext":"AP8=","Blob":"","Created":1767323045.678,"Plain":-1.005,"Algorithms":["a","b"],` +
			`"Tags":[{"TagKey":"a","TagValue":""},{"TagValue":"b"}],"Context":{"a":"1","b":"2","c":"3"},"Nested":{"EncryptionContextSubset":{"x":""}},` +
			`"Truncated":true,"NextMarker":"m","Optional":false}`: answer{
			KeyID: "k", Enabled: true, Days: -7, Plaintext: []byte{0, 255}, Blob: []byte{}, Created: at, Plain: Time{time.UnixMilli(-1005)},
			Algorithms: []operation{"a", "b"}, Tags: []tag{{"a", ""}, {"", "b"}}, Context: context{"b": "2", "c": "3", "a": "1"},
			Nested: constraints{EncryptionContextSubset: context{"x": ""}}, more: more{true, "m"}, Optional: new(false),
		},
	} {
		got := Encode(out, Wire)
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
	for _, nothing := range []any{nil, (*answer)(nil)} {
		if got := Encode(nothing, CLI); string(got) != "{}" {
			t.Errorf("%#v prints as %s", nothing, got)
		}
	}
}

func TestEncodeText(t *testing.T) {
	for text, want := range map[string]string{
		"plain":             `plain`,
		"\"\\\b\f\n\r\t":    `\"\\\b\f\n\r\t`,
		"\x00\x0b\x1f\x7f":  `\u0000\u000b\u001f` + "\x7f",
		"<&>'/":             `<&>'/`, // HTML is not our business
		"é€😀\u2028\u2029":   "é€😀\u2028\u2029",
		"\xff\ufffda\xc3(b": "\ufffd\ufffda\ufffd(b",
	} {
		out := struct{ S string }{text}
		want = `{"S":"` + want + `"}`
		if got := Encode(out, Wire); string(got) != want {
			t.Errorf("%q prints as %s, want %s", text, got, want)
		}
		if !json.Valid([]byte(want)) {
			t.Errorf("%s is not JSON", want)
		}
	}
}

// As `aws` prints it.
func TestEncodeCLI(t *testing.T) {
	out := answer{KeyID: "é", Algorithms: []operation{"a", "b"}, Tags: []tag{{"a", "b"}}, Context: context{"k": "v"}}
	const want = `{
    "KeyId": "é",
    "Enabled": false,
    "Days": 0,
    "Blob": "",
    "Algorithms": [
        "a",
        "b"
    ],
    "Tags": [
        {
            "TagKey": "a",
            "TagValue": "b"
        }
    ],
    "Context": {
        "k": "v"
    },
    "Nested": {},
    "Truncated": false
}`
	if diff := cmp.Diff(want, string(Encode(out, CLI))); diff != "" {
		t.Error(diff)
	}
}

// A document is text on the wire and in the audit log, and JSON for `aws`.
func TestEncodeDocument(t *testing.T) {
	type policy struct {
		Name     string
		Document string `kms:"document"`
	}
	for text, cli := range map[string]string{
		" {\"A\":[\"<\",1],\"B\":{}}\n": "{\n        \"A\": [\n            \"<\",\n            1\n        ],\n        \"B\": {}\n    }",
		"{not JSON}":                    `"{not JSON}"`,
		"":                              `""`,
	} {
		out := policy{"n", text}
		if got, want := string(Encode(out, CLI)), "{\n    \"Name\": \"n\",\n    \"Document\": "+cli+"\n}"; got != want {
			t.Errorf("%q prints as %s, want %s", text, got, want)
		}
		var back policy
		if err := json.Unmarshal(Encode(out, Wire), &back); err != nil || back != out {
			t.Errorf("%q comes back as %q, %v", text, back.Document, err)
		}
	}
	var got struct{ Document string }
	if err := json.Unmarshal(Params(policy{Document: "{}"}), &got); err != nil || got.Document != "{}" {
		t.Errorf("in the audit log: %+v, %v", got, err)
	}
}

func TestEncodeTime(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("", -7*3600)
	defer func() { time.Local = local }()
	for _, test := range []struct {
		at                time.Time
		wire, cli, params string
	}{
		{time.Date(2021, 6, 15, 18, 42, 39, 421e6, time.UTC), `1623782559.421`, `"2021-06-15T11:42:39.421000-07:00"`, `"2021-06-15T18:42:39.421Z"`},
		{time.Date(2021, 6, 15, 18, 42, 39, 0, time.UTC), `1623782559.000`, `"2021-06-15T11:42:39-07:00"`, `"2021-06-15T18:42:39Z"`},
		{time.Date(2021, 6, 15, 11, 42, 39, 999, time.Local), `1623782559.000`, `"2021-06-15T11:42:39-07:00"`, `"2021-06-15T18:42:39Z"`},
		{time.Date(2021, 6, 15, 11, 42, 39, 42e3, time.Local), `1623782559.000`, `"2021-06-15T11:42:39.000042-07:00"`, `"2021-06-15T18:42:39Z"`},
		{time.UnixMilli(-1), `-0.001`, `"1969-12-31T16:59:59.999000-07:00"`, `"1969-12-31T23:59:59.999Z"`},
	} {
		out := struct{ At *Time }{&Time{test.at}}
		for want, got := range map[string][]byte{
			`{"At":` + test.wire + `}`:           Encode(out, Wire),
			"{\n    \"At\": " + test.cli + "\n}": Encode(out, CLI),
			`{"at":` + test.params + `}`:         Params(out),
		} {
			if string(got) != want {
				t.Errorf("%v prints as %s, want %s", test.at, got, want)
			}
		}
	}
}

func TestParams(t *testing.T) {
	for want, in := range map[string]any{
		``:              encryptInput{Plaintext: []byte("secret")},
		`{"keyId":"k"}`: &encryptInput{KeyID: "k", Plaintext: []byte("secret"), Recipient: 1},
		`{"keyId":"k","encryptionContext":{"A":"1","b":"2"},"encryptionAlgorithm":"x","grantTokens":["t"],"dryRun":true}`: encryptInput{
			KeyID: "k", EncryptionContext: map[string]string{"b": "2", "A": "1"}, EncryptionAlgorithm: "x", GrantTokens: []string{"t"}, DryRun: true,
		},
		// What may be empty and must be there is given.
		`{"theName":""}`: everything{},
		`{"theName":"n","maybeFlag":false,"since":"2026-01-02T00:00:00Z","context":{},"tokens":[],"tags":[{"tagKey":"k","tagValue":""}],` +
			`"constraints":{},"plain":{"encryptionContextSubset":{"X":"y"}},"limit":0,"marker":"m"}`: everything{
			Name: "n", Password: "secret", MaybeFlag: new(false), Blob: []byte("b"), SecretBlob: []byte("s"),
			Since: Time{time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}, Context: context{}, Tokens: []string{}, Words: []string{"w"},
			Tags: []tag{{"k", ""}}, Constraints: &constraints{Note: "secret"}, Plain: constraints{EncryptionContextSubset: context{"X": "y"}},
			page: page{Limit: new(0), Marker: "m"}, unexported: "u", NotAMember: []byte("{}"),
		},
		`{"aWSAccountId":"1"}`: struct{ AWSAccountId string }{"1"},
	} {
		if diff := cmp.Diff(want, string(Params(in))); diff != "" {
			t.Error(diff)
		}
	}
	if p := Params(page{}); p != nil {
		t.Errorf("nothing prints as %q", p)
	}
	if p := Params((*page)(nil)); p != nil {
		t.Errorf("nil prints as %q", p)
	}
}

// The two styles differ in white space alone where there are no timestamps.
func TestStylesAgree(t *testing.T) {
	out := answer{Algorithms: []operation{"\n", "\""}, Tags: []tag{{}, {}}, Context: context{"a": "\\", "": "{ }"}}
	var indented bytes.Buffer
	if err := json.Indent(&indented, Encode(out, Wire), "", "    "); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(indented.String(), string(Encode(out, CLI))); diff != "" {
		t.Error(diff)
	}
}
