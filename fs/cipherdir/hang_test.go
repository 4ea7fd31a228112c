package cipherdir_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient/kmstest"
)

// A KMS that hangs holds up who opens a file, and nobody who stats it, opens
// another or drops all keys; the opener leaves when its context ends.
func TestHangingKMS(t *testing.T) {
	w := newWorld(t)
	var hang atomic.Bool
	asked := make(chan struct{}, 16)
	kms := kmstest.NewFaulty(w.kms, func(ctx context.Context, c kmstest.Call) error {
		if !hang.Load() || c.After || c.Op != "Decrypt" {
			return nil
		}
		asked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	fs := w.openWith(t, w.store, cipherdir.Options{KMS: kms})
	defer fs.Close()
	n := create(t, fs.Root(), "file", []byte("content"))
	create(t, fs.Root(), "empty", nil)
	fs.DropKeys()

	hang.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error)
	go func() {
		_, err := n.Open(ctx, true, false)
		opened <- err
	}()
	<-asked
	done := make(chan error, 1)
	go func() {
		a, err := n.Attr()
		if err == nil && a.Size != 7 {
			err = errors.New("wrong size")
		}
		_, _, lerr := fs.Root().Lookup("file")
		_, rerr := contents(fs.Root(), "empty")
		fs.DropKeys()
		done <- errors.Join(err, lerr, rerr)
	}()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the hanging open holds up others")
	}
	cancel()
	if err := <-opened; err == nil {
		t.Fatal("an open without a key succeeded")
	}
	hang.Store(false)
	got, err := contents(fs.Root(), "file")
	if err != nil || string(got) != "content" {
		t.Fatalf("%q, %v", got, err)
	}
}
