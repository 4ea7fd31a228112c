package cipherdir

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
)

// HeaderLock is the offset of the one-byte OFD lock under which a header is
// changed (docs/format.md, "Locks").
const HeaderLock = int64(1)<<62 + int64(1)<<60

// ReadHeader reads and checks the header of an open file, all but its commitment.
// It is nil, without an error, where the file has none yet (rule S1). A header that
// looks damaged is read once more under the header's lock, because a reader may
// have met a walker's write half done. The caller holds no lock on f.
func ReadHeader(f backing.File, l envelope.Layout, fsid envelope.FSID) (*envelope.Header, error) {
	h, err := readHeader(f, l, fsid)
	if !errors.Is(err, envelope.ErrHeader) && !errors.Is(err, envelope.ErrMagic) {
		return h, err
	}
	if err := f.Lock(HeaderLock, false); err != nil {
		return nil, err
	}
	defer f.Unlock(HeaderLock)
	return readHeader(f, l, fsid)
}

func readHeader(f backing.File, l envelope.Layout, fsid envelope.FSID) (*envelope.Header, error) {
	buf := make([]byte, l.H)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if n < l.H {
		return nil, nil
	}
	h, err := envelope.ParseHeader(buf, l.H)
	if err != nil {
		return nil, err
	}
	return h, h.CheckFSID(fsid)
}

// makeHeader gives a file its data key, id and header, just before its first page
// or xattr (rule H8).
func (f *file) makeHeader(ctx context.Context, sparse bool) ([]byte, error) {
	fs := f.n.fs
	fs.checkConfig(ctx)
	if fs.crashed { // attributes may have reached the disk before their header did
		if err := f.dropSealed(); err != nil {
			return nil, err
		}
	}
	dk, key, err := fs.keys.next(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(dk[:])
	h := &envelope.Header{Size: fs.layout.H, FSID: fs.fsid, DataKeyID: key.id, Recipients: []envelope.Recipient{key.rec}}
	if sparse {
		h.Flags |= envelope.FlagSparse
	}
	rand.Read(h.FileID[:])
	keys := envelope.DeriveFileKeys(&dk, fs.fsid, h.FileID)
	h.Bind(keys)
	buf, err := h.Marshal(make([]byte, fs.layout.H))
	if err != nil {
		return nil, err
	}
	f.dropKeys()
	f.take(keys, h, key.rec.Blob)
	return buf, nil
}

// writeHeader writes a new file's header by itself.
func (f *file) writeHeader(header []byte) error {
	if _, err := f.writeAt(header, 0); err != nil {
		f.ragged = true
		return errors.Join(err, f.cutTo(0, 0))
	}
	f.hdr = true
	return nil
}

// setSparse sets the SPARSE flag in the header on disk, under the header's lock:
// a walker may be about to replace the envelope.
func (f *file) setSparse() error {
	fs := f.n.fs
	if err := f.f.Lock(HeaderLock, true); err != nil {
		return err
	}
	defer f.f.Unlock(HeaderLock)
	old := make([]byte, fs.layout.H)
	if _, err := f.f.ReadAt(old, 0); err != nil {
		return err
	}
	h, err := envelope.ParseHeader(old, fs.layout.H)
	if err != nil {
		return err
	}
	if h.Verify(f.keys) != nil {
		return envelope.ErrHeader
	}
	h.Flags |= envelope.FlagSparse
	h.Bind(f.keys)
	buf, err := h.Marshal(make([]byte, fs.layout.H))
	if err != nil {
		return err
	}
	if err := f.f.WaitWriteback(0, int64(len(buf))); err != nil { // or a crash may leave it half old, half new
		return err
	}
	if n, err := f.writeAt(buf, 0); err != nil {
		if n > 0 {
			_, e := f.f.WriteAt(old, 0)
			err = errors.Join(err, e)
		}
		return err
	}
	f.sparse = true
	return nil
}

// startOver makes a file whose header cannot be used one that has none.
func (f *file) startOver() error {
	if err := f.f.Truncate(0); err != nil {
		return err
	}
	f.n.fs.log.Warn("a file starts over without its header", "ino", f.n.key.ino)
	f.dropKeys()
	f.extent, f.sparse = extent{}, false
	return f.dropSealed()
}

// dropSealed takes away the attributes sealed under keys that are gone with their
// header.
func (f *file) dropSealed() error {
	names, err := f.n.node.Listxattr()
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, envelope.XattrPrefix) {
			if err := f.n.node.Removexattr(name); err != nil {
				return err
			}
		}
	}
	return nil
}
