package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// The seeds are documents of all kinds, good and bad.
func seeds(f *testing.F) {
	for _, doc := range []string{
		string(Default(account)),
		string(Build(account, []string{alice}, []string{bob, role, session}, true)),
		policyOf([]string{plainStatement, `"Sid": "x", "Effect": "Deny", "NotPrincipal": {"AWS": ["` + alice + `", "` + account + `"]}, "NotAction": "kms:*Key*", "NotResource": "` + keyARN + `"`}),
		policyOf([]string{`"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:iam::*:user/${aws:username}", "` + keyARN + `"]`}),
		`{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "` + root + `", "Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}}`,
		policyOf([]string{`"Effect": "Allow", "Principal": "*", "Condition": {
			"StringLike": {"kms:EncryptionContext:a": ["*${aws:username}?", "${*}"]}, "StringNotEqualsIfExists": {"kms:ViaService": "x"},
			"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a", "b"]}, "ForAnyValue:ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"},
			"NumericLessThan": {"kms:RotationPeriodInDays": [1, "2.5"]}, "DateGreaterThan": {"aws:CurrentTime": "2024-05-01T12:00:00Z"},
			"Bool": {"aws:SecureTransport": true}, "Null": {"kms:RequestAlias": false}, "NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "::1"]},
			"BinaryEquals": {"kms:EncryptionContext:a": "QUI="}}`}),
		`{"Statement": [{"Effect": "Allow"}]}`, `{"a": [{}, [], null, 1e9, "\u0000"]}`, "",
	} {
		f.Add([]byte(doc), byte(0), "kms:Decrypt", keyARN, alice, "a", "10.0.0.1")
		f.Add([]byte(doc), byte(1), "kms:CreateKey", "*", session, "x,y", "2024-05-01")
		f.Add([]byte(doc), byte(2), "sts:AssumeRole", role, root, "", "true")
	}
}

// What Parse accepts has one meaning: spacing and repetition change nothing, and
// each decision keeps the rules that all decisions keep.
func FuzzDecide(f *testing.F) {
	seeds(f)
	own, err := Parse([]byte(policyOf([]string{`"Effect": "Allow", "Action": "*"`})), IdentityPolicy)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, doc []byte, k byte, action, resource, arn, names, value string) {
		kind := Kind(k % 3)
		p, err := Parse(doc, kind)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" {
				t.Fatalf("%#v is no *Error", err)
			}
			return
		}
		r := &Request{Action: action, Resource: resource, Caller: caller(arn), Context: func(key string) []string {
			switch key {
			case "kms:encryptioncontextkeys", "kms:grantoperations", "aws:tagkeys", "kms:resourcealiases":
				return strings.Split(names, ",")
			case "kms:requestalias":
				return nil
			}
			if key != fold(key) {
				t.Errorf("asked for %q", key)
			}
			return []string{value}
		}}
		decide := func(p *Policy) [2]Decision {
			if kind == IdentityPolicy {
				return [2]Decision{Decide(r, nil, []*Policy{p}), Decide(r, nil, []*Policy{own, p})}
			}
			return [2]Decision{Decide(r, p, nil), Decide(r, p, []*Policy{own})}
		}
		got := decide(p)
		for i, d := range got {
			if d.Allowed && d.Explicit || d.By != ResourceBased && d.By != IdentityBased || d.Allowed != (d.Reason(action) == "") {
				t.Errorf("decision %d is %+v", i, d)
			}
		}
		if got[0].Allowed && !got[1].Allowed {
			t.Error("another Allow denies")
		}
		if got[0].Explicit != got[1].Explicit {
			t.Error("an Allow overrules a Deny, or makes one")
		}
		var compact, indented bytes.Buffer
		if json.Compact(&compact, doc) != nil || json.Indent(&indented, doc, "\t", " ") != nil {
			t.Fatalf("not JSON: %q", doc)
		}
		for _, again := range [][]byte{doc, compact.Bytes(), indented.Bytes()} {
			p, err := Parse(again, kind)
			if err != nil && len(again) <= len(doc) {
				t.Fatalf("spacing makes a policy none: %v: %q", err, again)
			}
			if err == nil && decide(p) != got {
				t.Errorf("%q decides otherwise: %+v, %+v", again, decide(p), got)
			}
		}
	})
}

// A pattern without wildcards and variables matches itself alone, and one that
// is enclosed in stars whatever contains it.
func FuzzPattern(f *testing.F) {
	f.Add("a*b?", "aXbY", "é")
	f.Add("${aws:username}", "alice", "")
	f.Fuzz(func(t *testing.T, value, text, more string) {
		if !utf8.ValidString(value) {
			return // no JSON string
		}
		for _, variables := range []bool{false, true} {
			p := &parser{variables: variables}
			g, err := p.pattern(value, true)
			if err != nil {
				continue
			}
			g, ok := g.expand(decrypt(alice))
			if !ok {
				continue
			}
			if g.match(text) && !(g + star).match(text+more) {
				t.Errorf("%q matches %q, and with * not %q", value, text, text+more)
			}
			if !strings.ContainsAny(value, "*?$") && g.match(text) != (value == text) {
				t.Errorf("%q matches %q", value, text)
			}
		}
	})
}
