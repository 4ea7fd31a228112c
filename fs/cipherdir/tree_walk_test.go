package cipherdir_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
)

// plainTree describes everything below a directory of the host.
func plainTree(t fataler, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	must(t, filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		var st unix.Stat_t
		must(t, unix.Lstat(p, &st))
		text := ""
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b, err := os.ReadFile(p)
			must(t, err)
			text = string(b)
		case unix.S_IFLNK:
			text, err = os.Readlink(p)
			must(t, err)
		case unix.S_IFDIR:
			st.Size = 0
		}
		out[strings.TrimPrefix(p, root)] = fmt.Sprintf("%o %d %d %q", st.Mode, st.Nlink, st.Size, text)
		return nil
	}))
	return out
}

// viewTree describes the view likewise.
func viewTree(t fataler, d *cipherdir.Inode, at string, out map[string]string) {
	t.Helper()
	h, err := d.OpenDir()
	must(t, err)
	defer h.Close()
	entries, err := h.Entries()
	must(t, err)
	for _, e := range entries[2:] {
		n, a, err := d.Lookup(e.Name)
		must(t, err)
		text := ""
		switch e.Type {
		case unix.S_IFREG:
			b, err := contents(d, e.Name)
			must(t, err)
			text = string(b)
		case unix.S_IFLNK:
			text, err = n.Readlink(ctx)
			must(t, err)
		case unix.S_IFDIR:
			a.Size = 0
			viewTree(t, n, at+"/"+e.Name, out)
		}
		out[at+"/"+e.Name] = fmt.Sprintf("%o %d %d %q", a.Mode, a.Nlink, a.Size, text)
		n.Forget(1)
	}
}

// empty removes everything in a directory.
func empty(t fataler, d *cipherdir.Inode) {
	t.Helper()
	h, err := d.OpenDir()
	must(t, err)
	defer h.Close()
	entries, err := h.Entries()
	must(t, err)
	for _, e := range entries[2:] {
		if e.Type != unix.S_IFDIR {
			must(t, d.Unlink(e.Name))
			continue
		}
		n, _, err := d.Lookup(e.Name)
		must(t, err)
		empty(t, n)
		n.Forget(1)
		must(t, d.Rmdir(e.Name))
	}
}

// errno is the number behind an error, 0 for none.
func errno(err error) error {
	var e unix.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, envelope.ErrNameTooLong):
		return unix.ENAMETOOLONG
	}
	return err
}
