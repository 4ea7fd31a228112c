package policy

import "testing"

// Each refused condition, with what the message says after the statement.
func TestConditionRefused(t *testing.T) {
	for _, c := range []struct{ condition, want string }{
		{`1`, "Condition: must be an object"},
		{`[]`, "Condition: must be an object"},
		{`null`, "Condition: must be an object"},
		{`{"StringEquals": {}}`, "Condition StringEquals: must be an object"},
		{`{"StringEquals": "x"}`, "Condition StringEquals: must be an object"},
		{`{"StringEquals": [{"kms:KeySpec": "x"}]}`, "Condition StringEquals: must be an object"},

		{`{"StringMatches": {"kms:KeySpec": "x"}}`, "StringMatches: is not an operator"},
		{`{"stringequals": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{":StringEquals": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"ForSomeValues:StringEquals": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"ForAllValues:": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"ForAllValues:ForAnyValue:StringEquals": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"StringEqualsIfExistsIfExists": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"IfExistsStringEquals": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"StringGreaterThan": {"kms:KeySpec": "x"}}`, "is not an operator"},
		{`{"NotBool": {"kms:MultiRegion": true}}`, "is not an operator"},
		{`{"NullIfExists": {"kms:KeySpec": true}}`, "no IfExists"},
		{`{"ForAnyValue:Null": {"kms:KeySpec": true}}`, "no set operator"},
		{`{"ForAnyValue:StringEqualsIfExists": {"kms:KeySpec": "x"}}`, "contradict"},

		{`{"StringEquals": {"kms:KeySpecs": "x"}}`, `"kms:KeySpecs" is not a condition key`},
		{`{"StringEquals": {"": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"KeySpec": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"kms:EncryptionContext:": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"kms:EncryptionContext": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"kms:EncryptionContext:${aws:username}": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"kms:RecipientAttestation:PCR32": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"kms:RecipientAttestation:NitroTPMPCR24": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"aws:ResourceTag/": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"aws:PrincipalOrgID": "x"}}`, "is not a condition key"},
		{`{"StringEquals": {"aws:SourceArn": "x"}}`, "is not a condition key"},
		{`{"Bool": {"aws:MultiFactorAuthPresent": true}}`, "is not a condition key"},

		{`{"StringEquals": {"kms:EncryptionContextKeys": "x"}}`, "needs ForAllValues: or ForAnyValue:"},
		{`{"StringNotLikeIfExists": {"aws:TagKeys": "x"}}`, "needs ForAllValues: or ForAnyValue:"},
		{`{"NumericEquals": {"kms:KeySpec": "1"}}`, "holds no values that this operator compares"},
		{`{"Bool": {"aws:SourceIp": "true"}}`, "holds no values"},
		{`{"IpAddress": {"kms:ViaService": "10.0.0.0/8"}}`, "holds no values"},
		{`{"DateLessThan": {"kms:RotationPeriodInDays": "2024-01-01"}}`, "holds no values"},
		{`{"NumericLessThan": {"aws:CurrentTime": 1}}`, "holds no values"},
		{`{"ArnLike": {"aws:username": "arn:aws:iam::1:user/x"}}`, "holds no values"},
		{`{"BinaryEquals": {"kms:KeySpec": "QQ=="}}`, "holds no values"},
		{`{"ForAnyValue:ArnLike": {"kms:GrantOperations": "arn:aws:iam::1:user/x"}}`, "holds no values"},
	} {
		doc := policyOf([]string{`"Sid": "mine", "Effect": "Allow", "Condition": ` + c.condition})
		refused(t, IdentityPolicy, doc, c.want)
		refused(t, IdentityPolicy, doc, `statement "mine": Condition`)
	}
	refused(t, TrustPolicy, `{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole",
		"Condition": {"StringEquals": {"kms:ViaService": "x"}}}}`, "is not a condition key that is understood in a trust policy")
}

func TestConditionValuesRefused(t *testing.T) {
	for operator, values := range map[string]string{
		"StringEquals":         `[] {} null [null] [["x"]] ["x", {}] "${aws:foo}" "${" "${aws:username" "${}" "${ aws:username}" "${aws:username, 'x'}" "${kms:KeySpec}" "${aws:PrincipalTag/x}" "${**}"`,
		"StringLike":           `[] "${aws:foo}" "*${"`,
		"NumericEquals":        `"" "x" "1x" " 1" "0x1" "1e3" 1e3 "1_0" "+1" "--1" "1-" "." "-" "1.2.3" "Inf" "NaN" "1234567890123456" true "${aws:userid}" []`,
		"DateLessThan":         `"" "x" "2024" 2024 "2024-13" "2024-02-30" "2024-05-01T12:00:00" "2024-05-01T25:00:00Z" "2024-05-01 12:00:00Z" "20240501T120000Z" "-1" "1.5" "2000000000000" "2024*" true`,
		"Bool":                 `"" "yes" "1" 1 "truefalse" "${aws:userid}" "*"`,
		"Null":                 `"" "null" 0 "*" "maybe" []`,
		"BinaryEquals":         `"x" "QQ" "QR==" "Q Q==" "*"`,
		"IpAddress":            `"" "x" "10.0.0.0/33" "10.0.0/8" "10.0.0.0/" "10.0.0.0/08" "010.0.0.1" "10.0.0.*" "*" "::ffff:10.0.0.0/104" "::ffff:10.0.0.1" "fe80::1%eth0" "::1/129" "10.0.0.0-10.0.0.9" 10`,
		"ArnLike":              `"" "*" "x" "arn" "arn:aws:iam::111122223333" "arn:aws:iam::111122223333:" "arn:::::" "*:aws:iam::1:user/x" "arn:aws:iam::${aws:PrincipalAccount}:user/x" "arn:aws:iam::1:${aws:foo}"`,
		"ArnNotEqualsIfExists": `"*"`,
	} {
		for _, v := range split(t, values) {
			doc := policyOf([]string{`"Effect": "Deny", "Condition": {"` + operator + `": {"kms:EncryptionContext:x": ` + v + `}}`})
			refused(t, IdentityPolicy, doc, "statement 1: Condition "+operator+": ")
		}
	}
}
