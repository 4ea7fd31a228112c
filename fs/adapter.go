// Package fs serves a cipher directory to the kernel over FUSE: one kernel request
// becomes one call of package cipherdir, one error one errno (see the table in
// errno.go).
//
// The mount is the only user of its cipher directory, so the kernel may cache
// entries, attributes and pages; what this process changes behind the kernel's
// back (keys that lapse) is invalidated by Server.
package fs

import (
	"context"
	"errors"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
)

// cacheTimeout is how long the kernel may keep entries (also negative ones) and
// attributes. It drops them itself after its own changes.
const cacheTimeout = 60 * time.Second

// adapter is the file system as go-fuse calls it. Operations it lacks are those
// of the default: ENOSYS, after which the kernel does them itself or not at all
// (locks, copy_file_range, O_TMPFILE).
type adapter struct {
	fuse.RawFileSystem
	cd     *cipherdir.FS
	report *reporter
	files  table[cipherdir.Handle]
	dirs   table[dirStream]

	// judgeModes: nobody else checks the permission bits against their owner. So
	// it is where an ordinary user mounts without default_permissions, because
	// cipherdir overcomes modes that keep the owner out.
	judgeModes bool

	prune *pruner

	kernel *fuse.Server // for notifications; set before the first request
}

var _ fuse.RawFileSystem = (*adapter)(nil)

func newAdapter(cd *cipherdir.FS, r *reporter) *adapter {
	return &adapter{RawFileSystem: fuse.NewDefaultRawFileSystem(), cd: cd, report: r, prune: newPruner(cd)}
}

// String names the file system in go-fuse's messages.
func (a *adapter) String() string { return "kmsfs" }

// Init implements fuse.RawFileSystem.
func (a *adapter) Init(s *fuse.Server) { a.kernel = s }

// OnUnmount closes what the kernel had no time to release.
func (a *adapter) OnUnmount() {
	for _, h := range a.files.drain() {
		h.Close()
	}
	for _, d := range a.dirs.drain() {
		d.h.Close()
	}
}

// request is the context of one kernel request, made of go-fuse's cancel channel
// without a goroutine or an allocation: it ends when a signal interrupts the
// program, or when the mount dies. go-fuse reuses the channel, so nothing may
// keep the context after the request.
type request <-chan struct{}

var _ context.Context = request(nil)

// Deadline implements context.Context: there is none.
func (r request) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (r request) Done() <-chan struct{} { return r }

// Err implements context.Context.
func (r request) Err() error {
	select {
	case <-r:
		return context.Canceled
	default:
		return nil
	}
}

// Value implements context.Context: there is none.
func (r request) Value(any) any { return nil }

// inode finds a node the kernel names; ESTALE if we do not know it, which would
// be a mistake in the counting of references.
func (a *adapter) inode(id uint64) (*cipherdir.Inode, error) {
	if n := a.cd.Inode(id); n != nil {
		return n, nil
	}
	return nil, unix.ESTALE
}

// Lookup implements fuse.RawFileSystem.
func (a *adapter) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("lookup", in.NodeId, err)
	}
	n, st, err := d.Lookup(name)
	if errors.Is(err, unix.ENOENT) {
		out.NodeId = 0 // a negative entry, cached too
		out.SetEntryTimeout(cacheTimeout)
		return fuse.OK
	}
	if err != nil {
		return a.status("lookup", in.NodeId, err)
	}
	a.prune.crowded()
	fillEntry(out, n, &st)
	return fuse.OK
}

// Forget implements fuse.RawFileSystem.
func (a *adapter) Forget(node, nlookup uint64) {
	if n := a.cd.Inode(node); n != nil {
		n.Forget(nlookup)
	}
}

// GetAttr implements fuse.RawFileSystem; a handle adds nothing, because inodes
// hold descriptors and outlive their names.
func (a *adapter) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("getattr", in.NodeId, err)
	}
	return a.attrOut("getattr", n, out)
}

func (a *adapter) attrOut(op string, n *cipherdir.Inode, out *fuse.AttrOut) fuse.Status {
	st, err := n.Attr()
	if err != nil {
		return a.status(op, n.ID(), err)
	}
	out.SetTimeout(cacheTimeout)
	fillAttr(&out.Attr, &st)
	return fuse.OK
}

// Statx implements fuse.RawFileSystem; the kernel asks it for the birth time.
func (a *adapter) Statx(_ <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	n, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("statx", in.NodeId, err)
	}
	st, err := n.Attr()
	if err != nil {
		return a.status("statx", in.NodeId, err)
	}
	out.SetTimeout(cacheTimeout)
	out.Statx = fuse.Statx{
		Mask: unix.STATX_BASIC_STATS, Blksize: uint32(st.Blksize), Nlink: st.Nlink,
		Uid: st.Uid, Gid: st.Gid, Mode: uint16(st.Mode), Ino: st.Ino,
		Size: uint64(st.Size), Blocks: uint64(st.Blocks),
		Atime: sxTime(st.Atim), Mtime: sxTime(st.Mtim), Ctime: sxTime(st.Ctim),
		RdevMajor: unix.Major(st.Rdev), RdevMinor: unix.Minor(st.Rdev),
	}
	if st.Btim != (unix.Timespec{}) {
		out.Mask |= unix.STATX_BTIME
		out.Btime = sxTime(st.Btim)
	}
	return fuse.OK
}

