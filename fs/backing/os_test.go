package backing_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
	"kmsfs/fs/backing/backingtest"
)

func openOS(t testing.TB, dir string, readOnly bool) backing.Store {
	t.Helper()
	s, err := backing.OpenOS(dir, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tempDir is a directory of the test that no descriptor may lead into at its end.
func tempDir(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if path, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasPrefix(path, dir) {
				t.Errorf("descriptor %s was left open: %s", e.Name(), path)
			}
		}
	})
	return dir
}

func contract(t *testing.T) {
	dir := backingtest.PerTest(tempDir)
	backingtest.Run(t, func(t *testing.T) backing.Store { return openOS(t, dir(t), false) })
}

func TestContract(t *testing.T) { contract(t) }

func TestContractThroughFault(t *testing.T) {
	dir := backingtest.PerTest(tempDir)
	var stores []*backingtest.Fault
	backingtest.Run(t, func(t *testing.T) backing.Store {
		s := backingtest.NewFault(openOS(t, dir(t), false), nil)
		stores = append(stores, s)
		return s
	})
	var ops int64
	for _, s := range stores {
		ops += s.Ops()
	}
	if ops < 10000 {
		t.Errorf("%d operations went through the fault store", ops)
	}
}

// TestUnprivileged runs the tests that root passes too easily as nobody, who is
// kept out by modes. TestMain is not needed: the child is a run of one test.
func TestUnprivileged(t *testing.T) {
	const child = "KMSFS_TEST_UNPRIVILEGED"
	if os.Geteuid() != 0 {
		t.Run("Contract", contract)
		t.Run("Modes", modes)
		return
	}
	if os.Getenv(child) != "" {
		t.Fatal("still root")
	}
	// The test binary and t.TempDir are in directories of root's alone.
	dir, err := os.MkdirTemp("", "kmsfs-unprivileged-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, "tmp")
	program := filepath.Join(dir, "backing.test")
	const nobody = 65534
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(tmp, 0o700), os.Chown(tmp, nobody, nobody), copyFile("/proc/self/exe", program)); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^TestUnprivileged$"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), child+"=1", "TMPDIR="+tmp, "HOME=/nonexistent", "GOCOVERDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("as uid %d: %v\n%s", nobody, err, out)
	} else if testing.Verbose() {
		t.Logf("as uid %d:\n%s", nobody, out)
	}
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// modes tests, as an ordinary user, what modes keep from the owner and what not.
func modes(t *testing.T) {
	s := openOS(t, tempDir(t), false)
	defer s.Close()
	root := s.Root()
	n, f, err := root.Create("f", 0)
	check(t, err)
	defer n.Close()
	_, err = f.WriteAt([]byte("data"), 0)
	check(t, errors.Join(err, f.Close()))
	if fd, err := os.Open(path(t, n)); err == nil {
		fd.Close()
		t.Skip("modes do not keep this process out")
	}

	// Many at once: whoever lends the inode a mode, all see it back in its own.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				f, err := n.Open(unix.O_RDWR)
				if err != nil {
					t.Error(err)
					return
				}
				if err := n.Chmod(0o040); err != nil {
					t.Error(err)
				}
				f.Close()
			}
		})
	}
	wg.Wait()
	st, err := n.Stat()
	check(t, err)
	if st.Mode != unix.S_IFREG|0o040 {
		t.Errorf("mode %o, want 040", st.Mode)
	}

	// A store for reading changes no mode for a moment either.
	ro := openOS(t, path(t, root), true)
	defer ro.Close()
	m, _, err := ro.Root().Lookup("f")
	check(t, err)
	defer m.Close()
	_, err = m.Open(unix.O_RDONLY)
	want(t, "open in a store for reading", err, unix.EACCES)

	// Directories stay closed to who may not read them, but can be synced.
	check(t, root.Mkdir("d", 0o300))
	d, _, err := root.Lookup("d")
	check(t, err)
	defer d.Close()
	check(t, d.Mkdir("sub", 0o700))
	check(t, d.SyncDir())
	_, err = d.ReadDir()
	want(t, "ReadDir of mode 0300", err, unix.EACCES)
	check(t, d.Chmod(0o400))
	list, err := d.ReadDir()
	check(t, err)
	if len(list) != 1 {
		t.Errorf("entries: %v", list)
	}
	_, _, err = d.Lookup("sub")
	want(t, "Lookup in mode 0400", err, unix.EACCES)
	check(t, d.Chmod(0o700))

	// What is another's: the system's own file.
	sys := openOS(t, "/etc", false)
	defer sys.Close()
	shadow, _, err := sys.Root().Lookup("shadow")
	if err != nil {
		t.Skip(err)
	}
	defer shadow.Close()
	_, err = shadow.Open(unix.O_RDONLY)
	want(t, "open of root's file", err, unix.EACCES)
	want(t, "chmod of root's file", shadow.Chmod(0o666), unix.EPERM)
}

