package backing

import (
	"sync"

	"golang.org/x/sys/unix"
)

func (n *osNode) Lookup(name string) (Node, Stat, error) {
	if err := component(name); err != nil {
		return nil, Stat{}, err
	}
	fd, err := openat(n.fd, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, Stat{}, err
	}
	st, err := statx(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		closeFD(&fd)
		return nil, Stat{}, err
	}
	return &osNode{s: n.s, fd: fd, typ: st.Mode & unix.S_IFMT, lockFD: -1}, st, nil
}

func (n *osNode) StatAt(name string) (Stat, error) {
	if err := component(name); err != nil {
		return Stat{}, err
	}
	return statx(n.fd, name, unix.AT_SYMLINK_NOFOLLOW)
}

func (n *osNode) ReadlinkAt(name string) (string, error) {
	if err := component(name); err != nil {
		return "", err
	}
	return readlinkat(n.fd, name)
}

func (n *osNode) Create(name string, mode uint32) (Node, File, error) {
	if err := n.changeName(name); err != nil {
		return nil, nil, err
	}
	fd, err := openat(n.fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NOATIME, mode&0o7777)
	if err != nil {
		return nil, nil, err
	}
	file := &osFile{fd: fd}
	// By the file's own descriptor, for the name may be another's already.
	node := &osNode{s: n.s, fd: fd, typ: unix.S_IFREG, lockFD: -1}
	if node.fd, err = node.reopen(unix.O_PATH); err != nil {
		n.takeBack(name, file)
		return nil, nil, err
	}
	return node, file, nil
}

// takeBack closes a file just created and removes its name, unless that has become
// another's.
func (n *osNode) takeBack(name string, file *osFile) {
	own, err := file.Stat()
	if err == nil {
		if st, err := n.StatAt(name); err == nil && st.Ino == own.Ino && st.Dev == own.Dev {
			unix.Unlinkat(n.fd, name, 0)
		}
	}
	file.Close()
}

// CreateTemp's file never gets a name, so it is opened with O_EXCL: the kernel
// refuses to link it.
func (n *osNode) CreateTemp(mode uint32) (File, error) {
	if err := n.change(); err != nil {
		return nil, err
	}
	if n.typ != unix.S_IFDIR {
		return nil, unix.ENOTDIR
	}
	// "." asks for permission to search, as a name would.
	fd, err := openat(n.fd, ".", unix.O_TMPFILE|unix.O_EXCL|unix.O_RDWR, mode&0o7777)
	if err != nil {
		return nil, err
	}
	return &osFile{fd: fd}, nil
}

func (n *osNode) Mkdir(name string, mode uint32) error {
	if err := n.changeName(name); err != nil {
		return err
	}
	return retry(func() error { return unix.Mkdirat(n.fd, name, mode&0o7777) })
}

func (n *osNode) Mknod(name string, mode uint32, rdev uint64) error {
	if err := n.changeName(name); err != nil {
		return err
	}
	return retry(func() error { return unix.Mknodat(n.fd, name, mode, int(rdev)) })
}

func (n *osNode) Symlink(target, name string) error {
	if err := n.changeName(name); err != nil {
		return err
	}
	return retry(func() error { return unix.Symlinkat(target, n.fd, name) })
}

func (n *osNode) Link(node Node, name string) error {
	if err := n.changeName(name); err != nil {
		return err
	}
	from, ok := node.(*osNode)
	if !ok {
		return unix.EXDEV
	}
	return retry(func() error {
		return unix.Linkat(from.s.proc, from.link(), n.fd, name, unix.AT_SYMLINK_FOLLOW)
	})
}

func (n *osNode) Unlink(name string) error {
	if err := n.changeName(name); err != nil {
		return err
	}
	return retry(func() error { return unix.Unlinkat(n.fd, name, 0) })
}

func (n *osNode) Rmdir(name string) error {
	if err := n.changeName(name); err != nil {
		return err
	}
	return retry(func() error { return unix.Unlinkat(n.fd, name, unix.AT_REMOVEDIR) })
}

func (n *osNode) Rename(name string, to Node, toName string, flags uint) error {
	if err := n.changeName(name, toName); err != nil {
		return err
	}
	dest, ok := to.(*osNode)
	if !ok {
		return unix.EXDEV
	}
	return retry(func() error { return unix.Renameat2(n.fd, name, dest.fd, toName, flags) })
}

// direntBuf holds some 2000 entries with names of ordinary length.
type direntBuf [64 << 10]byte

var direntBufs = sync.Pool{New: func() any { return new(direntBuf) }}

// ReadDir opens the directory anew, for the position that getdents moves belongs
// to the open file.
func (n *osNode) ReadDir() ([]Entry, error) {
	fd, err := n.reopen(unix.O_RDONLY | unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer closeFD(&fd)
	buf := direntBufs.Get().(*direntBuf)
	defer direntBufs.Put(buf)
	var entries []Entry
	for {
		k, err := retry1(func() (int, error) { return unix.ReadDirent(fd, buf[:]) })
		if err == unix.ENOENT || err == nil && k == 0 { // ENOENT: removed meanwhile
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		if entries, err = parseDirents(entries, buf[:k]); err != nil {
			return nil, err
		}
	}
}

// SyncDir of a directory that the process may change but not read syncs the whole
// file system.
func (n *osNode) SyncDir() error {
	fd, err := n.reopen(unix.O_RDONLY | unix.O_DIRECTORY)
	if err == unix.EACCES {
		return n.s.Sync()
	}
	if err != nil {
		return err
	}
	defer closeFD(&fd)
	return retry(func() error { return unix.Fsync(fd) })
}

func (n *osNode) Flock(how int) error {
	fd, err := n.lockFile()
	if err != nil {
		return err
	}
	return retry(func() error { return unix.Flock(fd, how) })
}

// lockFile gives the descriptor that carries the lock: the node's own, so that a
// Clone is a stranger to it and Close gives it back.
func (n *osNode) lockFile() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lockFD < 0 {
		fd, err := n.reopen(unix.O_RDONLY | unix.O_DIRECTORY)
		if err != nil {
			return -1, err
		}
		n.lockFD = fd
	}
	return n.lockFD, nil
}
