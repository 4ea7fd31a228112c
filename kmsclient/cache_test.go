package kmsclient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kmsfs/kmsclient"
)

// fakeKMS decrypts any blob to a key of that byte repeated, after delay; Decrypt
// fails with err if that is set. It counts nothing: see Counting.
type fakeKMS struct {
	kmsclient.KMS // nil: only Decrypt and DescribeKey are there

	mu    sync.Mutex
	delay time.Duration
	err   error
	size  int
}

func (f *fakeKMS) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeKMS) Decrypt(ctx context.Context, blob []byte, _ kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	select {
	case <-time.After(f.delay):
	case <-ctx.Done():
		return nil, kmsclient.Wrapped{}, fail(kmsclient.Interrupted(ctx.Err()))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, kmsclient.Wrapped{}, f.err
	}
	return bytes.Repeat(blob[:1], f.size), kmsclient.Wrapped{Blob: blob, KeyID: "K"}, nil
}

func (f *fakeKMS) DescribeKey(context.Context, string) (kmsclient.KeyInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return kmsclient.KeyInfo{}, f.err
}

func fail(kind error) error { return &kmsclient.Error{Op: "Decrypt", Kind: kind} }

// rig is a cache of three keys for a minute over a KMS that takes a second.
type rig struct {
	*testing.T
	fake  *fakeKMS
	count *kmsclient.Counting
	cache *kmsclient.KeyCache
}

func cacheTest(t *testing.T, f func(r rig)) {
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeKMS{delay: time.Second, size: kmsclient.DataKeySize}
		count := kmsclient.NewCounting(fake)
		f(rig{t, fake, count, kmsclient.NewKeyCache(count, time.Minute, 3)})
	})
}

var ec = kmsclient.EncryptionContext{"a": "b"}

func (r rig) get(blob string) error {
	r.Helper()
	key, w, err := r.cache.Get(r.Context(), []byte(blob), ec)
	if err == nil && (key[31] != blob[0] || w.KeyID != "K" || string(w.Blob) != blob) {
		r.Errorf("%s: a wrong key, %+v", blob, w)
	}
	return err
}

func (r rig) calls(want uint64) {
	r.Helper()
	if got := r.count.Total(); got != want {
		r.Errorf("%d KMS calls, want %d", got, want)
	}
}

func (r rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func TestCacheTTL(t *testing.T) {
	cacheTest(t, func(r rig) {
		r.ok(r.get("x"))
		r.ok(r.get("x"))
		r.calls(1)
		time.Sleep(58 * time.Second) // a minute since the KMS was asked, less one second
		r.ok(r.get("x"))
		r.calls(1)
		r.fake.set(fail(kmsclient.ErrDisabled))
		time.Sleep(time.Second)
		if err := r.get("x"); !errors.Is(err, kmsclient.ErrDisabled) {
			r.Errorf("after the TTL: %v", err)
		}
		r.fake.set(nil)
		r.ok(r.get("x")) // the refusal was not cached
		time.Sleep(time.Minute)
		r.cache.Sweep()
		if n := r.cache.Len(); n != 0 {
			r.Errorf("%d keys after a sweep", n)
		}
	})
}

func TestCacheSharesCalls(t *testing.T) {
	cacheTest(t, func(r rig) {
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { r.ok(r.get("x")) })
		}
		wg.Wait()
		r.calls(1)
	})
}

// The caller who started a call may leave; the others still get the key. When
// all leave, the call is cancelled.
func TestCacheCancel(t *testing.T) {
	cacheTest(t, func(r rig) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
		defer cancel()
		other := make(chan error)
		go func() {
			time.Sleep(time.Microsecond)
			other <- r.get("x")
		}()
		_, _, err := r.cache.Get(ctx, []byte("x"), ec)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kmsclient.ErrUnavailable) {
			r.Errorf("deadline: %v", err)
		}
		r.ok(<-other)
		r.calls(1)

		ctx, cancel = context.WithTimeout(r.Context(), time.Millisecond)
		defer cancel()
		_, _, err = r.cache.Get(ctx, []byte("y"), ec)
		if !errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("deadline: %v", err)
		}
		synctest.Wait() // the call has ended, without a second having passed
		r.ok(r.get("y"))
		r.calls(3)
	})
}

