package fs

import (
	"context"
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
)

// The kernel leaves the umask to us (CAP_DONT_MASK): default ACLs, once there are
// any, come before it.

// modeBits are the bits of a mode that a caller chooses, less the umask.
func modeBits(mode, umask uint32) uint32 { return mode & 0o7777 &^ umask }

func ownerOf(in *fuse.InHeader) cipherdir.Owner {
	return cipherdir.Owner{Uid: in.Uid, Gid: in.Gid}
}

// made answers a request that made a name.
func (a *adapter) made(op string, in *fuse.InHeader, out *fuse.EntryOut, n *cipherdir.Inode, st cipherdir.Attr, err error) fuse.Status {
	if err != nil {
		return a.status(op, in.NodeId, err)
	}
	a.prune.crowded()
	fillEntry(out, n, &st)
	return fuse.OK
}

// Create implements fuse.RawFileSystem.
func (a *adapter) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("create", in.NodeId, err)
	}
	n, h, st, err := d.Create(request(cancel), name, modeBits(in.Mode, in.Umask), ownerOf(&in.InHeader))
	if errors.Is(err, unix.EEXIST) && in.Flags&unix.O_EXCL == 0 {
		n, h, st, err = a.openExisting(request(cancel), d, name, in.Flags, in.Uid)
	}
	if err != nil {
		return a.status("create", in.NodeId, err)
	}
	a.prune.crowded()
	fillEntry(&out.EntryOut, n, &st)
	out.Fh, out.OpenFlags = a.files.add(h), openFlags
	return fuse.OK
}

// openExisting opens what the kernel did not know to be there: its negative entry
// was too old.
func (a *adapter) openExisting(ctx context.Context, d *cipherdir.Inode, name string, flags, uid uint32) (*cipherdir.Inode, *cipherdir.Handle, cipherdir.Attr, error) {
	n, st, err := d.Lookup(name)
	if err != nil {
		return nil, nil, st, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		n.Forget(1)
		return nil, nil, st, unix.EEXIST
	}
	h, err := a.open(ctx, n, flags, uid)
	if err == nil && flags&unix.O_TRUNC != 0 {
		if st, err = n.Attr(); err != nil {
			h.Close()
		}
	}
	if err != nil {
		n.Forget(1)
		return nil, nil, st, err
	}
	return n, h, st, nil
}

// Mknod implements fuse.RawFileSystem.
func (a *adapter) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("mknod", in.NodeId, err)
	}
	mode, owner := modeBits(in.Mode, in.Umask), ownerOf(&in.InHeader)
	switch in.Mode & unix.S_IFMT {
	case 0, unix.S_IFREG:
		n, h, st, err := d.Create(request(cancel), name, mode, owner)
		if err == nil {
			err = h.Close()
		}
		return a.made("mknod", &in.InHeader, out, n, st, err)
	case unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK:
		n, st, err := d.Mknod(name, in.Mode&unix.S_IFMT|mode, uint64(in.Rdev), owner)
		return a.made("mknod", &in.InHeader, out, n, st, err)
	}
	return fuse.EINVAL
}

// Mkdir implements fuse.RawFileSystem.
func (a *adapter) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("mkdir", in.NodeId, err)
	}
	n, st, err := d.Mkdir(name, modeBits(in.Mode, in.Umask), ownerOf(&in.InHeader))
	return a.made("mkdir", &in.InHeader, out, n, st, err)
}

// Symlink implements fuse.RawFileSystem.
func (a *adapter) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("symlink", in.NodeId, err)
	}
	n, st, err := d.Symlink(request(cancel), target, name, ownerOf(in))
	return a.made("symlink", in, out, n, st, err)
}

// Link implements fuse.RawFileSystem.
func (a *adapter) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("link", in.NodeId, err)
	}
	n, err := a.inode(in.Oldnodeid)
	if err != nil {
		return a.status("link", in.Oldnodeid, err)
	}
	st, err := d.Link(n, name)
	return a.made("link", &in.InHeader, out, n, st, err)
}

// Readlink implements fuse.RawFileSystem.
func (a *adapter) Readlink(cancel <-chan struct{}, in *fuse.InHeader) ([]byte, fuse.Status) {
	n, err := a.inode(in.NodeId)
	if err != nil {
		return nil, a.status("readlink", in.NodeId, err)
	}
	target, err := n.Readlink(request(cancel))
	return []byte(target), a.status("readlink", in.NodeId, err)
}

// Unlink implements fuse.RawFileSystem.
func (a *adapter) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err == nil {
		err = d.Unlink(name)
	}
	return a.status("unlink", in.NodeId, err)
}

// Rmdir implements fuse.RawFileSystem.
func (a *adapter) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err == nil {
		err = d.Rmdir(name)
	}
	return a.status("rmdir", in.NodeId, err)
}

// Rename implements fuse.RawFileSystem, for rename and renameat2.
func (a *adapter) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	switch in.Flags {
	case 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE:
	default:
		return fuse.EINVAL
	}
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("rename", in.NodeId, err)
	}
	nd, err := a.inode(in.Newdir)
	if err != nil {
		return a.status("rename", in.Newdir, err)
	}
	return a.status("rename", in.NodeId, d.Rename(name, nd, newName, uint(in.Flags)))
}
