package localkms

import (
	"context"
	"encoding/hex"
	"iter"
	"slices"

	"kmsfs/kmsclient"
)

// Client is one principal's use of a store, as a kmsclient.KMS. The operations
// of AWS that the interface lacks are methods too, from the embedded API; those
// it has under the same name are reached through that field: c.API.Encrypt.
type Client struct{ *API }

// GenerateDataKey implements kmsclient.KMS.
func (c *Client) GenerateDataKey(ctx context.Context, keyID string, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	out, err := c.API.GenerateDataKey(ctx, GenerateDataKeyInput{
		KeyID: keyID, NumberOfBytes: new(kmsclient.DataKeySize), EncryptionContext: ec,
	})
	return out.Plaintext, kmsclient.Wrapped{Blob: out.CiphertextBlob, KeyID: out.KeyID, Material: materialID(out.KeyMaterialID)}, err
}

// Encrypt implements kmsclient.KMS.
func (c *Client) Encrypt(ctx context.Context, keyID string, plaintext []byte, ec kmsclient.EncryptionContext) (kmsclient.Wrapped, error) {
	out, err := c.API.Encrypt(ctx, EncryptInput{KeyID: keyID, Plaintext: plaintext, EncryptionContext: ec})
	return kmsclient.Wrapped{Blob: out.CiphertextBlob, KeyID: out.KeyID, Material: out.material}, err
}

// Decrypt implements kmsclient.KMS.
func (c *Client) Decrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	out, err := c.API.Decrypt(ctx, DecryptInput{CiphertextBlob: blob, EncryptionContext: ec})
	if err != nil {
		return nil, kmsclient.Wrapped{}, err
	}
	return out.Plaintext, kmsclient.Wrapped{Blob: slices.Clone(blob), KeyID: out.KeyID, Material: materialID(out.KeyMaterialID)}, nil
}

// ReEncrypt implements kmsclient.KMS.
func (c *Client) ReEncrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext, toKeyID string) (kmsclient.Wrapped, error) {
	out, err := c.API.ReEncrypt(ctx, ReEncryptInput{
		CiphertextBlob: blob, SourceEncryptionContext: ec,
		DestinationKeyID: toKeyID, DestinationEncryptionContext: ec,
	})
	return kmsclient.Wrapped{Blob: out.CiphertextBlob, KeyID: out.KeyID, Material: materialID(out.DestinationKeyMaterialID)}, err
}

// DescribeKey implements kmsclient.KMS.
func (c *Client) DescribeKey(ctx context.Context, keyID string) (kmsclient.KeyInfo, error) {
	out, err := c.API.DescribeKey(ctx, DescribeKeyInput{KeyID: keyID})
	if err != nil {
		return kmsclient.KeyInfo{}, err
	}
	m := out.KeyMetadata
	return kmsclient.KeyInfo{
		KeyID: m.Arn, State: m.KeyState, CurrentMaterial: materialID(m.CurrentKeyMaterialID), Description: m.Description,
	}, nil
}

// materialID reads a KeyMaterialId of an answer; "" is none.
func materialID(s string) (id kmsclient.MaterialID) {
	hex.Decode(id[:], []byte(s))
	return id
}

// Close implements kmsclient.KMS. The store stays open: whoever opened it
// closes it.
func (c *Client) Close() error { return nil }

// LockedBy tells what kept the store from being unlocked; nil if nothing did.
func (c *Client) LockedBy() error { return c.store.LockedBy() }

// AuditEvents reads the audit log of the store; see Store.AuditEvents.
func (c *Client) AuditEvents(ctx context.Context, f AuditFilter) iter.Seq2[AuditRecord, error] {
	return c.store.AuditEvents(ctx, f)
}

// VerifyAudit checks the audit log of the store; see Store.VerifyAudit.
func (c *Client) VerifyAudit(ctx context.Context, kept ...Checkpoint) (records uint64, err error) {
	return c.store.VerifyAudit(ctx, kept...)
}

// Checkpoint signs the audit log as it is now; see Store.Checkpoint.
func (c *Client) Checkpoint(ctx context.Context) (Checkpoint, error) { return c.store.Checkpoint(ctx) }
