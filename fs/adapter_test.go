package fs

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func stat(t testing.TB, path string) (st unix.Stat_t) {
	t.Helper()
	ok(t, unix.Lstat(path, &st))
	return st
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func contents(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	ok(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that differ from the %d wanted", filepath.Base(path), len(got), len(want))
	}
}

func TestMountLine(t *testing.T) {
	m := mountT(t, setup{mount: MountOptions{Source: "/some/where with space"}})
	line := mountLine(t, m.root)
	for _, want := range []string{`/some/where\040with\040space `, " fuse.kmsfs ", "nosuid", "nodev", "rw"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}

func TestReadBackSizes(t *testing.T) {
	var files []string
	data := map[string][]byte{}
	m := mountT(t, setup{fill: func(root string) {
		for _, n := range []int{0, 1, 100, 3583, 3584, 4095, 4096, 4097, 65536, 1<<20 + 17, 5 << 20} {
			p := filepath.Join(root, fmt.Sprint(n))
			data[p] = random(n)
			ok(t, os.WriteFile(p, data[p], 0o600))
			contents(t, p, data[p])
			files = append(files, p)
		}
	}})
	_ = m
	for _, p := range files { // remounted: nothing cached
		eq(t, "size", stat(t, p).Size, int64(len(data[p])))
		contents(t, p, data[p])
	}
}

func TestAppendTruncateSparse(t *testing.T) {
	m := mountT(t, setup{})
	p := m.path("f")
	model := random(10000)
	ok(t, os.WriteFile(p, model, 0o600))

	f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
	ok(t, err)
	for range 50 {
		b := random(777)
		_, err := f.Write(b)
		ok(t, err)
		model = append(model, b...)
	}
	ok(t, f.Close())
	contents(t, p, model)

	for _, n := range []int64{20000, 4096, 4095, 5000, 1 << 20, 1, 0, 3} {
		ok(t, os.Truncate(p, n))
		model = append(model[:min(n, int64(len(model)))], make([]byte, max(0, n-int64(len(model))))...)
		eq(t, "size", stat(t, p).Size, n)
		contents(t, p, model)
	}

	f, err = os.OpenFile(p, os.O_RDWR, 0)
	ok(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("far"), 64<<20)
	ok(t, err)
	st := stat(t, p)
	eq(t, "size", st.Size, 64<<20+3)
	if st.Blocks*512 > 1<<20 {
		t.Errorf("a sparse file of %d blocks", st.Blocks)
	}
	buf := make([]byte, 8192)
	_, err = f.ReadAt(buf, 32<<20)
	ok(t, err)
	if !bytes.Equal(buf, make([]byte, len(buf))) {
		t.Error("a hole is not zeros")
	}
	hole, err := unix.Seek(int(f.Fd()), 1<<20, unix.SEEK_HOLE)
	ok(t, err)
	eq(t, "hole", hole, 1<<20)
	data, err := unix.Seek(int(f.Fd()), 1<<20, unix.SEEK_DATA)
	ok(t, err)
	if data > 64<<20 || data < 64<<20-8192 {
		t.Errorf("data found at %d", data)
	}
	_, err = unix.Seek(int(f.Fd()), 65<<20, unix.SEEK_DATA)
	wantErr(t, "seek beyond the end", err, unix.ENXIO)
}

func TestOpenTruncates(t *testing.T) {
	m := mountT(t, setup{})
	p := m.path("f")
	ok(t, os.WriteFile(p, random(100000), 0o600))
	ok(t, unix.Chmod(p, 0o6755)) // the bits go when somebody else truncates; root may keep them
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_TRUNC, 0)
	ok(t, err)
	eq(t, "size", stat(t, p).Size, 0)
	_, err = f.WriteString("new")
	ok(t, err)
	ok(t, f.Close())
	contents(t, p, []byte("new"))
	ok(t, os.WriteFile(p, []byte("n"), 0o600)) // O_CREAT|O_TRUNC on what is there
	contents(t, p, []byte("n"))
	_, err = os.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	wantErr(t, "O_EXCL", err, unix.EEXIST)
}

func TestUnlinkedAndReplacedWhileOpen(t *testing.T) {
	m := mountT(t, setup{})
	a, b := m.path("a"), m.path("b")
	old, young := random(9000), random(5000)
	ok(t, os.WriteFile(a, old, 0o600))
	ok(t, os.WriteFile(b, young, 0o600))
	f, err := os.OpenFile(a, os.O_RDWR, 0)
	ok(t, err)
	defer f.Close()
	ok(t, os.Rename(b, a))
	contents(t, a, young)
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	ok(t, err)
	if !bytes.Equal(got, old) {
		t.Error("the open file changed with its name")
	}
	_, err = f.WriteAt([]byte("still"), 0)
	ok(t, err)
	ok(t, f.Truncate(5))
	ok(t, f.Sync())
	fi, err := f.Stat()
	ok(t, err)
	eq(t, "size", fi.Size(), 5)
	eq(t, "nlink", fi.Sys().(*syscall.Stat_t).Nlink, 0)
	ok(t, os.Remove(a))
	_, err = os.Stat(a)
	wantErr(t, "stat", err, unix.ENOENT)
	got, err = io.ReadAll(io.NewSectionReader(f, 0, 100))
	ok(t, err)
	eq(t, "unlinked", string(got), "still")
}

func TestHardLinks(t *testing.T) {
	m := mountT(t, setup{})
	a, b := m.path("a"), m.path("b")
	ok(t, os.WriteFile(a, []byte("one"), 0o600))
	ok(t, os.Link(a, b))
	eq(t, "nlink", stat(t, a).Nlink, 2)
	eq(t, "ino", stat(t, b).Ino, stat(t, a).Ino)
	ok(t, os.WriteFile(b, []byte("three"), 0o600))
	contents(t, a, []byte("three"))
	eq(t, "size by the other name", stat(t, a).Size, 5)
	ok(t, os.Rename(a, b)) // two names of one inode: POSIX does nothing
	eq(t, "nlink", stat(t, a).Nlink, 2)
	ok(t, os.Remove(b))
	eq(t, "nlink", stat(t, a).Nlink, 1)
	contents(t, a, []byte("three"))
	wantErr(t, "link of a directory", os.Link(m.root, b), unix.EPERM)
}

func TestSymlinks(t *testing.T) {
	targets := []string{"a", "/etc/passwd", strings.Repeat("x", 100), strings.Repeat("y/", 1500), strings.Repeat("z/", 2047)}
	check := func(root string) {
		for i, want := range targets {
			p := filepath.Join(root, fmt.Sprint(i))
			for range 2 { // the second time from the kernel's cache
				got, err := os.Readlink(p)
				ok(t, err)
				eq(t, "target", got, want)
			}
			eq(t, "size", stat(t, p).Size, int64(len(want)))
		}
	}
	m := mountT(t, setup{fill: func(root string) {
		for i, target := range targets {
			ok(t, os.Symlink(target, filepath.Join(root, fmt.Sprint(i))))
		}
		check(root)
	}})
	check(m.root)
	ok(t, unix.Lchown(m.path("0"), 1, 2))
	eq(t, "owner", stat(t, m.path("0")).Uid, 1)
}

func TestNamesAndDepth(t *testing.T) {
	m := mountT(t, setup{})
	for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("ü", 127), "+kmsfs", "+dir", " ", "\n", "\xff\xfe", "..."} {
		ok(t, os.WriteFile(m.path(name), []byte(name), 0o600))
		contents(t, m.path(name), []byte(name))
	}
	entries, err := os.ReadDir(m.root)
	ok(t, err)
	eq(t, "entries", len(entries), 8)
	wantErr(t, "256 bytes", os.WriteFile(m.path(strings.Repeat("n", 256)), nil, 0o600), unix.ENAMETOOLONG)
	_, err = os.Stat(m.path(strings.Repeat("n", 256)))
	wantErr(t, "256 bytes", err, unix.ENAMETOOLONG)

	deep := m.path(strings.Repeat("dir/", 100))
	ok(t, os.MkdirAll(deep, 0o700))
	ok(t, os.WriteFile(filepath.Join(deep, "f"), []byte("deep"), 0o600))
	contents(t, filepath.Join(deep, "f"), []byte("deep"))
	ok(t, os.Rename(m.path("dir"), m.path("moved")))
	contents(t, m.path("moved", strings.Repeat("dir/", 99), "f"), []byte("deep"))
	ok(t, os.RemoveAll(m.path("moved")))
}

