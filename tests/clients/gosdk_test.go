//go:build clients

package clients

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// sdk is a client of the server with credentials, retrying nothing unless set
// says otherwise.
func (s *server) sdk(keys []string, set ...func(*kms.Options)) *kms.Client {
	s.Helper()
	value := map[string]string{}
	for _, k := range keys {
		name, v, _ := strings.Cut(k, "=")
		value[name] = v
	}
	return kms.New(kms.Options{
		BaseEndpoint: aws.String(s.url),
		Region:       "us-east-1",
		Retryer:      aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(
			value["AWS_ACCESS_KEY_ID"], value["AWS_SECRET_ACCESS_KEY"], value["AWS_SESSION_TOKEN"]),
	}, set...)
}

// newKey makes a key and returns its ARN.
func newKey(t *testing.T, client *kms.Client, in *kms.CreateKeyInput) string {
	t.Helper()
	out, err := client.CreateKey(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.KeyMetadata.Arn
}

func TestGoSDK(t *testing.T) {
	t.Parallel()
	s := start(t)
	client, ctx := s.sdk(s.alice), t.Context()
	key, other := newKey(t, client, &kms.CreateKeyInput{}), newKey(t, client, &kms.CreateKeyInput{})
	letter, diary := []byte("Dear diary"), map[string]string{"app": "diary"}

	sealed, err := client.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: letter, EncryptionContext: diary})
	if err != nil {
		t.Fatal(err)
	}
	moved, err := client.ReEncrypt(ctx, &kms.ReEncryptInput{
		CiphertextBlob: sealed.CiphertextBlob, SourceEncryptionContext: diary, DestinationKeyId: &other,
	})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := client.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: moved.CiphertextBlob, KeyId: &other})
	if err != nil || !bytes.Equal(opened.Plaintext, letter) || *opened.KeyId != other {
		t.Errorf("got %q under %s, %v", opened.Plaintext, aws.ToString(opened.KeyId), err)
	}
	data, err := client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256})
	if err != nil || len(data.Plaintext) != 32 {
		t.Errorf("data key of %d bytes, %v", len(data.Plaintext), err)
	}

	signer := newKey(t, client, &kms.CreateKeyInput{KeySpec: types.KeySpecMlDsa65, KeyUsage: types.KeyUsageTypeSignVerify})
	signature, err := client.Sign(ctx, &kms.SignInput{KeyId: &signer, Message: letter, SigningAlgorithm: types.SigningAlgorithmSpecMlDsaShake256})
	if err != nil {
		t.Fatal(err)
	}
	verified, err := client.Verify(ctx, &kms.VerifyInput{
		KeyId: &signer, Message: letter, Signature: signature.Signature, SigningAlgorithm: types.SigningAlgorithmSpecMlDsaShake256,
	})
	if err != nil || !verified.SignatureValid {
		t.Errorf("signature: %v", err)
	}

	described, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
	if err != nil || described.KeyMetadata.KeyState != types.KeyStateEnabled || described.KeyMetadata.CreationDate.IsZero() {
		t.Errorf("got %+v, %v", described, err)
	}
}

// TestGoSDKPaginators reads each list in parts of two.
func TestGoSDKPaginators(t *testing.T) {
	t.Parallel()
	s := start(t)
	client, ctx := s.sdk(s.alice), t.Context()
	key := newKey(t, client, &kms.CreateKeyInput{})
	bob := "arn:aws:iam::" + account + ":user/bob"
	s.kmsfs("create-user", "--user-name", "bob")
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		newKey(t, client, &kms.CreateKeyInput{Description: &n})
		_, err1 := client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/" + n), TargetKeyId: &key})
		_, err2 := client.TagResource(ctx, &kms.TagResourceInput{KeyId: &key, Tags: []types.Tag{{TagKey: &n, TagValue: &n}}})
		_, err3 := client.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key})
		_, err4 := client.CreateGrant(ctx, &kms.CreateGrantInput{
			KeyId: &key, Name: &n, GranteePrincipal: &bob, RetiringPrincipal: &bob, Operations: []types.GrantOperation{types.GrantOperationDecrypt},
		})
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
	}
	limit := aws.Int32(2)
	inParts(t, kms.NewListKeysPaginator(client, &kms.ListKeysInput{Limit: limit}),
		func(out *kms.ListKeysOutput) int { return len(out.Keys) }, 7) // with the first that start makes
	inParts(t, kms.NewListAliasesPaginator(client, &kms.ListAliasesInput{KeyId: &key, Limit: limit}),
		func(out *kms.ListAliasesOutput) int { return len(out.Aliases) }, 5)
	inParts(t, kms.NewListResourceTagsPaginator(client, &kms.ListResourceTagsInput{KeyId: &key, Limit: limit}),
		func(out *kms.ListResourceTagsOutput) int { return len(out.Tags) }, 5)
	inParts(t, kms.NewListGrantsPaginator(client, &kms.ListGrantsInput{KeyId: &key, Limit: limit}),
		func(out *kms.ListGrantsOutput) int { return len(out.Grants) }, 5)
	inParts(t, kms.NewListRetirableGrantsPaginator(client, &kms.ListRetirableGrantsInput{RetiringPrincipal: &bob, Limit: limit}),
		func(out *kms.ListRetirableGrantsOutput) int { return len(out.Grants) }, 5)
	inParts(t, kms.NewListKeyRotationsPaginator(client, &kms.ListKeyRotationsInput{KeyId: &key, Limit: limit}),
		func(out *kms.ListKeyRotationsOutput) int { return len(out.Rotations) }, 5)
	inParts(t, kms.NewListKeyPoliciesPaginator(client, &kms.ListKeyPoliciesInput{KeyId: &key, Limit: limit}),
		func(out *kms.ListKeyPoliciesOutput) int { return len(out.PolicyNames) }, 1)
}

// inParts reads a list in parts of two, and wants so many entries.
func inParts[Out any](t *testing.T, list interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*kms.Options)) (*Out, error)
}, length func(*Out) int, want int) {
	t.Helper()
	parts, entries := 0, 0
	for list.HasMorePages() {
		out, err := list.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		parts++
		entries += length(out)
	}
	if entries != want || parts != (want+1)/2 {
		t.Errorf("%T: %d entries in %d parts, want %d", list, entries, parts, want)
	}
}

// TestGoSDKThrottled: a server that allows 5 calls a second turns some of 20 away;
// a client that tries again gets through with all.
func TestGoSDKThrottled(t *testing.T) {
	t.Parallel()
	s := start(t, "--rate", "5")
	encrypt := func(client *kms.Client) (done, retried int) {
		var wait sync.WaitGroup
		var mu sync.Mutex
		for range 20 {
			wait.Go(func() {
				out, err := client.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(32)})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					done++
					if attempts, ok := retry.GetAttemptResults(out.ResultMetadata); ok && len(attempts.Results) > 1 {
						retried++
					}
				} else if !isAPIError(err, "ThrottlingException") {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		return done, retried
	}
	if done, _ := encrypt(s.sdk(s.alice)); done < 5 || done == 20 {
		t.Errorf("%d of 20 calls were done at once", done)
	}
	standard := func(o *kms.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.RateLimiter = 30, noLimit{} })
	}
	if done, retried := encrypt(s.sdk(s.alice, standard)); done < 20 || retried == 0 {
		t.Errorf("%d of 20 calls were done, %d of them when tried again", done, retried)
	}
}

// noLimit lets the SDK try again as often as MaxAttempts says.
type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

func isAPIError(err error, code string) bool {
	var e smithy.APIError
	return errors.As(err, &e) && e.ErrorCode() == code
}
