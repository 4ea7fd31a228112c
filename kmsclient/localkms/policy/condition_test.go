package policy

import (
	"encoding/json"
	"slices"
	"testing"
)

// holds evaluates one condition for a request of a caller, in a statement of
// the effect.
func holds(t *testing.T, effect, arn, condition string, context Context) bool {
	t.Helper()
	p := identityPolicy(t, `"Effect": "`+effect+`", "Condition": `+condition)
	r := decrypt(arn)
	r.Context = context
	reached := p.statements[0].evaluate(r, actionBits[r.Action])
	return reached != unreached
}

// values reads a context as it stands in the tables: {"key": "value"} or
// {"key": ["value", …]}, with the keys folded as a Context gets them.
func contextValues(t *testing.T, doc string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	if doc == "" {
		return out
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(doc), &raw); err != nil {
		t.Fatal(err)
	}
	for k, v := range raw {
		if s, ok := v.(string); ok {
			out[k] = []string{s}
			continue
		}
		out[k] = []string{}
		for _, s := range v.([]any) {
			out[k] = append(out[k], s.(string))
		}
	}
	return out
}

// One operator, one key, one value of the request.
func TestOperators(t *testing.T) {
	for _, c := range []struct {
		operator, key, policy string
		matches, others       []string // values of the request, as the operator without Not sees them
	}{
		{"StringEquals", "kms:KeySpec", `"RSA_2048"`, []string{"RSA_2048"}, []string{"rsa_2048", "RSA_2048 ", "", "RSA"}},
		{"StringEquals", "kms:KeySpec", `["a", "b"]`, []string{"a", "b"}, []string{"ab", "c"}},
		{"StringEquals", "kms:KeySpec", `""`, []string{""}, []string{"x"}},
		{"StringEquals", "kms:KeySpec", `"*"`, []string{"*"}, []string{"x", ""}},
		{"StringEquals", "kms:KeySpec", `"a${*}${?}${$}"`, []string{"a*?$"}, []string{"axx$", "a${*}${?}${$}"}},
		{"StringEquals", "kms:KeySpec", `"\u0436"`, []string{"ж"}, []string{"Ж"}},
		{"StringEquals", "aws:SecureTransport", `true`, []string{"true"}, []string{"false", "True"}},
		{"StringEquals", "kms:RotationPeriodInDays", `90`, []string{"90"}, []string{"90.0"}},
		{"StringEqualsIgnoreCase", "kms:KeySpec", `"Rsa_2048"`, []string{"RSA_2048", "rsa_2048"}, []string{"RSA_2049", ""}},
		{"StringEqualsIgnoreCase", "kms:KeySpec", `"a*"`, []string{"A*"}, []string{"AB"}},
		{"StringLike", "kms:ViaService", `"s3.*.amazonaws.com"`, []string{"s3.eu.amazonaws.com", "s3..amazonaws.com"}, []string{"S3.eu.amazonaws.com", "s3.amazonaws.com", "xs3.eu.amazonaws.com"}},
		{"StringLike", "kms:ViaService", `"?a*"`, []string{"xa", "éab"}, []string{"a", "xxa", ""}},
		{"StringLike", "kms:ViaService", `"${*}*"`, []string{"*", "*x"}, []string{"x"}},
		{"StringLike", "kms:ViaService", `"*"`, []string{"", "x"}, nil},
		{"NumericEquals", "kms:RotationPeriodInDays", `"90"`, []string{"90", "90.0", "090"}, []string{"91", "", "x", "0x5A", "9e1", "90 ", "NaN"}},
		{"NumericEquals", "kms:RotationPeriodInDays", `-0.5`, []string{"-0.5", "-.50"}, []string{"0.5"}},
		{"NumericEquals", "aws:EpochTime", `1700000000`, []string{"1700000000"}, []string{"1700000001"}},
		{"NumericEquals", "kms:EncryptionContext:n", `1`, []string{"1"}, []string{"one", "1000000000000000000"}},
		{"NumericLessThan", "kms:RotationPeriodInDays", `"90"`, []string{"89", "-1", "89.99"}, []string{"90", "91", "x", ""}},
		{"NumericLessThanEquals", "kms:RotationPeriodInDays", `"90"`, []string{"89", "90"}, []string{"90.01", "x"}},
		{"NumericGreaterThan", "kms:RotationPeriodInDays", `"90"`, []string{"91", "90.01"}, []string{"90", "89", "x"}},
		{"NumericGreaterThan", "kms:RotationPeriodInDays", `["90", "5"]`, []string{"6"}, []string{"5"}},
		{"NumericGreaterThanEquals", "kms:ScheduleKeyDeletionPendingWindowInDays", `"7"`, []string{"7", "30"}, []string{"6", ""}},
		{"DateEquals", "aws:CurrentTime", `"2024-05-01T12:00:00Z"`, []string{"2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01T12:00Z", "1714564800", "2024-05-01T12:00:00.000Z"},
			[]string{"2024-05-01T12:00:01Z", "2024-05-01", "2024-05-01T12:00:00", "x", ""}},
		{"DateLessThan", "aws:CurrentTime", `"2024-05-01"`, []string{"2024-04-30T23:59:59Z", "2024-05-01T00:59:59+01:00"}, []string{"2024-05-01T00:00:00Z", "x"}},
		{"DateLessThanEquals", "kms:ValidTo", `"2024-05"`, []string{"2024-05-01T00:00:00Z"}, []string{"2024-05-01T00:00:01Z"}},
		{"DateGreaterThan", "aws:EpochTime", `1714564800`, []string{"1714564801", "2024-05-01T12:00:01Z"}, []string{"1714564800"}},
		{"DateGreaterThanEquals", "aws:CurrentTime", `"2024-05-01T12:00Z"`, []string{"2024-05-01T12:00:00Z"}, []string{"2024-05-01T11:59:59.999Z"}},
		{"Bool", "aws:SecureTransport", `"True"`, []string{"true", "TRUE"}, []string{"false", "", "1"}},
		{"Bool", "kms:GrantIsForAWSResource", `false`, []string{"false"}, []string{"true"}},
		{"BinaryEquals", "kms:EncryptionContext:b", `"QmluYXJ5"`, []string{"Binary"}, []string{"QmluYXJ5", "binary"}},
		{"IpAddress", "aws:SourceIp", `"203.0.113.0/24"`, []string{"203.0.113.0", "203.0.113.255", "::ffff:203.0.113.7"}, []string{"203.0.114.0", "x", "", "203.0.113.0/24", "2001:db8::1"}},
		{"IpAddress", "aws:SourceIp", `["203.0.113.7", "2001:DB8:1234:5678::/64"]`, []string{"203.0.113.7", "2001:db8:1234:5678::1", "2001:db8:1234:5678::1%eth0"}, []string{"203.0.113.8", "2001:db8:1234:5679::1"}},
		{"IpAddress", "aws:SourceIp", `"0.0.0.0/0"`, []string{"1.2.3.4"}, []string{"::1"}},
		{"ArnEquals", "kms:GranteePrincipal", `"arn:aws:iam::111122223333:role/*"`, []string{role, "arn:aws:iam::111122223333:role/a/b:c"}, []string{alice, "arn:aws:iam::111122223333:x:role/y", "x", "arn:aws:iam::111122223333"}},
		{"ArnLike", "kms:EncryptionContext:aws:logs:arn", `"arn:aws:logs:*:111122223333:log-group:*"`, []string{"arn:aws:logs:eu-central-1:111122223333:log-group:x:y"}, []string{"arn:aws:logs:eu-central-1:999988887777:log-group:x", "arn:aws:logs:a:b:111122223333:log-group:x"}},
		{"ArnLike", "kms:RetiringPrincipal", `"arn:aws:iam::??11*:user/alic?"`, []string{alice}, []string{bob, "arn:aws:iam::111122223333:USER/alice"}},
	} {
		negated := map[string]string{
			"StringEquals": "StringNotEquals", "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase", "StringLike": "StringNotLike",
			"NumericEquals": "NumericNotEquals", "DateEquals": "DateNotEquals", "IpAddress": "NotIpAddress", "ArnEquals": "ArnNotEquals", "ArnLike": "ArnNotLike",
		}[c.operator]
		check := func(got string, want bool) {
			context := contextOf(map[string][]string{fold(c.key): {got}})
			for _, effect := range []string{"Allow", "Deny"} {
				for _, prefix := range []string{"", "ForAllValues:", "ForAnyValue:"} {
					if holds(t, effect, alice, `{"`+prefix+c.operator+`": {"`+c.key+`": `+c.policy+`}}`, context) != want {
						t.Errorf("%s %s%s %s %s for %q is not %v", effect, prefix, c.operator, c.key, c.policy, got, want)
					}
					if negated != "" && holds(t, effect, alice, `{"`+prefix+negated+`": {"`+c.key+`": `+c.policy+`}}`, context) == want {
						t.Errorf("%s %s%s %s %s for %q is %v", effect, prefix, negated, c.key, c.policy, got, want)
					}
				}
			}
		}
		for _, got := range c.matches {
			check(got, true)
		}
		for _, got := range c.others {
			check(got, false)
		}
	}
}

