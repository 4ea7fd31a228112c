package cipherdir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
)

func TestDamagedNames(t *testing.T) {
	w := newWorld(t)
	fs := w.open(t)
	defer func() { must(t, fs.Close()) }()
	root := fs.Root()
	d, _, err := root.Mkdir("dir", 0o700, cipherdir.Owner{})
	must(t, err)
	dir := w.path(t, d)
	create(t, d, "a", []byte("a")).Forget(1)
	b := create(t, d, "b", []byte("b"))
	path := w.path(t, b)
	b.Forget(1)
	must(t, os.Rename(path, path[:len(path)-1]+"_"))
	create(t, d, long("l", 200), []byte("l")).Forget(1)
	e, err := os.ReadDir(dir)
	must(t, err)
	for _, x := range e {
		if x.Name()[:2] == "+N" {
			must(t, os.Remove(filepath.Join(dir, x.Name())))
		}
	}
	h, err := d.OpenDir()
	must(t, err)
	list, err := h.Entries()
	must(t, err)
	must(t, h.Close())
	if len(list) != 3 || list[2].Name != "a" || fs.Stats().BadNames != 2 {
		t.Fatal(list, fs.Stats().BadNames)
	}
	if _, _, err := d.Lookup("b"); !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
	must(t, d.Unlink(long("l", 200))) // its name is known, its record need not be there
	must(t, d.Unlink("a"))
	if err := root.Rmdir("dir"); !errors.Is(err, unix.ENOTEMPTY) {
		t.Fatal(err)
	}
	must(t, os.Remove(path[:len(path)-1]+"_"))
	must(t, root.Rmdir("dir"))
	d.Forget(1)
	w.checkNames(t)
}

func TestDamagedDirIV(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(iv string) error
		err  error // of a lookup, with something in the directory
	}{
		{"another text", func(iv string) error { return os.Symlink("k1:AAAA:BBBB", iv) }, envelope.ErrDirIV},
		{"a file", func(iv string) error { return os.WriteFile(iv, nil, 0o600) }, envelope.ErrDirIV},
		{"gone", func(string) error { return nil }, envelope.ErrDirIV},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			w := newWorld(t)
			fs := w.open(t)
			defer func() { must(t, fs.Close()) }()
			root := fs.Root()
			create(t, root, "other", []byte("o")).Forget(1)
			break_ := func(file bool) {
				t.Helper()
				d, _, err := root.Mkdir("dir", 0o700, cipherdir.Owner{})
				must(t, err)
				if file {
					create(t, d, "a", []byte("a")).Forget(1)
				}
				iv := filepath.Join(w.path(t, d), envelope.DirIVName)
				d.Forget(1)
				must(t, os.Remove(iv))
				must(t, c.make(iv))
			}
			break_(false)
			must(t, root.Rmdir("dir"))
			break_(false)
			m, _, err := root.Mkdir("over", 0o700, cipherdir.Owner{})
			must(t, err)
			m.Forget(1)
			must(t, root.Rename("over", root, "dir", 0))
			must(t, root.Rmdir("dir"))
			break_(true)
			d, _, err := root.Lookup("dir")
			must(t, err)
			if _, _, err := d.Lookup("a"); !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			if _, _, _, err := d.Create(ctx, "b", 0o600, cipherdir.Owner{}); !errors.Is(err, c.err) {
				t.Fatal(err)
			}
			d.Forget(1)
			if err := root.Rmdir("dir"); !errors.Is(err, unix.ENOTEMPTY) {
				t.Fatal(err)
			}
			if b, err := contents(root, "other"); err != nil || string(b) != "o" {
				t.Fatal(b, err)
			}
		})
	}
}

func TestDamagedSymlink(t *testing.T) {
	w := newWorld(t)
	fs := w.open(t)
	defer func() { must(t, fs.Close()) }()
	root := fs.Root()
	for _, size := range []int{10, 4000} {
		n, _, err := root.Symlink(ctx, long("t", size), "link", cipherdir.Owner{})
		must(t, err)
		path := w.path(t, n)
		n.Forget(1)
		text, err := os.Readlink(path)
		must(t, err)
		must(t, os.Remove(path))
		must(t, os.Symlink(text[:len(text)-2]+"AA", path))
		n, _, err = root.Lookup("link")
		must(t, err)
		if _, err := n.Readlink(ctx); !errors.Is(err, envelope.ErrTarget) {
			t.Fatal(err)
		}
		n.Forget(1)
		must(t, root.Unlink("link"))
	}
}
