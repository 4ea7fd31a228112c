package fs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAttributes(t *testing.T) {
	m := mountT(t, setup{})
	p := m.path("f")
	ok(t, os.WriteFile(p, []byte("x"), 0o600))
	ok(t, unix.Chmod(p, 0o6751))
	eq(t, "mode", stat(t, p).Mode, uint32(unix.S_IFREG|0o6751))
	ok(t, unix.Chown(p, 12, 34))
	st := stat(t, p)
	eq(t, "owner", [2]uint32{st.Uid, st.Gid}, [2]uint32{12, 34})
	eq(t, "mode after chown", st.Mode&0o7777, uint32(0o751))
	ok(t, unix.Chown(p, -1, 35))
	eq(t, "owner", stat(t, p).Uid, 12)

	times := []unix.Timespec{{Sec: 1, Nsec: 123456789}, {Sec: 1 << 33, Nsec: 987654321}}
	ok(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, times, 0))
	st = stat(t, p)
	eq(t, "atime", st.Atim, times[0])
	eq(t, "mtime", st.Mtim, times[1])
	ok(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: -5, Nsec: 7}}, 0))
	st = stat(t, p)
	eq(t, "atime", st.Atim, times[0])
	eq(t, "mtime", st.Mtim, unix.Timespec{Sec: -5, Nsec: 7})
	ok(t, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_OMIT}}, 0))
	st = stat(t, p)
	if age := time.Since(time.Unix(st.Atim.Unix())); age < -time.Second || age > time.Minute {
		t.Errorf("atime is %v ago", age)
	}

	// Times after a write are the store's, not a guess of the kernel's.
	f, err := os.OpenFile(p, os.O_RDWR, 0)
	ok(t, err)
	defer f.Close()
	for _, change := range []func() error{
		func() error { _, err := f.WriteAt([]byte("yz"), 0); return err },
		func() error { return f.Truncate(1) },
		func() error { return f.Truncate(8192) },
		func() error { return unix.Fallocate(int(f.Fd()), 0, 0, 20000) },
	} {
		before := stat(t, p)
		time.Sleep(10 * time.Millisecond)
		ok(t, change())
		after := stat(t, p)
		if after.Mtim == before.Mtim || after.Ctim == before.Ctim {
			t.Errorf("times stayed at %v, %v", after.Mtim, after.Ctim)
		}
	}
	real := realStat(t, m.cipher, stat(t, p).Ino)
	eq(t, "mtime of the store", stat(t, p).Mtim, real.Mtim)
	eq(t, "ctime of the store", stat(t, p).Ctim, real.Ctim)

	var sx unix.Statx_t
	ok(t, unix.Statx(unix.AT_FDCWD, p, 0, unix.STATX_ALL, &sx))
	if sx.Mask&unix.STATX_BTIME == 0 || time.Since(time.Unix(sx.Btime.Sec, 0)) > time.Minute {
		t.Errorf("birth time: %+v", sx.Btime)
	}
}

// realStat finds an inode in the store.
func realStat(t testing.TB, dir string, ino uint64) (found unix.Stat_t) {
	t.Helper()
	ok(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if st := stat(t, p); err == nil && st.Ino == ino {
			found = st
		}
		return err
	}))
	return found
}

func TestUmask(t *testing.T) {
	m := mountT(t, setup{})
	out, err := exec.Command("sh", "-c", "cd $0 && umask 027 && touch f && mkdir d && mkfifo p && ln -s x s && umask 0 && mkdir w && touch g", m.root).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string]uint32{
		"f": unix.S_IFREG | 0o640, "d": unix.S_IFDIR | 0o750, "p": unix.S_IFIFO | 0o640,
		"s": unix.S_IFLNK | 0o777, "w": unix.S_IFDIR | 0o777, "g": unix.S_IFREG | 0o666,
	} {
		if got := stat(t, m.path(name)).Mode; got != want {
			t.Errorf("%s: mode %o, want %o", name, got, want)
		}
	}
}
