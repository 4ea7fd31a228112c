package backing

import (
	"io"

	"golang.org/x/sys/unix"
)

// osFile is an open file description of its own: its OFD locks are shared with
// none.
type osFile struct{ fd int }

var _ File = (*osFile)(nil)

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(f.fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pwrite(f.fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, unix.EIO
		}
		done += n
	}
	return done, nil
}

func (f *osFile) Truncate(size int64) error {
	return retry(func() error { return unix.Ftruncate(f.fd, size) })
}

func (f *osFile) Fallocate(mode uint32, off, n int64) error {
	return retry(func() error { return unix.Fallocate(f.fd, mode, off, n) })
}

// TrackAtime clears O_NOATIME, the only status flag a file here is opened with.
func (f *osFile) TrackAtime() error {
	_, err := unix.FcntlInt(uintptr(f.fd), unix.F_SETFL, 0)
	return err
}

func (f *osFile) Stat() (Stat, error) { return statx(f.fd, "", unix.AT_EMPTY_PATH) }

func (f *osFile) Sync() error {
	return retry(func() error { return unix.Fsync(f.fd) })
}

func (f *osFile) Datasync() error {
	return retry(func() error { return unix.Fdatasync(f.fd) })
}

func (f *osFile) WaitWriteback(off, n int64) error {
	if n == 0 { // which sync_file_range takes for "to the end"
		return nil
	}
	return retry(func() error { return unix.SyncFileRange(f.fd, off, n, unix.SYNC_FILE_RANGE_WAIT_BEFORE) })
}

// The file position that lseek moves is used by nothing.

func (f *osFile) SeekData(off int64) (int64, error) {
	return retry1(func() (int64, error) { return unix.Seek(f.fd, off, unix.SEEK_DATA) })
}

func (f *osFile) SeekHole(off int64) (int64, error) {
	return retry1(func() (int64, error) { return unix.Seek(f.fd, off, unix.SEEK_HOLE) })
}

func (f *osFile) Lock(off int64, exclusive bool) error {
	typ := int16(unix.F_RDLCK)
	if exclusive {
		typ = unix.F_WRLCK
	}
	return f.lock(off, typ)
}

func (f *osFile) Unlock(off int64) error { return f.lock(off, unix.F_UNLCK) }

// lock waits in the kernel, which blocks the thread. Pid must be 0.
func (f *osFile) lock(off int64, typ int16) error {
	return retry(func() error {
		lk := unix.Flock_t{Type: typ, Whence: unix.SEEK_SET, Start: off, Len: 1}
		return unix.FcntlFlock(uintptr(f.fd), unix.F_OFD_SETLKW, &lk)
	})
}

func (f *osFile) Close() error {
	if f.fd < 0 {
		return unix.EBADF
	}
	return closeFD(&f.fd)
}
