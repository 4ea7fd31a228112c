package backing

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// osStore is a directory of the host.
type osStore struct {
	root     *osNode
	dir      int // the root opened for reading: syncfs and the errors it has seen
	proc     int // /proc/self/fd, where an O_PATH descriptor gets what it cannot do itself
	readOnly bool

	// modes keeps a mode that reopen has lent an inode for a moment from being
	// taken for the inode's own: reopen holds it for writing, all that changes
	// modes for reading. It is a leaf: nothing else is locked under it.
	modes sync.RWMutex
}

var _ Store = (*osStore)(nil)

// OpenOS returns the store whose root is the directory path, which may be a
// symlink to one. With readOnly every change is refused with EROFS; file locks
// of such a store can be shared only.
//
// It needs a mounted /proc (kept open: a later chroot is harmless), of Linux 4.11
// or later. Modes given to Create, CreateTemp, Mkdir and Mknod are subject to the
// umask of the process.
func OpenOS(path string, readOnly bool) (Store, error) {
	s := &osStore{dir: -1, proc: -1, readOnly: readOnly}
	if err := s.open(path); err != nil {
		if s.root != nil {
			closeFD(&s.root.fd)
		}
		closeFD(&s.dir)
		closeFD(&s.proc)
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return s, nil
}

func (s *osStore) open(path string) error {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	s.root = &osNode{s: s, fd: fd, typ: unix.S_IFDIR, lockFD: -1}
	if s.proc, err = openProc(fd); err != nil {
		return fmt.Errorf("/proc/self/fd is not usable: %w", err)
	}
	s.dir, err = s.root.reopen(unix.O_RDONLY | unix.O_DIRECTORY)
	return err
}

var errNotProc = errors.New("no proc file system is mounted on /proc")

// openProc opens /proc/self/fd and makes sure that it leads to the inode of fd.
func openProc(fd int) (int, error) {
	proc, err := openat(unix.AT_FDCWD, "/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	if err := checkProc(proc, fd); err != nil {
		closeFD(&proc)
		return -1, err
	}
	return proc, nil
}

func checkProc(proc, fd int) error {
	fs, err := retry1(func() (fs unix.Statfs_t, err error) {
		err = unix.Fstatfs(proc, &fs)
		return fs, err
	})
	if err != nil {
		return err
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return errNotProc
	}
	want, err := statx(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	got, err := statx(proc, strconv.Itoa(fd), 0)
	if err != nil {
		return err
	}
	if want.Dev != got.Dev || want.Ino != got.Ino {
		return errNotProc
	}
	return nil
}

func (s *osStore) Root() Node { return s.root }

func (s *osStore) Statfs() (unix.Statfs_t, error) {
	return retry1(func() (fs unix.Statfs_t, err error) {
		err = unix.Fstatfs(s.dir, &fs)
		return fs, err
	})
}

func (s *osStore) Sync() error {
	return retry(func() error { return unix.Syncfs(s.dir) })
}

func (s *osStore) Close() error {
	return errors.Join(s.root.Close(), closeFD(&s.dir), closeFD(&s.proc))
}

// RaiseFileLimit raises the number of files the process may have open to the most
// that it may give itself: fs.nr_open for the superuser, the hard limit for others.
// It returns the limit that holds now, also beside an error.
func RaiseFileLimit() (uint64, error) {
	var lim unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &lim); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	if most, err := readNrOpen(); err == nil && most > lim.Max {
		if unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil) == nil {
			return most, nil
		}
	}
	if lim.Cur < lim.Max {
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: lim.Max, Max: lim.Max}, nil); err != nil {
			return lim.Cur, fmt.Errorf("raise the limit of open files to %d: %w", lim.Max, err)
		}
	}
	return lim.Max, nil
}

func readNrOpen() (uint64, error) {
	fd, err := openat(unix.AT_FDCWD, "/proc/sys/fs/nr_open", unix.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer closeFD(&fd)
	var buf [32]byte
	n, err := retry1(func() (int, error) { return unix.Read(fd, buf[:]) })
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(buf[:n])), 10, 64)
}