func sxTime(t unix.Timespec) fuse.SxTime {
	return fuse.SxTime{Sec: uint64(t.Sec), Nsec: uint32(t.Nsec)}
}

// SetAttr implements fuse.RawFileSystem. The order matters: chown clears SUID and
// SGID, so the mode (from which the kernel has taken them where POSIX says so)
// comes after it; a truncation moves the times, so they come last.
func (a *adapter) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("setattr", in.NodeId, err)
	}
	if err := a.setAttr(request(cancel), n, in); err != nil {
		return a.status("setattr", in.NodeId, err)
	}
	return a.attrOut("setattr", n, out)
}

func (a *adapter) setAttr(ctx context.Context, n *cipherdir.Inode, in *fuse.SetAttrIn) error {
	size, cut := in.GetSize()
	if _, open := in.GetFh(); cut && !open {
		if err := a.permit(n, fuse.W_OK); err != nil {
			return err
		}
	}
	if in.Valid&(fuse.FATTR_UID|fuse.FATTR_GID) != 0 {
		if err := n.Chown(idOrKeep(in.GetUID()), idOrKeep(in.GetGID())); err != nil {
			return err
		}
	}
	if cut {
		if err := n.Truncate(ctx, int64(size)); err != nil {
			return err
		}
	}
	if mode, ok := in.GetMode(); ok {
		if err := n.Chmod(mode); err != nil {
			return err
		}
	}
	at := timeOf(in.Valid, fuse.FATTR_ATIME, fuse.FATTR_ATIME_NOW, in.Atime, in.Atimensec)
	mt := timeOf(in.Valid, fuse.FATTR_MTIME, fuse.FATTR_MTIME_NOW, in.Mtime, in.Mtimensec)
	if at.Nsec == unix.UTIME_OMIT && mt.Nsec == unix.UTIME_OMIT {
		return nil
	}
	return n.Utimens(at, mt)
}

// idOrKeep gives -1, "leave it", for an id that is not to be set.
func idOrKeep(id uint32, set bool) int {
	if !set {
		return -1
	}
	return int(id)
}

func timeOf(valid, set, now uint32, sec uint64, nsec uint32) unix.Timespec {
	switch {
	case valid&set == 0:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	case valid&now != 0:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	}
	return unix.Timespec{Sec: int64(sec), Nsec: int64(nsec)}
}

// Access implements fuse.RawFileSystem. Where somebody else judges permissions
// the kernel need not ask again.
func (a *adapter) Access(_ <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	if !a.judgeModes {
		return fuse.ENOSYS
	}
	n, err := a.inode(in.NodeId)
	if err == nil {
		err = a.permit(n, in.Mask)
	}
	return a.status("access", in.NodeId, err)
}

// permit checks the permission bits for the owner of an inode, if that is for us
// to do (judgeModes). Access by anybody else is for the store to refuse.
func (a *adapter) permit(n *cipherdir.Inode, mask uint32) error {
	if !a.judgeModes {
		return nil
	}
	st, err := n.Attr()
	if err != nil {
		return err
	}
	if int(st.Uid) == unix.Geteuid() && mask&^(st.Mode>>6)&7 != 0 {
		return unix.EACCES
	}
	return nil
}

// StatFs implements fuse.RawFileSystem.
func (a *adapter) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	st, err := a.cd.Statfs()
	if err != nil {
		return a.status("statfs", in.NodeId, err)
	}
	*out = fuse.StatfsOut{
		Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail, Files: st.Files, Ffree: st.Ffree,
		Bsize: uint32(st.Bsize), Frsize: uint32(st.Frsize), NameLen: uint32(st.Namelen),
	}
	return fuse.OK
}

func fillEntry(out *fuse.EntryOut, n *cipherdir.Inode, st *cipherdir.Attr) {
	out.NodeId, out.Generation = n.ID(), 1 // ids are never used twice
	out.SetEntryTimeout(cacheTimeout)
	out.SetAttrTimeout(cacheTimeout)
	fillAttr(&out.Attr, st)
}

func fillAttr(out *fuse.Attr, st *cipherdir.Attr) {
	*out = fuse.Attr{
		Ino: st.Ino, Size: uint64(st.Size), Blocks: uint64(st.Blocks),
		Atime: uint64(st.Atim.Sec), Atimensec: uint32(st.Atim.Nsec),
		Mtime: uint64(st.Mtim.Sec), Mtimensec: uint32(st.Mtim.Nsec),
		Ctime: uint64(st.Ctim.Sec), Ctimensec: uint32(st.Ctim.Nsec),
		Mode: st.Mode, Nlink: st.Nlink, Owner: fuse.Owner{Uid: st.Uid, Gid: st.Gid},
		Rdev: uint32(st.Rdev), Blksize: uint32(st.Blksize),
	}
}
