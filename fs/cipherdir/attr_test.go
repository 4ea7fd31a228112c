package cipherdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
)

func TestXattrs(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	fs := w.open(t)
	defer func() { must(t, fs.Close()) }()
	d, _, err := fs.Root().Mkdir("dir", 0o700, cipherdir.Owner{})
	must(t, err)
	defer d.Forget(1)
	n, h, _, err := d.Create(ctx, "file", 0o600, cipherdir.Owner{})
	must(t, err)
	must(t, h.Close())
	defer n.Forget(1)
	for _, x := range []*cipherdir.Inode{d, n} {
		if _, err := x.Getxattr(ctx, "user.a"); !errors.Is(err, unix.ENODATA) {
			t.Error(err)
		}
		must(t, x.Setxattr(ctx, "user.a", []byte("value"), unix.XATTR_CREATE))
		must(t, x.Setxattr(ctx, "user.empty", nil, 0))
		if err := x.Setxattr(ctx, "user.a", nil, unix.XATTR_CREATE); !errors.Is(err, unix.EEXIST) {
			t.Error(err)
		}
		if err := x.Setxattr(ctx, "user."+long("x", 161), nil, 0); !errors.Is(err, unix.ERANGE) {
			t.Error(err)
		}
		if b, err := x.Getxattr(ctx, "user.a"); string(b) != "value" || err != nil {
			t.Error(b, err)
		}
		names, err := x.Listxattr()
		slices.Sort(names)
		if err != nil || !slices.Equal(names, []string{"user.a", "user.empty"}) {
			t.Error(names, err)
		}
		must(t, x.Removexattr("user.a"))
		if err := x.Removexattr("user.a"); !errors.Is(err, unix.ENODATA) {
			t.Error(err)
		}
	}
	if a, err := n.Attr(); err != nil || a.Size != 0 {
		t.Error(a.Size, err)
	}
	raw, err := unix.Getxattr(w.path(t, n), "user.kmsfs.x", nil)
	if err == nil {
		t.Error("a name in clear: ", raw)
	}
}

func TestAttributes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	umask := unix.Umask(0)
	defer unix.Umask(umask)
	w := newWorld(t)
	fs := w.open(t)
	defer func() { must(t, fs.Close()) }()
	root := fs.Root()
	owner := cipherdir.Owner{Uid: 1000, Gid: 1001}
	check := func(n *cipherdir.Inode, mode, uid, gid uint32) {
		t.Helper()
		a, err := n.Attr()
		if err != nil || a.Mode != mode || a.Uid != uid || a.Gid != gid {
			t.Errorf("mode %o, owner %d:%d, want %o, %d:%d, %v", a.Mode, a.Uid, a.Gid, mode, uid, gid, err)
		}
	}
	n, h, _, err := root.Create(ctx, "suid", 0o4755, owner)
	must(t, err)
	must(t, h.Close())
	check(n, unix.S_IFREG|0o4755, 1000, 1001)
	must(t, n.Chmod(0o640))
	must(t, n.Chown(-1, 7))
	check(n, unix.S_IFREG|0o640, 1000, 7)
	must(t, n.Utimens(unix.Timespec{Sec: 5}, unix.Timespec{Nsec: unix.UTIME_OMIT}))
	if a, err := n.Attr(); err != nil || a.Atim.Sec != 5 || a.Mtim.Sec == 5 {
		t.Error(a, err)
	}
	n.Forget(1)
	d, _, err := root.Mkdir("shared", 0o770, owner)
	must(t, err)
	check(d, unix.S_IFDIR|0o770, 1000, 1001)
	must(t, d.Chown(-1, 50))
	must(t, d.Chmod(0o2770))
	for i, typ := range []uint32{unix.S_IFIFO, unix.S_IFREG, unix.S_IFSOCK} {
		n, _, err := d.Mknod(string(rune('a'+i)), typ|0o600, 0, owner)
		must(t, err)
		check(n, typ|0o600, 1000, 50) // the group of the directory
		if _, err := n.Readlink(ctx); !errors.Is(err, unix.EINVAL) {
			t.Error(err)
		}
		h, err := n.Open(ctx, false, false)
		if (err == nil) != (typ == unix.S_IFREG) {
			t.Error(err)
		}
		if err == nil {
			must(t, h.Close())
		}
		n.Forget(1)
	}
	if _, err := d.Open(ctx, false, false); !errors.Is(err, unix.EISDIR) {
		t.Error(err)
	}
	must(t, d.SyncDir())
	d.Forget(1)
	if st, err := fs.Statfs(); err != nil || st.Namelen != 255 {
		t.Error(st.Namelen, err)
	}
}

func TestReadOnlyAndLocked(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	fs := w.open(t)
	create(t, fs.Root(), "file", []byte("data")).Forget(1)
	o := cipherdir.Options{KMS: w.kms, Provider: envelope.ProviderLocal}
	if _, err := cipherdir.Open(ctx, w.store, o); !errors.Is(err, cipherdir.ErrLocked) {
		t.Fatal(err)
	}
	if err := cipherdir.MarkClean(ctx, w.store, w.kms); !errors.Is(err, cipherdir.ErrLocked) {
		t.Fatal(err)
	}
	o.NoLock = true
	if _, err := cipherdir.Open(ctx, w.store, o); err == nil {
		t.Fatal("writable without the lock")
	}
	ro := w.openWith(t, w.store, cipherdir.Options{NoLock: true, ReadOnly: true})
	if b, err := contents(ro.Root(), "file"); err != nil || string(b) != "data" {
		t.Fatal(b, err)
	}
	n, _, err := ro.Root().Lookup("file")
	must(t, err)
	_, _, _, cerr := ro.Root().Create(ctx, "x", 0o600, cipherdir.Owner{})
	_, _, merr := ro.Root().Mkdir("x", 0o700, cipherdir.Owner{})
	_, oerr := n.Open(ctx, true, false)
	_, terr := n.Open(ctx, false, true)
	for i, err := range []error{cerr, merr, oerr, terr, n.Truncate(ctx, 0), n.Chmod(0), n.Setxattr(ctx, "user.x", nil, 0),
		ro.Root().Unlink("file"), ro.Root().Rename("file", ro.Root(), "y", 0)} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%d: %v", i, err)
		}
	}
	n.Forget(1)
	must(t, ro.Close())
	must(t, fs.Close())
}

// What a crash in rmdir or create leaves: records of long names without a file, with
// or without the IV. The directory is empty all the same.
func TestOrphansOfLongNames(t *testing.T) {
	w := newWorld(t)
	fs := w.open(t)
	defer func() { must(t, fs.Close()) }()
	root := fs.Root()
	for _, iv := range []bool{true, false} {
		d, _, err := root.Mkdir("dir", 0o700, cipherdir.Owner{})
		must(t, err)
		name := long("x", 200)
		create(t, d, name, []byte("x")).Forget(1)
		dir := w.path(t, d)
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if e.Name()[:2] == "+L" || !iv && e.Name() == envelope.DirIVName {
				must(t, os.Remove(filepath.Join(dir, e.Name())))
			}
		}
		d.Forget(1)
		if d, _, err = root.Lookup("dir"); err != nil { // without what was cached
			t.Fatal(err)
		}
		create(t, d, name, []byte("again")).Forget(1)
		if b, err := contents(d, name); err != nil || string(b) != "again" {
			t.Fatal(string(b), err)
		}
		must(t, d.Unlink(name))
		d.Forget(1)
		must(t, root.Rmdir("dir"))
	}
	w.checkNames(t)
}
