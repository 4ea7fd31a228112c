package kmstest

import (
	"context"
	"sync/atomic"

	"kmsfs/kmsclient"
)

// Call tells a fault function which call it may fail.
type Call struct {
	Op    string // "Decrypt"
	N     int    // 1 for the first call of any operation, 2 for the next, …
	KeyID string // as the caller named it; "" for Decrypt
	// After is false before the KMS below is asked, true once it has answered:
	// a fault then is an answer lost on the way, the KMS having acted.
	After bool
}

// Faulty is a KMS whose calls fail when a function says so. Several goroutines
// may use it; the function is called by all of them.
type Faulty struct {
	kms   kmsclient.KMS
	fault func(context.Context, Call) error
	n     atomic.Int64
}

var _ kmsclient.KMS = (*Faulty)(nil)

// NewFaulty puts faults over kms. fault is called twice per call, before and
// after; the error it returns becomes the call's (see [Fail]). It may block to
// make a call slow, and should then heed the context.
func NewFaulty(kms kmsclient.KMS, fault func(context.Context, Call) error) *Faulty {
	return &Faulty{kms: kms, fault: fault}
}

// Fail is the error a KMS would give for one of the kinds of package kmsclient.
func Fail(c Call, kind error) error {
	return &kmsclient.Error{Op: c.Op, KeyID: c.KeyID, Kind: kind, Message: "injected"}
}

func (f *Faulty) around(ctx context.Context, op, keyID string, call func() error) error {
	c := Call{Op: op, N: int(f.n.Add(1)), KeyID: keyID}
	if err := f.fault(ctx, c); err != nil {
		return err
	}
	err := call()
	c.After = true
	if fault := f.fault(ctx, c); fault != nil {
		return fault
	}
	return err
}

// GenerateDataKey implements kmsclient.KMS.
func (f *Faulty) GenerateDataKey(ctx context.Context, keyID string, ec kmsclient.EncryptionContext) (key []byte, w kmsclient.Wrapped, err error) {
	err = f.around(ctx, "GenerateDataKey", keyID, func() error {
		key, w, err = f.kms.GenerateDataKey(ctx, keyID, ec)
		return err
	})
	return orZero(key, err), orZero(w, err), err
}

// Encrypt implements kmsclient.KMS.
func (f *Faulty) Encrypt(ctx context.Context, keyID string, plaintext []byte, ec kmsclient.EncryptionContext) (w kmsclient.Wrapped, err error) {
	err = f.around(ctx, "Encrypt", keyID, func() error {
		w, err = f.kms.Encrypt(ctx, keyID, plaintext, ec)
		return err
	})
	return orZero(w, err), err
}

// Decrypt implements kmsclient.KMS.
func (f *Faulty) Decrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext) (key []byte, w kmsclient.Wrapped, err error) {
	err = f.around(ctx, "Decrypt", "", func() error {
		key, w, err = f.kms.Decrypt(ctx, blob, ec)
		return err
	})
	return orZero(key, err), orZero(w, err), err
}

// ReEncrypt implements kmsclient.KMS.
func (f *Faulty) ReEncrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext, toKeyID string) (w kmsclient.Wrapped, err error) {
	err = f.around(ctx, "ReEncrypt", toKeyID, func() error {
		w, err = f.kms.ReEncrypt(ctx, blob, ec, toKeyID)
		return err
	})
	return orZero(w, err), err
}

// DescribeKey implements kmsclient.KMS.
func (f *Faulty) DescribeKey(ctx context.Context, keyID string) (info kmsclient.KeyInfo, err error) {
	err = f.around(ctx, "DescribeKey", keyID, func() error {
		info, err = f.kms.DescribeKey(ctx, keyID)
		return err
	})
	return orZero(info, err), err
}

// Close implements kmsclient.KMS.
func (f *Faulty) Close() error { return f.kms.Close() }

// orZero withholds an answer that a fault has overtaken.
func orZero[T any](v T, err error) T {
	if err != nil {
		var zero T
		return zero
	}
	return v
}
