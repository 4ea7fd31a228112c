package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	// padded makes a document of exactly n bytes.
	padded := func(kind Kind, n int) []byte {
		s := policyOf([]string{plainStatement})
		if kind == IdentityPolicy {
			s = policyOf([]string{`"Effect": "Allow"`})
		}
		if kind == TrustPolicy {
			s = `{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}`
		}
		return []byte(s + strings.Repeat(" ", n-len(s)))
	}
	for kind, limit := range map[Kind]int{KeyPolicy: 32768, IdentityPolicy: 10240, TrustPolicy: 10240} {
		if _, err := Parse(padded(kind, limit), kind); err != nil {
			t.Errorf("%s of %d bytes: %v", kind, limit, err)
		}
		refused(t, kind, string(padded(kind, limit+1)), "may have")
	}

	nested := func(n int) string { return `{"Id": ` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	refused(t, KeyPolicy, nested(maxDepth-1), "Id: must be")
	refused(t, KeyPolicy, nested(maxDepth), "nested")
	refused(t, KeyPolicy, nested(15000), "not JSON") // encoding/json has a limit too

	question := func(n int) string {
		return policyOf([]string{`"Effect": "Allow", "Condition": {"StringLike": {"kms:ViaService": ["` + strings.Repeat("?", n) + `", "?"]}}`})
	}
	if _, err := Parse([]byte(question(maxQuestion-1)), IdentityPolicy); err != nil {
		t.Error(err)
	}
	refused(t, IdentityPolicy, question(maxQuestion), "one too many")
	refused(t, IdentityPolicy, policyOf([]string{`"Effect": "Allow", "Action": "kms:` + strings.Repeat("?", maxQuestion) + `"`}), "Action")
}

// The slowest documents and requests known. The bound is far above what they
// take, so that only another order of growth exceeds it.
func TestHostileDocuments(t *testing.T) {
	fill := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+", ", n/(len(s)+2)), ", ") }
	const room = maxKeyPolicy - 300
	var conditions strings.Builder
	for i := range 700 {
		fmt.Fprintf(&conditions, `"kms:EncryptionContext:x%d": "*a*b", `, i)
	}
	for name, statement := range map[string]string{
		"actions":           `"Effect": "Allow", "Principal": "*", "Action": [` + fill(`"kms:*a*e*y*"`, room) + `]`,
		"principals":        `"Effect": "Allow", "Principal": {"AWS": [` + fill(`"`+bob+`"`, room) + `]}`,
		"resources":         `"Effect": "Allow", "Principal": "*", "Resource": [` + fill(`"arn:*:kms:*:*:*1*2*x"`, room) + `]`,
		"texts":             `"Effect": "Allow", "Principal": "*", "Condition": {"ForAnyValue:StringLike": {"kms:EncryptionContextKeys": [` + fill(`"*a*b"`, room) + `]}}`,
		"texts with a ?":    `"Effect": "Allow", "Principal": "*", "Condition": {"ForAnyValue:StringLike": {"kms:EncryptionContextKeys": [` + fill(`"*?b"`, maxQuestion) + `]}}`,
		"one text with a ?": `"Effect": "Allow", "Principal": "*", "Condition": {"StringLike": {"kms:EncryptionContext:x": "*` + strings.Repeat("a", maxQuestion-9) + `?b"}}`,
		"variables":         `"Effect": "Allow", "Principal": "*", "Condition": {"ForAnyValue:StringLike": {"kms:EncryptionContextKeys": [` + fill(`"${aws:username}*"`, room) + `]}}`,
		"conditions":        `"Effect": "Allow", "Principal": "*", "Condition": {"StringLikeIfExists": {` + conditions.String() + `"aws:username": "*"}}`,
	} {
		start := time.Now()
		p := keyPolicy(t, statement)
		r := decrypt(alice)
		names := make([]string, 1024) // an encryption context of 8 KiB
		for i := range names {
			names[i] = "aaaaaaaa"
		}
		r.Context = contextOf(map[string][]string{
			"kms:encryptioncontextkeys":  names,
			"kms:encryptioncontext:x699": names,
			"kms:encryptioncontext:x":    {strings.Repeat("a", 8192)},
		})
		Decide(r, p, nil)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		} else {
			t.Logf("%s: %v", name, took)
		}
	}
}
