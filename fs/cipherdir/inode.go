package cipherdir

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// RootID is the id of the root inode, as FUSE has it.
const RootID = 1

// Attr is what stat tells: the store's attributes with the plaintext's size.
type Attr = backing.Stat

// Owner is whom a new inode is given to.
type Owner struct{ Uid, Gid uint32 }

// Inode is one inode of the view. It is counted: every Lookup, Create, Mkdir,
// Mknod, Symlink and Link adds a reference, Forget takes some away, and at none it
// is closed. It holds a descriptor on the store's inode, not a path, so it works
// whatever its names become. A call on an inode needs a reference, or an open
// handle, that outlasts it.
type Inode struct {
	fs   *FS
	id   uint64
	key  inodeKey
	kind uint32 // S_IFMT part of the mode
	node backing.Node
	refs uint64 // guarded by fs.mu
	open int    // handles and calls under way, guarded by fs.mu

	lastMet atomic.Pointer[Place] // of a file: where it was last met

	dir  dirState
	file file
}

// ID is the node id: the root's is RootID, none is used twice.
func (n *Inode) ID() uint64 { return n.id }

// IsDir reports whether it is a directory.
func (n *Inode) IsDir() bool { return n.kind == unix.S_IFDIR }

// Inode finds an inode by id; nil if there is none.
func (fs *FS) Inode(id uint64) *Inode {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.byID[id]
}

// known finds an inode of the store that the view holds already, and counts it.
func (fs *FS) known(st backing.Stat) *Inode {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.byKey[inodeKey{st.Dev, st.Ino}]
	if n != nil {
		n.refs++
	}
	return n
}

// intern gives the inode for a node of the store, with one more reference. It
// takes over the node.
func (fs *FS) intern(node backing.Node, st backing.Stat) *Inode {
	key := inodeKey{st.Dev, st.Ino}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if n := fs.byKey[key]; n != nil {
		n.refs++
		node.Close()
		return n
	}
	fs.nextID++
	n := &Inode{fs: fs, id: fs.nextID, key: key, kind: st.Mode & unix.S_IFMT, node: node, refs: 1}
	n.file.n = n
	fs.byID[n.id], fs.byKey[key] = n, n
	return n
}

// transient makes an inode outside the tables, for files of ours; the caller
// closes its node.
func (fs *FS) transient(node backing.Node) *Inode {
	n := &Inode{fs: fs, kind: unix.S_IFREG, node: node}
	n.file.n = n
	return n
}

// Forget takes away k references.
func (n *Inode) Forget(k uint64) {
	if n.id == RootID || n.id == 0 {
		return
	}
	fs := n.fs
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n.refs -= min(k, n.refs)
	n.release()
}

// hold keeps an inode from closing while a handle is open on it.
func (n *Inode) hold() {
	n.fs.mu.Lock()
	n.open++
	n.fs.mu.Unlock()
}

func (n *Inode) unhold() {
	n.fs.mu.Lock()
	defer n.fs.mu.Unlock()
	n.open--
	n.release()
}

// release closes an inode that nobody refers to; fs.mu is held.
func (n *Inode) release() {
	if n.refs > 0 || n.open > 0 || n.id == RootID || n.id == 0 {
		return
	}
	if n.fs.byID[n.id] == n {
		delete(n.fs.byID, n.id)
		delete(n.fs.byKey, n.key)
		n.closeNode()
	}
}

func (n *Inode) closeNode() {
	if n.id != RootID {
		n.node.Close()
	}
}

// Attr stats the inode.
func (n *Inode) Attr() (Attr, error) {
	st, err := n.node.Stat()
	if err != nil {
		return st, err
	}
	return n.attr(st)
}

// attr turns the store's stat into the view's: the size of a file or symlink is
// its plaintext's, and of a damaged one the largest it can have, so that the
// damage shows when it is read.
func (n *Inode) attr(st backing.Stat) (Attr, error) {
	var err error
	switch n.kind {
	case unix.S_IFREG:
		st.Size, err = n.file.plainSize(st)
	case unix.S_IFLNK:
		st.Size, err = n.targetSize(st)
	}
	if damaged(err) { // told where it was found; a damaged object must be found to be removed
		err = nil
	}
	return st, err
}

// Chmod sets the permission bits.
func (n *Inode) Chmod(mode uint32) error {
	if err := n.fs.beginWrite(); err != nil {
		return err
	}
	return n.node.Chmod(mode)
}

// Chown sets owner and group; -1 leaves one as it is.
func (n *Inode) Chown(uid, gid int) error {
	if err := n.fs.beginWrite(); err != nil {
		return err
	}
	return n.node.Chown(uid, gid)
}

// Utimens sets the times; Nsec may be UTIME_NOW or UTIME_OMIT.
func (n *Inode) Utimens(atime, mtime unix.Timespec) error {
	if err := n.fs.beginWrite(); err != nil {
		return err
	}
	return n.node.Utimens(atime, mtime)
}
