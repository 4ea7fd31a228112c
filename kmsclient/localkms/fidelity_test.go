package localkms

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Answers recorded from AWS. A source is named where they are: the snapshots of
// LocalStack's tests, which are taken from AWS (tests/aws/services/kms in
// localstack/localstack), the recordings of Cloud Custodian's tests
// (tests/data/placebo in cloud-custodian/cloud-custodian), the examples of the
// service model (examples-1.json in botocore), and reports of users.

func TestRecordedAnswers(t *testing.T) {
	c := newStore(t, Options{Now: newClock().Now}).Client()
	call := func(op, body string) string {
		t.Helper()
		out, err := c.Call(bg, op, []byte(body))
		ok(t, err)
		return string(out)
	}

	// LocalStack, test_create_multi_region_key and
	// test_non_multi_region_keys_should_not_have_multi_region_properties.
	made := call("CreateKey", `{"MultiRegion":true}`)
	_, arn, _ := strings.Cut(made, `"Arn":"`)
	arn, _, _ = strings.Cut(arn, `"`)
	if want := `"MultiRegion":true,"MultiRegionConfiguration":{"MultiRegionKeyType":"PRIMARY","PrimaryKey":{"Arn":"` + arn +
		`","Region":"us-east-1"},"ReplicaKeys":[]}`; !strings.Contains(made, want) {
		t.Errorf("a primary key without replicas is %s, not with %s", made, want)
	}
	if made := call("CreateKey", ""); strings.Contains(made, "MultiRegionConfiguration") {
		t.Errorf("a key of one Region is %s", made)
	}

	key := newKey(t, c)
	id := key[strings.LastIndex(key, "/")+1:]
	for _, test := range []struct{ source, op, body, want string }{
		{"Cloud Custodian, kms.PutKeyPolicy_1.json: content-length 0", "DisableKey", `{"KeyId":"` + id + `"}`, ""},
		{"Cloud Custodian, as before", "EnableKey", `{"KeyId":"` + id + `"}`, ""},
		{
			"botocore, ListKeyPolicies", "ListKeyPolicies", `{"KeyId":"` + id + `"}`,
			`{"PolicyNames":["default"],"Truncated":false}`,
		},
		{"botocore, ListResourceTags", "ListResourceTags", `{"KeyId":"` + id + `"}`, `{"Tags":[],"Truncated":false}`},
		{"LocalStack, test_rotate_on_demand_returns_arn_for_key_id", "RotateKeyOnDemand", `{"KeyId":"` + id + `"}`, `{"KeyId":"` + key + `"}`},
		{"Cloud Custodian, as before", "EnableKeyRotation", `{"KeyId":"` + id + `"}`, ""},
		{
			"transcripts of users: the ARN, in this order", "GetKeyRotationStatus", `{"KeyId":"` + id + `"}`,
			`{"KeyRotationEnabled":true,"KeyId":"` + key + `","RotationPeriodInDays":365,"NextRotationDate":1798859045.678}`,
		},
		{
			"botocore, ScheduleKeyDeletion and CancelKeyDeletion answer the ARN", "ScheduleKeyDeletion",
			`{"KeyId":"` + id + `","PendingWindowInDays":7}`,
			`{"KeyId":"` + key + `","DeletionDate":1767927845.678,"KeyState":"PendingDeletion","PendingWindowInDays":7}`,
		},
		{"botocore, CancelKeyDeletion", "CancelKeyDeletion", `{"KeyId":"` + id + `"}`, `{"KeyId":"` + key + `"}`},
	} {
		if got := call(test.op, test.body); got != test.want {
			t.Errorf("%s answers\n %s, want\n %s (%s)", test.op, got, test.want, test.source)
		}
	}
}

