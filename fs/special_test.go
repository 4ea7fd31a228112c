package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"golang.org/x/sys/unix"
)

// TestPosix runs the suite of go-fuse.
func TestPosix(t *testing.T) {
	m := mountT(t, setup{})
	for name, f := range posixtest.All {
		if name == "FcntlFlockLocksFile" {
			continue // expects a process to conflict with itself, as go-fuse notes too
		}
		t.Run(name, func(t *testing.T) {
			dir := m.path(name)
			ok(t, os.Mkdir(dir, 0o755))
			f(t, dir)
		})
	}
}

func TestSpecialFiles(t *testing.T) {
	m := mountT(t, setup{})
	for name, want := range map[string]struct {
		mode uint32
		dev  uint64
	}{
		"fifo":   {unix.S_IFIFO | 0o600, 0},
		"socket": {unix.S_IFSOCK | 0o600, 0},
		"char":   {unix.S_IFCHR | 0o600, unix.Mkdev(1, 3)},
		"block":  {unix.S_IFBLK | 0o600, unix.Mkdev(259, 70000)},
		"file":   {unix.S_IFREG | 0o600, 0},
	} {
		ok(t, unix.Mknod(m.path(name), want.mode, int(want.dev)))
		st := stat(t, m.path(name))
		eq(t, name, st.Mode, want.mode)
		eq(t, name, st.Rdev, want.dev)
	}
	_, err := os.Open(m.path("char"))
	wantErr(t, "a device on a nodev mount", err, unix.EACCES)
}

func TestXattrs(t *testing.T) {
	m := mountT(t, setup{})
	for _, p := range []string{m.path("f"), m.path("d")} {
		if p == m.path("d") {
			ok(t, os.Mkdir(p, 0o700))
		} else {
			ok(t, os.WriteFile(p, nil, 0o600))
		}
		values := map[string][]byte{"user.a": []byte("one"), "user.empty": {}, "trusted.b": random(1000)}
		for name, v := range values {
			ok(t, unix.Setxattr(p, name, v, unix.XATTR_CREATE))
			wantErr(t, "create", unix.Setxattr(p, name, v, unix.XATTR_CREATE), unix.EEXIST)
			n, err := unix.Getxattr(p, name, nil)
			ok(t, err)
			eq(t, "size", n, len(v))
			buf := make([]byte, 2000)
			n, err = unix.Getxattr(p, name, buf)
			ok(t, err)
			if !bytes.Equal(buf[:n], v) {
				t.Errorf("%s: got %q", name, buf[:n])
			}
		}
		_, err := unix.Getxattr(p, "user.a", make([]byte, 2))
		wantErr(t, "small buffer", err, unix.ERANGE)
		_, err = unix.Listxattr(p, make([]byte, 5))
		wantErr(t, "small buffer", err, unix.ERANGE)
		buf := make([]byte, 1000)
		n, err := unix.Listxattr(p, buf)
		ok(t, err)
		names := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
		slices.Sort(names)
		eq(t, "list", strings.Join(names, " "), "trusted.b user.a user.empty")
		wantErr(t, "replace", unix.Setxattr(p, "user.none", nil, unix.XATTR_REPLACE), unix.ENODATA)
		ok(t, unix.Removexattr(p, "user.a"))
		wantErr(t, "remove", unix.Removexattr(p, "user.a"), unix.ENODATA)

		_, err = unix.Getxattr(p, "security.capability", buf)
		wantErr(t, "capability", err, unix.ENODATA)
		_, err = unix.Getxattr(p, "system.posix_acl_access", buf)
		wantErr(t, "acl", err, unix.EOPNOTSUPP)
		wantErr(t, "acl", unix.Setxattr(p, "system.posix_acl_default", buf[:4], 0), unix.EOPNOTSUPP)
		err = unix.Setxattr(p, "user."+strings.Repeat("n", 250), []byte("v"), 0)
		if err != nil && !errors.Is(err, unix.ERANGE) {
			t.Errorf("a long name: %v", err)
		}
	}
}

func TestStatfs(t *testing.T) {
	m := mountT(t, setup{})
	var got, want unix.Statfs_t
	ok(t, unix.Statfs(m.root, &got))
	ok(t, unix.Statfs(m.cipher, &want))
	eq(t, "blocks", got.Blocks, want.Blocks)
	eq(t, "bsize", got.Bsize, want.Bsize)
	eq(t, "files", got.Files, want.Files)
	eq(t, "namelen", got.Namelen, 255)
}

