package cipherdir

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
)

// dirState is what a directory inode keeps: its IV, read once, and the lock that
// makes changes of its names exclusive. Who locks two holds FS.moves.
type dirState struct {
	mu sync.RWMutex // names: read by lookups, written by changes

	ivMu sync.Mutex // guards iv and ivOK
	iv   envelope.DirIV
	ivOK bool
}

// stored is where a plaintext name lies in a directory of the store.
type stored struct {
	name string // entry that is the object
	link string // +N symlink that holds the encoded name, "" for short names
	enc  string // encoded name
}

// dirIV reads the IV of a directory. A missing one is made where the directory is
// empty, which a crash in mkdir leaves; anywhere else it is an error, never a
// second IV (rule D2).
func (d *Inode) dirIV() (envelope.DirIV, error) {
	if !d.IsDir() {
		return envelope.DirIV{}, unix.ENOTDIR
	}
	d.dir.ivMu.Lock()
	defer d.dir.ivMu.Unlock()
	if d.dir.ivOK {
		return d.dir.iv, nil
	}
	target, err := d.node.ReadlinkAt(envelope.DirIVName)
	if errors.Is(err, unix.ENOENT) {
		return d.makeDirIV()
	}
	if errors.Is(err, unix.EINVAL) { // not a symlink
		return envelope.DirIV{}, envelope.ErrDirIV
	}
	if err != nil {
		return envelope.DirIV{}, err
	}
	iv, err := d.fs.names.ParseDirIV(target)
	if err != nil {
		d.fs.log.Error("directory IV failed authentication", "ino", d.key.ino)
		return iv, err
	}
	d.dir.iv, d.dir.ivOK = iv, true
	return iv, nil
}

func (d *Inode) makeDirIV() (envelope.DirIV, error) {
	empty, _, err := isEmptyDir(d.node)
	if err != nil {
		return envelope.DirIV{}, err
	}
	if !empty {
		d.fs.log.Error("directory has entries and no IV", "ino", d.key.ino)
		return envelope.DirIV{}, fmt.Errorf("%w: it is missing", envelope.ErrDirIV)
	}
	iv := newDirIV()
	if !d.fs.o.ReadOnly {
		if err := d.fs.beginWrite(); err != nil {
			return iv, err
		}
		if err := d.node.Symlink(d.fs.names.DirIVTarget(iv), envelope.DirIVName); err != nil {
			return iv, err
		}
		d.dir.iv, d.dir.ivOK = iv, true
	}
	return iv, nil
}

// place encrypts a name for this directory.
func (d *Inode) place(name string) (stored, error) {
	iv, err := d.dirIV()
	if err != nil {
		return stored{}, err
	}
	return d.fs.place(iv, name)
}

func (fs *FS) place(iv envelope.DirIV, name string) (stored, error) {
	enc, err := fs.names.EncryptName(iv, name)
	if err != nil {
		return stored{}, err
	}
	if !envelope.IsLong(enc) {
		return stored{name: enc, enc: enc}, nil
	}
	data, link := envelope.LongNames(enc)
	return stored{name: data, link: link, enc: enc}, nil
}

// addLongName makes the +N symlink of a long name before the name itself; undo
// takes it away again if the name was not made.
func (d *Inode) addLongName(s stored) (undo func(), err error) {
	undo = func() {}
	if s.link == "" {
		return undo, nil
	}
	if err = d.node.Symlink(s.enc, s.link); err != nil && !errors.Is(err, unix.EEXIST) {
		return undo, err
	}
	return func() {
		if !d.stillThere(s.name) {
			d.dropLongName(s)
		}
	}, nil
}

func (d *Inode) stillThere(entry string) bool {
	_, err := d.node.StatAt(entry)
	return !errors.Is(err, unix.ENOENT)
}

// dropLongName removes the +N symlink after the name itself is gone.
func (d *Inode) dropLongName(s stored) {
	if s.link != "" {
		if err := d.node.Unlink(s.link); err != nil && !errors.Is(err, unix.ENOENT) {
			d.fs.log.Warn("a long name's record stays behind", "ino", d.key.ino, "err", err)
		}
	}
}

// DirEntry is one entry of a directory as the view shows it.
type DirEntry struct {
	Name string
	Ino  uint64
	Type uint32 // S_IFMT part of the mode, 0 if the store does not say
}

