// Package backing is the only door to the disk under a cipher directory: an
// interface to inodes and open files of the store, and its implementation over
// Linux. Package backingtest has the contract suite that every store passes and
// the store that injects faults.
//
// A Node is held by descriptor, not by path: it stays on its inode whatever its
// names become, works on an unlinked file, and no call walks a path of more than
// one component or follows a symlink.
package backing

import "golang.org/x/sys/unix"

// Stat is what the store tells of an inode. Size is the ciphertext's.
type Stat struct {
	Dev, Ino         uint64
	Mode             uint32 // type and permission bits
	Nlink            uint32
	Uid, Gid         uint32
	Rdev             uint64
	Size             int64
	Blocks           int64 // of 512 bytes
	Blksize          int64
	Atim, Mtim, Ctim unix.Timespec
	Btim             unix.Timespec // zero where the store has none
}

// Entry is one name of a directory. Type is the S_IFMT part of the mode, 0 where
// the store does not say.
type Entry struct {
	Name string
	Ino  uint64
	Type uint32
}

// Store is a tree of inodes with one root.
type Store interface {
	// Root returns the root directory, always the same handle; the store owns it, and
	// only Close of the store closes it.
	Root() Node
	// Statfs reports on the file system that holds the store.
	Statfs() (unix.Statfs_t, error)
	// Sync makes everything written before it durable (syncfs).
	Sync() error
	Close() error
}

// Node is a handle on one inode. All errors are *os.PathError-free: they match,
// with errors.Is, the unix.Errno the store gave. Nodes may be used by several
// goroutines at once, but not after Close.
//
// A name has one component: EINVAL for an empty name, ".", "..", and one with '/' or
// NUL; ENAMETOOLONG past 255 bytes. Further errors are those of the system call that
// does the same, the ones beside the methods among them.
//
// Durability: a change of names is durable after SyncDir of the directory, and on
// ext4 and XFS never before an earlier change in the same file system.
type Node interface {
	Stat() (Stat, error)

	// Of any inode.
	Chmod(mode uint32) error                  // EOPNOTSUPP for a symlink
	Chown(uid, gid int) error                 // -1 leaves one as it is
	Utimens(atime, mtime unix.Timespec) error // Nsec may be UTIME_NOW or UTIME_OMIT
	Getxattr(name string) ([]byte, error)     // ENODATA
	// Setxattr takes XATTR_CREATE (EEXIST) and XATTR_REPLACE (ENODATA).
	Setxattr(name string, value []byte, flags int) error
	Removexattr(name string) error // ENODATA
	Listxattr() ([]string, error)
	Readlink() (string, error) // EINVAL if it is no symlink

	// Open opens a regular file with O_RDONLY or O_RDWR and no other flag: EINVAL
	// otherwise, and for what is no regular file; EISDIR for a directory. A mode
	// that keeps the owner out is overcome where the process may chmod, so whether
	// a user may open is for the caller to decide.
	Open(flags int) (File, error)

	// Of a directory: ENOTDIR otherwise. EXDEV where to or n is a node of another
	// store.
	Lookup(name string) (Node, Stat, error) // never follows a symlink; ENOENT
	StatAt(name string) (Stat, error)
	ReadlinkAt(name string) (string, error)
	Create(name string, mode uint32) (Node, File, error) // O_CREAT|O_EXCL|O_RDWR
	// CreateTemp makes a file that never has a name (O_TMPFILE|O_EXCL); EOPNOTSUPP
	// where there is none.
	CreateTemp(mode uint32) (File, error)
	Mkdir(name string, mode uint32) error
	Mknod(name string, mode uint32, rdev uint64) error
	Symlink(target, name string) error
	Link(n Node, name string) error // n gets a further name here
	Unlink(name string) error
	Rmdir(name string) error
	Rename(name string, to Node, toName string, flags uint) error // renameat2
	ReadDir() ([]Entry, error)                                    // without "." and "..", unsorted; none once removed
	SyncDir() error
	// Flock takes (or, with how = LOCK_UN, gives back) a whole-directory advisory
	// lock, LOCK_EX|LOCK_NB for instance (EWOULDBLOCK). It belongs to this handle, not
	// to a clone, and dies with Close and with the process.
	Flock(how int) error

	// Clone gives a second handle on the same inode, closed on its own.
	Clone() (Node, error)
	Close() error
}

// File is an open regular file of the store. Offsets and sizes are ciphertext
// bytes. It may be used by several goroutines at once.
//
// Durability: bytes written are durable after Sync or Datasync, page by page in
// any order before that; the size may become durable before the bytes it covers.
type File interface {
	ReadAt(p []byte, off int64) (int, error)  // io.ReaderAt: io.EOF at a short read
	WriteAt(p []byte, off int64) (int, error) // short only with an error; EINTR never
	Truncate(size int64) error
	Fallocate(mode uint32, off, n int64) error // EOPNOTSUPP where the store cannot
	Stat() (Stat, error)
	Sync() error
	Datasync() error
	// WaitWriteback waits for pages of the range that are under writeback, without
	// starting any: before a page is overwritten in place (rule W3). An error counts
	// as a failed Sync: Linux reports a lost page to a file once, here or there.
	WaitWriteback(off, n int64) error
	// TrackAtime makes reads from now on move the atime, as the store is mounted to.
	// Before it they do not, where the process owns the file or may anything.
	TrackAtime() error
	SeekData(off int64) (int64, error) // ENXIO past the last data
	SeekHole(off int64) (int64, error) // the size if none is earlier; ENXIO from there on
	// Lock takes an open-file-description lock of one byte at off, waiting for it;
	// exclusive (EBADF if opened with O_RDONLY) or shared. It excludes other Files, not
	// other goroutines of this one, whose locks replace each other. Unlock gives it
	// back, as does Close. See docs/format.md, "Locks".
	Lock(off int64, exclusive bool) error
	Unlock(off int64) error
	Close() error
}