func TestRecordedRefusals(t *testing.T) {
	c := newStore(t, Options{}).Client()
	create := func(in CreateKeyInput) string {
		out, err := c.CreateKey(bg, in)
		ok(t, err)
		return out.KeyMetadata.Arn
	}
	key, other := newKey(t, c), newKey(t, c)
	hmac := create(CreateKeyInput{KeySpec: "HMAC_224", KeyUsage: "GENERATE_VERIFY_MAC"})
	rsa := create(CreateKeyInput{KeySpec: "RSA_2048", KeyUsage: "SIGN_VERIFY"})
	ec := create(CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "KEY_AGREEMENT"})
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/a", TargetKeyID: key})))
	w, err := c.Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	blob := fmt.Sprintf("%q", base64.StdEncoding.EncodeToString(w.Blob))
	arn := "arn:aws:kms:us-east-1:000000000000:"
	const (
		usage       = "InvalidKeyUsageException"
		validation  = "ValidationException"
		keyMismatch = "The key ID in the request does not identify a CMK that can perform this operation."
		noAliases   = "Key Aliases are not supported for this operation."
	)
	for _, test := range []struct{ source, op, body, code, message string }{
		{"test_get_key_invalid_uuid", "DescribeKey", `"KeyId":"fake-key-id"`, "NotFoundException", "Invalid keyId 'fake-key-id'"},
		{
			"test_get_key_invalid_uuid", "DescribeKey", `"KeyId":"134f2428cec14b25a1ae9048164dba47"`,
			"NotFoundException", "Invalid keyId '134f2428cec14b25a1ae9048164dba47'",
		},
		{"test_get_key_invalid_uuid", "DescribeKey", `"KeyId":"mrk-fake-key-id"`, "NotFoundException", "Invalid keyId 'mrk-fake-key-id'"},
		{
			"test_get_key_does_not_exist", "DescribeKey", `"KeyId":"134f2428-cec1-4b25-a1ae-9048164dba47"`,
			"NotFoundException", "Key '" + arn + "key/134f2428-cec1-4b25-a1ae-9048164dba47' does not exist",
		},
		{
			"test_get_key_does_not_exist", "DescribeKey", `"KeyId":"mrk-d3b95762d3b95762d3b95762d3b95762"`,
			"NotFoundException", "Key '" + arn + "key/mrk-d3b95762d3b95762d3b95762d3b95762' does not exist",
		},
		{
			"test_get_key_in_different_region", "DescribeKey", `"KeyId":"` + strings.Replace(key, "us-east-1", "ap-southeast-1", 1) + `"`,
			"NotFoundException", "Invalid arn ap-southeast-1",
		},
		{"test_create_alias", "CreateAlias", `"AliasName":"a","TargetKeyId":"` + key + `"`, validation, `Alias must start with the prefix "alias/". ` +
			"Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"},
		{
			"test_error_messaging_for_invalid_keys", "GenerateMac", `"KeyId":"` + key + `","Message":"eA==","MacAlgorithm":"HMAC_SHA_224"`,
			usage, key + " key usage is ENCRYPT_DECRYPT which is not valid for GenerateMac.",
		},
		{
			"test_error_messaging_for_invalid_keys", "Sign", `"KeyId":"` + hmac + `","Message":"eA==","SigningAlgorithm":"RSASSA_PSS_SHA_256"`,
			usage, hmac + " key usage is GENERATE_VERIFY_MAC which is not valid for Sign.",
		},
		{
			"test_error_messaging_for_invalid_keys", "Verify",
			`"KeyId":"` + key + `","Message":"eA==","Signature":"eA==","SigningAlgorithm":"ECDSA_SHA_256"`,
			usage, key + " key usage is ENCRYPT_DECRYPT which is not valid for Verify.",
		},
		{
			"test_error_messaging_for_invalid_keys", "Encrypt", `"KeyId":"` + rsa + `","Plaintext":"eA=="`,
			usage, rsa + " key usage is SIGN_VERIFY which is not valid for Encrypt.",
		},
		{
			"test_error_messaging_for_invalid_keys", "Decrypt", `"KeyId":"` + hmac + `","CiphertextBlob":` + blob,
			"IncorrectKeyException", keyMismatch,
		},
		{"CloudTrail example of Decrypt", "Decrypt", `"KeyId":"` + other + `","CiphertextBlob":` + blob, "IncorrectKeyException", keyMismatch},
		{
			"test_invalid_generate_mac", "GenerateMac", `"KeyId":"` + hmac + `","Message":"eA==","MacAlgorithm":"HMAC_SHA_256"`,
			usage, "Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_224.",
		},
		{
			"test_sign_verify", "Sign", `"KeyId":"` + rsa + `","Message":"eA==","MessageType":"DIGEST","SigningAlgorithm":"RSASSA_PSS_SHA_256"`,
			validation, "Digest is invalid length for algorithm RSASSA_PSS_SHA_256.",
		},
		{
			"test_sign_verify", "Verify", `"KeyId":"` + rsa + `","Message":"eA==","Signature":"eA==","SigningAlgorithm":"RSASSA_PSS_SHA_256"`,
			"KMSInvalidSignatureException", "",
		},
		{
			"test_invalid_verify_mac", "VerifyMac", `"KeyId":"` + hmac + `","Message":"eA==","Mac":"eA==","MacAlgorithm":"HMAC_SHA_224"`,
			"KMSInvalidMacException", "",
		},
		{
			"test_derive_shared_secret", "DeriveSharedSecret", `"KeyId":"` + ec + `","PublicKey":"eA==","KeyAgreementAlgorithm":"INVALID"`, validation,
			"1 validation error detected: Value 'INVALID' at 'keyAgreementAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [ECDH]",
		},
		{
			"test_encrypt_decrypt_encryption_context", "Decrypt", `"EncryptionContext":{"a":"b"},"CiphertextBlob":` + blob,
			"InvalidCiphertextException", "",
		},
		{"test_generate_random_invalid_number_of_bytes", "GenerateRandom", "", validation, "NumberOfBytes is required."},
		{
			"test_generate_random_invalid_number_of_bytes", "GenerateRandom", `"NumberOfBytes":0`, validation,
			"1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1",
		},
		{
			"test_plaintext_size_for_encrypt", "Encrypt", `"KeyId":"` + key + `","Plaintext":"` + base64.StdEncoding.EncodeToString(make([]byte, 4097)) + `"`, validation,
			"1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096",
		},
		{
			"test_create_key_with_invalid_tag_key", "CreateKey", `"Tags":[{"TagKey":"AWS:key1","TagValue":"v"}]`,
			"TagException", "Tags beginning with aws: are reserved",
		},
		{"test_tag_key_with_duplicate_tag_keys_raises_error", "TagResource",
			`"KeyId":"` + key + `","Tags":[{"TagKey":"a","TagValue":"1"},{"TagKey":"a","TagValue":"2"}]`, "TagException", "Duplicate tag keys"},
		{
			"test_get_parameters_for_import", "GetParametersForImport",
			`"KeyId":"` + key + `","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_4096"`,
			"UnsupportedOperationException", key + " origin is AWS_KMS which is not valid for this operation.",
		},
		{"hashicorp/terraform#20813", "CreateGrant", `"KeyId":"` + arn + `alias/a","GranteePrincipal":"` + arnRoot + `","Operations":["Decrypt"]`,
			"InvalidArnException", noAliases},
		{"reports of get-key-policy", "GetKeyPolicy", `"KeyId":"alias/a"`, "InvalidArnException", noAliases},
	} {
		t.Run(test.op, func(t *testing.T) {
			_, err := c.Call(bg, test.op, []byte("{"+test.body+"}"))
			refused(t, err, test.code, test.message)
			if t.Failed() {
				t.Logf("recorded: %s", test.source)
			}
		})
	}
}

