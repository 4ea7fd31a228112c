package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const plainStatement = `"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"`

func TestParseAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		kind Kind
		doc  string
	}{
		"one statement without a list": {KeyPolicy, `{"Statement": {` + plainStatement + `}}`},
		"no version":                   {KeyPolicy, `{"Statement": [{` + plainStatement + `}]}`},
		"the old version, an id":       {KeyPolicy, `{"Version": "2008-10-17", "Id": "any text", "Statement": [{` + plainStatement + `}]}`},
		"a Sid with spaces":            {KeyPolicy, `{"Statement": [{"Sid": "Allow use of the key (1)", ` + plainStatement + `}]}`},
		"two empty Sids":               {KeyPolicy, `{"Statement": [{"Sid": "", ` + plainStatement + `}, {"Sid": "", ` + plainStatement + `}]}`},
		"an empty condition":           {KeyPolicy, `{"Statement": [{"Condition": {}, ` + plainStatement + `}]}`},
		"Latin-1":                      {KeyPolicy, `{"Id": "clé", "Statement": [{` + plainStatement + `}]}`},
		"all forms of principal": {KeyPolicy, `{"Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": {
			"AWS": ["*", "111122223333", "` + root + `", "` + alice + `", "` + bob + `", "` + role + `", "` + session + `",
				"arn:aws-cn:iam::111122223333:role/aws-service-role/x.amazonaws.com/a+=,.@-_1"],
			"Service": ["ebs.amazonaws.com", "logs.eu-central-1.amazonaws.com", "ec2.amazonaws.com.cn"]}}]}`},
		"key ARNs": {KeyPolicy, policyOf([]string{`"Effect": "Allow", "Principal": "*", "Resource": ["` + keyARN + `", "arn:*:kms:*:*:*", "arn:aws:kms:*:*:key/*",
			"arn:aws:kms:*:*:k?y/1", "arn:aws:kms:*:*:key/${aws:username}", "arn:aws:kms:*:*:${aws:username}"]`})},
		"identity": {IdentityPolicy, policyOf([]string{`"Sid": "A1", "Effect": "Deny", "NotAction": ["iam:Get*", "STS:assumerole", "kms:re?ncrypt*"],
			"NotResource": ["arn:aws:kms:*:*:alias/x", "arn:aws:iam::111122223333:user/${aws:username}", "arn:aws:sts::*:*"]`})},
		"actions by wildcard alone": {IdentityPolicy, policyOf([]string{`"Effect": "Allow", "Action": ["*", "kms:?ecrypt", "kms:*Grant*"]`})},
		"trust": {TrustPolicy, `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "` + root + `"}, "Action": "sts:AssumeRole",
			"Condition": {"StringEquals": {"aws:username": "alice"}}}]}`},
		"condition values without quotes": {KeyPolicy, `{"Statement": [{` + plainStatement + `, "Condition": {
			"Bool": {"kms:GrantIsForAWSResource": true}, "NumericLessThan": {"kms:RotationPeriodInDays": [1, -2.5, "3"]}, "Null": {"aws:userid": false}}}]}`},
		"a $ that starts no variable":           {KeyPolicy, policyOf([]string{`"Effect": "Allow", "Principal": "*", "Condition": {"StringEquals": {"kms:ViaService": ["$", "$x", "a{b}", "x$"]}}`})},
		"a variable of the old version is text": {KeyPolicy, `{"Version": "2008-10-17", "Statement": [{` + plainStatement + `, "Condition": {"StringEquals": {"aws:userid": "${never:heard}"}}}]}`},
	} {
		if _, err := Parse([]byte(c.doc), c.kind); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each refusal says where and what.
func TestParseRefuses(t *testing.T) {
	statement := func(s string) string { return `{"Version": "2012-10-17", "Statement": [{` + s + `}]}` }
	const key, identity, trust = KeyPolicy, IdentityPolicy, TrustPolicy
	for _, c := range []struct {
		kind Kind
		doc  string
		want string // in the message
	}{
		{key, ``, "not JSON"},
		{key, `null`, "is a JSON object"},
		{key, `[]`, "is a JSON object"},
		{key, `{"Statement": [{` + plainStatement + `}]} {}`, "not JSON"},
		{key, `{"Statement": [{` + plainStatement + `},]}`, "not JSON"},
		{key, `{"Statement": [{` + plainStatement + `}]}` + "\x00", "U+0000"},
		{key, "{\"Id\": \"\xff\"}", "UTF-8"},
		{key, `{"Id": "ж"}`, "U+0436"},
		{key, "{\"Id\": \"\u0085\"}", "U+0085"},
		{key, `{"Id": "\ud800", "Statement": []}`, "no character"},
		{key, `{}`, "Statement: must be"},
		{key, `{"Statement": []}`, "Statement: must be"},
		{key, `{"Statement": "x"}`, "Statement: must be"},
		{key, `{"Statement": ["x"]}`, "statement 1: Statement: must be a JSON object"},
		{key, `{"Statement": [null]}`, "statement 1: Statement: must be a JSON object"},
		{key, `{"Version": "2012-10-18", "Statement": []}`, "Version"},
		{key, `{"Version": 20121017, "Statement": []}`, "Version"},
		{key, `{"Id": 1}`, "Id"},
		{identity, `{"Id": "x"}`, "Id"},
		{key, `{"version": "2012-10-17"}`, "version: is not an element"},
		{key, `{"Comment": "x"}`, "Comment: is not an element"},

		// Members given twice, at each depth.
		{key, `{"Version": "2012-10-17", "Version": "2012-10-17"}`, `"Version" stands twice`},
		{key, `{"Statement": [{"Effect": "Allow", "Effect": "Deny"}]}`, `"Effect" stands twice`},
		{key, `{"Statement": [{"Principal": {"AWS": "*", "AWS": "*"}}]}`, `"AWS" stands twice`},
		{key, `{"Statement": [{"Condition": {"Bool": {}, "B\u006fol": {}}}]}`, `"Bool" stands twice`},
		{key, `{"Statement": [{"Condition": {"Bool": {"a": 1, "a": 1}}}]}`, `"a" stands twice`},
		{key, statement(plainStatement + `, "Condition": {"Bool": {"aws:SecureTransport": true, "AWS:securetransport": false}}`), "twice"},

		// Statements.
		{key, statement(`"Sid": 1, ` + plainStatement), "Sid"},
		{key, statement(`"Sid": "a\u0000b", ` + plainStatement), "Sid"},
		{identity, statement(`"Sid": "a b", "Effect": "Allow", "Action": "*", "Resource": "*"`), "Sid"},
		{key, `{"Statement": [{"Sid": "a", ` + plainStatement + `}, {"Sid": "a", ` + plainStatement + `}]}`, `statement "a": Sid: is used twice`},
		{key, statement(`"Sid": "mine", "Effect": "allow", "Principal": "*", "Action": "kms:*", "Resource": "*"`), `statement "mine": Effect`},
		{key, statement(`"Effect": ["Allow"], "Principal": "*", "Action": "kms:*", "Resource": "*"`), "Effect"},
		{key, statement(`"Principal": "*", "Action": "kms:*", "Resource": "*"`), "Effect: must be given"},
		{key, statement(`"Effect": "Allow", "Action": "kms:*", "Resource": "*"`), "statement 1: Principal or NotPrincipal: must be given"},
		{key, statement(`"Effect": "Deny", "Principal": "*", "NotPrincipal": {"AWS": "` + alice + `"}, "Action": "kms:*", "Resource": "*"`), "Principal or NotPrincipal: must be given, once"},
		{key, statement(`"Effect": "Allow", "Principal": "*", "Resource": "*"`), "Action or NotAction: must be given"},
		{key, statement(`"Effect": "Allow", "Principal": "*", "Action": "kms:*", "NotAction": "kms:*", "Resource": "*"`), "Action or NotAction: must be given, once"},
		{key, statement(`"Effect": "Allow", "Principal": "*", "Action": "kms:*"`), "Resource or NotResource: must be given"},
		{identity, statement(`"Effect": "Allow", "Action": "kms:*"`), "Resource or NotResource: must be given"},
		{identity, statement(plainStatement), "Principal: is not an element"},
		{trust, statement(`"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"`), "Resource: is not an element"},
		{trust, statement(`"Effect": "Allow", "Action": "sts:AssumeRole"`), "Principal"},
		{trust, statement(`"Effect": "Deny", "NotPrincipal": {"AWS": "` + alice + `"}, "Action": "sts:AssumeRole"`), "NotPrincipal: is not an element"},
		{key, statement(`"Effect": "Allow", "NotPrincipal": {"AWS": "` + alice + `"}, "Action": "kms:*", "Resource": "*"`), "NotPrincipal: needs the effect Deny"},
		{key, statement(plainStatement + `, "Comment": "x"`), "Comment: is not an element"},
		{key, statement(plainStatement + `, "condition": {}`), "condition: is not an element"},
	} {
		refused(t, c.kind, c.doc, c.want)
	}
}

func refused(t *testing.T, kind Kind, doc, want string) {
	t.Helper()
	_, err := Parse([]byte(doc), kind)
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, want) {
		t.Errorf("%s %s: error %v, want one with %q", kind, doc, err, want)
	}
}

