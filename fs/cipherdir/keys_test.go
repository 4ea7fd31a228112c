package cipherdir_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
)

func TestKMSCallsDoNotGrowWithFiles(t *testing.T) {
	r := newKeyRig(t, cipherdir.Options{FilesPerDataKey: 200})
	for i := range 2000 {
		create(t, r.fs.Root(), fmt.Sprint(i), []byte("x")).Forget(1)
	}
	for i := range 2000 {
		if b, err := contents(r.fs.Root(), fmt.Sprint(i)); err != nil || string(b) != "x" {
			t.Fatal(b, err)
		}
	}
	if n := r.calls(); n > 11 { // the names key and ten data keys
		t.Errorf("%d KMS calls for 2000 files: %v", n, r.fs.Stats().KMSCalls)
	}
}

func TestDataKeyAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyRig(t, cipherdir.Options{DataKeyAge: 10 * time.Second})
		before := r.calls()
		for i := range 30 {
			r.create(fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		if n := r.calls() - before; n != 3 {
			t.Errorf("%d data keys in 30 s, want 3", n)
		}
	})
}

// A disabled key ends access within the TTL: new opens at once where the key is
// not cached, open handles when it lapses; Sweep tells which inodes lost theirs.
func TestDisabledKey(t *testing.T) {
	for _, readFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("read first ", readFirst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newKeyRig(t, cipherdir.Options{})
				n := r.create("file")
				h := r.open(n)
				must(t, read(h))
				r.kms.fail("cmk 1", kmsclient.ErrDisabled)
				must(t, read(h))
				time.Sleep(time.Minute + time.Second)
				if readFirst { // Sweep tells also what somebody else found out
					if err := read(h); !errors.Is(err, kmsclient.ErrDisabled) {
						t.Fatal(err)
					}
				}
				if lost := r.fs.Sweep(ctx); !slices.Equal(lost, []*cipherdir.Inode{n}) {
					t.Fatal("lost: ", lost)
				}
				if lost := r.fs.Sweep(ctx); len(lost) != 0 {
					t.Fatal("lost again: ", lost)
				}
				if err := read(h); !errors.Is(err, kmsclient.ErrDisabled) {
					t.Fatal(err)
				}
				if _, err := h.Write(ctx, []byte("x"), 0); !errors.Is(err, kmsclient.ErrDisabled) {
					t.Fatal(err)
				}
				for _, trunc := range []bool{false, true} {
					if _, err := n.Open(ctx, true, trunc); !errors.Is(err, kmsclient.ErrDisabled) {
						t.Fatal(err)
					}
				}
				m, other, _, err := r.fs.Root().Create(ctx, "new", 0o600, cipherdir.Owner{})
				must(t, err)
				if _, err := other.Write(ctx, []byte("x"), 0); !errors.Is(err, kmsclient.ErrDisabled) {
					t.Fatal(err)
				}
				must(t, other.Close())
				m.Forget(1)

				r.kms.fail("cmk 1", nil)
				must(t, read(h))
				if b, err := contents(r.fs.Root(), "file"); err != nil || string(b) != "contents of file" {
					t.Fatalf("%q, %v: the refused truncate must have left it", b, err)
				}
			})
		})
	}
}

// Sweep renews in time, one call for all files of a data key.
func TestSweepRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyRig(t, cipherdir.Options{})
		var hs []*cipherdir.Handle
		for i := range 20 {
			hs = append(hs, r.open(r.create(fmt.Sprint(i))))
		}
		before := r.calls()
		for range 40 { // ten minutes
			time.Sleep(15 * time.Second)
			if lost := r.fs.Sweep(ctx); len(lost) > 0 {
				t.Fatal(lost)
			}
			for _, h := range hs {
				must(t, read(h))
			}
		}
		if n := r.calls() - before; n > 20 {
			t.Errorf("%d KMS calls in ten TTLs", n)
		}
		before = r.calls()
		r.kms.fail("", kmsclient.ErrDenied)
		time.Sleep(45 * time.Second)
		if lost := r.fs.Sweep(ctx); len(lost) != len(hs) {
			t.Errorf("%d files lost their key", len(lost))
		}
		if n := r.calls() - before; n != 1 {
			t.Errorf("%d KMS calls for one refused key", n)
		}
	})
}

// An outage leaves keys their TTL, and no more.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyRig(t, cipherdir.Options{})
		n := r.create("file")
		h := r.open(n)
		r.kms.fail("", kmsclient.ErrUnavailable)
		time.Sleep(40 * time.Second)
		if lost := r.fs.Sweep(ctx); len(lost) > 0 {
			t.Fatal(lost)
		}
		must(t, read(h))
		time.Sleep(30 * time.Second)
		if lost := r.fs.Sweep(ctx); len(lost) != 1 {
			t.Fatal(lost)
		}
		if err := read(h); !errors.Is(err, kmsclient.ErrUnavailable) {
			t.Fatal(err)
		}
		r.kms.fail("", nil)
		must(t, read(h))
	})
}

func TestDropKeys(t *testing.T) {
	r := newKeyRig(t, cipherdir.Options{})
	h := r.open(r.create("file"))
	must(t, read(h))
	before := r.calls()
	r.fs.DropKeys()
	if s := r.fs.Stats(); s.DataKeys != 0 {
		t.Fatalf("%+v", s)
	}
	must(t, read(h))
	must(t, read(h))
	if n := r.calls() - before; n != 1 {
		t.Errorf("%d KMS calls", n)
	}
	r.fs.DropKeys()
	r.kms.fail("", kmsclient.ErrUnavailable)
	if err := read(h); !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Error(err)
	}
	r.kms.fail("", nil)
	if _, err := h.Write(ctx, []byte("x"), 0); err != nil {
		t.Error(err)
	}
}

// However short the TTL, a key just unwrapped is good for one access.
func TestTinyTTL(t *testing.T) {
	r := newKeyRig(t, cipherdir.Options{KeyTTL: 1})
	h := r.open(r.create("file"))
	must(t, read(h))
	if k, err := h.Write(ctx, make([]byte, 3<<20), 1000); k != 3<<20 || err != nil {
		t.Fatal(k, err)
	}
}
