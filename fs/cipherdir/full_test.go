package cipherdir_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
)

// onTmpfs is a cipher directory on a small disk in memory.
func (w *world) onTmpfs(t *testing.T, size string) *world {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("mounting a tmpfs needs privileges: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s := &world{dir: dir, kms: w.kms, key: w.key}
	var err error
	s.store, err = backing.OpenOS(dir, false)
	must(t, err)
	t.Cleanup(func() { s.store.Close() })
	_, err = cipherdir.Init(ctx, s.store, s.kms, cipherdir.InitOptions{KMSURI: "local:", KeyID: s.key, Provider: envelope.ProviderLocal})
	must(t, err)
	return s
}

func TestFullDisk(t *testing.T) {
	w := newWorld(t).onTmpfs(t, "1m")
	fs := w.open(t)
	root := fs.Root()
	ballast := create(t, root, "ballast", make([]byte, 200<<10))
	defer ballast.Forget(1)
	n, h, _, err := root.Create(ctx, "log", 0o600, cipherdir.Owner{})
	must(t, err)
	defer n.Forget(1)

	var want []byte
	fill := func(size int) {
		t.Helper()
		for {
			p := make([]byte, size)
			rand.Read(p)
			k, err := h.Write(ctx, p, int64(len(want)))
			want = append(want, p[:k]...)
			if err != nil {
				if !errors.Is(err, unix.ENOSPC) || k > 0 {
					t.Fatal(k, err)
				}
				return
			}
		}
	}
	check := func() {
		t.Helper()
		got := make([]byte, len(want)+1)
		if k, err := h.Read(ctx, got, 0); k != len(want) || err != nil || !bytes.Equal(got[:k], want) {
			t.Fatal(k, len(want), err)
		}
		if a, err := n.Attr(); err != nil || a.Size != int64(len(want)) {
			t.Fatal(a.Size, err)
		}
	}
	fill(100_001)
	check()
	for _, size := range []int{10_000, 4064, 100, 1} { // what is left over goes into the last page
		fill(size)
		check()
	}
	if len(want) < 700<<10 || layout.CipherSize(int64(len(want))) != layout.CipherSize(int64(len(want)+1))-pageSize {
		t.Fatalf("the file has %d bytes and is not filled to the page's end", len(want))
	}
	if _, err := h.Write(ctx, make([]byte, 10), 5<<20); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	check()
	if err := h.Truncate(ctx, 5<<20); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	check()
	if m, other, _, err := root.Create(ctx, "new", 0o600, cipherdir.Owner{}); err == nil {
		if _, err := other.Write(ctx, []byte("x"), 0); !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		if a, err := m.Attr(); err != nil || a.Size != 0 {
			t.Fatal(a.Size, err)
		}
		must(t, other.Close())
		m.Forget(1)
	}
	p := bytes.Repeat([]byte{7}, 9000)
	if k, err := h.Write(ctx, p, 5000); k != len(p) || err != nil { // needs no room
		t.Fatal(k, err)
	}
	copy(want[5000:], p)
	check()

	must(t, ballast.Truncate(ctx, 0))
	fill(100_001)
	check()
	must(t, h.Close())
	must(t, root.Unlink("ballast"))
	must(t, fs.Close()) // the disk is full again
	fs = w.open(t)
	if s := fs.Stats(); s.Unclean {
		t.Fatal("a full disk left the directory unclean")
	}
	if err := fs.Root().Unlink("none"); !errors.Is(err, unix.ENOENT) { // marking it unclean needs no room
		t.Fatal(err)
	}
	if got, err := contents(fs.Root(), "log"); err != nil || !bytes.Equal(got, want) {
		t.Fatal(len(got), len(want), err)
	}
	n2, _, err := fs.Root().Lookup("log")
	must(t, err)
	checkFile(t, w.path(t, n2))
	n2.Forget(1)
	must(t, fs.Close())
}

// A disk without inodes left refuses every kind of object, and is as before.
func TestNoInodes(t *testing.T) {
	w := newWorld(t).onTmpfs(t, "1m,nr_inodes=60")
	fs := w.open(t)
	root := fs.Root()
	own := cipherdir.Owner{}
	for i := range 200 {
		var n *cipherdir.Inode
		var err error
		name := fmt.Sprint(long("n", 200), i)
		switch i % 3 {
		case 0:
			n, _, err = root.Mkdir(name, 0o700, own)
		case 1:
			var h *cipherdir.Handle
			if n, h, _, err = root.Create(ctx, name, 0o700, own); err == nil {
				must(t, h.Close())
			}
		case 2:
			n, _, err = root.Symlink(ctx, long("t", 4000), name, own)
		}
		if err == nil {
			n.Forget(1)
		} else if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	w.checkNames(t)
	empty(t, root)
	must(t, fs.Close())
	if left, err := os.ReadDir(w.dir); err != nil || len(left) != 2 {
		t.Fatal(left, err)
	}
}