func TestReadOnly(t *testing.T) {
	dir := tempDir(t)
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "f"), []byte("data"), 0o600),
		os.Mkdir(filepath.Join(dir, "d"), 0o700),
		os.Symlink("target", filepath.Join(dir, "l")),
	} {
		check(t, err)
	}
	s := openOS(t, dir, true)
	defer s.Close()
	root := s.Root()
	n, _, err := root.Lookup("f")
	check(t, err)
	defer n.Close()
	_, _, create := root.Create("new", 0o600)
	_, temp := root.CreateTemp(0o600)
	_, open := n.Open(unix.O_RDWR)
	now := unix.Timespec{Nsec: unix.UTIME_NOW}
	for what, err := range map[string]error{
		"Create":      create,
		"CreateTemp":  temp,
		"Open":        open,
		"Mkdir":       root.Mkdir("new", 0o700),
		"Mknod":       root.Mknod("new", unix.S_IFIFO, 0),
		"Symlink":     root.Symlink("target", "new"),
		"Link":        root.Link(n, "new"),
		"Unlink":      root.Unlink("f"),
		"Rmdir":       root.Rmdir("d"),
		"Rename":      root.Rename("f", root, "new", 0),
		"Chmod":       n.Chmod(0o644),
		"Chown":       n.Chown(-1, -1),
		"Utimens":     n.Utimens(now, now),
		"Setxattr":    n.Setxattr("user.a", []byte("v"), 0),
		"Removexattr": n.Removexattr("user.a"),
	} {
		want(t, what, err, unix.EROFS)
	}
	f, err := n.Open(unix.O_RDONLY)
	check(t, err)
	defer f.Close()
	buf := make([]byte, 4)
	_, err = f.ReadAt(buf, 0)
	check(t, err)
	_, err = f.WriteAt(buf, 0)
	want(t, "WriteAt", err, unix.EBADF)
	check(t, errors.Join(f.Lock(0, false), f.Unlock(0), root.Flock(unix.LOCK_EX|unix.LOCK_NB), root.SyncDir(), s.Sync()))
	if list, err := root.ReadDir(); err != nil || len(list) != 3 {
		t.Errorf("entries: %v, %v", list, err)
	}
}

func TestOpenOS(t *testing.T) {
	dir := tempDir(t)
	check(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
	check(t, os.Symlink(".", filepath.Join(dir, "l")))
	for name, errno := range map[string]unix.Errno{"none": unix.ENOENT, "f": unix.ENOTDIR} {
		_, err := backing.OpenOS(filepath.Join(dir, name), false)
		want(t, name, err, errno)
		if !strings.Contains(err.Error(), filepath.Join(dir, name)) {
			t.Errorf("the error does not name the store: %v", err)
		}
	}
	s := openOS(t, filepath.Join(dir, "l"), false) // the store itself may be given by a symlink
	st, err := s.Root().Stat()
	check(t, err)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		t.Errorf("mode %o", st.Mode)
	}
	check(t, s.Close())
}

