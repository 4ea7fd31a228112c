package cipherdir_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
)

// rewrapConfig wraps the names key by another CMK, as a walker does.
func (r *keyRig) rewrapConfig(cmk string) {
	r.Helper()
	c, err := cipherdir.ReadConfig(r.store)
	must(r, err)
	k := r.kms.keys[string(c.Recipients[0].Blob)]
	w := r.kms.wrap(k.plain, cmk, k.ec)
	c.Recipients[0].Blob, c.Recipients[0].KeyID = w.Blob, cmk
	must(r, cipherdir.WriteConfig(r.store, c))
}

// cmkOf tells which CMK a file's header names.
func (r *keyRig) cmkOf(n *cipherdir.Inode) [16]byte {
	r.Helper()
	w := &world{dir: r.dir}
	h, _ := pages(r, w.path(r, n))
	return h.Recipients[0].KeyTag
}

func TestConfigChangesUnderAMount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyRig(t, cipherdir.Options{})
		one, two := kmsclient.KeyTag("cmk 1"), kmsclient.KeyTag("cmk 2")
		if got := r.cmkOf(r.create("a")); got != one {
			t.Fatalf("%x", got)
		}
		r.rewrapConfig("cmk 2")
		must(t, r.fs.Reload(ctx))
		if got := r.cmkOf(r.create("b")); got != two {
			t.Fatalf("after Reload: %x", got)
		}
		r.rewrapConfig("cmk 1") // noticed without being told, and tried again if it fails
		time.Sleep(2 * time.Second)
		r.kms.fail("cmk 1", kmsclient.ErrThrottled)
		if got := r.cmkOf(r.create("c")); got != two {
			t.Fatalf("while the KMS is throttled: %x", got)
		}
		r.kms.fail("cmk 1", nil)
		time.Sleep(2 * time.Second)
		before := r.calls()
		if got := r.cmkOf(r.create("d")); got != one {
			t.Fatalf("later: %x", got)
		}
		time.Sleep(2 * time.Second)
		r.create("e")
		if n := r.calls() - before; n != 2 {
			t.Errorf("%d KMS calls, want one for the configuration and one for a data key", n)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			if b, err := contents(r.fs.Root(), name); err != nil || string(b) != "contents of "+name {
				t.Error(b, err)
			}
		}
	})
}

// The KMS fails while a file is made or read: the caller hears it, nothing is lost,
// and the same call works afterwards.
func TestKMSFaults(t *testing.T) {
	for _, kind := range []error{kmsclient.ErrThrottled, kmsclient.ErrUnavailable, kmsclient.ErrDenied, kmsclient.ErrNotFound} {
		r := newKeyRig(t, cipherdir.Options{FilesPerDataKey: 1})
		old := r.create("old")
		r.fs.DropKeys()
		n, h, _, err := r.fs.Root().Create(ctx, "new", 0o600, cipherdir.Owner{})
		must(t, err)
		r.kms.fail("", kind)
		if k, err := h.Write(ctx, []byte("data"), 9000); k != 0 || !errors.Is(err, kind) {
			t.Fatal(k, err)
		}
		if err := n.Setxattr(ctx, "user.x", []byte("y"), 0); !errors.Is(err, kind) {
			t.Fatal(err)
		}
		if err := h.Truncate(ctx, 5); !errors.Is(err, kind) {
			t.Fatal(err)
		}
		if a, err := n.Attr(); err != nil || a.Size != 0 {
			t.Fatal(a.Size, err)
		}
		if _, err := old.Open(ctx, false, false); !errors.Is(err, kind) {
			t.Fatal(err)
		}
		if err := old.Truncate(ctx, 3); !errors.Is(err, kind) {
			t.Fatal(err)
		}
		r.kms.fail("", nil)
		if k, err := h.Write(ctx, []byte("data"), 9000); k != 4 || err != nil {
			t.Fatal(k, err)
		}
		must(t, h.Close())
		n.Forget(1)
		if b, err := contents(r.fs.Root(), "old"); err != nil || string(b) != "contents of old" {
			t.Fatal(string(b), err)
		}
		if b, err := contents(r.fs.Root(), "new"); err != nil || len(b) != 9004 {
			t.Fatal(len(b), err)
		}
	}
}

// A writer that waits for another's KMS call waits no longer than its context, and
// the statistics do not wait at all.
func TestSlowKMS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyRig(t, cipherdir.Options{})
		r.kms.delay = time.Hour
		var hs []*cipherdir.Handle
		for _, name := range []string{"a", "b"} {
			n, h, _, err := r.fs.Root().Create(ctx, name, 0o600, cipherdir.Owner{})
			must(t, err)
			defer n.Forget(1)
			defer h.Close()
			hs = append(hs, h)
		}
		done := make(chan error)
		go func() {
			_, err := hs[0].Write(ctx, []byte("x"), 0)
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := hs[1].Write(short, []byte("x"), 0); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kmsclient.ErrUnavailable) {
			t.Error(err)
		}
		r.fs.Stats()
		if _, _, err := r.fs.Root().Lookup("nothing"); err == nil {
			t.Error("found")
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("waited %v", d)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// The header a file was opened with may be wrapped anew meanwhile; when its TTL
// ends the new blob is asked for, though the old CMK be disabled.
func TestRewrappedWhileOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyRig(t, cipherdir.Options{})
		n := r.create("file")
		h := r.open(n)
		path := (&world{dir: r.dir}).path(t, n)
		edit(t, path, func(b []byte) []byte {
			hdr, err := envelope.ParseHeader(b, layout.H)
			must(t, err)
			k := r.kms.keys[string(hdr.Recipients[0].Blob)]
			hdr.Recipients[0].Blob = r.kms.wrap(k.plain, "cmk 2", k.ec).Blob
			hdr.Sequence++
			_, err = hdr.Marshal(b)
			must(t, err)
			return b
		})
		r.kms.fail("cmk 1", kmsclient.ErrDisabled)
		time.Sleep(40 * time.Second)
		if lost := r.fs.Sweep(ctx); len(lost) > 0 {
			t.Fatal("lost: ", lost)
		}
		must(t, read(h))
		time.Sleep(2 * time.Minute)
		must(t, read(h))
	})
}
