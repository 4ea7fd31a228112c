package cipherdir_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/backing/backingtest"
	"kmsfs/fs/cipherdir"
)

const keepData = "synced before any fault, and left alone"

// faultWorkload does something of everything; errors are collected.
func faultWorkload(fs *cipherdir.FS, v *victim) (errs []error) {
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	root, own := fs.Root(), cipherdir.Owner{}
	n, _, err := root.Lookup("victim")
	if err != nil {
		return []error{err}
	}
	defer n.Forget(1)
	if v.h, err = n.Open(ctx, true, false); err != nil {
		return []error{err}
	}
	v.write(3000, 6000)   // within
	v.write(19000, 30000) // over the old end
	v.write(49000, 9000)  // an append
	v.write(80000, 100)   // past a gap
	v.truncate(70000)
	v.truncate(30000)
	v.punch(5000, 20000)
	v.write(6000, 9000) // into the holes
	v.truncate(45000)
	note(v.h.Sync(false))
	errs = append(errs, v.failed...)

	made := func(n *cipherdir.Inode, err error) {
		note(err)
		if err == nil {
			n.Forget(1)
		}
	}
	name := long("x", 200)
	f, h, _, err := root.Create(ctx, name, 0o640, own)
	made(f, err)
	if err == nil {
		_, err := h.Write(ctx, []byte("new"), 0)
		note(err)
		note(h.Close())
	}
	note(root.Rename(name, root, long("y", 200), 0))
	d, _, err := root.Mkdir("dir", 0o700, own)
	note(err)
	if err == nil {
		f, h, _, err := d.Create(ctx, "inside", 0o600, own)
		note(err)
		if err == nil {
			_, err := h.Write(ctx, []byte("new"), 7000)
			note(err)
			note(h.Close())
			_, err = d.Link(f, "another")
			made(f, err)
			f.Forget(1)
		}
		note(d.Unlink("inside"))
		d.Forget(1)
	}
	e, _, err := root.Mkdir("empty", 0o700, own)
	made(e, err)
	note(root.Rename("empty", root, "old empty", 0))
	s, _, err := root.Symlink(ctx, long("t", 4000), "link", own)
	made(s, err)
	if err == nil {
		note(root.Unlink("link"))
	}
	note(n.Setxattr(ctx, "user.test", []byte("value"), 0))
	note(root.Rmdir("old empty"))
	return errs
}

func prepareFaults(t *testing.T, w *world) {
	fs := w.open(t)
	for _, f := range []struct{ name, data string }{{"keep", keepData}, {"victim", string(make([]byte, 20000))}} {
		create(t, fs.Root(), f.name, []byte(f.data)).Forget(1)
	}
	n, _, err := fs.Root().Mkdir("old empty", 0o700, cipherdir.Owner{})
	must(t, err)
	n.Forget(1)
	must(t, fs.Close())
}

// faultRun runs the workload with the faults that decide injects, then without any,
// and reports whether a fault was met.
func faultRun(t *testing.T, kms *world, decide backingtest.Decide, torn bool) bool {
	t.Helper()
	w := kms.sibling(t)
	defer w.store.Close()
	prepareFaults(t, w)
	before := openFDs(t)
	store := backingtest.NewFault(w.store, decide)
	v := &victim{min: 20000, max: 20000, may: slices.Repeat([]uint32{1}, 20000)}
	fs, err := cipherdir.Open(ctx, store, cipherdir.Options{KMS: w.kms, Provider: envelope.ProviderLocal})
	if err == nil {
		errs := faultWorkload(fs, v)
		injected := store.Injected()
		store.Inject(nil)
		if v.h != nil {
			if err := v.check(v.h); err != nil && !torn {
				t.Fatal("while open: ", err)
			}
			v.h.Close()
		}
		if injected == 0 && len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, err := range errs {
			var e unix.Errno
			if !errors.As(err, &e) && !torn {
				t.Fatal("an error without errno: ", err)
			}
		}
		store.Inject(decide)
		fs.Close()
		store.Inject(nil)
		if s := fs.Stats(); s.OpenFiles != 0 {
			t.Fatalf("%+v", s)
		}
	}
	if after := openFDs(t); after != before {
		t.Fatalf("%d descriptors, %d before", after, before)
	}
	afterFaults(t, w, v, torn)
	return store.Injected() > 0
}

