package fs

import (
	"strings"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// capability is asked for at every write, and never stored: programs do not gain
// capabilities on a file system that is mounted nosuid.
const capability = "security.capability"

// supported says which attributes there are: those of user, trusted and security.
// POSIX ACLs, and whatever else is in system, are not.
func supported(name string) bool {
	return name != capability && !strings.HasPrefix(name, "system.")
}

// answer gives data to a caller with room for dest; with no room at all it is
// asked for the size alone.
func answer(data, dest []byte) (uint32, fuse.Status) {
	if len(dest) > 0 && len(data) > len(dest) {
		return uint32(len(data)), fuse.ERANGE
	}
	copy(dest, data)
	return uint32(len(data)), fuse.OK
}

// GetXAttr implements fuse.RawFileSystem.
func (a *adapter) GetXAttr(cancel <-chan struct{}, in *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if name == capability {
		return 0, fuse.ENODATA
	}
	if !supported(name) {
		return 0, fuse.Status(unix.EOPNOTSUPP)
	}
	n, err := a.inode(in.NodeId)
	if err != nil {
		return 0, a.status("getxattr", in.NodeId, err)
	}
	value, err := n.Getxattr(request(cancel), name)
	if err != nil {
		return 0, a.xattrStatus("getxattr", in.NodeId, err)
	}
	return answer(value, dest)
}

// ListXAttr implements fuse.RawFileSystem.
func (a *adapter) ListXAttr(_ <-chan struct{}, in *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	n, err := a.inode(in.NodeId)
	if err != nil {
		return 0, a.status("listxattr", in.NodeId, err)
	}
	names, err := n.Listxattr()
	if err != nil {
		return 0, a.xattrStatus("listxattr", in.NodeId, err)
	}
	var list []byte
	for _, name := range names {
		list = append(append(list, name...), 0)
	}
	return answer(list, dest)
}

// SetXAttr implements fuse.RawFileSystem.
func (a *adapter) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	if !supported(name) {
		return fuse.Status(unix.EOPNOTSUPP)
	}
	n, err := a.inode(in.NodeId)
	if err == nil {
		err = n.Setxattr(request(cancel), name, value, int(in.Flags))
	}
	return a.xattrStatus("setxattr", in.NodeId, err)
}

// RemoveXAttr implements fuse.RawFileSystem.
func (a *adapter) RemoveXAttr(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if name == capability {
		return fuse.ENODATA
	}
	if !supported(name) {
		return fuse.Status(unix.EOPNOTSUPP)
	}
	n, err := a.inode(in.NodeId)
	if err == nil {
		err = n.Removexattr(name)
	}
	return a.xattrStatus("removexattr", in.NodeId, err)
}
