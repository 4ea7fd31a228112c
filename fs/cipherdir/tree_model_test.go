package cipherdir_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"kmsfs/fs/cipherdir"
)

// treeModel does everything twice: in the view and in a plain directory.
type treeModel struct {
	w     *world
	fs    *cipherdir.FS
	plain int                // descriptor of the plain directory
	held  []*cipherdir.Inode // references not yet forgotten, as a kernel keeps them
	files int
}

func long(c string, n int) string { return strings.Repeat(c, n) }

var treeNames = []string{"a", "b", "c", "+dir", long("l", 160), long("m", 161), long("n", 255)}

var (
	treeName = rapid.SampledFrom(treeNames)
	treePath = rapid.SliceOfN(treeName, 1, 3)
)

// view finds the inode at a path; the model keeps the references.
func (m *treeModel) view(path []string) (*cipherdir.Inode, cipherdir.Attr, error) {
	n := m.fs.Root()
	a, err := n.Attr()
	for _, name := range path {
		if err != nil {
			return nil, a, err
		}
		if n, a, err = n.Lookup(name); err == nil {
			m.held = append(m.held, n)
		}
	}
	return n, a, err
}

// at opens the plain directory that holds the last element of a path.
func (m *treeModel) at(path []string) (fd int, err error) {
	fd, err = unix.Openat(m.plain, ".", unix.O_PATH, 0)
	for _, name := range path[:len(path)-1] {
		if err != nil {
			return -1, err
		}
		next, nerr := unix.Openat(fd, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
		unix.Close(fd)
		fd, err = next, nerr
	}
	return fd, err
}

// both runs one operation in both trees and compares the errors.
func (m *treeModel) both(t *rapid.T, path []string, plain func(fd int, name string) error, view func(d *cipherdir.Inode, name string) error) bool {
	t.Helper()
	last := len(path) - 1
	fd, perr := m.at(path)
	if perr == nil {
		perr = plain(fd, path[last])
		unix.Close(fd)
	}
	d, _, verr := m.view(path[:last])
	if verr == nil {
		verr = view(d, path[last])
	}
	if errno(perr) != errno(verr) {
		t.Fatalf("%q: plain %v, view %v", path, perr, verr)
	}
	return perr == nil
}

func (m *treeModel) keep(n *cipherdir.Inode) { m.held = append(m.held, n) }

func (m *treeModel) create(t *rapid.T) {
	m.files++
	data := []byte(fmt.Sprint("contents of file ", m.files))
	m.both(t, treePath.Draw(t, "path"), func(fd int, name string) error {
		f, err := unix.Openat(fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer unix.Close(f)
		_, err = unix.Write(f, data)
		return err
	}, func(d *cipherdir.Inode, name string) error {
		n, h, _, err := d.Create(ctx, name, 0o600, cipherdir.Owner{})
		if err != nil {
			return err
		}
		m.keep(n)
		_, err = h.Write(ctx, data, 0)
		return errors.Join(err, h.Close())
	})
}

func (m *treeModel) tooLong(t *rapid.T) {
	path := append(treePath.Draw(t, "path"), long("x", 256))
	m.both(t, path,
		func(fd int, name string) error { return unix.Mkdirat(fd, name, 0o700) },
		func(d *cipherdir.Inode, name string) error {
			_, _, err := d.Mkdir(name, 0o700, cipherdir.Owner{})
			return err
		})
}

func (m *treeModel) mkdir(t *rapid.T) {
	m.both(t, treePath.Draw(t, "path"),
		func(fd int, name string) error { return unix.Mkdirat(fd, name, 0o700) },
		func(d *cipherdir.Inode, name string) error {
			n, _, err := d.Mkdir(name, 0o700, cipherdir.Owner{})
			if err == nil {
				m.keep(n)
			}
			return err
		})
}

func (m *treeModel) symlink(t *rapid.T) {
	n := rapid.OneOf(rapid.IntRange(1, 80), rapid.SampledFrom([]int{3041, 3042, 3043, 4094, 4095})).Draw(t, "length")
	target := fmt.Sprintf("%*d", n, m.files)
	m.both(t, treePath.Draw(t, "path"),
		func(fd int, name string) error { return unix.Symlinkat(target, fd, name) },
		func(d *cipherdir.Inode, name string) error {
			n, _, err := d.Symlink(ctx, target, name, cipherdir.Owner{})
			if err == nil {
				m.keep(n)
			}
			return err
		})
}

func (m *treeModel) unlink(t *rapid.T) {
	m.both(t, treePath.Draw(t, "path"),
		func(fd int, name string) error { return unix.Unlinkat(fd, name, 0) },
		func(d *cipherdir.Inode, name string) error { return d.Unlink(name) })
}

func (m *treeModel) rmdir(t *rapid.T) {
	m.both(t, treePath.Draw(t, "path"),
		func(fd int, name string) error { return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR) },
		func(d *cipherdir.Inode, name string) error { return d.Rmdir(name) })
}

func (m *treeModel) readlink(t *rapid.T) {
	var want, got string
	ok := m.both(t, treePath.Draw(t, "path"), func(fd int, name string) error {
		buf := make([]byte, 5000)
		n, err := unix.Readlinkat(fd, name, buf)
		want = string(buf[:max(n, 0)])
		return err
	}, func(d *cipherdir.Inode, name string) error {
		n, a, err := d.Lookup(name)
		if err != nil {
			return err
		}
		m.keep(n)
		if got, err = n.Readlink(ctx); err == nil && int(a.Size) != len(got) {
			return fmt.Errorf("size %d of a target of %d bytes", a.Size, len(got))
		}
		return err
	})
	if ok && got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// rename and link take a second path; its parents are resolved first, as the
// kernel does.
func (m *treeModel) two(t *rapid.T, op string, plain func(fd int, name string, fd2 int, name2 string) error,
	view func(d *cipherdir.Inode, name string, d2 *cipherdir.Inode, name2 string) error) {
	from, to := treePath.Draw(t, "from"), treePath.Draw(t, "to")
	fd, perr := m.at(from)
	if perr == nil {
		fd2, err := m.at(to)
		if perr = err; perr == nil {
			perr = plain(fd, from[len(from)-1], fd2, to[len(to)-1])
			unix.Close(fd2)
		}
		unix.Close(fd)
	}
	d, _, verr := m.view(from[:len(from)-1])
	if verr == nil {
		d2, _, err := m.view(to[:len(to)-1])
		if verr = err; verr == nil {
			verr = view(d, from[len(from)-1], d2, to[len(to)-1])
		}
	}
	if errno(perr) != errno(verr) {
		t.Fatalf("%s %q to %q: plain %v, view %v", op, from, to, perr, verr)
	}
}

func (m *treeModel) rename(t *rapid.T) {
	flags := rapid.SampledFrom([]uint{0, 0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE}).Draw(t, "flags")
	m.two(t, fmt.Sprint("rename ", flags), func(fd int, name string, fd2 int, name2 string) error {
		return unix.Renameat2(fd, name, fd2, name2, flags)
	}, func(d *cipherdir.Inode, name string, d2 *cipherdir.Inode, name2 string) error {
		if !d.IsDir() || !d2.IsDir() {
			return unix.ENOTDIR
		}
		return d.Rename(name, d2, name2, flags)
	})
}

func (m *treeModel) link(t *rapid.T) {
	m.two(t, "link", func(fd int, name string, fd2 int, name2 string) error {
		return unix.Linkat(fd, name, fd2, name2, 0)
	}, func(d *cipherdir.Inode, name string, d2 *cipherdir.Inode, name2 string) error {
		n, _, err := d.Lookup(name)
		if err != nil {
			return err
		}
		m.keep(n)
		if _, err = d2.Link(n, name2); err == nil {
			m.keep(n)
		}
		return err
	})
}

// forget gives up references and now and then opens the directory anew.
func (m *treeModel) forget(t *rapid.T) {
	all := rapid.IntRange(0, 3).Draw(t, "all") == 0
	rest := m.held[:0]
	for i, n := range m.held {
		if all || i%2 == 0 {
			n.Forget(1)
		} else {
			rest = append(rest, n)
		}
	}
	m.held = rest
	if all {
		if s := m.fs.Stats(); s.Inodes != 1 {
			t.Fatalf("%d inodes are held", s.Inodes)
		}
		must(t, m.fs.Close())
		m.fs = m.w.openWith(t, m.w.store, cipherdir.Options{})
	}
}

func TestTreeAgainstPlainDirectory(t *testing.T) {
	noLeaks(t)
	umask := unix.Umask(0o022)
	t.Cleanup(func() { unix.Umask(umask) })
	w := newWorld(t)
	m := &treeModel{w: w, fs: w.open(t)}
	plain := t.TempDir()
	rounds := 0
	rapid.Check(t, func(t *rapid.T) {
		rounds++
		dir := filepath.Join(plain, fmt.Sprint(rounds))
		must(t, os.Mkdir(dir, 0o700))
		defer os.RemoveAll(dir)
		var err error
		m.plain, err = unix.Open(dir, unix.O_PATH, 0)
		must(t, err)
		defer unix.Close(m.plain)
		m.held = nil
		t.Repeat(map[string]func(*rapid.T){
			"create": m.create, "mkdir": m.mkdir, "mkdir again": m.mkdir, "symlink": m.symlink, "unlink": m.unlink, "rmdir": m.rmdir, "too long": m.tooLong,
			"readlink": m.readlink, "rename": m.rename, "rename again": m.rename, "rename more": m.rename, "link": m.link, "forget": m.forget,
		})
		got, want := map[string]string{}, plainTree(t, dir)
		viewTree(t, m.fs.Root(), "", got)
		if !maps.Equal(got, want) {
			t.Fatalf("trees differ:\nview  %q\nplain %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		w.checkNames(t)
		for _, n := range m.held {
			n.Forget(1)
		}
		if s := m.fs.Stats(); s.Inodes != 1 {
			t.Fatalf("%d inodes are held", s.Inodes)
		}
		empty(t, m.fs.Root())
		w.checkNames(t)
	})
	must(t, m.fs.Close())
	left, err := os.ReadDir(w.dir)
	if err != nil || len(left) != 2 {
		t.Errorf("the store keeps %v, %v", left, err)
	}
}
