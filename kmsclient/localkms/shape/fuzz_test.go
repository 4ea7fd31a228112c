package shape

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// comparable ways of saying nothing: nil and empty.
var equateEmpty = cmpopts.EquateEmpty()

var seeds = []string{
	``, `{}`, `{"TheName":"a","Spec":"A","Optional":"\ud83d\ude00","Password":"1234567","Flag":true,"MaybeFlag":false}`,
	`{"TheName":"","Count":-5,"Big":9007199254740993,"Blob":"AP8=","SecretBlob":"","At":1767323045.678,"Since":"2026-01-02T03:04:05+01:00"}`,
	`{"TheName":"","Context":{"a":"b","c":"\\"},"Tokens":[],"Operations":["Sign","Verify"],"Words":["a"],"Tags":[{"TagKey":"k","TagValue":""}]}`,
	`{"TheName":"n","Constraints":{"EncryptionContextSubset":{"a":"b"},"Note":"ab"},"Plain":{"Note":null},"Limit":1,"Marker":"m"}`,
	`{"Recipient":{"a":[1,-2.5e-3,"\u0000",null,true,false]},"other":0}`, `{"TheName":"\ud800"}`, `{"Flag":true,"Flag":true}`, `[{`,
}

// What Decode accepts is JSON and within its limits; printed and read again it
// stays what it is; and encoding/json understands the same. What it calls
// malformed is no JSON.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in everything
		err := Decode(body, &in)
		valid := json.Valid(body) || len(bytes.Trim(body, " \t\r\n")) == 0
		if e, ok := err.(*Error); err != nil && !ok {
			t.Fatalf("error of type %T", err)
		} else if ok {
			if !valid && e.Code != "SerializationException" {
				t.Errorf("%q is no JSON, and refused by %v", body, err)
			}
			stricter := strings.HasSuffix(e.Message, "lone surrogate") || strings.HasSuffix(e.Message, "nested too deep")
			if valid && strings.HasPrefix(e.Message, "Malformed") && !stricter {
				t.Errorf("%q is JSON, and refused by %v", body, err)
			}
			if p := Params(in); p != nil && !json.Valid(p) { // of whatever was read
				t.Errorf("%q has the parameters %s", body, p)
			}
			if len(e.Message) > 40_000 {
				t.Errorf("a message of %d bytes", len(e.Message))
			}
			return
		}
		if !valid {
			t.Fatalf("accepts %q", body)
		}
		if err := Validate(in); err != nil {
			t.Errorf("%q decodes; then %v", body, err)
		}
		for _, style := range []Style{Wire, CLI} {
			again := everything{}
			printed := Encode(in, style)
			if style == CLI && (in.At != nil || !in.Since.IsZero()) {
				if !json.Valid(printed) {
					t.Errorf("%q prints as %s", body, printed)
				}
				continue // at the edges the local zone leaves the range
			}
			if err := Decode(printed, &again); err != nil {
				t.Fatalf("%q prints as %s, which is refused: %v", body, printed, err)
			}
			if diff := cmp.Diff(in, again, comparePages, equateEmpty); diff != "" {
				t.Errorf("%q prints as %s\n%s", body, printed, diff)
			}
		}
		if p := Params(in); p != nil && !json.Valid(p) {
			t.Errorf("%q has the parameters %s", body, p)
		}
		compareWithStandard(t, body, in)
	})
}

// compareWithStandard holds what Decode read against what encoding/json reads.
func compareWithStandard(t *testing.T, body []byte, in everything) {
	var std struct {
		everything
		At, Since json.RawMessage // encoding/json does not know seconds
	}
	if len(bytes.Trim(body, " \t\r\n")) == 0 {
		return
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&std); err != nil {
		t.Fatalf("encoding/json refuses %q: %v", body, err)
	}
	in.At, in.Since = nil, Time{}
	if diff := cmp.Diff(std.everything, in, comparePages); diff != "" {
		t.Errorf("encoding/json (-) reads %q differently\n%s", body, diff)
	}
}

// Any answer, printed, is the JSON of its values.
func TestEncodeProperty(t *testing.T) {
	text := rapid.StringN(0, 5, -1)
	tags := rapid.SliceOf(rapid.Custom(func(t *rapid.T) tag { return tag{text.Draw(t, "k"), text.Draw(t, "v")} }))
	rapid.Check(t, func(t *rapid.T) {
		out := answer{
			KeyID: text.Draw(t, "id"), Enabled: rapid.Bool().Draw(t, "enabled"), Days: rapid.Int().Draw(t, "days"),
			Plaintext: rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext"), Tags: tags.Draw(t, "tags"),
			Context: rapid.MapOf(text, text).Draw(t, "context"), Optional: rapid.Ptr(rapid.Bool(), true).Draw(t, "optional"),
		}
		printed := Encode(out, Wire)
		var back answer
		if err := json.Unmarshal(printed, &back); err != nil {
			t.Fatalf("%s: %v", printed, err)
		}
		if diff := cmp.Diff(out, back, cmp.AllowUnexported(answer{}), equateEmpty); diff != "" {
			t.Errorf("%s\n%s", printed, diff)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, printed, "", "    "); err != nil || indented.String() != string(Encode(out, CLI)) {
			t.Errorf("indented it is not %s, %v", Encode(out, CLI), err)
		}
	})
}
