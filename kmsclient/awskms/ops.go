package awskms

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"kmsfs/kmsclient"
)

// Limits of the API.
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
const (
	maxPlaintext = 4096
	maxBlob      = 6144
)

// GenerateDataKey implements kmsclient.KMS.
func (c *Client) GenerateDataKey(ctx context.Context, keyID string, ec kmsclient.EncryptionContext) (plaintext []byte, w kmsclient.Wrapped, err error) {
	const op = "GenerateDataKey"
	out, err := c.api.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: &keyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: ec,
	})
	if err != nil {
		return nil, w, refusal(ctx, op, keyID, err)
	}
	w, err = wrapped(op, keyID, out.CiphertextBlob, out.KeyId, out.KeyMaterialId)
	switch key := out.Plaintext; {
	case err != nil:
	case len(key) != kmsclient.DataKeySize:
		err = odd(op, keyID, "a data key of %d bytes", len(key))
	case [kmsclient.DataKeySize]byte(key) == [kmsclient.DataKeySize]byte{}:
		err = odd(op, keyID, "a data key of zeros")
	}
	if err != nil {
		clear(out.Plaintext)
		return nil, kmsclient.Wrapped{}, err
	}
	return out.Plaintext, w, nil
}

// Encrypt implements kmsclient.KMS. AWS does not tell which key material it used:
// Material is zero.
func (c *Client) Encrypt(ctx context.Context, keyID string, plaintext []byte, ec kmsclient.EncryptionContext) (w kmsclient.Wrapped, err error) {
	const op = "Encrypt"
	if len(plaintext) < 1 || len(plaintext) > maxPlaintext {
		return w, invalid(op, keyID, "a plaintext of %d bytes, want 1 to %d", len(plaintext), maxPlaintext)
	}
	out, err := c.api.Encrypt(ctx, &kms.EncryptInput{KeyId: &keyID, Plaintext: plaintext, EncryptionContext: ec})
	if err != nil {
		return w, refusal(ctx, op, keyID, err)
	}
	return wrapped(op, keyID, out.CiphertextBlob, out.KeyId, nil)
}

// Decrypt implements kmsclient.KMS.
func (c *Client) Decrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext) (plaintext []byte, w kmsclient.Wrapped, err error) {
	const op = "Decrypt"
	if err := checkBlob(op, blob); err != nil {
		return nil, w, err
	}
	out, err := c.api.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: ec})
	if err != nil {
		return nil, w, refusal(ctx, op, "", err)
	}
	w, err = wrapped(op, "", append([]byte(nil), blob...), out.KeyId, out.KeyMaterialId)
	if n := len(out.Plaintext); err == nil && (n < 1 || n > maxPlaintext) {
		err = odd(op, w.KeyID, "a plaintext of %d bytes", n)
	}
	if err != nil {
		clear(out.Plaintext)
		return nil, kmsclient.Wrapped{}, err
	}
	return out.Plaintext, w, nil
}

// ReEncrypt implements kmsclient.KMS.
func (c *Client) ReEncrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext, toKeyID string) (w kmsclient.Wrapped, err error) {
	const op = "ReEncrypt"
	if err := checkBlob(op, blob); err != nil {
		return w, err
	}
	out, err := c.api.ReEncrypt(ctx, &kms.ReEncryptInput{
		CiphertextBlob: blob, SourceEncryptionContext: ec, DestinationKeyId: &toKeyID, DestinationEncryptionContext: ec,
	})
	if err != nil {
		return w, refusal(ctx, op, toKeyID, err)
	}
	return wrapped(op, toKeyID, out.CiphertextBlob, out.KeyId, out.DestinationKeyMaterialId)
}

// DescribeKey implements kmsclient.KMS.
func (c *Client) DescribeKey(ctx context.Context, keyID string) (info kmsclient.KeyInfo, err error) {
	const op = "DescribeKey"
	out, err := c.api.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &keyID})
	if err != nil {
		return info, refusal(ctx, op, keyID, err)
	}
	m := out.KeyMetadata
	if m == nil {
		return info, odd(op, keyID, "no key")
	}
	if err := checkARN(op, keyID, m.Arn); err != nil {
		return info, err
	}
	material, err := materialID(op, keyID, m.CurrentKeyMaterialId)
	if err != nil {
		return info, err
	}
	if m.KeyState == "" {
		return info, odd(op, keyID, "a key without a state")
	}
	return kmsclient.KeyInfo{
		KeyID: *m.Arn, State: state(m.KeyState), CurrentMaterial: material, Description: aws.ToString(m.Description),
	}, nil
}

// state puts the states that only multi-Region keys have into the terms of package
// kmsclient.
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
func state(s types.KeyState) kmsclient.KeyState {
	switch s {
	case types.KeyStateUpdating: // can be used, not managed
		return kmsclient.StateEnabled
	case types.KeyStatePendingReplicaDeletion:
		return kmsclient.StatePendingDeletion
	case types.KeyStateCreating:
		return kmsclient.StateUnavailable
	}
	return kmsclient.KeyState(s)
}

// wrapped checks the parts of an answer that make a Wrapped.
func wrapped(op, keyID string, blob []byte, arn, material *string) (w kmsclient.Wrapped, err error) {
	if len(blob) < 1 || len(blob) > maxBlob {
		return w, odd(op, keyID, "a blob of %d bytes", len(blob))
	}
	if err := checkARN(op, keyID, arn); err != nil {
		return w, err
	}
	id, err := materialID(op, keyID, material)
	if err != nil {
		return w, err
	}
	return kmsclient.Wrapped{Blob: blob, KeyID: *arn, Material: id}, nil
}

// checkARN wants the canonical id of a key: headers know it by its hash, so one
// key under two names would count as two.
func checkARN(op, keyID string, arn *string) error {
	if id := aws.ToString(arn); !strings.HasPrefix(id, "arn:") || !strings.Contains(id, ":key/") {
		return odd(op, keyID, "%q for the ARN of the key", line(id))
	}
	return nil
}

// materialID reads a KeyMaterialId, 64 hex characters. Not every KMS names one.
func materialID(op, keyID string, s *string) (id kmsclient.MaterialID, err error) {
	if text := aws.ToString(s); text != "" {
		b, err := hex.DecodeString(text)
		if err != nil || len(b) != len(id) {
			return id, odd(op, keyID, "%q for the id of the key material", line(text))
		}
		id = kmsclient.MaterialID(b)
	}
	return id, nil
}

func checkBlob(op string, blob []byte) error {
	if len(blob) < 1 || len(blob) > maxBlob {
		return invalid(op, "", "a blob of %d bytes, want 1 to %d", len(blob), maxBlob)
	}
	return nil
}

// invalid is a request that need not be sent to be refused.
func invalid(op, keyID, format string, args ...any) error {
	return &Error{Refusal: &kmsclient.Error{
		Op: op, KeyID: keyID, Kind: kmsclient.ErrInvalidRequest, Message: fmt.Sprintf(format, args...),
	}}
}

// odd is an answer that no KMS gives: something else answers at the endpoint.
func odd(op, keyID, format string, args ...any) error {
	return &Error{Refusal: &kmsclient.Error{
		Op: op, KeyID: keyID, Kind: kmsclient.ErrUnavailable, Message: "the answer has " + fmt.Sprintf(format, args...),
	}}
}
