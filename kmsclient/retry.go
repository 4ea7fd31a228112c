package kmsclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// RetryOptions say how often and how patiently to retry. Zero fields stand for
// the defaults.
type RetryOptions struct {
	Attempts int           // calls in all, the first included; default 5
	Base     time.Duration // pause before the second call, doubled before each further; default 50ms
	Max      time.Duration // longest pause; default 2s
}

// retry is a KMS that repeats calls that failed with a Retryable error.
type retry struct {
	kms KMS
	o   RetryOptions
}

// NewRetry puts retries over kms: exponential backoff, each pause drawn between
// half and all of its length so that clients do not come back together. When ctx
// ends during a pause, the error matches the context's and the last one of the
// KMS. Several goroutines may use it, if they may use kms.
func NewRetry(kms KMS, o RetryOptions) KMS {
	if o.Attempts <= 0 {
		o.Attempts = 5
	}
	if o.Base <= 0 {
		o.Base = 50 * time.Millisecond
	}
	if o.Max <= 0 {
		o.Max = 2 * time.Second
	}
	return &retry{kms, o}
}

func (r *retry) do(ctx context.Context, call func() error) error {
	pause := r.o.Base
	for attempt := 1; ; attempt++ {
		err := call()
		if err == nil || !Retryable(err) || attempt >= r.o.Attempts || ctx.Err() != nil {
			return err
		}
		pause = min(pause, r.o.Max)
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-ctx.Done():
			timer.Stop()
			var e *Error
			if errors.As(err, &e) { // the KMS's answer, and why it is the last
				last := *e
				last.Kind = fmt.Errorf("%w, %w", e.Kind, ctx.Err())
				return &last
			}
			return fmt.Errorf("%w: %w", err, ctx.Err())
		case <-timer.C:
		}
		pause *= 2
	}
}

// GenerateDataKey implements KMS.
func (r *retry) GenerateDataKey(ctx context.Context, keyID string, ec EncryptionContext) (plaintext []byte, w Wrapped, err error) {
	err = r.do(ctx, func() error {
		plaintext, w, err = r.kms.GenerateDataKey(ctx, keyID, ec)
		return err
	})
	return plaintext, w, err
}

// Encrypt implements KMS.
func (r *retry) Encrypt(ctx context.Context, keyID string, plaintext []byte, ec EncryptionContext) (w Wrapped, err error) {
	err = r.do(ctx, func() error {
		w, err = r.kms.Encrypt(ctx, keyID, plaintext, ec)
		return err
	})
	return w, err
}

// Decrypt implements KMS.
func (r *retry) Decrypt(ctx context.Context, blob []byte, ec EncryptionContext) (plaintext []byte, w Wrapped, err error) {
	err = r.do(ctx, func() error {
		plaintext, w, err = r.kms.Decrypt(ctx, blob, ec)
		return err
	})
	return plaintext, w, err
}

// ReEncrypt implements KMS.
func (r *retry) ReEncrypt(ctx context.Context, blob []byte, ec EncryptionContext, toKeyID string) (w Wrapped, err error) {
	err = r.do(ctx, func() error {
		w, err = r.kms.ReEncrypt(ctx, blob, ec, toKeyID)
		return err
	})
	return w, err
}

// DescribeKey implements KMS.
func (r *retry) DescribeKey(ctx context.Context, keyID string) (info KeyInfo, err error) {
	err = r.do(ctx, func() error {
		info, err = r.kms.DescribeKey(ctx, keyID)
		return err
	})
	return info, err
}

// Close implements KMS.
func (r *retry) Close() error { return r.kms.Close() }