func TestRenames(t *testing.T) {
	m := mountT(t, setup{})
	a, b := m.path("a"), m.path("b")
	ok(t, os.WriteFile(a, []byte("a"), 0o600))
	ok(t, os.WriteFile(b, []byte("b"), 0o600))
	rename := func(from, to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
	}
	wantErr(t, "noreplace", rename(a, b, unix.RENAME_NOREPLACE), unix.EEXIST)
	ok(t, rename(a, b, unix.RENAME_EXCHANGE))
	contents(t, a, []byte("b"))
	contents(t, b, []byte("a"))
	ok(t, rename(a, m.path("c"), unix.RENAME_NOREPLACE))
	wantErr(t, "whiteout", rename(b, a, unix.RENAME_WHITEOUT), unix.EINVAL)
	ok(t, os.MkdirAll(m.path("d", "e"), 0o700))
	wantErr(t, "into itself", os.Rename(m.path("d"), m.path("d", "e", "f")), unix.EINVAL)
	ok(t, os.Mkdir(m.path("empty"), 0o700))
	ok(t, unix.Rename(m.path("d", "e"), m.path("empty"))) // os.Rename itself refuses
	ok(t, os.WriteFile(m.path("d", "f"), nil, 0o600))
	wantErr(t, "not empty", unix.Rename(m.path("empty"), m.path("d")), unix.ENOTEMPTY)
	wantErr(t, "rmdir", unix.Rmdir(m.path("d")), unix.ENOTEMPTY)
	wantErr(t, "rmdir of a file", unix.Rmdir(m.path("c")), unix.ENOTDIR)
	wantErr(t, "unlink of a directory", unix.Unlink(m.path("d")), unix.EISDIR)
}