func TestCacheEviction(t *testing.T) {
	cacheTest(t, func(r rig) {
		for _, b := range []string{"a", "b", "c", "a", "d"} { // a is used again, b is not
			r.ok(r.get(b))
		}
		r.calls(4)
		if n := r.cache.Len(); n != 3 {
			r.Errorf("%d keys, want 3", n)
		}
		r.ok(r.get("a"))
		r.calls(4)
		r.ok(r.get("b"))
		r.calls(5)
	})
}

func TestCachePut(t *testing.T) {
	cacheTest(t, func(r rig) {
		r.cache.Put([]byte("x"), [32]byte(bytes.Repeat([]byte("x"), 32)), kmsclient.Wrapped{Blob: []byte("x"), KeyID: "K"})
		r.ok(r.get("x"))
		r.calls(0)
		r.cache.Drop([]byte("x"))
		r.ok(r.get("x"))
		r.calls(1)
	})
}

// A key the KMS released under one context is not given out under another.
func TestCacheContext(t *testing.T) {
	cacheTest(t, func(r rig) {
		r.ok(r.get("x"))
		r.fake.set(fail(kmsclient.ErrInvalidCiphertext))
		_, _, err := r.cache.Get(r.Context(), []byte("x"), kmsclient.EncryptionContext{"a": "c"})
		if !errors.Is(err, kmsclient.ErrInvalidCiphertext) {
			r.Errorf("another context: %v", err)
		}
	})
}

func TestCacheRenew(t *testing.T) {
	cacheTest(t, func(r rig) {
		renew := func(want error) {
			r.Helper()
			if err := r.cache.Renew(r.Context(), []byte("x"), ec); !errors.Is(err, want) {
				r.Errorf("renew: %v, want %v", err, want)
			}
		}
		r.ok(r.get("x"))
		time.Sleep(40 * time.Second)
		renew(nil)
		time.Sleep(40 * time.Second)
		r.ok(r.get("x")) // 80 s after the first call
		r.calls(2)

		r.fake.set(fail(kmsclient.ErrUnavailable))
		renew(kmsclient.ErrUnavailable)
		r.ok(r.get("x")) // still within its TTL
		r.calls(3)
		time.Sleep(20 * time.Second)
		if err := r.get("x"); !errors.Is(err, kmsclient.ErrUnavailable) {
			r.Errorf("an outage prolongs the TTL: %v", err)
		}

		for _, kind := range []error{kmsclient.ErrDisabled, kmsclient.ErrDenied, kmsclient.ErrNotFound, kmsclient.ErrInvalidCiphertext} {
			r.fake.set(nil)
			r.ok(r.get("x"))
			r.fake.set(fail(kind))
			renew(kind)
			if n := r.cache.Len(); n != 0 {
				r.Errorf("%v leaves the key in the cache", kind)
			}
		}
	})
}

// Clear during a call: the caller gets the key, the cache does not.
func TestCacheClearDuringCall(t *testing.T) {
	cacheTest(t, func(r rig) {
		r.ok(r.get("a"))
		done := make(chan error)
		go func() { done <- r.get("x") }()
		time.Sleep(time.Millisecond)
		r.cache.Clear()
		if n := r.cache.Len(); n != 0 {
			r.Errorf("%d keys after Clear", n)
		}
		r.ok(<-done)
		if n := r.cache.Len(); n != 0 {
			r.Errorf("a call that Clear overtook filled the cache")
		}
	})
}

func TestCacheWrongSize(t *testing.T) {
	cacheTest(t, func(r rig) {
		for _, r.fake.size = range []int{0, 16, 33} {
			if err := r.get("x"); !errors.Is(err, kmsclient.ErrInvalidCiphertext) {
				r.Errorf("a key of %d bytes: %v", r.fake.size, err)
			}
		}
		if n := r.cache.Len(); n != 0 {
			r.Errorf("%d keys cached", n)
		}
	})
}

// Everything at once, for the race detector.
func TestCacheConcurrency(t *testing.T) {
	cacheTest(t, func(r rig) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					blob := fmt.Sprint((i + j) % 6)
					r.ok(r.get(blob))
					switch j % 10 {
					case 3:
						r.cache.Drop([]byte(blob))
					case 5:
						r.ok(r.cache.Renew(r.Context(), []byte(blob), ec))
					case 7:
						r.cache.Sweep()
					case 9:
						r.cache.Clear()
					}
				}
			})
		}
		wg.Wait()
	})
}
