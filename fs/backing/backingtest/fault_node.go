package backingtest

import (
	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

type faultNode struct {
	s     *Fault
	inner backing.Node
	path  string
}

var _ backing.Node = (*faultNode)(nil)

// at names the operation on the node, or on name in it.
func (n *faultNode) at(method string) Op { return Op{Name: method, Path: n.path} }

func (n *faultNode) in(method, name string) Op { return Op{Name: method, Path: n.join(name)} }

func (n *faultNode) join(name string) string {
	if n.path == "/" {
		return n.path + name
	}
	return n.path + "/" + name
}

// unwrap gives the inner node of one of the same store, and of another something
// that the inner store takes for another's.
func (n *faultNode) unwrap(other backing.Node) backing.Node {
	if o, ok := other.(*faultNode); ok && o.s == n.s {
		return o.inner
	}
	return other
}

func (n *faultNode) Stat() (backing.Stat, error) { return get(n.s, n.at("Stat"), n.inner.Stat) }

func (n *faultNode) Chmod(mode uint32) error {
	return n.s.do(n.at("Chmod"), func() error { return n.inner.Chmod(mode) })
}

func (n *faultNode) Chown(uid, gid int) error {
	return n.s.do(n.at("Chown"), func() error { return n.inner.Chown(uid, gid) })
}

func (n *faultNode) Utimens(atime, mtime unix.Timespec) error {
	return n.s.do(n.at("Utimens"), func() error { return n.inner.Utimens(atime, mtime) })
}

func (n *faultNode) Getxattr(name string) ([]byte, error) {
	return get(n.s, n.at("Getxattr"), func() ([]byte, error) { return n.inner.Getxattr(name) })
}

func (n *faultNode) Setxattr(name string, value []byte, flags int) error {
	op := n.at("Setxattr")
	op.Len, op.Flags = int64(len(value)), flags
	return n.s.do(op, func() error { return n.inner.Setxattr(name, value, flags) })
}

func (n *faultNode) Removexattr(name string) error {
	return n.s.do(n.at("Removexattr"), func() error { return n.inner.Removexattr(name) })
}

func (n *faultNode) Listxattr() ([]string, error) {
	return get(n.s, n.at("Listxattr"), n.inner.Listxattr)
}

func (n *faultNode) Readlink() (string, error) {
	return get(n.s, n.at("Readlink"), n.inner.Readlink)
}

func (n *faultNode) Open(flags int) (backing.File, error) {
	op := n.at("Open")
	op.Flags = flags
	return get(n.s, op, func() (backing.File, error) {
		f, err := n.inner.Open(flags)
		return n.s.file(f, n.path), err
	})
}

func (n *faultNode) Lookup(name string) (backing.Node, backing.Stat, error) {
	var st backing.Stat
	node, err := get(n.s, n.in("Lookup", name), func() (node backing.Node, err error) {
		node, st, err = n.inner.Lookup(name)
		return n.s.node(node, n.join(name)), err
	})
	if err != nil {
		return nil, backing.Stat{}, err
	}
	return node, st, nil
}

func (n *faultNode) StatAt(name string) (backing.Stat, error) {
	return get(n.s, n.in("StatAt", name), func() (backing.Stat, error) { return n.inner.StatAt(name) })
}

func (n *faultNode) ReadlinkAt(name string) (string, error) {
	return get(n.s, n.in("ReadlinkAt", name), func() (string, error) { return n.inner.ReadlinkAt(name) })
}

func (n *faultNode) Create(name string, mode uint32) (backing.Node, backing.File, error) {
	var node backing.Node
	file, err := get(n.s, n.in("Create", name), func() (f backing.File, err error) {
		node, f, err = n.inner.Create(name, mode)
		return n.s.file(f, n.join(name)), err
	})
	if err != nil {
		if node != nil {
			node.Close()
		}
		return nil, nil, err
	}
	return n.s.node(node, n.join(name)), file, nil
}

func (n *faultNode) CreateTemp(mode uint32) (backing.File, error) {
	return get(n.s, n.in("CreateTemp", "#temp"), func() (backing.File, error) {
		f, err := n.inner.CreateTemp(mode)
		return n.s.file(f, n.join("#temp")), err
	})
}

func (n *faultNode) Mkdir(name string, mode uint32) error {
	return n.s.do(n.in("Mkdir", name), func() error { return n.inner.Mkdir(name, mode) })
}

func (n *faultNode) Mknod(name string, mode uint32, rdev uint64) error {
	return n.s.do(n.in("Mknod", name), func() error { return n.inner.Mknod(name, mode, rdev) })
}

func (n *faultNode) Symlink(target, name string) error {
	return n.s.do(n.in("Symlink", name), func() error { return n.inner.Symlink(target, name) })
}

func (n *faultNode) Link(node backing.Node, name string) error {
	return n.s.do(n.in("Link", name), func() error { return n.inner.Link(n.unwrap(node), name) })
}

func (n *faultNode) Unlink(name string) error {
	return n.s.do(n.in("Unlink", name), func() error { return n.inner.Unlink(name) })
}

func (n *faultNode) Rmdir(name string) error {
	return n.s.do(n.in("Rmdir", name), func() error { return n.inner.Rmdir(name) })
}

func (n *faultNode) Rename(name string, to backing.Node, toName string, flags uint) error {
	op := n.in("Rename", name)
	op.Flags = int(flags)
	return n.s.do(op, func() error { return n.inner.Rename(name, n.unwrap(to), toName, flags) })
}

func (n *faultNode) ReadDir() ([]backing.Entry, error) {
	return get(n.s, n.at("ReadDir"), n.inner.ReadDir)
}

func (n *faultNode) SyncDir() error { return n.s.do(n.at("SyncDir"), n.inner.SyncDir) }

func (n *faultNode) Flock(how int) error {
	op := n.at("Flock")
	op.Flags = how
	return n.s.do(op, func() error { return n.inner.Flock(how) })
}

func (n *faultNode) Clone() (backing.Node, error) {
	return get(n.s, n.at("Clone"), func() (backing.Node, error) {
		c, err := n.inner.Clone()
		return n.s.node(c, n.path), err
	})
}

func (n *faultNode) Close() error { return n.s.close(n.at("Close"), n.inner.Close) }

func (s *Fault) node(inner backing.Node, path string) backing.Node {
	return &faultNode{s: s, inner: inner, path: path}
}

func (s *Fault) file(inner backing.File, path string) backing.File {
	return &faultFile{s: s, inner: inner, path: path}
}
