// Package kmsclient is what the rest of kmsfs knows of a key management service:
// an interface of five operations, seven kinds of refusal, and the wrappers
// (cache, retry, counter) that work over any KMS.
//
// Creating, enabling or rotating keys is not here: that belongs to the KMS that
// owns them (package localkms for the embedded one).
package kmsclient

import (
	"context"
	"crypto/sha256"
)

// DataKeySize is the size in bytes of every data key kmsfs asks for (AES-256).
const DataKeySize = 32

// EncryptionContext is the additional authenticated data of a KMS operation: a
// blob made under one context opens under exactly the same one only. It is
// mandatory in kmsfs and appears in clear in the audit log, so it names ids,
// never paths or contents.
//
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
type EncryptionContext map[string]string

// MaterialID names one piece of key material of a CMK: the 32 bytes that AWS
// prints as 64 hex characters (KeyMaterialId). It is zero where the provider
// names none.
type MaterialID [32]byte

// IsZero reports whether the provider named no key material.
func (m MaterialID) IsZero() bool { return m == MaterialID{} }

// Wrapped is a key, or other small secret, as the KMS sealed it.
type Wrapped struct {
	Blob     []byte     // the KMS's own ciphertext, opaque to us
	KeyID    string     // canonical id (ARN) of the CMK that sealed it
	Material MaterialID // key material that sealed it, zero if unknown
}

// KeyTag identifies a CMK inside a header: the first 16 bytes of the SHA-256 of
// its canonical id. See docs/format.md, "Header".
func KeyTag(canonicalID string) [16]byte {
	sum := sha256.Sum256([]byte(canonicalID))
	return [16]byte(sum[:16])
}

// KeyState is the state of a CMK, in AWS's words.
type KeyState string

// The states of a CMK.
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
const (
	StateEnabled         KeyState = "Enabled"
	StateDisabled        KeyState = "Disabled"
	StatePendingImport   KeyState = "PendingImport"
	StatePendingDeletion KeyState = "PendingDeletion"
	StateUnavailable     KeyState = "Unavailable"
)

// KeyInfo is what DescribeKey tells of a CMK.
type KeyInfo struct {
	KeyID           string     // canonical id (ARN)
	State           KeyState   //
	CurrentMaterial MaterialID // what new wraps will use, zero if unknown
	Description     string
}

// KMS is a key management service. A key is named by id, ARN or alias
// ("alias/NAME"); answers name it by its canonical id. Implementations may be
// used by several goroutines at once. Slices passed in are not kept; slices
// returned belong to the caller, who wipes plaintext when done with it.
//
// Errors match, with errors.Is, one of the Err values of this package.
type KMS interface {
	// GenerateDataKey makes a random key of DataKeySize bytes and returns it in
	// the clear and wrapped by the CMK.
	GenerateDataKey(ctx context.Context, keyID string, ec EncryptionContext) (plaintext []byte, w Wrapped, err error)
	// Encrypt wraps 1 to 4096 bytes.
	Encrypt(ctx context.Context, keyID string, plaintext []byte, ec EncryptionContext) (Wrapped, error)
	// Decrypt opens a blob; the returned Wrapped repeats it with the CMK and
	// material that opened it.
	Decrypt(ctx context.Context, blob []byte, ec EncryptionContext) (plaintext []byte, w Wrapped, err error)
	// ReEncrypt moves a blob to another CMK (or to the current material of the
	// same) inside the KMS: no plaintext leaves it. Both sides use the same
	// context.
	ReEncrypt(ctx context.Context, blob []byte, ec EncryptionContext, toKeyID string) (Wrapped, error)
	// DescribeKey resolves an id, ARN or alias and tells the key's state.
	DescribeKey(ctx context.Context, keyID string) (KeyInfo, error)
	// Close releases what the client holds.
	Close() error
}