// A key that the request does not have, in both effects.
func TestMissingKey(t *testing.T) {
	for _, c := range []struct {
		value     string
		operators []string
		want      bool
	}{
		{`"x"`, []string{"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ForAnyValue:StringEquals", "ForAnyValue:StringNotEquals", "ForAnyValue:StringNotLike"}, false},
		{`"x"`, []string{"StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike", "StringEqualsIfExists", "StringNotLikeIfExists"}, true},
		{`"x"`, []string{"ForAllValues:StringEquals", "ForAllValues:StringNotEquals", "ForAllValues:StringEqualsIfExists"}, true},
		{`1`, []string{"NumericEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"}, false},
		{`1`, []string{"NumericNotEquals", "NumericLessThanIfExists", "NumericNotEqualsIfExists"}, true},
		{`"2024-05-01"`, []string{"DateEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"}, false},
		{`"2024-05-01"`, []string{"DateNotEquals", "DateGreaterThanIfExists"}, true},
		{`false`, []string{"Bool", "ForAnyValue:Bool"}, false},
		{`false`, []string{"BoolIfExists", "ForAllValues:Bool"}, true},
		{`"QQ=="`, []string{"BinaryEquals"}, false},
		{`"QQ=="`, []string{"BinaryEqualsIfExists"}, true},
		{`"10.0.0.0/8"`, []string{"IpAddress"}, false},
		{`"10.0.0.0/8"`, []string{"NotIpAddress", "IpAddressIfExists", "NotIpAddressIfExists"}, true},
		{`"arn:a:b:c:d:e"`, []string{"ArnEquals", "ArnLike", "ForAnyValue:ArnNotLike"}, false},
		{`"arn:a:b:c:d:e"`, []string{"ArnNotEquals", "ArnNotLike", "ArnLikeIfExists", "ForAllValues:ArnLike"}, true},
	} {
		for _, operator := range c.operators {
			condition := `{"` + operator + `": {"kms:EncryptionContext:x": ` + c.value + `}}`
			for _, effect := range []string{"Allow", "Deny"} {
				for _, context := range []Context{nil, contextOf(nil), contextOf(map[string][]string{"kms:encryptioncontext:x": {}})} {
					if got := holds(t, effect, alice, condition, context); got != c.want {
						t.Errorf("%s %s: %v, want %v", effect, operator, got, c.want)
					}
				}
			}
		}
	}
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		condition, context string
		allow, deny        bool // does a statement of this effect apply
	}{
		// Operators and keys are joined by and.
		{`{}`, ``, true, true},
		{`{"StringEquals": {"kms:KeySpec": "a", "kms:KeyUsage": "b"}}`, `{"kms:keyspec": "a", "kms:keyusage": "b"}`, true, true},
		{`{"StringEquals": {"kms:KeySpec": "a", "kms:KeyUsage": "b"}}`, `{"kms:keyspec": "a", "kms:keyusage": "c"}`, false, false},
		{`{"StringEquals": {"kms:KeySpec": "a"}, "Bool": {"kms:MultiRegion": false}}`, `{"kms:keyspec": "a", "kms:multiregion": "false"}`, true, true},
		{`{"StringEquals": {"kms:KeySpec": "a"}, "Bool": {"kms:MultiRegion": false}}`, `{"kms:keyspec": "a"}`, false, false},
		// The values of a negated operator are joined by nor.
		{`{"StringNotEquals": {"kms:KeySpec": ["a", "b"]}}`, `{"kms:keyspec": "a"}`, false, false},
		{`{"StringNotEquals": {"kms:KeySpec": ["a", "b"]}}`, `{"kms:keyspec": "c"}`, true, true},
		// Names of keys do not depend on case, nor what follows a prefix.
		{`{"StringEquals": {"KMS:keySPEC": "a"}}`, `{"kms:keyspec": "a"}`, true, true},
		{`{"StringEquals": {"kms:EncryptionContext:AppName": "x"}}`, `{"kms:encryptioncontext:appname": "x"}`, true, true},
		{`{"StringEquals": {"aws:ResourceTag/Project": "x", "aws:RequestTag/Project": "y"}}`, `{"aws:resourcetag/project": "x", "aws:requesttag/project": "y"}`, true, true},
		{`{"StringEquals": {"kms:RecipientAttestation:PCR31": "x"}}`, ``, false, false},
		{`{"StringNotEquals": {"kms:RecipientAttestation:NitroTPMPCR23": "x"}}`, ``, true, true},
		// Several values in the request.
		{`{"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Decrypt"]}`, true, true},
		{`{"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Decrypt", "Encrypt"]}`, true, true},
		{`{"ForAllValues:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Decrypt", "Sign"]}`, false, false},
		{`{"ForAllValues:StringEquals": {"kms:GrantOperations": "Encrypt"}}`, `{"kms:grantoperations": []}`, true, true},
		{`{"ForAnyValue:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Sign", "Decrypt"]}`, true, true},
		{`{"ForAnyValue:StringEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Sign"]}`, false, false},
		{`{"ForAnyValue:StringEquals": {"kms:GrantOperations": ["Encrypt"]}}`, `{"kms:grantoperations": []}`, false, false},
		{`{"ForAllValues:StringNotEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Sign", "Verify"]}`, true, true},
		{`{"ForAllValues:StringNotEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Sign", "Decrypt"]}`, false, false},
		{`{"ForAnyValue:StringNotEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Sign", "Decrypt"]}`, true, true},
		{`{"ForAnyValue:StringNotEquals": {"kms:GrantOperations": ["Encrypt", "Decrypt"]}}`, `{"kms:grantoperations": ["Encrypt", "Decrypt"]}`, false, false},
		{`{"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/app*"}}`, `{"kms:resourcealiases": ["alias/x", "alias/app1"]}`, true, true},
		{`{"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "AppName"}}`, `{"kms:encryptioncontextkeys": ["appname", "x"]}`, false, false},
		{`{"ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "AppName"}}`, `{"kms:encryptioncontextkeys": ["AppName", "x"]}`, true, true},
		// Entries that fold together: an Allow wants all, a Deny any.
		{`{"StringEquals": {"kms:EncryptionContext:App": "x"}}`, `{"kms:encryptioncontext:app": ["x", "x"]}`, true, true},
		{`{"StringEquals": {"kms:EncryptionContext:App": "x"}}`, `{"kms:encryptioncontext:app": ["x", "y"]}`, false, true},
		{`{"StringNotEquals": {"kms:EncryptionContext:App": "x"}}`, `{"kms:encryptioncontext:app": ["x", "y"]}`, false, true},
		{`{"StringNotEquals": {"kms:EncryptionContext:App": "x"}}`, `{"kms:encryptioncontext:app": ["z", "y"]}`, true, true},
		{`{"StringEqualsIfExists": {"kms:EncryptionContext:App": "x"}}`, `{"kms:encryptioncontext:app": ["z", "y"]}`, false, false},
		// Null asks for the key.
		{`{"Null": {"kms:ViaService": "true"}}`, ``, true, true},
		{`{"Null": {"kms:ViaService": "true"}}`, `{"kms:viaservice": "x"}`, false, false},
		{`{"Null": {"kms:ViaService": false}}`, ``, false, false},
		{`{"Null": {"kms:ViaService": "False"}}`, `{"kms:viaservice": ""}`, true, true},
		{`{"Null": {"kms:EncryptionContextKeys": true}}`, `{"kms:encryptioncontextkeys": []}`, true, true},
		{`{"Null": {"kms:ViaService": [true, false]}}`, ``, true, true},
		{`{"Null": {"kms:ViaService": [true, false]}}`, `{"kms:viaservice": "x"}`, true, true},
		// Variables of the caller, alice.
		{`{"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}`, `{"kms:encryptioncontext:user": "alice"}`, true, true},
		{`{"StringEquals": {"kms:EncryptionContext:user": "${aws:username}"}}`, `{"kms:encryptioncontext:user": "${aws:username}"}`, false, false},
		{`{"StringLike": {"kms:EncryptionContext:user": "a/${aws:PrincipalAccount}/*/${aws:UserName}"}}`, `{"kms:encryptioncontext:user": "a/111122223333/x/alice"}`, true, true},
		{`{"ArnLike": {"kms:EncryptionContext:user": "arn:aws:iam::*:user/${aws:username}"}}`, `{"kms:encryptioncontext:user": "` + alice + `"}`, true, true},
		{`{"StringEqualsIgnoreCase": {"kms:EncryptionContext:user": "${aws:PrincipalArn}"}}`, `{"kms:encryptioncontext:user": "` + alice + `"}`, true, true},
		{`{"StringLike": {"kms:EncryptionContext:user": "${aws:userid}"}}`, `{"kms:encryptioncontext:user": "x", "aws:userid": "*"}`, false, false},
		{`{"StringLike": {"kms:EncryptionContext:user": "${aws:userid}"}}`, `{"kms:encryptioncontext:user": "*", "aws:userid": "*"}`, true, true},
		// Variables without a value: the Allow does not apply, in the Deny they equal nothing.
		{`{"StringNotEquals": {"kms:EncryptionContext:user": "${aws:userid}"}}`, `{"kms:encryptioncontext:user": "x"}`, false, true},
		{`{"StringNotLike": {"kms:EncryptionContext:user": "${aws:userid}"}}`, ``, false, true},
		{`{"StringEqualsIfExists": {"kms:EncryptionContext:user": "${aws:userid}"}}`, ``, false, true},
		{`{"StringEquals": {"kms:EncryptionContext:user": "${aws:userid}"}}`, `{"kms:encryptioncontext:user": ""}`, false, false},
		{`{"StringEquals": {"kms:EncryptionContext:user": ["${aws:userid}", "x"]}}`, `{"kms:encryptioncontext:user": "x"}`, false, true},
		{`{"ArnNotLike": {"kms:EncryptionContext:user": "arn:aws:iam::*:${aws:userid}"}}`, `{"aws:userid": ["a", "b"]}`, false, true},
	} {
		context := contextOf(contextValues(t, c.context))
		if got := holds(t, "Allow", alice, c.condition, context); got != c.allow {
			t.Errorf("Allow %s for %s: %v", c.condition, c.context, got)
		}
		if got := holds(t, "Deny", alice, c.condition, context); got != c.deny {
			t.Errorf("Deny %s for %s: %v", c.condition, c.context, got)
		}
	}
}