func TestManyNames(t *testing.T) {
	const n = 3000
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("%04d-%s", i, strings.Repeat("x", i%200)))
	}
	check := func(dir string) {
		for _, stats := range []bool{false, true} {
			entries, err := os.ReadDir(dir)
			ok(t, err)
			var got []string
			for _, e := range entries {
				got = append(got, e.Name())
				if stats {
					_, err := e.Info()
					ok(t, err)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d names of %d", len(got), n)
			}
		}
	}
	m := mountT(t, setup{fill: func(root string) {
		for _, name := range want {
			f, err := os.OpenFile(filepath.Join(root, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			ok(t, err)
			ok(t, f.Close())
		}
		check(root)
	}})
	out, err := exec.Command("ls", "-lR", m.root).Output() // READDIRPLUS
	ok(t, err)
	eq(t, "ls -lR", bytes.Count(out, []byte("\n")), n+2)
	check(m.root)

	// Deleting while reading skips nothing, rewinding sees it.
	f, err := os.Open(m.root)
	ok(t, err)
	defer f.Close()
	deleted := 0
	for {
		names, err := f.Readdirnames(100)
		for _, name := range names {
			ok(t, os.Remove(m.path(name)))
			deleted++
		}
		if err != nil {
			break
		}
	}
	eq(t, "deleted", deleted, n)
	ok(t, os.WriteFile(m.path("new"), nil, 0o600))
	_, err = f.Seek(0, 0)
	ok(t, err)
	names, err := f.Readdirnames(-1)
	ok(t, err)
	eq(t, "after rewinding", strings.Join(names, " "), "new")
	eventually(t, "the inodes of deleted files are forgotten", func() bool { return m.cd.Stats().Inodes < 10 })
}

func TestReadOnly(t *testing.T) {
	s := setup{mount: MountOptions{ReadOnly: true, Extra: []string{"rw"}}, fill: func(root string) {
		ok(t, os.WriteFile(filepath.Join(root, "f"), []byte("x"), 0o600))
	}}
	s.view.ReadOnly = true
	m := mountT(t, s)
	contents(t, m.path("f"), []byte("x"))
	for what, err := range map[string]error{
		"write":  os.WriteFile(m.path("f"), nil, 0o600),
		"create": os.WriteFile(m.path("g"), nil, 0o600),
		"mkdir":  os.Mkdir(m.path("d"), 0o700),
		"remove": os.Remove(m.path("f")),
		"rename": os.Rename(m.path("f"), m.path("g")),
		"chmod":  os.Chmod(m.path("f"), 0o644),
		"xattr":  unix.Setxattr(m.path("f"), "user.a", nil, 0),
	} {
		wantErr(t, what, err, unix.EROFS)
	}
}

func TestFullStore(t *testing.T) {
	small := t.TempDir()
	ok(t, unix.Mount("kmsfs-test", small, "tmpfs", 0, "size=4m"))
	t.Cleanup(func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Errorf("leftover mount: %v", err)
			unix.Unmount(small, unix.MNT_DETACH)
		}
	})
	m := mountT(t, setup{cipher: small})
	kept := random(1 << 20)
	ok(t, os.WriteFile(m.path("kept"), kept, 0o600))
	f, err := os.Create(m.path("f"))
	ok(t, err)
	defer f.Close()
	data := random(8 << 20)
	n, err := f.Write(data)
	wantErr(t, "write", err, unix.ENOSPC)
	fi, err := f.Stat()
	ok(t, err)
	eq(t, "size", fi.Size(), int64(n))
	contents(t, m.path("f"), data[:n])
	contents(t, m.path("kept"), kept)
	ok(t, f.Truncate(0))
	_, err = f.WriteAt(kept, 0)
	ok(t, err)
	contents(t, m.path("f"), kept)
}

func TestLocks(t *testing.T) {
	m := mountT(t, setup{})
	a, err := os.Create(m.path("f"))
	ok(t, err)
	defer a.Close()
	b, err := os.Open(m.path("f"))
	ok(t, err)
	defer b.Close()
	ok(t, unix.Flock(int(a.Fd()), unix.LOCK_EX))
	wantErr(t, "flock", unix.Flock(int(b.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
	out, err := exec.Command("flock", "-n", m.path("f"), "true").CombinedOutput()
	if err == nil {
		t.Errorf("another process got the lock: %s", out)
	}
}
