package backing

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// retry repeats a system call that a signal interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func retry1[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// openat opens with O_CLOEXEC. O_LARGEFILE is set by the kernel or by x/sys.
func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, err
		}
	}
}

// closeFD closes *fd, if it is open, and makes it -1. Linux has closed the
// descriptor even when it answers EINTR.
func closeFD(fd *int) error {
	if *fd < 0 {
		return nil
	}
	err := unix.Close(*fd)
	*fd = -1
	if err == unix.EINTR {
		return nil
	}
	return err
}

// component refuses a name that openat would walk further than one step, or to
// another inode than an entry of the directory.
func component(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return unix.EINVAL
	}
	return nil
}

func statx(dir int, name string, flags int) (Stat, error) {
	var x unix.Statx_t
	for {
		err := unix.Statx(dir, name, flags|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &x)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			return Stat{}, err
		}
	}
	st := Stat{
		Dev:     unix.Mkdev(x.Dev_major, x.Dev_minor),
		Ino:     x.Ino,
		Mode:    uint32(x.Mode),
		Nlink:   x.Nlink,
		Uid:     x.Uid,
		Gid:     x.Gid,
		Rdev:    unix.Mkdev(x.Rdev_major, x.Rdev_minor),
		Size:    int64(x.Size),
		Blocks:  int64(x.Blocks),
		Blksize: int64(x.Blksize),
	}
	setTime(&st.Atim.Sec, &st.Atim.Nsec, x.Atime)
	setTime(&st.Mtim.Sec, &st.Mtim.Nsec, x.Mtime)
	setTime(&st.Ctim.Sec, &st.Ctim.Nsec, x.Ctime)
	if x.Mask&unix.STATX_BTIME != 0 {
		setTime(&st.Btim.Sec, &st.Btim.Nsec, x.Btime)
	}
	return st, nil
}

// setTime sets the fields of a Timespec, whose width depends on the architecture.
func setTime[T int32 | int64](sec, nsec *T, t unix.StatxTimestamp) {
	*sec, *nsec = T(t.Sec), T(t.Nsec)
}

// Offsets of struct linux_dirent64 (getdents64(2)): ino u64, off s64, reclen u16,
// type u8, then the name, ended by NUL and padded to reclen.
const (
	direntReclen = 16
	direntType   = 18
	direntName   = 19
)

// parseDirents appends to entries those that getdents64 left in buf, but for "."
// and "..". It gives EIO for a buffer that no kernel fills so.
func parseDirents(entries []Entry, buf []byte) ([]Entry, error) {
	for len(buf) > 0 {
		if len(buf) <= direntName {
			return entries, unix.EIO
		}
		size := int(binary.NativeEndian.Uint16(buf[direntReclen:]))
		if size <= direntName || size > len(buf) {
			return entries, unix.EIO
		}
		rec := buf[:size]
		buf = buf[size:]
		name, _, ended := strings.Cut(string(rec[direntName:]), "\x00")
		if !ended || name == "" {
			return entries, unix.EIO
		}
		if name == "." || name == ".." {
			continue
		}
		entries = append(entries, Entry{
			Name: name,
			Ino:  binary.NativeEndian.Uint64(rec),
			Type: direntMode(rec[direntType]),
		})
	}
	return entries, nil
}

// direntMode gives the S_IFMT part for a d_type: DT_REG is S_IFREG>>12 and so on.
func direntMode(typ byte) uint32 {
	switch mode := uint32(typ) << 12; mode {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
		return mode
	}
	return 0
}