// The keys that the Caller answers; the Context cannot.
func TestCallerKeys(t *testing.T) {
	for key, want := range map[string][3]string{ // of alice, the session, root; "" for none
		"aws:PrincipalArn":     {alice, role, root},
		"aws:PrincipalAccount": {account, account, account},
		"kms:CallerAccount":    {account, account, account},
		"aws:PrincipalType":    {"User", "AssumedRole", "Account"},
		"aws:username":         {"alice", "", ""},
	} {
		forged := func(string) []string { return []string{"forged"} }
		for i, arn := range []string{alice, session, root} {
			condition := `{"StringEquals": {"` + key + `": "` + want[i] + `"}}`
			if want[i] == "" {
				condition = `{"Null": {"` + key + `": true}}`
			}
			if !holds(t, "Allow", arn, condition, forged) {
				t.Errorf("%s of %s is not %q", key, arn, want[i])
			}
		}
	}
	if !holds(t, "Allow", bob, `{"StringEquals": {"aws:username": "bob"}}`, nil) {
		t.Error("the path of a user is part of aws:username")
	}
}

func TestFolded(t *testing.T) {
	ec := map[string]string{"App": "z", "app": "y", "APP": "y", "apps": "x"}
	if got := Folded(ec, "app"); !slices.Equal(got, []string{"y", "y", "z"}) {
		t.Errorf("%q", got)
	}
	if got := Folded(ec, "none"); got != nil {
		t.Errorf("%q", got)
	}
}
