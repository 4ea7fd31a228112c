package awskms

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"kmsfs/kmsclient"
)

// The SDK retries, not kmsclient.NewRetry: only the SDK sees each attempt, so that
// it can sign it anew with the clock corrected and credentials renewed, and it
// shares one budget of retries among all goroutines, so that an outage does not
// multiply the load. Do not put NewRetry over a Client: five times five attempts
// would follow. What is worth a retry is decided by the table of errors, as for
// the callers.

// Pauses before a retry: the first of at most this length, each further one twice
// as long. A throttled client waits longer, an outage may be over at once.
const (
	outagePause   = 50 * time.Millisecond
	throttlePause = 250 * time.Millisecond
	longestPause  = 5 * time.Second
)

func newRetryer(attempts int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.Backoff = retry.BackoffDelayerFunc(pause)
		o.Retryables = []retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(func(err error) aws.Ternary { return aws.BoolTernary(worthRetry(err)) }),
		}
	})
}

// pause draws the time before the next attempt between half and all of its length,
// so that clients do not come back together.
func pause(attempt int, err error) (time.Duration, error) {
	longest := outagePause
	if e, _ := classify(err); errors.Is(e, kmsclient.ErrThrottled) {
		longest = throttlePause
	}
	for ; attempt > 1 && longest < longestPause; attempt-- {
		longest *= 2
	}
	longest = min(longest, longestPause)
	return longest/2 + rand.N(longest/2+1), nil
}

// worthRetry reports whether the same request may succeed soon.
func worthRetry(err error) bool {
	var (
		unsigned  *credentialsError
		limit     *limitError
		cancelled *smithy.CanceledError
		changed   interface{ RetryableError() bool }
	)
	switch {
	case errors.As(err, &unsigned): // its source has retries of its own
		return false
	case errors.As(err, &limit), errors.As(err, &cancelled), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &changed): // the credentials, or the SDK's idea of AWS's clock
		return changed.RetryableError()
	}
	e, _ := classify(err)
	return kmsclient.Retryable(e)
}

// attempt surrounds every attempt of every call of a Client.
type attempt struct {
	limit *rate.Limiter
	creds *chain
}

// ID implements middleware.FinalizeMiddleware.
func (*attempt) ID() string { return "kmsfs.Attempt" }

// HandleFinalize implements middleware.FinalizeMiddleware: it waits for the rate
// limit, wipes what a failed attempt read, and has refused credentials renewed.
func (a *attempt) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, meta middleware.Metadata, err error,
) {
	if err := a.limit.Wait(ctx); err != nil {
		return out, meta, &limitError{err}
	}
	generation := a.creds.current()
	out, meta, err = next.HandleFinalize(ctx, in)
	if err == nil {
		return out, meta, nil
	}
	discard(out.Result)
	var said smithy.APIError
	if errors.As(err, &said) && credentialCodes[said.ErrorCode()] && a.creds.renew(ctx, generation) {
		err = renewedError{err}
	}
	return out, meta, err
}

// discard wipes what the SDK parsed of an answer it then found bad: it fills the
// same struct at the next attempt, and would take what is missing then from here.
func discard(result any) {
	switch r := result.(type) {
	case *kms.GenerateDataKeyOutput:
		clear(r.Plaintext)
		*r = kms.GenerateDataKeyOutput{}
	case *kms.DecryptOutput:
		clear(r.Plaintext)
		*r = kms.DecryptOutput{}
	case *kms.EncryptOutput:
		*r = kms.EncryptOutput{}
	case *kms.ReEncryptOutput:
		*r = kms.ReEncryptOutput{}
	case *kms.DescribeKeyOutput:
		*r = kms.DescribeKeyOutput{}
	}
}

// limitError says that the context ended, or would have, in the queue of the rate
// limit.
type limitError struct{ error }

// renewedError is a refusal of credentials that have been renewed since.
type renewedError struct{ error }

func (e renewedError) Unwrap() error { return e.error }

// RetryableError is what the SDK asks.
func (renewedError) RetryableError() bool { return true }
