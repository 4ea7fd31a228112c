package cipherdir

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/kmsclient"
)

// extent is what the ciphertext tells of a file's size without a key.
type extent struct {
	size   int64 // plaintext bytes
	pages  int64 // whole pages of ciphertext
	hdr    bool  // there is a header
	ragged bool  // there are bytes that belong to no page and no header: cut them off before writing
}

// peeked remembers the plaintext size that belongs to a state of the store's
// inode, so that stat reads the last page once.
type peeked struct {
	ok    bool
	ctim  unix.Timespec
	csize int64
	size  int64
	err   error // damage
}

// plainSize gives the plaintext size for a stat of the store: from the open file
// if there is one, else by arithmetic and 4 bytes of the last page (rule S3). With
// damage it is the largest the file can have.
func (f *file) plainSize(st backing.Stat) (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.handles > 0 {
		return f.size, nil
	}
	if _, ok := f.n.fs.layout.PeekOffset(st.Size); !ok {
		return 0, nil
	}
	f.peekMu.Lock()
	defer f.peekMu.Unlock()
	if p := f.peek; p.ok && p.ctim == st.Ctim && p.csize == st.Size {
		return p.size, p.err
	}
	b, err := f.n.node.Open(unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	if st, err = b.Stat(); err != nil { // of now: the caller's may be from before a write
		return 0, err
	}
	e, err := f.n.fs.extentOf(b, st.Size)
	if err != nil {
		f.n.fs.log.Warn("size of a damaged file", "ino", st.Ino, "err", err)
	}
	f.peek = peeked{err == nil || !errors.Is(err, unix.EIO), st.Ctim, st.Size, e.size, err}
	return e.size, err
}

// extentOf reads from an open file of csize bytes how large its plaintext is. With
// an error, of which all but the store's own are damage, it is the largest it can
// be (rule S3).
func (fs *FS) extentOf(b io.ReaderAt, csize int64) (extent, error) {
	l := fs.layout
	e := extent{pages: l.Pages(csize), hdr: csize >= int64(l.H)}
	if e.hdr && fs.crashed {
		head := make([]byte, l.H)
		if _, err := b.ReadAt(head, 0); err == nil && allZero(head) {
			fs.log.Warn("a file never reached the disk before a crash; it reads as empty", "bytes", csize)
			return extent{ragged: true}, nil
		}
	}
	e.ragged = csize != e.pages*envelope.PageSize && !(e.hdr && csize == int64(l.H))
	off, ok := l.PeekOffset(csize)
	if !ok {
		return e, nil
	}
	var meta [4]byte
	_, err := b.ReadAt(meta[:], off)
	if err != nil {
		e.size = l.PageStart(e.pages)
		return e, err
	}
	e.size, err = l.PlainSize(csize, envelope.ReadMeta(meta[:]))
	return e, err
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// damaged reports whether an error tells of what lies on the disk (a blob that is
// none among it), not of a refusing KMS, a resource of this process or a limit.
func damaged(err error) bool {
	for _, e := range [...]error{envelope.ErrMagic, envelope.ErrVersion, envelope.ErrFlags, envelope.ErrHeader, envelope.ErrForeign,
		envelope.ErrCommitment, envelope.ErrPage, envelope.ErrMeta, envelope.ErrTarget,
		kmsclient.ErrInvalidCiphertext, io.EOF, unix.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// notePeek keeps the size for the stats to come. A change time may be too coarse to
// tell two writes apart, so what was peeked before is not good any more.
func (f *file) notePeek() {
	st, err := f.f.Stat()
	f.peekMu.Lock()
	f.peek = peeked{err == nil, st.Ctim, st.Size, f.size, nil}
	f.peekMu.Unlock()
}
