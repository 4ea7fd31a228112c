package shape

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var comparePages = cmp.AllowUnexported(everything{})

func TestDecode(t *testing.T) {
	at := &Time{time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)}
	for name, test := range map[string]struct {
		body string
		want everything
	}{
		"one member":        {`{"TheName":"a"}`, everything{Name: "a"}},
		"white space":       {" \t\r\n{ \"TheName\" : \"a\" , \"Flag\" : true } \n", everything{Name: "a", Flag: true}},
		"null is absent":    {`{"TheName":"a","Flag":null,"Tags":null,"At":null,"Optional":null}`, everything{Name: "a"}},
		"empty string":      {`{"TheName":"","Optional":""}`, everything{Optional: new("")}},
		"false":             {`{"TheName":"","Flag":false,"MaybeFlag":false}`, everything{MaybeFlag: new(false)}},
		"integers":          {`{"TheName":"","Count":-5,"Big":9223372036854775807}`, everything{Count: -5, Big: new(int64(1<<63 - 1))}},
		"minus zero":        {`{"TheName":"","Big":-0}`, everything{Big: new(int64(0))}},
		"base64":            {`{"TheName":"","Blob":"AP8=","SecretBlob":""}`, everything{Blob: []byte{0, 255}, SecretBlob: []byte{}}},
		"base64, escaped":   {`{"TheName":"","Blob":"\u002f\/8="}`, everything{Blob: []byte{255, 255}}},
		"seconds":           {`{"TheName":"","At":1767323045.678,"Since":1.767323045678e9}`, everything{At: at, Since: *at}},
		"whole seconds":     {`{"TheName":"","Since":0}`, everything{Since: Time{time.Unix(0, 0).UTC()}}},
		"before 1970":       {`{"TheName":"","Since":-0.001}`, everything{Since: Time{time.UnixMilli(-1).UTC()}}},
		"ISO 8601":          {`{"TheName":"","At":"2026-01-02T03:04:05.678Z","Since":"2026-01-02T04:04:05.678+01:00"}`, everything{At: at, Since: *at}},
		"to milliseconds":   {`{"TheName":"","At":"2026-01-02T03:04:05.6775Z","Since":1767323045.6775}`, everything{At: at, Since: *at}},
		"map":               {`{"TheName":"","Context":{"":"b","c":""}}`, everything{Context: context{"": "b", "c": ""}}},
		"empty collections": {`{"TheName":"","Context":{},"Tokens":[]}`, everything{Context: context{}, Tokens: []string{}}},
		"lists":             {`{"TheName":"","Tokens":["a",""],"Operations":["Sign"]}`, everything{Tokens: []string{"a", ""}, Operations: []operation{"Sign"}}},
		"structures": {
			`{"TheName":"","Tags":[{"TagKey":"a","TagValue":"b"},{"TagValue":"","TagKey":"c"}],"Constraints":{"EncryptionContextSubset":{"a":"b"}},"Plain":{"Note":"ab"}}`,
			everything{
				Tags: []tag{{"a", "b"}, {"c", ""}}, Constraints: &constraints{EncryptionContextSubset: context{"a": "b"}},
				Plain: constraints{Note: "ab"},
			},
		},
		"embedded":         {`{"TheName":"","Limit":7,"Marker":"ÿ"}`, everything{page: page{Limit: new(7), Marker: "ÿ"}}},
		"escapes":          {`{"TheName":"","Optional":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00é😀"}`, everything{Optional: new("\"\\/\b\f\n\r\té😀é😀")}},
		"escaped name":     {`{"\u0054heName":"a"}`, everything{Name: "a"}},
		"unsupported null": {`{"TheName":"","Recipient":null}`, everything{}},
	} {
		t.Run(name, func(t *testing.T) {
			in := everything{Spec: "left over", Tokens: []string{"left over"}}
			err := Decode([]byte(test.body), &in)
			if diff := cmp.Diff(test.want, in, comparePages); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestDecodeNothing(t *testing.T) {
	for _, body := range []string{"", " \n", "{}", " {\n} "} {
		in := page{Marker: "left over"}
		if err := Decode([]byte(body), &in); err != nil || in != (page{}) {
			t.Errorf("%q: %+v, %v", body, in, err)
		}
	}
}

// Requests that are refused, by the code and what the message says.
func TestDecodeRefuses(t *testing.T) {
	const serialization, validation, unsupported = "SerializationException", "ValidationException", "UnsupportedOperationException"
	deep := strings.Repeat("[", maxDepth+1)
	for body, want := range map[string]Error{
		// Not JSON.
		`{`:                            {serialization, "Malformed JSON at byte 1: expected a member name"},
		`{"Flag":true`:                 {serialization, "Malformed JSON at byte 12: expected ','"},
		`{"Flag":true}}`:               {serialization, "Malformed JSON at byte 13: expected the end"},
		`{"Flag":true} {}`:             {serialization, "Malformed JSON at byte 14: expected the end"},
		"{}\x00":                       {serialization, "Malformed JSON at byte 2: expected the end"},
		"\x00":                         {serialization, "Malformed JSON at byte 0: expected a value"},
		"\ufeff{}":                     {serialization, "Malformed JSON at byte 0: expected a value"},
		`{"Flag":true,}`:               {serialization, "Malformed JSON at byte 13: expected a member name"},
		`{,"Flag":true}`:               {serialization, "Malformed JSON at byte 1: expected a member name"},
		`{"Flag" true}`:                {serialization, "Malformed JSON at byte 8: expected ':'"},
		`{"Flag":}`:                    {serialization, "Malformed JSON at byte 8: expected a value"},
		`{"Flag":tru}`:                 {serialization, "Malformed JSON at byte 8: expected a value"},
		`{"Flag":nul}`:                 {serialization, "Malformed JSON at byte 8: expected a value"},
		`{Flag:true}`:                  {serialization, "Malformed JSON at byte 1: expected a member name"},
		`{'Flag':true}`:                {serialization, "Malformed JSON at byte 1: expected a member name"},
		`{"Count":01}`:                 {serialization, "Malformed JSON at byte 10: expected ','"},
		`{"Count":-}`:                  {serialization, "Malformed JSON at byte 10: expected a digit"},
		`{"Count":1.}`:                 {serialization, "Malformed JSON at byte 11: expected a digit"},
		`{"Count":1e}`:                 {serialization, "Malformed JSON at byte 11: expected a digit"},
		`{"Count":+1}`:                 {serialization, "Malformed JSON at byte 9: expected a value"},
		`{"Since":NaN}`:                {serialization, "Malformed JSON at byte 9: expected a value"},
		`{"Tokens":["a",]}`:            {serialization, "Malformed JSON at byte 15: expected a value"},
		`{"Tokens":["a" "b"]}`:         {serialization, "Malformed JSON at byte 15: expected ','"},
		`{"Tokens":["a"}`:              {serialization, "Malformed JSON at byte 14: expected ','"},
		`{"Context":{"a"}}`:            {serialization, "Malformed JSON at byte 15: expected ':'"},
		`{"Optional":"a`:               {serialization, "Malformed JSON at byte 14: unexpected end"},
		`{"Optional":"\`:               {serialization, "Malformed JSON at byte 13: unexpected end"},
		`{"Optional":"\n`:              {serialization, "Malformed JSON at byte 15: unexpected end"},
		`{"Optional":"\x"}`:            {serialization, "Malformed JSON at byte 13: bad escape"},
		`{"Optional":"\u12"}`:          {serialization, "Malformed JSON at byte 13: bad escape"},
		`{"Optional":"\u12G4"}`:        {serialization, "Malformed JSON at byte 13: bad escape"},
		"{\"Optional\":\"\t\"}":        {serialization, "Malformed JSON at byte 13: control character in a string"},
		"{\"Optional\":\"\\n\x1f\"}":   {serialization, "Malformed JSON at byte 15: control character in a string"},
		`{"Optional":"\uD800"}`:        {serialization, "Malformed JSON at byte 19: lone surrogate"},
		`{"Optional":"\uDC00\uD800"}`:  {serialization, "Malformed JSON at byte 25: lone surrogate"},
		`{"Optional":"\uD800\uD800"}`:  {serialization, "Malformed JSON at byte 25: lone surrogate"},
		`{"Optional":"\uD800x\uDC00"}`: {serialization, "Malformed JSON at byte 19: lone surrogate"},
		"{\"Optional\":\"\xff\"}":      {serialization, "The request is not valid UTF-8"},
		"{}\xff":                       {serialization, "The request is not valid UTF-8"},
		`{"Recipient":` + deep:         {serialization, "Malformed JSON at byte 46: nested too deep"},
		`{"Recipient":x}`:              {serialization, "Malformed JSON at byte 13: expected a value"},
		`{"Recipient":[1,{"a":tru}]}`:  {serialization, "Malformed JSON at byte 21: expected a value"},

		// Not the member's type.
		`null`:                           {serialization, "Expected structure or null at 'request'"},
		`[]`:                             {serialization, "Expected structure or null at 'request'"},
		`"a"`:                            {serialization, "Expected structure or null at 'request'"},
		`{"TheName":1}`:                  {serialization, "NUMBER_VALUE can not be converted to a String at 'theName'"},
		`{"TheName":true}`:               {serialization, "TRUE_VALUE can not be converted to a String at 'theName'"},
		`{"TheName":[]}`:                 {serialization, "Start of list found where not expected at 'theName'"},
		`{"TheName":{}}`:                 {serialization, "Start of structure or map found where not expected at 'theName'"},
		`{"Flag":"true"}`:                {serialization, "STRING_VALUE can not be converted to a Boolean at 'flag'"},
		`{"Flag":1}`:                     {serialization, "NUMBER_VALUE can not be converted to a Boolean at 'flag'"},
		`{"Count":"1"}`:                  {serialization, "STRING_VALUE can not be converted to an Integer at 'count'"},
		`{"Count":1.0}`:                  {serialization, "NUMBER_VALUE can not be converted to an Integer at 'count'"},
		`{"Count":1e0}`:                  {serialization, "NUMBER_VALUE can not be converted to an Integer at 'count'"},
		`{"Count":2147483648}`:           {serialization, "NUMBER_VALUE can not be converted to an Integer at 'count'"},
		`{"Big":9223372036854775808}`:    {serialization, "NUMBER_VALUE can not be converted to an Integer at 'big'"},
		`{"Blob":7}`:                     {serialization, "NUMBER_VALUE can not be converted to a Blob at 'blob'"},
		`{"Blob":[97]}`:                  {serialization, "Start of list found where not expected at 'blob'"},
		`{"Blob":"YQ"}`:                  {serialization, "STRING_VALUE can not be converted to a Blob at 'blob': not base64"},
		`{"Blob":"YR=="}`:                {serialization, "STRING_VALUE can not be converted to a Blob at 'blob': not base64"},
		`{"Blob":"_-=="}`:                {serialization, "STRING_VALUE can not be converted to a Blob at 'blob': not base64"},
		`{"Blob":"YWFh\nYWFh"}`:          {serialization, "STRING_VALUE can not be converted to a Blob at 'blob': not base64"},
		`{"Blob":"YQ== "}`:               {serialization, "STRING_VALUE can not be converted to a Blob at 'blob': not base64"},
		`{"At":true}`:                    {serialization, "TRUE_VALUE can not be converted to a Timestamp at 'at'"},
		`{"At":"1767323045"}`:            {serialization, "STRING_VALUE can not be converted to a Timestamp at 'at': not ISO 8601"},
		`{"At":"2026-02-30T00:00:00Z"}`:  {serialization, "STRING_VALUE can not be converted to a Timestamp at 'at': not ISO 8601"},
		`{"At":1e999}`:                   {serialization, "Timestamp out of range at 'at'"},
		`{"At":-1e12}`:                   {serialization, "Timestamp out of range at 'at'"},
		`{"At":"0001-01-01T00:00:00Z"}`:  {serialization, "Timestamp out of range at 'at'"},
		`{"Context":[]}`:                 {serialization, "Expected map or null at 'context'"},
		`{"Context":{"a":1}}`:            {serialization, "NUMBER_VALUE can not be converted to a String at 'context'"},
		`{"Context":{"a":null}}`:         {serialization, "NULL_VALUE can not be converted to a String at 'context'"},
		`{"Tokens":"a"}`:                 {serialization, "Expected list or null at 'tokens'"},
		`{"Tokens":[null]}`:              {serialization, "NULL_VALUE can not be converted to a String at 'tokens'"},
		`{"Tokens":[["a"]]}`:             {serialization, "Start of list found where not expected at 'tokens'"},
		`{"Tags":[null]}`:                {serialization, "Expected structure or null at 'tags'"},
		`{"Tags":{}}`:                    {serialization, "Expected list or null at 'tags'"},
		`{"Constraints":[]}`:             {serialization, "Expected structure or null at 'constraints'"},
		`{"Flag":true,"Flag":true}`:      {serialization, "Duplicate member 'flag'"},
		`{"Flag":null,"Flag":true}`:      {serialization, "Duplicate member 'flag'"},
		`{"Flag":true,"\u0046lag":null}`: {serialization, "Duplicate member 'flag'"},
		`{"Context":{"a":"","a":""}}`:    {serialization, "Duplicate key at 'context'"},

		// Not ours.
		`{"theName":"a"}`:                  {validation, "Unknown member 'theName'"},
		`{"Name":"a"}`:                     {validation, "Unknown member 'Name'"},
		`{"page":null}`:                    {validation, "Unknown member 'page'"},
		`{"unexported":"a"}`:               {validation, "Unknown member 'unexported'"},
		`{"NotAMember":null}`:              {validation, "Unknown member 'NotAMember'"},
		`{"":[1,-2.5e3,"",{"a":[]},true]}`: {validation, "Unknown member ''"},
		`{"Tags":[{"Key":"a"}]}`:           {validation, "Unknown member 'Key'"},
		`{"x":1,"Recipient":{}}`:           {validation, "Unknown member 'x'"},
		`{"Recipient":{},"x":1}`:           {unsupported, "The Recipient parameter is not supported."},
		`{"x":1,"Count":"1"}`:              {serialization, "STRING_VALUE can not be converted to an Integer at 'count'"},
	} {
		var in everything
		err := Decode([]byte(body), &in)
		var e *Error
		if !errors.As(err, &e) || *e != want {
			t.Errorf("%q\n gives %v\n want  %v", body, err, &want)
		}
	}
	long := strings.Repeat("é", 1000)
	err := Decode([]byte(`{"`+long+`":1}`), &everything{})
	if want := "Unknown member '" + long[:2*shown] + "...'"; err.(*Error).Message != want {
		t.Errorf("%v", err)
	}
}

// What is decoded does not change with the request, and the request stays.
func TestDecodeCopies(t *testing.T) {
	const request = `{"TheName":"a","Tokens":["bcd","\u0062"],"Blob":"YWJj","Context":{"k":"v"},"Tags":[{"TagKey":"k","TagValue":"v"}]}`
	body := []byte(request)
	var in, want everything
	for _, v := range []*everything{&in, &want} {
		if err := Decode(body, v); err != nil {
			t.Fatal(err)
		}
	}
	if string(body) != request {
		t.Errorf("the request became %s", body)
	}
	clear(body)
	if !reflect.DeepEqual(in, want) || in.Tokens[1] != "b" {
		t.Errorf("%+v became %+v", want, in)
	}
}

// The hot path makes the strings and the map, and little else.
func TestDecodeAllocations(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		if err := Decode(encryptRequest, new(encryptInput)); err != nil {
			t.Fatal(err)
		}
	})
	if n > 14 {
		t.Errorf("%v allocations", n)
	}
}
