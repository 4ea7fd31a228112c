package cipherdir

import (
	"context"

	"golang.org/x/sys/unix"
)

// Handle is an open regular file. Several goroutines may use it; what one Write
// wrote, a Read sees wholly or not at all.
type Handle struct {
	n        *Inode
	writable bool
}

// Inode is the file.
func (h *Handle) Inode() *Inode { return h.n }

// Read fills p from plaintext offset off; it gives fewer bytes at the end of the
// file only. Errors: damage is envelope.ErrPage and the like, a lapsed key that the
// KMS refuses is the KMS's error.
func (h *Handle) Read(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	f := &h.n.file
	if err := f.lockReady(ctx); err != nil {
		return 0, err
	}
	defer f.mu.RUnlock()
	f.trackAtime()
	return f.read(p, off)
}

// Write puts p at plaintext offset off. A full disk gives a short count, or ENOSPC
// when not a byte fits.
func (h *Handle) Write(ctx context.Context, p []byte, off int64) (int, error) {
	if !h.writable {
		return 0, unix.EBADF
	}
	if err := h.n.fs.beginWrite(); err != nil {
		return 0, err
	}
	f := &h.n.file
	if err := f.warm(ctx); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.write(ctx, p, off)
}

// Truncate sets the plaintext size.
func (h *Handle) Truncate(ctx context.Context, size int64) error {
	if !h.writable {
		return unix.EBADF
	}
	f := &h.n.file
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.truncate(ctx, size)
}

// Sync makes the data durable, and the attributes unless dataOnly.
func (h *Handle) Sync(dataOnly bool) error { return h.n.file.sync(dataOnly) }

// Allocate is fallocate with the modes 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE and
// ZERO_RANGE with or without KEEP_SIZE; any other is EOPNOTSUPP.
func (h *Handle) Allocate(ctx context.Context, mode uint32, off, n int64) error {
	if !h.writable {
		return unix.EBADF
	}
	f := &h.n.file
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allocate(ctx, mode, off, n)
}

// Seek finds the next data or hole (SEEK_DATA, SEEK_HOLE), ENXIO past the end.
func (h *Handle) Seek(off int64, whence int) (int64, error) {
	f := &h.n.file
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.seek(off, whence)
}

// Close gives the handle back. The last one wipes the file's keys.
func (h *Handle) Close() error {
	f := &h.n.file
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.releaseHandle()
}
