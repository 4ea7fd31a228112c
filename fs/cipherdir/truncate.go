package cipherdir

import (
	"context"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
)

// Truncate sets the plaintext size.
func (n *Inode) Truncate(ctx context.Context, size int64) error {
	h, err := n.Open(ctx, true, size == 0)
	if err != nil || size == 0 {
		if h != nil {
			h.Close()
		}
		return err
	}
	defer h.Close()
	return h.Truncate(ctx, size)
}

// truncate cuts or extends the file. Downwards the new tail is sealed before the
// rest is cut off; upwards the new last page is written and what lies between is
// a hole (rules W6, W7). f.mu is held exclusively.
func (f *file) truncate(ctx context.Context, size int64) error {
	l := f.n.fs.layout
	switch {
	case size < 0:
		return unix.EINVAL
	case size > l.MaxSize():
		return envelope.ErrSize
	case size > f.size:
		return f.extend(ctx, size)
	case size == f.size && size > 0:
		return f.cutTo(f.pages, size) // for the times
	}
	if err := f.ready(ctx); size == 0 && (damaged(err) || err == nil && f.ragged && !f.hdr) {
		return f.startOver()
	} else if err != nil {
		return err
	}
	if size == 0 {
		return f.cutTo(0, 0)
	}
	last, _ := l.Locate(size - 1)
	if err := f.reseal(last, size, true); err != nil {
		return err
	}
	return f.cutTo(last+1, size)
}

// extend grows the file with zeros, of which only those in the new last page are
// written.
func (f *file) extend(ctx context.Context, size int64) error {
	l := f.n.fs.layout
	last, _ := l.Locate(size - 1)
	from := max(f.size, l.PageStart(last))
	zeros, put := getPages(1)
	defer put()
	zeros = zeros[:size-from]
	clear(zeros)
	n, err := f.write(ctx, zeros, from)
	if err == nil && n < len(zeros) {
		err = unix.ENOSPC
	}
	return err
}

// allocate is fallocate: mode 0 and KEEP_SIZE reserve, PUNCH_HOLE and ZERO_RANGE
// make zeros. f.mu is held exclusively.
func (f *file) allocate(ctx context.Context, mode uint32, off, n int64) error {
	l := f.n.fs.layout
	if off < 0 || n <= 0 {
		return unix.EINVAL
	}
	if off > l.MaxSize()-n {
		return envelope.ErrSize
	}
	end := off + n
	const punch = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	switch mode {
	case 0, unix.FALLOC_FL_KEEP_SIZE:
		if err := f.reserve(off, end); err != nil {
			return err
		}
		if mode == 0 && end > f.size {
			return f.extend(ctx, end)
		}
		return nil
	case punch:
		return f.zero(ctx, off, min(end, f.size))
	case unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE:
		if err := f.zero(ctx, off, min(end, f.size)); err != nil {
			return err
		}
		if mode == unix.FALLOC_FL_ZERO_RANGE && end > f.size {
			return f.extend(ctx, end)
		}
		return nil
	}
	return unix.EOPNOTSUPP
}

// reserve asks the store for the space of plaintext [from, end).
func (f *file) reserve(from, end int64) error {
	t, _ := f.n.fs.layout.Locate(from)
	at := t * envelope.PageSize
	return f.f.Fallocate(unix.FALLOC_FL_KEEP_SIZE, at, f.n.fs.layout.CipherSize(end)-at)
}

// zero makes plaintext [from, to) read as zeros, within the file: whole pages by
// punching, the edges and the last page by sealing (rule W8).
func (f *file) zero(ctx context.Context, from, to int64) error {
	if from >= to {
		return nil
	}
	if err := f.ready(ctx); err != nil {
		return err
	}
	l := f.n.fs.layout
	first, pos := l.Locate(from)
	if pos > 0 {
		first++
	}
	last, _ := l.Locate(to) // first page not wholly in the range
	last = min(last, f.pages-1)
	if first >= last {
		return f.writeZeros(ctx, from, to)
	}
	if err := f.writeZeros(ctx, from, l.PageStart(first)); err != nil {
		return err
	}
	if err := f.writeZeros(ctx, max(from, l.PageStart(last)), to); err != nil {
		return err
	}
	if !f.sparse {
		if err := f.setSparse(); err != nil {
			return err
		}
		if err := f.f.Datasync(); err != nil { // a hole must not be durable before its permission
			return err
		}
	}
	at := first*envelope.PageSize + int64(l.RecordOffset(first))
	return f.f.Fallocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, last*envelope.PageSize-at)
}

func (f *file) writeZeros(ctx context.Context, from, to int64) error {
	if from >= to {
		return nil
	}
	zeros, put := getPages(int(min(maxRun, (to-from)/envelope.PageSize+1)))
	defer put()
	clear(zeros)
	for from < to {
		n, err := f.write(ctx, zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// seek finds data or a hole, page by page as the store has them. A hole in the
// first page, which holds the header, is told as data.
func (f *file) seek(off int64, whence int) (int64, error) {
	l := f.n.fs.layout
	if off < 0 || off >= f.size {
		return 0, unix.ENXIO
	}
	t, _ := l.Locate(off)
	switch whence {
	case unix.SEEK_DATA:
		c, err := f.f.SeekData(t * envelope.PageSize)
		if err != nil {
			return 0, err
		}
		at := max(off, l.PageStart(c/envelope.PageSize))
		if at >= f.size {
			return 0, unix.ENXIO
		}
		return at, nil
	case unix.SEEK_HOLE:
		c, err := f.f.SeekHole(t * envelope.PageSize)
		if err != nil {
			return 0, err
		}
		hole := (c + envelope.PageSize - 1) / envelope.PageSize
		return min(max(off, l.PageStart(hole)), f.size), nil
	}
	return 0, unix.EINVAL
}
