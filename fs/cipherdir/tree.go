package cipherdir

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// Lookup finds a name; the inode has one more reference.
func (d *Inode) Lookup(name string) (*Inode, Attr, error) {
	s, err := d.place(name)
	if err != nil {
		return nil, Attr{}, err
	}
	n, st, err := d.find(s.name)
	if err != nil {
		return nil, Attr{}, err
	}
	a, err := n.attr(st)
	if err != nil {
		n.Forget(1)
		return nil, Attr{}, err
	}
	n.met(d, name)
	return n, a, nil
}

// find counts a reference on the inode of an entry. While the directory is locked
// the entry keeps its inode, so what was found by its number is still that.
func (d *Inode) find(entry string) (*Inode, backing.Stat, error) {
	d.dir.mu.RLock()
	defer d.dir.mu.RUnlock()
	st, err := d.node.StatAt(entry)
	if err != nil {
		return nil, st, err
	}
	if n := d.fs.known(st); n != nil {
		return n, st, nil
	}
	node, st, err := d.node.Lookup(entry)
	if err != nil {
		return nil, st, err
	}
	return d.fs.intern(node, st), st, nil
}

// made finishes the creation of a name: gives the node, or what is found by the
// name, to its owner. It takes over the node.
func (d *Inode) made(node backing.Node, entry string, mode uint32, o Owner) (*Inode, Attr, error) {
	var st backing.Stat
	var err error
	if node == nil {
		node, st, err = d.node.Lookup(entry)
	} else {
		st, err = node.Stat()
	}
	if err == nil {
		st, err = d.own(node, st, mode, o)
	}
	if err != nil {
		if node != nil {
			node.Close()
		}
		return nil, Attr{}, err
	}
	n := d.fs.intern(node, st)
	a, err := n.attr(st)
	if err != nil {
		n.Forget(1)
	}
	return n, a, err
}

// own gives a new inode to its owner. In a set-group-ID directory the group is the
// one the store gave it. A change of owner clears the set-ID bits, so the mode is
// set again where it has them.
func (d *Inode) own(node backing.Node, st backing.Stat, mode uint32, o Owner) (backing.Stat, error) {
	gid := int(o.Gid)
	if parent, err := d.node.Stat(); err != nil {
		return st, err
	} else if parent.Mode&unix.S_ISGID != 0 {
		gid = int(st.Gid)
	}
	if st.Uid == o.Uid && int(st.Gid) == gid || unix.Geteuid() != 0 {
		return st, nil
	}
	if err := node.Chown(int(o.Uid), gid); err != nil {
		return st, err
	}
	if mode&(unix.S_ISUID|unix.S_ISGID) != 0 && st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := node.Chmod(st.Mode & 0o7777); err != nil {
			return st, err
		}
	}
	return node.Stat()
}

// add makes a new name by calling make under the directory's lock, with the long
// name's record made before and taken back on failure. The node that make gives may
// be nil.
func (d *Inode) add(name string, mode uint32, o Owner, make func(entry string) (backing.Node, error)) (*Inode, Attr, error) {
	s, err := d.place(name)
	if err != nil {
		return nil, Attr{}, err
	}
	if err := d.fs.beginWrite(); err != nil {
		return nil, Attr{}, err
	}
	d.dir.mu.Lock()
	defer d.dir.mu.Unlock()
	undo, err := d.addLongName(s)
	if err != nil {
		return nil, Attr{}, err
	}
	node, err := make(s.name)
	if err != nil {
		undo()
		return nil, Attr{}, err
	}
	n, a, err := d.made(node, s.name, mode, o)
	if err != nil {
		if e := d.node.Unlink(s.name); errors.Is(e, unix.EISDIR) {
			d.node.Rmdir(s.name)
		}
		undo()
		return nil, Attr{}, err
	}
	n.met(d, name)
	return n, a, nil
}

// Create makes a regular file that must not exist (EEXIST) and opens it. The file
// has no header until something is written to it.
func (d *Inode) Create(ctx context.Context, name string, mode uint32, o Owner) (*Inode, *Handle, Attr, error) {
	var opened backing.File
	n, a, err := d.add(name, mode, o, func(entry string) (node backing.Node, err error) {
		node, opened, err = d.node.Create(entry, mode)
		return node, err
	})
	if err != nil {
		if opened != nil {
			opened.Close()
		}
		return nil, nil, a, err
	}
	d.fs.created.Add(1)
	h, err := n.adopt(opened)
	if err != nil {
		n.Forget(1)
		return nil, nil, a, errors.Join(err, d.Unlink(name))
	}
	return n, h, a, nil
}

// Mkdir makes a directory with its IV.
func (d *Inode) Mkdir(name string, mode uint32, o Owner) (*Inode, Attr, error) {
	// Until the IV lies in it the owner may write, whatever the mode says.
	n, a, err := d.add(name, mode, o, func(entry string) (backing.Node, error) { return nil, d.node.Mkdir(entry, mode|0o700) })
	if err != nil {
		return n, a, err
	}
	_, err = n.dirIV() // a crash before this leaves an empty directory, which is sound
	if err == nil && mode&0o700 != 0o700 {
		err = n.node.Chmod(a.Mode & 0o7777 &^ (0o700 &^ mode))
	}
	if err == nil {
		a, err = n.Attr() // the IV has moved the times
	}
	if err != nil {
		n.Forget(1)
		return nil, a, errors.Join(err, d.Rmdir(name))
	}
	return n, a, nil
}

// Mknod makes a fifo, socket, device or regular file.
func (d *Inode) Mknod(name string, mode uint32, rdev uint64, o Owner) (*Inode, Attr, error) {
	return d.add(name, mode, o, func(entry string) (backing.Node, error) { return nil, d.node.Mknod(entry, mode, rdev) })
}

// Link gives n a further name here.
func (d *Inode) Link(n *Inode, name string) (Attr, error) {
	s, err := d.place(name)
	if err != nil {
		return Attr{}, err
	}
	if err := d.fs.beginWrite(); err != nil {
		return Attr{}, err
	}
	d.dir.mu.Lock()
	defer d.dir.mu.Unlock()
	undo, err := d.addLongName(s)
	if err != nil {
		return Attr{}, err
	}
	if err := d.node.Link(n.node, s.name); err != nil {
		undo()
		return Attr{}, err
	}
	a, err := n.Attr()
	if err != nil {
		return Attr{}, err
	}
	d.fs.mu.Lock()
	n.refs++
	d.fs.mu.Unlock()
	return a, nil
}

// Unlink removes a name that is no directory.
func (d *Inode) Unlink(name string) error {
	s, err := d.place(name)
	if err != nil {
		return err
	}
	if err := d.fs.beginWrite(); err != nil {
		return err
	}
	d.dir.mu.Lock()
	defer d.dir.mu.Unlock()
	side := d.sidecarOf(s.name)
	defer side.close()
	if err := d.node.Unlink(s.name); err != nil {
		return err
	}
	d.dropLongName(s)
	side.drop()
	return nil
}
