package cipherdir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
)

// Writers put a megabyte of one value at one place; readers see one value only.
func TestWritesAreAtomicForReaders(t *testing.T) {
	noLeaks(t)
	w := newWorld(t).sibling(t)
	defer w.store.Close()
	fs := w.open(t)
	const size, off = 1 << 20, 3000
	n := create(t, fs.Root(), "file", make([]byte, off+size))
	deadline, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	var wg sync.WaitGroup
	var reads atomic.Int64
	each := func(count int, do func(g int, h *cipherdir.Handle)) {
		for g := range count {
			wg.Go(func() {
				h, err := n.Open(ctx, true, false)
				if err != nil {
					t.Error(err)
					return
				}
				defer h.Close()
				for i := 0; deadline.Err() == nil; i++ {
					do(g*100+i%100, h)
				}
			})
		}
	}
	each(2, func(v int, h *cipherdir.Handle) {
		if k, err := h.Write(ctx, bytes.Repeat([]byte{byte(v)}, size), off); k != size || err != nil {
			t.Error(k, err)
		}
	})
	each(3, func(_ int, h *cipherdir.Handle) {
		b := make([]byte, size)
		if k, err := h.Read(ctx, b, off); k != size || err != nil || len(bytes.Trim(b, string(b[:1]))) > 0 {
			t.Errorf("a mixed read: %d, %v", k, err)
		}
		reads.Add(1)
	})
	each(1, func(i int, h *cipherdir.Handle) {
		if err := h.Sync(i%2 == 0); err != nil {
			t.Error(err)
		}
		r, err := n.Open(ctx, false, false)
		if err != nil {
			t.Error(err)
			return
		}
		r.Close()
	})
	each(1, func(_ int, h *cipherdir.Handle) {
		fs.Sweep(ctx)
		fs.DropKeys()
		if a, err := n.Attr(); err != nil || a.Size != off+size {
			t.Error(a.Size, err)
		}
		time.Sleep(time.Millisecond)
	})
	wg.Wait()
	t.Logf("%d reads", reads.Load())
	n.Forget(1)
	if s := fs.Stats(); s.Inodes != 1 || s.OpenFiles != 0 {
		t.Errorf("%+v", s)
	}
	must(t, fs.Close())
}

// Opening and closing by readers and writers, with syncs under way.
func TestOpenAndCloseTogether(t *testing.T) {
	noLeaks(t)
	w := newWorld(t).sibling(t)
	defer w.store.Close()
	fs := w.open(t)
	n := create(t, fs.Root(), "file", pattern(10000))
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for range 300 {
				h, err := n.Open(ctx, g%2 == 0, false)
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(h.Sync(false), read(h)); err != nil {
					t.Error(err)
				}
				if a, err := n.Attr(); err != nil || a.Size != 10000 {
					t.Error(a.Size, err)
				}
				if g == 0 {
					if _, err := h.Write(ctx, []byte("x"), 9999); err != nil {
						t.Error(err)
					}
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n.Forget(1)
	must(t, fs.Close())
}

// Everybody changes one small tree: nobody waits for ever, nothing is left over, and
// errors are such as a directory gives.
func TestTreeTogether(t *testing.T) {
	noLeaks(t)
	w := newWorld(t).sibling(t)
	defer w.store.Close()
	fs := w.open(t)
	own := cipherdir.Owner{}
	var dirs []*cipherdir.Inode
	for i := range 3 {
		d, _, err := fs.Root().Mkdir(fmt.Sprint("dir", i), 0o700, own)
		must(t, err)
		dirs = append(dirs, d)
	}
	names := []string{"a", "b", long("l", 200), "dir0", "dir1"}
	stop, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 8 {
		wg.Go(func() {
			for stop.Err() == nil {
				if err := treeStep(fs, dirs, names); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(30 * time.Second):
		panic("a deadlock")
	}
	t.Logf("%d steps", done.Load())
	for _, d := range dirs {
		d.Forget(1)
	}
	if s := fs.Stats(); s.Inodes != 1 || s.BadNames != 0 {
		t.Errorf("%+v", s)
	}
	w.checkNames(t)
	empty(t, fs.Root())
	must(t, fs.Close())
}

func treeStep(fs *cipherdir.FS, dirs []*cipherdir.Inode, names []string) error {
	own := cipherdir.Owner{}
	pick := func() (*cipherdir.Inode, string) {
		d := fs.Root()
		if i := rand.IntN(len(dirs) + 1); i < len(dirs) {
			d = dirs[i]
		}
		return d, names[rand.IntN(len(names))]
	}
	d, name := pick()
	d2, name2 := pick()
	var n *cipherdir.Inode
	var err error
	switch rand.IntN(10) {
	case 0:
		var h *cipherdir.Handle
		if n, h, _, err = d.Create(ctx, name, 0o600, own); err == nil {
			_, err = h.Write(ctx, []byte("data"), 0)
			err = errors.Join(err, h.Close())
		}
	case 1, 2:
		n, _, err = d.Mkdir(name, 0o700, own)
	case 3:
		n, _, err = d.Symlink(ctx, long("t", 1+rand.IntN(4000)), name, own)
	case 4:
		err = d.Unlink(name)
	case 5:
		err = d.Rmdir(name)
	case 6:
		err = d.Rename(name, d2, name2, uint(rand.IntN(3)))
	case 7:
		if n, _, err = d.Lookup(name); err == nil {
			if n.IsDir() { // something to lose
				if m, h, _, e := n.Create(ctx, name2, 0o600, own); e == nil {
					err = h.Close()
					m.Forget(1)
				}
			} else if _, e := d2.Link(n, name2); e == nil {
				n.Forget(1)
			}
		}
	case 8:
		var h *cipherdir.DirHandle
		if h, err = d.OpenDir(); err == nil {
			_, err = h.Entries()
			h.Close()
		}
	case 9:
		if n, _, err = d.Lookup(name); err == nil && !n.IsDir() {
			_, err = n.Readlink(ctx)
		}
	}
	if n != nil {
		n.Forget(1)
	}
	for _, ok := range []error{unix.ENOENT, unix.EEXIST, unix.ENOTEMPTY, unix.EISDIR, unix.ENOTDIR, unix.EINVAL, envelope.ErrTarget} {
		if errors.Is(err, ok) {
			return nil
		}
	}
	return err
}

// An inode that is known is never taken for a new one with its number.
func TestUnlinkedButHeld(t *testing.T) {
	w := newWorld(t).sibling(t)
	defer w.store.Close()
	fs := w.open(t)
	root := fs.Root()
	seen := map[uint64]bool{}
	var held []*cipherdir.Inode
	for i := range 200 {
		n := create(t, root, "file", []byte(fmt.Sprint(i)))
		if seen[n.ID()] {
			t.Fatal("an id came back")
		}
		seen[n.ID()] = true
		must(t, root.Unlink("file"))
		if i%2 == 0 {
			held = append(held, n)
		} else {
			n.Forget(1)
		}
	}
	for i, n := range held {
		h, err := n.Open(ctx, false, false)
		must(t, err)
		b := make([]byte, 10)
		if k, err := h.Read(ctx, b, 0); err != nil || string(b[:k]) != fmt.Sprint(2*i) {
			t.Fatal(string(b[:k]), err)
		}
		n.Forget(1) // before the handle, as a kernel may
		if err := read(h); err != nil {
			t.Fatal(err)
		}
		must(t, h.Close())
	}
	if s := fs.Stats(); s.Inodes != 1 {
		t.Errorf("%+v", s)
	}
	must(t, fs.Close())
}
