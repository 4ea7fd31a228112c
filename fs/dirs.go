package fs

import (
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs/cipherdir"
)

// dirStream is an open directory. The offset of an entry is its place in the
// handle's snapshot, counted from 1; offset 0 begins a new snapshot.
type dirStream struct {
	dir *cipherdir.Inode

	mu      sync.Mutex // guards what follows
	h       *cipherdir.DirHandle
	started bool
}

// OpenDir implements fuse.RawFileSystem.
func (a *adapter) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err != nil {
		return a.status("opendir", in.NodeId, err)
	}
	h, err := d.OpenDir()
	if err != nil {
		return a.status("opendir", in.NodeId, err)
	}
	out.Fh = a.dirs.add(&dirStream{dir: d, h: h})
	return fuse.OK
}

// from gives the entries of the stream from an offset on.
func (s *dirStream) from(off uint64) ([]cipherdir.DirEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if off == 0 && s.started {
		s.h.Rewind()
	}
	s.started = true
	entries, err := s.h.Entries()
	return entries[min(off, uint64(len(entries))):], err
}

// each calls add with the entries from an offset on until it is full.
func (a *adapter) each(op string, in *fuse.ReadIn, add func(*dirStream, fuse.DirEntry) bool) fuse.Status {
	s := a.dirs.get(in.Fh)
	if s == nil {
		return fuse.EBADF
	}
	entries, err := s.from(in.Offset)
	if err != nil {
		return a.status(op, in.NodeId, err)
	}
	for i, e := range entries {
		if !add(s, fuse.DirEntry{Name: e.Name, Ino: e.Ino, Mode: e.Type, Off: in.Offset + uint64(i) + 1}) {
			break
		}
	}
	return fuse.OK
}

// ReadDir implements fuse.RawFileSystem.
func (a *adapter) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return a.each("readdir", in, func(_ *dirStream, e fuse.DirEntry) bool { return out.AddDirEntry(e) })
}

// ReadDirPlus implements fuse.RawFileSystem. Only an entry that fits is looked
// up, and so counted; one that cannot be (any more) goes without attributes, and
// the kernel asks for it when it needs it. "." and ".." are never looked up.
func (a *adapter) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return a.each("readdirplus", in, func(s *dirStream, e fuse.DirEntry) bool {
		entry := out.AddDirLookupEntry(e)
		if entry == nil {
			return false
		}
		if e.Name == "." || e.Name == ".." {
			return true
		}
		if a.prune.crowded() { // names alone; what is wanted of them is asked for
			return true
		}
		if n, st, err := s.dir.Lookup(e.Name); err == nil {
			fillEntry(entry, n, &st)
			out.FixMode(st.Mode)
		}
		return true
	})
}

// ReleaseDir implements fuse.RawFileSystem.
func (a *adapter) ReleaseDir(in *fuse.ReleaseIn) {
	if s := a.dirs.take(in.Fh); s != nil {
		s.h.Close()
	}
}

// FsyncDir implements fuse.RawFileSystem.
func (a *adapter) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	d, err := a.inode(in.NodeId)
	if err == nil {
		err = d.SyncDir()
	}
	return a.status("fsyncdir", in.NodeId, err)
}
