package localkms

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kmsfs/kmsclient"
)

var bg = context.Background()

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newStore(t testing.TB, o Options) *Store {
	t.Helper()
	o.Create = true
	return openStore(t, filepath.Join(t.TempDir(), "kms"), o)
}

func openStore(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// newKey makes a key and returns its ARN.
func newKey(t testing.TB, c *Client) string {
	t.Helper()
	out, err := c.CreateKey(bg, CreateKeyInput{})
	ok(t, err)
	return out.KeyMetadata.Arn
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused checks AWS's error name and message of a refusal.
func refused(t testing.TB, err error, code, message string) {
	t.Helper()
	var e *kmsclient.Error
	if !errors.As(err, &e) {
		t.Errorf("got error %v, want %s", err, code)
		return
	}
	if e.Code != code || e.Message != message {
		t.Errorf("got %s %q, want %s %q", e.Code, e.Message, code, message)
	}
}
