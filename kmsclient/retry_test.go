package kmsclient_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kmsfs/kmsclient"
)

func TestRetry(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		calls uint64
	}{
		"success":     {nil, 1},
		"throttled":   {fail(kmsclient.ErrThrottled), 4},
		"unavailable": {fail(kmsclient.ErrUnavailable), 4},
		"refused":     {fail(kmsclient.ErrDisabled), 1},
		"damaged":     {fail(kmsclient.ErrInvalidCiphertext), 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				count := kmsclient.NewCounting(&fakeKMS{err: test.err, size: 32})
				kms := kmsclient.NewRetry(count, kmsclient.RetryOptions{Attempts: 4, Base: time.Second, Max: 3 * time.Second})
				start := time.Now()
				_, _, err := kms.Decrypt(t.Context(), []byte("x"), nil)
				if err != test.err {
					t.Errorf("got %v, want %v", err, test.err)
				}
				if n := count.Counts()["Decrypt"]; n != test.calls {
					t.Errorf("%d calls, want %d", n, test.calls)
				}
				low, high := time.Duration(0), time.Duration(0)
				if test.calls > 1 { // pauses of up to 1, 2 and 3 seconds, each at least half
					low, high = 3*time.Second, 6*time.Second+time.Millisecond
				}
				if d := time.Since(start); d < low || d > high {
					t.Errorf("took %v, want %v to %v", d, low, high)
				}
			})
		})
	}
}

func TestRetryRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeKMS{err: fail(kmsclient.ErrThrottled), size: 32}
		time.AfterFunc(60*time.Millisecond, func() { fake.set(nil) })
		if _, err := kmsclient.NewRetry(fake, kmsclient.RetryOptions{}).DescribeKey(t.Context(), "K"); err != nil {
			t.Error(err)
		}
	})
}

func TestRetryHeedsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kms := kmsclient.NewRetry(&fakeKMS{err: fail(kmsclient.ErrThrottled)}, kmsclient.RetryOptions{Base: time.Hour, Max: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := kms.DescribeKey(ctx, "K")
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kmsclient.ErrThrottled) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
	})
}