// The audit records, as far as operations differ in them, are those of the
// examples in the AWS KMS Developer Guide, "Examples of AWS KMS log entries".
func TestCloudTrailExamples(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := s.Client()
	create := func(in CreateKeyInput) string {
		out, err := c.CreateKey(bg, in)
		ok(t, err)
		return out.KeyMetadata.KeyID
	}
	names := []string{}
	name := func(id, as string) string {
		names = append(names, s.arn("us-east-1", "key/"+id), as+"-ARN", id, as)
		return id
	}
	one, two := name(create(CreateKeyInput{MultiRegion: true}), "ONE"), name(create(CreateKeyInput{}), "TWO")
	sign := name(create(CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"}), "SIGN")
	mac := name(create(CreateKeyInput{KeySpec: "HMAC_512", KeyUsage: "GENERATE_VERIFY_MAC"}), "MAC")
	material := metadataOf(t, c, one).CurrentKeyMaterialID
	w, err := c.Encrypt(bg, one, []byte("x"), nil)
	ok(t, err)
	blob := base64.StdEncoding.EncodeToString(w.Blob)
	g := newGrantFor(t, c, s.arn("us-east-1", "key/"+one), arnRoot, "Decrypt")
	other := newGrantFor(t, c, s.arn("us-east-1", "key/"+one), arnRoot, "Encrypt")
	names = append(names, g.GrantID, "GRANT", other.GrantID, "OTHER", material, "MATERIAL", metadataOf(t, c, two).CurrentKeyMaterialID, "MATERIAL-2")

	var first uint64 // record of what follows
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		first = uint64(r.Seq)
	}
	for _, request := range []string{
		`CreateAlias {"AliasName":"alias/a","TargetKeyId":"` + one + `"}`,
		`UpdateAlias {"AliasName":"alias/a","TargetKeyId":"` + two + `"}`,
		`DeleteAlias {"AliasName":"alias/a"}`,
		`DisableKey {"KeyId":"` + one + `"}`,
		`EnableKey {"KeyId":"` + one + `"}`,
		`EnableKeyRotation {"KeyId":"` + two + `","RotationPeriodInDays":180}`,
		`UpdateKeyDescription {"KeyId":"` + one + `","Description":"New key description"}`,
		`TagResource {"KeyId":"` + one + `","Tags":[{"TagKey":"Department","TagValue":"IT"}]}`,
		`UntagResource {"KeyId":"` + one + `","TagKeys":["Dept"]}`,
		`Decrypt {"CiphertextBlob":"` + blob + `"}`,
		`GenerateDataKey {"KeyId":"` + one + `","KeySpec":"AES_256","EncryptionContext":{"Project":"Alpha"}}`,
		`ReEncrypt {"CiphertextBlob":"` + blob + `","DestinationKeyId":"` + two + `","DestinationEncryptionContext":{"Level":"3A"}}`,
		`Sign {"KeyId":"` + sign + `","Message":"eA==","MessageType":"RAW","SigningAlgorithm":"ECDSA_SHA_256"}`,
		`GenerateMac {"KeyId":"` + mac + `","Message":"eA==","MacAlgorithm":"HMAC_SHA_512"}`,
		`GetKeyPolicy {"KeyId":"` + one + `","PolicyName":"default"}`,
		`ListAliases {"Limit":5}`,
		`RevokeGrant {"KeyId":"` + one + `","GrantId":"` + other.GrantID + `"}`,
		`RetireGrant {"KeyId":"` + one + `","GrantId":"` + g.GrantID + `"}`,
		`RotateKeyOnDemand {"KeyId":"` + one + `"}`,
		`ScheduleKeyDeletion {"KeyId":"` + sign + `","PendingWindowInDays":20}`,
		`ScheduleKeyDeletion {"KeyId":"` + mac + `","PendingWindowInDays":7}`,
		`CancelKeyDeletion {"KeyId":"` + sign + `"}`,
	} {
		op, body, _ := strings.Cut(request, " ")
		ok(t, only(c.Call(bg, op, []byte(body))))
	}
	clock.add(180 * 24 * time.Hour)
	names = append(names, metadataOf(t, c, two).CurrentKeyMaterialID, "MATERIAL-3") // runs what is due

	got := []string{}
	for r, err := range s.AuditEvents(bg, AuditFilter{After: first}) {
		ok(t, err)
		e := r.Event
		line := fmt.Sprintf("%s %s -> %s", e.EventName, e.RequestParameters, e.ResponseElements)
		for _, more := range []map[string]string{e.AdditionalEventData, e.ServiceEventDetails} {
			if len(more) > 0 {
				line += fmt.Sprint(" ", more)
			}
		}
		for _, r := range e.Resources {
			line += " " + r.ARN
		}
		got = append(got, strings.NewReplacer(names...).Replace(line))
		if own := e.EventType == "AwsServiceEvent"; own != (e.UserIdentity == Identity{AccountID: s.account, InvokedBy: "AWS Internal"}) || own != (e.RequestID == "") {
			t.Errorf("%s is of %+v, with request id %q", e.EventName, e.UserIdentity, e.RequestID)
		}
	}
	const alias = "arn:aws:kms:us-east-1:000000000000:alias/a"
	want := []string{
		`CreateAlias {"aliasName":"alias/a","targetKeyId":"ONE"} -> {"keyId":"ONE-ARN"} ONE-ARN ` + alias,
		`UpdateAlias {"aliasName":"alias/a","targetKeyId":"TWO"} -> {"keyId":"TWO-ARN"} ` + alias + ` TWO-ARN`,
		`DeleteAlias {"aliasName":"alias/a"} -> {"keyId":"TWO-ARN"} ` + alias + ` TWO-ARN`,
		`DisableKey {"keyId":"ONE"} -> {"keyId":"ONE-ARN"} ONE-ARN`,
		`EnableKey {"keyId":"ONE"} -> {"keyId":"ONE-ARN"} ONE-ARN`,
		`EnableKeyRotation {"keyId":"TWO","rotationPeriodInDays":180} -> {"keyId":"TWO-ARN"} TWO-ARN`,
		`UpdateKeyDescription {"keyId":"ONE","description":"New key description"} ->  ONE-ARN`,
		`TagResource {"keyId":"ONE","tags":[{"tagKey":"Department","tagValue":"IT"}]} -> {"keyId":"ONE-ARN"} ONE-ARN`,
		`UntagResource {"keyId":"ONE","tagKeys":["Dept"]} -> {"keyId":"ONE-ARN"} ONE-ARN`,
		`Decrypt {"encryptionAlgorithm":"SYMMETRIC_DEFAULT"} ->  map[keyMaterialId:MATERIAL] ONE-ARN`,
		`GenerateDataKey {"keyId":"ONE","encryptionContext":{"Project":"Alpha"},"keySpec":"AES_256"} ->  map[keyMaterialId:MATERIAL] ONE-ARN`,
		`ReEncrypt {"destinationKeyId":"TWO","destinationEncryptionContext":{"Level":"3A"},"sourceEncryptionAlgorithm":"SYMMETRIC_DEFAULT",` +
			`"destinationEncryptionAlgorithm":"SYMMETRIC_DEFAULT"} ->  map[destinationKeyMaterialId:MATERIAL-2 sourceKeyMaterialId:MATERIAL] ONE-ARN TWO-ARN`,
		`Sign {"keyId":"SIGN","messageType":"RAW","signingAlgorithm":"ECDSA_SHA_256"} ->  SIGN-ARN`,
		`GenerateMac {"keyId":"MAC","macAlgorithm":"HMAC_SHA_512"} ->  MAC-ARN`,
		`GetKeyPolicy {"keyId":"ONE","policyName":"default"} ->  ONE-ARN`,
		`ListAliases {"limit":5} -> `,
		`RevokeGrant {"keyId":"ONE","grantId":"OTHER"} ->  ONE-ARN`,
		`RetireGrant {"keyId":"ONE","grantId":"GRANT"} ->  map[grantId:GRANT] ONE-ARN`,
		`RotateKeyOnDemand {"keyId":"ONE"} -> {"keyId":"ONE-ARN"} ONE-ARN`,
		`ScheduleKeyDeletion {"keyId":"SIGN","pendingWindowInDays":20} -> ` +
			`{"keyId":"SIGN-ARN","deletionDate":"2026-01-22T03:04:05.678Z","keyState":"PendingDeletion","pendingWindowInDays":20} SIGN-ARN`,
		`ScheduleKeyDeletion {"keyId":"MAC","pendingWindowInDays":7} -> ` +
			`{"keyId":"MAC-ARN","deletionDate":"2026-01-09T03:04:05.678Z","keyState":"PendingDeletion","pendingWindowInDays":7} MAC-ARN`,
		`CancelKeyDeletion {"keyId":"SIGN"} -> {"keyId":"SIGN-ARN"} SIGN-ARN`,
		`DeleteKey  -> {"keyId":"MAC-ARN"} map[keyId:MAC] MAC-ARN`,
		`RotateKey  ->  map[currentKeyMaterialId:MATERIAL-3 keyId:TWO keyOrigin:AWS_KMS rotationType:AUTOMATIC] TWO-ARN`,
		`DescribeKey {"keyId":"TWO"} ->  TWO-ARN`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-as in the guide +ours):\n%s", diff)
	}
}