func TestParseRefusesValues(t *testing.T) {
	for _, c := range []struct {
		kind            Kind
		element, values string
	}{
		{KeyPolicy, "Principal", `"` + alice + `" "" [] {} 1 null ["*"] {"AWS":[]} {"AWS":{}} {"AWS":1} {"AWS":["*",1]} {"AWS":""} {"Federated":"x"} {"CanonicalUser":"x"}
			{"aws":"*"} {"AWS":"alice"} {"AWS":"1111222233334"} {"AWS":"11112222333"} {"AWS":"arn:aws:iam::111122223333:*"} {"AWS":"arn:aws:iam::111122223333:user/*"} {"AWS":"arn:aws:iam::111122223333:role/*/x"} {"AWS":"arn:aws:iam::*:root"}
			{"AWS":"arn:aws:iam::111122223333"} {"AWS":"111122223333:root"} {"AWS":"arn:aws:iam::111122223333:group/x"} {"AWS":"arn:aws:iam::1:root"} {"AWS":"AIDACKCEVSQ6C2EXAMPLE"}
			{"AWS":"arn:aws:iam::111122223333:user/"} {"AWS":"arn:aws:iam::111122223333:role//"} {"AWS":"arn:aws:s3:::b"} {"AWS":"arn:aws:sts::111122223333:assumed-role/x"}
			{"AWS":"arn:aws:sts::111122223333:assumed-role/x/*"} {"AWS":"arn:aws:sts::111122223333:federated-user/x"} {"AWS":"arn:aws:iam::111122223333:user/a\nb"}
			{"Service":"*"} {"Service":"ebs"} {"Service":"ebs.example.com"} {"Service":"*.amazonaws.com"} {"Service":".amazonaws.com"}`},
		{KeyPolicy, "NotPrincipal", `"*" {"AWS":"*"} {}`},
		{KeyPolicy, "Action", `"" [] {} 1 null ["kms:*",1] [["kms:*"]] "Decrypt" "kms" "kms*" "kms:" "kms:Decryp" "kms:ReEncrypt" "kms:Decrypt " "kms:Foo*" "kms:??" "*:*" "k*:Decrypt"
			"*:Decrypt" "iam:GetUser" "sts:AssumeRole" "s3:GetObject" "kms:Decrypt:x" "kms:${aws:username}"`},
		{KeyPolicy, "NotAction", `"kms:Decryp" "iam:*" []`},
		{IdentityPolicy, "Action", `"s3:*" "iam:GetUsr" "sts:Foo" "kms:ReEncrypt" "**:*" "arn:*"`},
		{TrustPolicy, "Action", `"sts:AssumeRoleWithSAML" "sts:TagSession" "kms:Decrypt" "iam:*" []`},
		{KeyPolicy, "Resource", `"" [] {} 1 null "x" "arn" "arn:aws:kms" "arn:aws:kms:eu-central-1:111122223333" "arn:aws:kms:eu-central-1:111122223333:" "arn::kms:a:b:key/x" "Arn:aws:kms:a:b:key/x"
			"arn:aws:kms:eu-central-1:111122223333:alias/x" "arn:aws:kms:eu-central-1:111122223333:1234abcd" "arn:aws:kms:eu-central-1:111122223333:ke" "arn:aws:k*:a:b:key/x" "arn:aws:iam::1:user/x"
			"arn:aws:s3:::x" "arn:aws:kms:a:${aws:PrincipalAccount}:key/x" "arn:aws:kms:a:b:key/${aws:foo}" "arn:aws:kms:a:b:key/${aws:username"
			"arn:aws:kms:a:b:key/${}" "arn:aws:kms:${*}:b:key/x" "arn:aws:kms:a:b:key/${aws:username,'x'}" "arn:aws:kms:a:b:key/${*" "kms:*" "**"`},
		{KeyPolicy, "NotResource", `[] "arn:aws:s3:::x"`},
		{IdentityPolicy, "Resource", `"arn:aws:s3:::x" "arn:aws:*:a:b:c" "arn:aws:kms:a:b:grant/x" "arn:aws:kms:a:b:alia" 1`},
	} {
		for _, v := range split(t, c.values) {
			elements := map[string]string{"Effect": `"Deny"`, "Principal": `"*"`, "Action": `"kms:*"`, "Resource": `"*"`}
			if c.kind == IdentityPolicy {
				delete(elements, "Principal")
			}
			if c.kind == TrustPolicy {
				delete(elements, "Resource")
				elements["Action"] = `"sts:AssumeRole"`
			}
			delete(elements, strings.TrimPrefix(c.element, "Not"))
			elements[c.element] = v
			var parts []string
			for name, value := range elements {
				parts = append(parts, fmt.Sprintf("%q: %s", name, value))
			}
			doc := `{"Version": "2012-10-17", "Statement": [{` + strings.Join(parts, ", ") + "}]}"
			refused(t, c.kind, doc, "statement 1: "+c.element+": ")
		}
	}
}

func TestPrincipals(t *testing.T) {
	p := keyPolicy(t,
		`"Effect": "Allow", "Principal": {"AWS": ["`+role+`", "111122223333", "`+alice+`"], "Service": "ebs.amazonaws.com"}`,
		`"Effect": "Allow", "Principal": "*"`,
		`"Effect": "Deny", "NotPrincipal": {"AWS": ["`+session+`", "`+root+`", "`+role+`"]}`)
	got := p.Principals()
	if want := []string{role, root, alice, session}; !slices.Equal(got, want) {
		t.Errorf("names %q, want %q", got, want)
	}
	got[0] = "x"
	if p.Principals()[0] == "x" {
		t.Error("the slice is the policy's own")
	}
}
