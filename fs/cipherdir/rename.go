package cipherdir

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Rmdir removes an empty directory. Its IV goes first; a crash in between leaves
// an empty directory without one, which is sound (rule D2).
func (d *Inode) Rmdir(name string) error {
	s, err := d.place(name)
	if err != nil {
		return err
	}
	if err := d.fs.beginWrite(); err != nil {
		return err
	}
	defer lockPair(d, d)()
	err = d.withHollow(s.name, []*Inode{d}, func() error { return d.node.Rmdir(s.name) })
	if err == nil {
		d.dropLongName(s)
	}
	return err
}

// withHollow runs do while the empty directory at entry has lost our records, and
// puts its IV back if do fails. Names cannot be made in it meanwhile. A directory
// that is locked already has something in it: ENOTEMPTY.
func (d *Inode) withHollow(entry string, locked []*Inode, do func() error) error {
	node, st, err := d.node.Lookup(entry)
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		node.Close()
		return unix.ENOTDIR
	}
	target := d.fs.intern(node, st)
	defer target.Forget(1)
	if slices.Contains(locked, target) {
		return unix.ENOTEMPTY
	}
	target.dir.mu.Lock()
	defer target.dir.mu.Unlock()
	target.dir.ivMu.Lock() // or somebody would make an IV in the place of the one taken away
	defer target.dir.ivMu.Unlock()
	restore, err := target.hollow()
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		restore()
		return err
	}
	return nil
}

// Rename moves name to newName in nd; flags are those of renameat2: 0,
// RENAME_NOREPLACE or RENAME_EXCHANGE, any other is EINVAL.
func (d *Inode) Rename(name string, nd *Inode, newName string, flags uint) error {
	if flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return unix.EINVAL
	}
	from, err := d.place(name)
	if err != nil {
		return err
	}
	to, err := nd.place(newName)
	if err != nil {
		return err
	}
	if err := d.fs.beginWrite(); err != nil {
		return err
	}
	defer lockPair(d, nd)()
	undo, err := nd.addLongName(to)
	if err != nil {
		return err
	}
	var side *sidecar
	if flags == 0 {
		side = nd.sidecarOf(to.name)
		defer side.close()
	}
	move := func() error { return d.node.Rename(from.name, nd.node, to.name, flags) }
	err = move()
	if flags == 0 && (errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST)) {
		err = nd.withHollow(to.name, []*Inode{d, nd}, move)
	}
	if err != nil {
		undo()
		return err
	}
	side.drop()
	// Two names of one inode stay both, and so do those that change places.
	if from.link != "" && !d.stillThere(from.name) {
		d.dropLongName(from)
	}
	return nil
}

// lockPair locks the names of two directories, or of one and of those that are
// found to be in the way. One at a time does so: no two ever wait for each other.
func lockPair(a, b *Inode) (unlock func()) {
	a.fs.moves.Lock()
	a.dir.mu.Lock()
	if a != b {
		b.dir.mu.Lock()
	}
	return func() {
		if a != b {
			b.dir.mu.Unlock()
		}
		a.dir.mu.Unlock()
		a.fs.moves.Unlock()
	}
}
