//go:build clients

package clients

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// TestGoSDKErrors: the SDK makes its own types of the errors, for errors.As.
func TestGoSDKErrors(t *testing.T) {
	t.Parallel()
	s := start(t)
	client, ctx := s.sdk(s.alice), t.Context()
	key, another := newKey(t, client, &kms.CreateKeyInput{}), newKey(t, client, &kms.CreateKeyInput{})
	disabled, pending := newKey(t, client, &kms.CreateKeyInput{}), newKey(t, client, &kms.CreateKeyInput{})
	external := newKey(t, client, &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	signer := newKey(t, client, &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify})
	mac := newKey(t, client, &kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	s.kmsfs("disable-key", "--key-id", disabled)
	s.kmsfs("schedule-key-deletion", "--key-id", pending)
	sealed, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("p")})
	if err != nil {
		t.Fatal(err)
	}
	blob := sealed.CiphertextBlob
	nobody := s.sdk(s.nobody("bob"))

	encrypt := func(key string) error {
		_, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("p")})
		return err
	}
	for name, c := range map[string]struct {
		got     error
		is      func(error) bool
		message string // in part
	}{
		"disabled":         {encrypt(disabled), as[*types.DisabledException], disabled + " is disabled."},
		"pending deletion": {encrypt(pending), as[*types.KMSInvalidStateException], pending + " is pending deletion."},
		"pending import":   {encrypt(external), as[*types.KMSInvalidStateException], external + " is pending import."},
		"no such key":      {encrypt("00000000-0000-4000-8000-000000000000"), as[*types.NotFoundException], "does not exist"},
		"no such alias":    {encrypt("alias/none"), as[*types.NotFoundException], "alias/none is not found."},
		"wrong usage":      {encrypt(signer), as[*types.InvalidKeyUsageException], ""},
		"another's ARN":    {encrypt("arn:aws:s3:::bucket"), as[*types.InvalidArnException], ""},
		"changed blob": {
			failure(client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: append([]byte{1}, blob...)})),
			as[*types.InvalidCiphertextException], "",
		},
		"another context": {
			failure(client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "b"}})),
			as[*types.InvalidCiphertextException], "",
		},
		"another key": {
			failure(client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, KeyId: &another})),
			as[*types.IncorrectKeyException], "",
		},
		"dry run": {
			failure(client.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("p"), DryRun: aws.Bool(true)})),
			as[*types.DryRunOperationException], "would have succeeded",
		},
		"signature": {
			failure(client.Verify(ctx, &kms.VerifyInput{
				KeyId: &signer, Message: []byte("m"), Signature: []byte("s"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
			})),
			as[*types.KMSInvalidSignatureException], "",
		},
		"mac": {
			failure(client.VerifyMac(ctx, &kms.VerifyMacInput{
				KeyId: &mac, Message: []byte("m"), Mac: make([]byte, 32), MacAlgorithm: types.MacAlgorithmSpecHmacSha256,
			})),
			as[*types.KMSInvalidMacException], "",
		},
		"policy": {
			failure(client.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &key, Policy: aws.String("{")})),
			as[*types.MalformedPolicyDocumentException], "",
		},
		"tag": {
			failure(client.TagResource(ctx, &kms.TagResourceInput{KeyId: &key, Tags: []types.Tag{{TagKey: aws.String("aws:t"), TagValue: aws.String("")}}})),
			as[*types.TagException], "",
		},
		"alias name": {
			failure(client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/a:b"), TargetKeyId: &key})),
			as[*types.InvalidAliasNameException], "",
		},
		"marker":       {failure(client.ListKeys(ctx, &kms.ListKeysInput{Marker: aws.String("x")})), as[*types.InvalidMarkerException], ""},
		"rotation":     {failure(client.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &signer})), as[*types.UnsupportedOperationException], ""},
		"grant token":  {failure(client.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: aws.String("x")})), as[*types.InvalidGrantTokenException], ""},
		"import token": {importWith(t, client, external, []byte("x")), as[*types.InvalidImportTokenException], ""},
		"custom store": {
			failure(client.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: aws.String("cks-1")})),
			func(err error) bool { return isAPIError(err, "UnsupportedOperationException") }, "",
		},
		"denied": {
			failure(nobody.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob})),
			func(err error) bool { return isAPIError(err, "AccessDeniedException") }, "user/bob is not authorized to perform: kms:Decrypt",
		},
		"wrong secret": {
			failure(s.sdk([]string{s.alice[0], "AWS_SECRET_ACCESS_KEY=x"}).ListKeys(ctx, &kms.ListKeysInput{})),
			func(err error) bool { return isAPIError(err, "InvalidSignatureException") }, "",
		},
		"invalid": {
			failure(client.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(0)})),
			func(err error) bool { return isAPIError(err, "ValidationException") }, "greater than or equal to 1",
		},
	} {
		if c.got == nil || !c.is(c.got) || !strings.Contains(c.got.Error(), c.message) {
			t.Errorf("%s: got %v (%T)", name, c.got, c.got)
		}
	}
}

// as reports whether an error is of a type.
func as[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// failure is the error of an answer.
func failure[Out any](_ Out, err error) error { return err }

// importWith tries to import with a token.
func importWith(t *testing.T, client *kms.Client, key string, token []byte) error {
	_, err := client.ImportKeyMaterial(t.Context(), &kms.ImportKeyMaterialInput{
		KeyId: &key, ImportToken: token, EncryptedKeyMaterial: []byte("x"), ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
	})
	return err
}

// nobody makes a user without policies, and an access key.
func (s *server) nobody(name string) []string {
	s.Helper()
	s.kmsfs("create-user", "--user-name", name)
	return s.accessKey(name)
}