// TestOpenOSWithoutProc covers /proc in a mount namespace of a child's own.
func TestOpenOSWithoutProc(t *testing.T) {
	const child = "KMSFS_TEST_WITHOUT_PROC"
	if os.Getenv(child) != "" {
		check(t, unix.Mount("none", "/proc", "tmpfs", 0, ""))
		_, err := backing.OpenOS("/", true)
		want(t, "no /proc", err, unix.ENOENT)
		if !strings.Contains(err.Error(), "/proc/self/fd is not usable") {
			t.Error(err)
		}
		check(t, os.MkdirAll("/proc/self/fd", 0o700)) // looks like it, and is not
		if _, err = backing.OpenOS("/", true); err == nil || !strings.Contains(err.Error(), "no proc file system") {
			t.Errorf("a false /proc: %v", err)
		}
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestOpenOSWithoutProc$")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("no mount namespaces here")
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestSymlinkXattr holds what Linux lets a symlink have: it is asked through a
// magic link, which must stop at the symlink.
func TestSymlinkXattr(t *testing.T) {
	s := openOS(t, tempDir(t), false)
	defer s.Close()
	root := s.Root()
	n, f, err := root.Create("f", 0o600)
	check(t, errors.Join(err, f.Close()))
	defer n.Close()
	check(t, root.Symlink("f", "l"))
	l, _, err := root.Lookup("l")
	check(t, err)
	defer l.Close()
	want(t, "set user.a", l.Setxattr("user.a", []byte("v"), 0), unix.EPERM)
	_, err = l.Getxattr("user.a")
	want(t, "get user.a", err, unix.ENODATA)
	if os.Geteuid() != 0 {
		t.Skip("trusted attributes are root's")
	}
	for _, name := range []string{"trusted.kmsfs", "security.kmsfs"} {
		check(t, l.Setxattr(name, []byte("of the link"), 0))
		got, err := l.Getxattr(name)
		check(t, err)
		if string(got) != "of the link" {
			t.Errorf("%s: got %q", name, got)
		}
		list, err := l.Listxattr()
		check(t, err)
		if !slices.Contains(list, name) {
			t.Errorf("attributes: %q", list)
		}
		_, err = n.Getxattr(name)
		want(t, name+" of the target", err, unix.ENODATA)
		check(t, l.Removexattr(name))
	}
}

// TestStatLikeOS compares with what the package os tells of an inode.
func TestStatLikeOS(t *testing.T) {
	dir := tempDir(t)
	s := openOS(t, dir, true)
	defer s.Close()
	got, err := s.Root().Stat()
	check(t, err)
	info, err := os.Stat(dir)
	check(t, err)
	st := info.Sys().(*syscall.Stat_t)
	if got.Dev != uint64(st.Dev) || got.Ino != st.Ino || got.Mode != st.Mode || uint64(got.Nlink) != uint64(st.Nlink) ||
		got.Mtim.Nano() != info.ModTime().UnixNano() || got.Size != st.Size || got.Blocks != st.Blocks {
		t.Errorf("got %+v, package os has %+v", got, st)
	}
	tty := openOS(t, "/dev", true)
	defer tty.Close()
	null, err := tty.Root().StatAt("null")
	check(t, err)
	if null.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("device number of /dev/null: %#x", null.Rdev)
	}
}

func TestRaiseFileLimit(t *testing.T) {
	var before unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &before, nil)
	check(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 512, Max: before.Max}, nil))
	got, err := backing.RaiseFileLimit()
	check(t, err)
	var after unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &after))
	if got != after.Cur || after.Cur < before.Max {
		t.Errorf("raised to %d; the limit is %d, the hard limit was %d", got, after.Cur, before.Max)
	}
}

// TestNoDescriptorsLeft runs out of descriptors at every step of a few calls: each
// gives EMFILE, and leaves neither a descriptor nor a file behind.
func TestNoDescriptorsLeft(t *testing.T) {
	s := openOS(t, tempDir(t), false)
	defer s.Close()
	root := s.Root()
	check(t, root.Mkdir("d", 0o700))
	d, _, err := root.Lookup("d")
	check(t, err)
	defer d.Close()

	var before unix.Rlimit
	check(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	defer unix.Prlimit(0, unix.RLIMIT_NOFILE, &before, nil)
	free, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 0)
	check(t, err)
	check(t, unix.Close(free))
	for room := range 2 { // descriptors below free may be free, too: none above is
		check(t, unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free + room), Max: before.Max}, nil))
		n, f, err := d.Create("f", 0o600)
		if err == nil {
			t.Fatalf("created with room for %d descriptors: %v", room, errors.Join(n.Close(), f.Close()))
		}
		want(t, "Create", err, unix.EMFILE)
		if room == 0 {
			_, _, err = root.Lookup("d")
			want(t, "Lookup", err, unix.EMFILE)
			_, err = d.Clone()
			want(t, "Clone", err, unix.EMFILE)
			want(t, "Flock", d.Flock(unix.LOCK_EX|unix.LOCK_NB), unix.EMFILE)
			want(t, "SyncDir", d.SyncDir(), unix.EMFILE)
			_, err = d.ReadDir()
			want(t, "ReadDir", err, unix.EMFILE)
		} else if list, err := d.ReadDir(); err != nil || len(list) != 0 {
			t.Errorf("entries after a failed Create: %v, %v", list, err)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, err error, errno unix.Errno) {
	t.Helper()
	if !errors.Is(err, errno) {
		t.Errorf("%s: got error %v, want %v", what, err, errno)
	}
}

// path finds the path of a node by its inode number among the descriptors of the
// process.
func path(t *testing.T, n backing.Node) string {
	t.Helper()
	st, err := n.Stat()
	check(t, err)
	list, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	for _, e := range list {
		var got unix.Stat_t
		link := "/proc/self/fd/" + e.Name()
		if unix.Stat(link, &got) == nil && got.Ino == st.Ino && uint64(got.Dev) == st.Dev {
			name, err := os.Readlink(link)
			check(t, err)
			return name
		}
	}
	t.Fatal("no descriptor leads to the node")
	return ""
}
