package kmsclient

import (
	"context"
	"sync/atomic"
)

// Names of the operations of the KMS interface, as counters and errors use them.
const (
	opGenerateDataKey = "GenerateDataKey"
	opEncrypt         = "Encrypt"
	opDecrypt         = "Decrypt"
	opReEncrypt       = "ReEncrypt"
	opDescribeKey     = "DescribeKey"
)

// Counting is a KMS that counts the calls that reach the KMS below it, whether
// they succeed or not. Several goroutines may use it.
type Counting struct {
	kms                                             KMS
	generate, encrypt, decrypt, reencrypt, describe atomic.Uint64
}

var _ KMS = (*Counting)(nil)

// NewCounting puts a counter over kms.
func NewCounting(kms KMS) *Counting { return &Counting{kms: kms} }

// Counts gives the number of calls so far by operation ("Decrypt"); operations
// never called are absent.
func (c *Counting) Counts() map[string]uint64 {
	m := map[string]uint64{}
	for op, n := range map[string]*atomic.Uint64{
		opGenerateDataKey: &c.generate, opEncrypt: &c.encrypt, opDecrypt: &c.decrypt,
		opReEncrypt: &c.reencrypt, opDescribeKey: &c.describe,
	} {
		if v := n.Load(); v != 0 {
			m[op] = v
		}
	}
	return m
}

// Total is the number of calls so far.
func (c *Counting) Total() (n uint64) {
	for _, v := range c.Counts() {
		n += v
	}
	return n
}

// GenerateDataKey implements KMS.
func (c *Counting) GenerateDataKey(ctx context.Context, keyID string, ec EncryptionContext) ([]byte, Wrapped, error) {
	c.generate.Add(1)
	return c.kms.GenerateDataKey(ctx, keyID, ec)
}

// Encrypt implements KMS.
func (c *Counting) Encrypt(ctx context.Context, keyID string, plaintext []byte, ec EncryptionContext) (Wrapped, error) {
	c.encrypt.Add(1)
	return c.kms.Encrypt(ctx, keyID, plaintext, ec)
}

// Decrypt implements KMS.
func (c *Counting) Decrypt(ctx context.Context, blob []byte, ec EncryptionContext) ([]byte, Wrapped, error) {
	c.decrypt.Add(1)
	return c.kms.Decrypt(ctx, blob, ec)
}

// ReEncrypt implements KMS.
func (c *Counting) ReEncrypt(ctx context.Context, blob []byte, ec EncryptionContext, toKeyID string) (Wrapped, error) {
	c.reencrypt.Add(1)
	return c.kms.ReEncrypt(ctx, blob, ec, toKeyID)
}

// DescribeKey implements KMS.
func (c *Counting) DescribeKey(ctx context.Context, keyID string) (KeyInfo, error) {
	c.describe.Add(1)
	return c.kms.DescribeKey(ctx, keyID)
}

// Close implements KMS.
func (c *Counting) Close() error { return c.kms.Close() }
