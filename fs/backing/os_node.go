package backing

import (
	"errors"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// osNode holds an inode by an O_PATH descriptor, which asks for no permission on
// it, never blocks on a FIFO and has no side effect on a device. What such a
// descriptor cannot do goes through its magic link in /proc/self/fd, which leads
// to the inode itself: to a symlink, not to where that points.
type osNode struct {
	s   *osStore
	fd  int
	typ uint32 // S_IFMT part, which never changes

	mu     sync.Mutex // guards lockFD
	lockFD int        // opened by the first Flock, else -1
}

var _ Node = (*osNode)(nil)

// link names the node's magic link relative to s.proc.
func (n *osNode) link() string { return strconv.Itoa(n.fd) }

// path names the magic link for calls that take no directory descriptor.
func (n *osNode) path() string { return "/proc/self/fd/" + strconv.Itoa(n.fd) }

// change refuses to change a store opened for reading.
func (n *osNode) change() error {
	if n.s.readOnly {
		return unix.EROFS
	}
	return nil
}

// changeName is change for a call that takes names in a directory.
func (n *osNode) changeName(names ...string) error {
	for _, name := range names {
		if err := component(name); err != nil {
			return err
		}
	}
	return n.change()
}

func (n *osNode) Stat() (Stat, error) { return statx(n.fd, "", unix.AT_EMPTY_PATH) }

func (n *osNode) Chmod(mode uint32) error {
	if err := n.change(); err != nil {
		return err
	}
	if n.typ == unix.S_IFLNK {
		return unix.EOPNOTSUPP
	}
	n.s.modes.RLock()
	defer n.s.modes.RUnlock()
	return n.chmod(mode)
}

// chmod requires s.modes.
func (n *osNode) chmod(mode uint32) error {
	return retry(func() error { return unix.Fchmodat(n.s.proc, n.link(), mode&0o7777, 0) })
}

func (n *osNode) Chown(uid, gid int) error {
	if err := n.change(); err != nil {
		return err
	}
	n.s.modes.RLock() // the set-id bits may go
	defer n.s.modes.RUnlock()
	return retry(func() error {
		return unix.Fchownat(n.fd, "", uid, gid, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Utimens does not use AT_EMPTY_PATH, which utimensat has since Linux 5.8 only.
func (n *osNode) Utimens(atime, mtime unix.Timespec) error {
	if err := n.change(); err != nil {
		return err
	}
	ts := [2]unix.Timespec{atime, mtime}
	return retry(func() error { return unix.UtimesNanoAt(n.s.proc, n.link(), ts[:], 0) })
}

func (n *osNode) Getxattr(name string) ([]byte, error) {
	return readXattr(func(buf []byte) (int, error) { return unix.Getxattr(n.path(), name, buf) })
}

func (n *osNode) Setxattr(name string, value []byte, flags int) error {
	if err := n.change(); err != nil {
		return err
	}
	n.s.modes.RLock() // system.posix_acl_access is a mode, too
	defer n.s.modes.RUnlock()
	return retry(func() error { return unix.Setxattr(n.path(), name, value, flags) })
}

func (n *osNode) Removexattr(name string) error {
	if err := n.change(); err != nil {
		return err
	}
	n.s.modes.RLock()
	defer n.s.modes.RUnlock()
	return retry(func() error { return unix.Removexattr(n.path(), name) })
}

func (n *osNode) Listxattr() ([]string, error) {
	list, err := readXattr(func(buf []byte) (int, error) { return unix.Listxattr(n.path(), buf) })
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"), nil
}

// readXattr calls read with a buffer that it makes larger until it does.
func readXattr(read func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; {
		buf := make([]byte, size)
		n, err := retry1(func() (int, error) { return read(buf) })
		if err == nil {
			return buf[:n:n], nil
		}
		// ERANGE also says that a name is too long: the question for the size
		// repeats that, and the limit ends the loop in any case.
		if err != unix.ERANGE || size >= 1<<16 {
			return nil, err
		}
		if size, err = retry1(func() (int, error) { return read(nil) }); err != nil {
			return nil, err
		}
		size = min(size+256, 1<<16)
	}
}

func (n *osNode) Readlink() (string, error) {
	if n.typ != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	return readlinkat(n.fd, "")
}

func (n *osNode) Open(flags int) (File, error) {
	if flags != unix.O_RDONLY && flags != unix.O_RDWR {
		return nil, unix.EINVAL
	}
	if n.typ == unix.S_IFDIR {
		return nil, unix.EISDIR
	}
	if n.typ != unix.S_IFREG {
		return nil, unix.EINVAL
	}
	if flags != unix.O_RDONLY {
		if err := n.change(); err != nil {
			return nil, err
		}
	}
	fd, err := n.reopen(flags | unix.O_NOATIME)
	if err == unix.EPERM { // another's file: reading it moves its atime
		fd, err = n.reopen(flags)
	}
	if err == unix.EACCES && !n.s.readOnly {
		fd, err = n.reopenAsOwner(flags)
	}
	if err != nil {
		return nil, err
	}
	return &osFile{fd: fd}, nil
}

// reopen opens the inode anew: its own offset, its own locks.
func (n *osNode) reopen(flags int) (int, error) {
	return openat(n.s.proc, n.link(), flags, 0)
}

// reopenAsOwner lends the owner of a file the permissions to read and write it
// for as long as it takes to open it. EACCES if that does not help.
func (n *osNode) reopenAsOwner(flags int) (int, error) {
	n.s.modes.Lock()
	defer n.s.modes.Unlock()
	st, err := n.Stat()
	if err != nil {
		return -1, err
	}
	const rw = unix.S_IRUSR | unix.S_IWUSR
	if st.Mode&rw == rw || n.chmod(st.Mode|rw) != nil {
		return -1, unix.EACCES
	}
	fd, err := n.reopen(flags | unix.O_NOATIME)
	if e := n.chmod(st.Mode); e != nil {
		if err == nil {
			closeFD(&fd)
		}
		return -1, e
	}
	return fd, err
}

func (n *osNode) Clone() (Node, error) {
	fd, err := retry1(func() (int, error) { return unix.FcntlInt(uintptr(n.fd), unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	return &osNode{s: n.s, fd: fd, typ: n.typ, lockFD: -1}, nil
}

func (n *osNode) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(closeFD(&n.lockFD), closeFD(&n.fd))
}

func readlinkat(dir int, name string) (string, error) {
	var buf [unix.PathMax]byte
	for {
		n, err := unix.Readlinkat(dir, name, buf[:])
		if err == nil {
			return string(buf[:n]), nil
		}
		if err != unix.EINTR {
			return "", err
		}
	}
}