// afterFaults opens the directory without faults and uses it.
func afterFaults(t *testing.T, w *world, v *victim, torn bool) {
	t.Helper()
	fs := w.open(t)
	root := fs.Root()
	if b, err := contents(root, "keep"); err != nil || string(b) != keepData {
		t.Fatalf("another file has %q, %v", b, err)
	}
	n, _, err := root.Lookup("victim")
	must(t, err)
	if !torn {
		h, err := n.Open(ctx, false, false)
		must(t, err)
		if err := v.check(h); err != nil {
			t.Fatal("after reopening: ", err)
		}
		must(t, h.Close())
	}
	h, err := n.Open(ctx, true, true)
	must(t, err)
	k, err := h.Write(ctx, []byte("again"), 5000)
	if k != 5 || err != nil {
		t.Fatal(k, err)
	}
	must(t, h.Close())
	n.Forget(1)
	empty(t, root)
	must(t, fs.Close())
}

// sibling is another directory under the same KMS, in memory where possible.
func (w *world) sibling(t testing.TB) *world {
	t.Helper()
	base := "/dev/shm"
	if unix.Access(base, unix.W_OK) != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "kmsfs-test-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &world{dir: dir, kms: w.kms, key: w.key}
	s.store, err = backing.OpenOS(dir, false)
	must(t, err)
	_, err = cipherdir.Init(ctx, s.store, s.kms, cipherdir.InitOptions{KMSURI: "local:", KeyID: s.key, Provider: envelope.ProviderLocal})
	must(t, err)
	return s
}

// TestFaults fails operation 1, 2, 3 … of the store, until a run meets no fault;
// with -short every seventh.
func TestFaults(t *testing.T) {
	short := func(d backingtest.Decide, n int) backingtest.Decide {
		return func(op backingtest.Op) *backingtest.Action {
			a := d(op)
			if a != nil && op.Name == "WriteAt" && int64(n) < op.Len {
				a.Short = n
			}
			return a
		}
	}
	for _, c := range []struct {
		name string
		fail func(n int64) backingtest.Decide
		torn bool // pages may be left half written
	}{
		{"io error once", func(n int64) backingtest.Decide { return backingtest.FailNth(n, unix.EIO) }, false},
		{"io error for good", func(n int64) backingtest.Decide { return backingtest.FailAfter(n-1, unix.EIO) }, false},
		{"no space once", func(n int64) backingtest.Decide { return backingtest.FailNth(n, unix.ENOSPC) }, false},
		{"short by a page once", func(n int64) backingtest.Decide { return short(backingtest.FailNth(n, unix.ENOSPC), 4096) }, false},
		{"short within a page once", func(n int64) backingtest.Decide { return short(backingtest.FailNth(n, unix.ENOSPC), 4196) }, false},
		{"short at the start once", func(n int64) backingtest.Decide { return short(backingtest.FailNth(n, unix.EIO), 100) }, false},
		{"short for good", func(n int64) backingtest.Decide { return short(backingtest.FailAfter(n-1, unix.EIO), 5000) }, true},
		{"no memory once", func(n int64) backingtest.Decide { return backingtest.FailNth(n, unix.ENOMEM) }, false},
		{"done and failed once", func(n int64) backingtest.Decide {
			return func(op backingtest.Op) *backingtest.Action {
				if op.N == n {
					return &backingtest.Action{Err: unix.EIO, After: true}
				}
				return nil
			}
		}, false},
		{"full disk", func(n int64) backingtest.Decide { return backingtest.NoSpaceAfter(n * 4096) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			step := int64(1)
			if testing.Short() {
				step = 7
			}
			n := int64(1)
			for ; n < 1000; n += step {
				if !faultRun(t, w, c.fail(n), c.torn) || t.Failed() {
					break
				}
			}
			t.Logf("%d operations", n)
		})
	}
}
