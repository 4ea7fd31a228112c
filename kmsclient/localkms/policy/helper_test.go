package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

const (
	account = "111122223333"
	root    = "arn:aws:iam::111122223333:root"
	alice   = "arn:aws:iam::111122223333:user/alice"
	bob     = "arn:aws:iam::111122223333:user/team/bob"
	role    = "arn:aws:iam::111122223333:role/backup"
	session = "arn:aws:sts::111122223333:assumed-role/backup/nightly"
	keyARN  = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)

// caller makes the Caller of one of the ARNs above.
func caller(arn string) Caller {
	c := Caller{ARN: arn, Account: account, Root: arn == root}
	if arn == session {
		c.Role = role
	}
	return c
}

func decrypt(arn string) *Request {
	return &Request{Action: "kms:Decrypt", Resource: keyARN, Caller: caller(arn)}
}

// contextOf is a Context of values by key.
func contextOf(values map[string][]string) Context {
	return func(key string) []string { return values[key] }
}

func parse(t testing.TB, kind Kind, doc string) *Policy {
	t.Helper()
	p, err := Parse([]byte(doc), kind)
	if err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return p
}

// keyPolicy and identityPolicy parse statements written without the braces and
// elements that every one has: Action kms:Decrypt and Resource * unless given.
func keyPolicy(t testing.TB, statements ...string) *Policy {
	t.Helper()
	return parse(t, KeyPolicy, policyOf(statements))
}

func identityPolicy(t testing.TB, statements ...string) *Policy {
	t.Helper()
	return parse(t, IdentityPolicy, policyOf(statements))
}

func policyOf(statements []string) string {
	all := slices.Clone(statements)
	for i, s := range all {
		for element, value := range map[string]string{"Action": "kms:Decrypt", "Resource": "*"} {
			if !strings.Contains(s, `"`+element) && !strings.Contains(s, `"Not`+element) {
				s += `, "` + element + `": "` + value + `"`
			}
		}
		all[i] = "{" + s + "}"
	}
	return `{"Version": "2012-10-17", "Statement": [` + strings.Join(all, ",") + "]}"
}

// split takes JSON values apart that stand one after the other.
func split(t testing.TB, values string) (out []string) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(values)); d.More(); {
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		out = append(out, string(v))
	}
	return out
}
