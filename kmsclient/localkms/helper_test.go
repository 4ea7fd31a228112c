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

// only drops the answer of an operation, and leaves its error.
func only[T any](_ T, err error) error { return err }

// as gives the store to "user/NAME" or "role/NAME", which it makes, with an
// identity policy or, for "", one that allows everything.
func as(t testing.TB, s *Store, principal, document string) *Client {
	t.Helper()
	p, err := ParsePrincipal(principal)
	ok(t, err)
	p.owner = false
	if document == "" {
		document = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	}
	ok(t, s.writer.submit(bg, func(t *tx) error {
		return errors.Join(
			t.exec("REPLACE INTO principal VALUES (?, ?, ?, '{}', 3600, 0)", p.kind.String(), p.name, "ID"+p.String()),
			t.exec("REPLACE INTO principal_policy VALUES (?, ?, 'test', ?)", p.kind.String(), p.name, document),
			t.iamChanged())
	}))
	return s.ClientFor(Caller{Principal: p})
}

// rootHeader is the first line of a root key file without a passphrase.
const rootHeader = "kmsfs root key 1\n"
