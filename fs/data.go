package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
)

// openFlags go with every open file. The page cache stays: nothing else changes
// the ciphertext, and what loses its key is invalidated. There is nothing to
// flush at close, because writes reach the store one by one.
const openFlags = fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH

// Open implements fuse.RawFileSystem.
func (a *adapter) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("open", in.NodeId, err)
	}
	h, err := a.open(request(cancel), n, in.Flags, in.Uid)
	if err != nil {
		return a.status("open", in.NodeId, err)
	}
	out.Fh, out.OpenFlags = a.files.add(h), openFlags
	return fuse.OK
}

// open opens n for a caller. O_TRUNC comes with it (CAP_ATOMIC_O_TRUNC); O_APPEND
// is the kernel's, which knows the size and names the offset.
func (a *adapter) open(ctx context.Context, n *cipherdir.Inode, flags, uid uint32) (*cipherdir.Handle, error) {
	trunc := flags&unix.O_TRUNC != 0
	var want uint32
	switch flags & unix.O_ACCMODE {
	case unix.O_RDONLY:
		want = fuse.R_OK
	case unix.O_WRONLY:
		want = fuse.W_OK
	default:
		want = fuse.R_OK | fuse.W_OK
	}
	if trunc {
		want |= fuse.W_OK
	}
	if flags&fuse.FMODE_EXEC != 0 {
		want = fuse.X_OK
	}
	if err := a.permit(n, want); err != nil {
		return nil, err
	}
	h, err := n.Open(ctx, want&fuse.W_OK != 0, trunc)
	if err != nil {
		return nil, err
	}
	if trunc && uid != 0 {
		if err := a.dropPrivileges(n); err != nil {
			h.Close()
			return nil, err
		}
	}
	return h, nil
}

// dropPrivileges takes the SUID bit, and SGID of an executable, from a file that
// an ordinary user has truncated in opening it. Elsewhere the kernel does so with
// SETATTR; here it cannot, and the store does not where it takes us for root.
func (a *adapter) dropPrivileges(n *cipherdir.Inode) error {
	st, err := n.Attr()
	if err != nil {
		return err
	}
	drop := st.Mode & unix.S_ISUID
	if st.Mode&unix.S_IXGRP != 0 {
		drop |= st.Mode & unix.S_ISGID
	}
	if drop == 0 {
		return nil
	}
	if err := n.Chmod(st.Mode & 0o7777 &^ drop); err != nil {
		return err
	}
	a.kernel.InodeNotify(n.ID(), -1, 0) // attributes only
	return nil
}

// Read implements fuse.RawFileSystem.
func (a *adapter) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h := a.files.get(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	n, err := h.Read(request(cancel), buf, int64(in.Offset))
	if err != nil {
		return nil, noPoll(a.status("read", in.NodeId, err), in.Flags)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write implements fuse.RawFileSystem.
func (a *adapter) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h := a.files.get(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	n, err := h.Write(request(cancel), data, int64(in.Offset))
	if err != nil {
		return 0, noPoll(a.status("write", in.NodeId, err), in.Flags)
	}
	return uint32(n), fuse.OK
}

// noPoll keeps EAGAIN from descriptors with O_NONBLOCK, to which it means "poll
// until this is ready". The kernel calls files of FUSE ready at once, and once: who
// polls, as every program written in Go does, would wait for ever.
func noPoll(s fuse.Status, flags uint32) fuse.Status {
	if s == fuse.EAGAIN && flags&unix.O_NONBLOCK != 0 {
		return fuse.Status(unix.ETIMEDOUT)
	}
	return s
}

// Flush implements fuse.RawFileSystem.
func (a *adapter) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

// Release implements fuse.RawFileSystem.
func (a *adapter) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	if h := a.files.take(in.Fh); h != nil {
		a.status("release", in.NodeId, h.Close()) // nobody to tell, but the log
	}
}

// fsyncDataOnly is the flag of fdatasync.
const fsyncDataOnly = 1

// Fsync implements fuse.RawFileSystem.
func (a *adapter) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := a.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return a.status("fsync", in.NodeId, h.Sync(in.FsyncFlags&fsyncDataOnly != 0))
}

// Fallocate implements fuse.RawFileSystem.
func (a *adapter) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := a.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return a.status("fallocate", in.NodeId, h.Allocate(request(cancel), in.Mode, int64(in.Offset), int64(in.Length)))
}

// Lseek implements fuse.RawFileSystem; the kernel asks for SEEK_DATA and
// SEEK_HOLE only.
func (a *adapter) Lseek(_ <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	h := a.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	off, err := h.Seek(int64(in.Offset), int(in.Whence))
	if err != nil {
		return a.status("lseek", in.NodeId, err)
	}
	out.Offset = uint64(off)
	return fuse.OK
}

// Ioctl implements fuse.RawFileSystem: there are none.
func (a *adapter) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(unix.ENOTTY)
}