// list gives the entries whose names decrypt. What is ours is passed over; what
// does not verify is hidden, counted and logged.
func (d *Inode) list() ([]DirEntry, error) {
	iv, err := d.dirIV()
	if err != nil {
		return nil, err
	}
	d.dir.mu.RLock() // a long name's two entries come and go together
	defer d.dir.mu.RUnlock()
	entries, err := d.node.ReadDir()
	if err != nil {
		return nil, err
	}
	out := make([]DirEntry, 0, len(entries))
	bad := 0
	for _, e := range entries {
		name, ours, err := d.fs.plainName(d.node, iv, e.Name)
		if ours {
			continue
		}
		if err != nil {
			bad++
			continue
		}
		out = append(out, DirEntry{name, e.Ino, e.Type})
	}
	if bad > 0 {
		d.fs.badNames.Add(uint64(bad))
		d.fs.log.Warn("names that do not verify are hidden; see kmsfs fsck", "ino", d.key.ino, "count", bad)
	}
	return out, nil
}

// plainName decrypts one stored entry name; ours is set for entries that are no
// names of the view.
func (fs *FS) plainName(dir backing.Node, iv envelope.DirIV, entry string) (name string, ours bool, err error) {
	enc := entry
	if entry[0] == envelope.Reserved {
		link, ok := envelope.LongNameOf(entry)
		if !ok {
			return "", true, nil
		}
		if enc, err = dir.ReadlinkAt(link); err != nil {
			return "", false, err
		}
		if err := envelope.CheckLongName(entry, enc); err != nil {
			return "", false, err
		}
	}
	name, err = fs.names.DecryptName(iv, enc)
	return name, false, err
}

// isEmptyDir reports whether a directory of the store has nothing but records of
// ours: its IV and long names without a file.
func isEmptyDir(node backing.Node) (bool, []backing.Entry, error) {
	entries, err := node.ReadDir()
	if err != nil {
		return false, nil, err
	}
	for _, e := range entries {
		if _, isLink := envelope.DataNameOf(e.Name); e.Name != envelope.DirIVName && !isLink {
			return false, nil, nil
		}
	}
	return true, entries, nil
}

// hollow empties an empty directory of our records so that the store can remove
// or replace it; restore puts the IV back after a failure. The IV goes last: a
// directory without one is sound only when empty.
func (d *Inode) hollow() (restore func(), err error) {
	empty, entries, err := isEmptyDir(d.node)
	if err != nil {
		return nil, err
	}
	if !empty {
		return nil, unix.ENOTEMPTY
	}
	target, _ := d.node.ReadlinkAt(envelope.DirIVName) // a damaged one is not worth keeping
	for _, e := range entries {
		if e.Name == envelope.DirIVName {
			continue
		}
		if err := d.node.Unlink(e.Name); err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
	if err := d.node.Unlink(envelope.DirIVName); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	return func() {
		if target != "" {
			if err := d.node.Symlink(target, envelope.DirIVName); err != nil {
				d.fs.log.Error("directory IV could not be put back", "err", err)
			}
		}
	}, nil
}

// DirHandle is an open directory: a snapshot of its names that stays as it is
// until Rewind. Not for several goroutines at once.
type DirHandle struct {
	d       *Inode
	entries []DirEntry
	read    bool
}

// OpenDir opens a directory for listing.
func (d *Inode) OpenDir() (*DirHandle, error) {
	if !d.IsDir() {
		return nil, unix.ENOTDIR
	}
	d.hold()
	return &DirHandle{d: d}, nil
}

// Inode is the directory.
func (h *DirHandle) Inode() *Inode { return h.d }

// Entries lists the directory with "." and "..", in the order of the store.
func (h *DirHandle) Entries() ([]DirEntry, error) {
	if h.read {
		return h.entries, nil
	}
	list, err := h.d.list()
	if err != nil {
		return nil, err
	}
	h.entries = append([]DirEntry{{".", h.d.key.ino, unix.S_IFDIR}, {"..", h.d.key.ino, unix.S_IFDIR}}, list...)
	h.read = true
	return h.entries, nil
}

// Rewind makes the next Entries read the directory again.
func (h *DirHandle) Rewind() { h.read, h.entries = false, nil }

// Close ends the listing.
func (h *DirHandle) Close() error { h.d.unhold(); return nil }

// SyncDir makes the names of the directory durable.
func (d *Inode) SyncDir() error { return d.node.SyncDir() }
