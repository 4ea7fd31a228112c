package localkms

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/unlock"
)

// A store whose root key only a key of its own could unlock would never open
// again, however it is reached.
func TestStoreDoesNotUnlockItself(t *testing.T) {
	s := newStore(t, Options{})
	key := newKey(t, s.Client())
	before, err := os.ReadFile(filepath.Join(s.Dir(), rootName))
	ok(t, err)
	err = s.ChangeUnlock(bg, unlock.KMS{URI: "aws:us-east-1?endpoint=http://localhost:7600", Key: key, Open: openKMSOf(s)})
	if err == nil || !strings.Contains(err.Error(), key+" is one of this key store's own") {
		t.Errorf("got %v", err)
	}
	after, err := os.ReadFile(filepath.Join(s.Dir(), rootName))
	ok(t, err)
	if string(after) != string(before) {
		t.Error("root.key has changed")
	}
	if err := s.ChangeUnlock(bg, unlock.KMS{URI: "local:x", Key: key}); !errors.Is(err, unlock.ErrNoSecret) {
		t.Errorf("no way to the other KMS: %v", err)
	}
}

// Processes that change how one store is unlocked take turns, also where the file
// that they lock is not there yet, as in a backup that is used as a store.
func TestChangeUnlockTakesTurns(t *testing.T) {
	s := newStore(t, Options{})
	ok(t, os.Remove(filepath.Join(s.Dir(), lockName)))
	other := newStore(t, Options{})
	method := unlock.KMS{URI: "local:other", Key: newKey(t, other.Client()), Open: openKMSOf(other)}
	held := false
	open := method.Open
	method.Open = func(ctx context.Context, uri string) (kmsclient.KMS, error) {
		f, err := os.OpenFile(filepath.Join(s.Dir(), lockName), os.O_RDWR, 0)
		if err == nil {
			held = errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
			f.Close()
		}
		return open(ctx, uri)
	}
	ok(t, s.ChangeUnlock(bg, method))
	events := refusedEvents(t, s)
	if e := events[len(events)-1]; e.EventName != "ChangeUnlockMethod" || e.ReadOnly {
		t.Errorf("record %+v", e)
	}
	if !held {
		t.Error("no lock is held meanwhile")
	}
}

// Who is asked for the passphrase keeps nobody else from opening the store.
func TestOpenDuringQuestion(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms")
	secrets := unlock.Secrets{Passphrase: passphrase("p")}
	ok(t, openStore(t, dir, Options{Create: true, Method: cheap("p"), Secrets: secrets}).Close())
	asked, answer, opened := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	open := func(question func() ([]byte, error)) {
		s, err := Open(dir, Options{Secrets: unlock.Secrets{Passphrase: question}})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}
	go open(func() ([]byte, error) {
		close(asked)
		<-answer
		return []byte("p"), nil
	})
	<-asked
	go open(passphrase("p"))
	select {
	case err := <-opened:
		ok(t, err)
	case <-time.After(20 * time.Second):
		t.Error("it does")
	}
	close(answer)
	ok(t, <-opened)
}
