package cipherdir

import (
	"context"
	"errors"

	"kmsfs/envelope"
)

// write puts p at plaintext offset off. Pages that lie beyond the old end are
// written first, then those within it, so that a crash leaves the old tail
// readable (rules W1–W5). On a full disk the count may be short. f.mu is held
// exclusively.
func (f *file) write(ctx context.Context, p []byte, off int64) (int, error) {
	l := f.n.fs.layout
	if off < 0 || off > l.MaxSize()-int64(len(p)) {
		return 0, envelope.ErrSize
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		t0, _ := l.Locate(at)
		end := min(off+int64(len(p)), l.PageStart(t0+maxRun))
		n, err := f.writeRun(ctx, p[done:done+int(end-at)], at)
		done += n
		if err != nil {
			if done > 0 {
				return done, nil
			}
			return 0, err
		}
		if n < int(end-at) {
			return done, nil
		}
	}
	return done, nil
}

// run is a contiguous run of pages being written.
type run struct {
	first, last int64 // pages
	buf         []byte
	start, end  int64 // plaintext range that changes
	newSize     int64
	header      []byte // goes out with page 0, nil if the file has one
	plain       []byte // what to write
}

func (f *file) writeRun(ctx context.Context, p []byte, off int64) (int, error) {
	if err := f.ready(ctx); err != nil {
		return 0, err
	}
	l := f.n.fs.layout
	r := run{start: off, end: off + int64(len(p)), newSize: max(f.size, off+int64(len(p))), plain: p}
	r.first, _ = l.Locate(r.start)
	r.last, _ = l.Locate(r.end - 1)
	header, err := f.prepare(ctx, f.skips(r.first))
	if err != nil {
		return 0, err
	}
	if header != nil && r.first > 0 {
		if err := f.writeHeader(header); err != nil {
			return 0, err
		}
		header = nil
	}
	buf, put := getPages(int(r.last - r.first + 1))
	defer put()
	r.buf, r.header = buf, header
	if err := f.fill(&r); err != nil {
		return 0, err
	}
	copy(buf, header)
	return f.commit(ctx, &r)
}

// skips reports whether a write from page t on leaves a hole before it: pages
// passed over, or a last page that a crash left empty.
func (f *file) skips(t int64) bool {
	return t > f.pages || t == f.pages && t > 0 && f.size == f.n.fs.layout.PageStart(t-1)
}

// prepare makes a header, still to be written, for a file that has none, and sets
// the SPARSE flag if pages are about to be skipped. What a crash or a failed write
// left behind the file's end goes first.
func (f *file) prepare(ctx context.Context, skips bool) (header []byte, err error) {
	if f.ragged && !f.hdr {
		err = f.startOver()
	} else if f.ragged {
		err = f.cutTo(f.pages, f.size)
	}
	if err != nil {
		return nil, err
	}
	if !f.hdr {
		return f.makeHeader(ctx, skips)
	}
	if skips && !f.sparse {
		err = f.setSparse()
	}
	return nil, err
}

// fill seals the pages of a run into its buffer, reading what the run does not
// overwrite.
func (f *file) fill(r *run) error {
	l := f.n.fs.layout
	c := f.sealer(int(r.last - r.first + 1))
	page, put := getPages(1)
	defer put()
	for t := r.first; t <= r.last; t++ {
		begin := l.PageStart(t)
		n := int(min(r.newSize-begin, int64(l.Capacity(t))))
		lo, hi := int(max(r.start-begin, 0)), int(min(r.end-begin, int64(n)))
		src := r.plain[begin+int64(lo)-r.start : begin+int64(hi)-r.start]
		plain := src
		if lo > 0 || hi < n {
			plain = page[:n]
			if err := f.oldPage(plain, t); err != nil {
				return err
			}
			copy(plain[lo:hi], src)
		}
		record := r.buf[(t-r.first)*envelope.PageSize+int64(l.RecordOffset(t)) : (t-r.first+1)*envelope.PageSize]
		c.Seal(record, t, plain, begin+int64(n) == r.newSize)
	}
	return nil
}

// oldPage fills dst with the plaintext of page t as it is, zeros beyond its end.
func (f *file) oldPage(dst []byte, t int64) error {
	if t >= f.pages {
		clear(dst)
		return nil
	}
	l := f.n.fs.layout
	buf, put := getPages(1)
	defer put()
	record := buf[:l.RecordSize(t)]
	if err := f.readPages(record, t*envelope.PageSize+int64(l.RecordOffset(t))); err != nil {
		return err
	}
	return f.openInto(dst, record, t, 0)
}

// commit writes a filled run: first what lies beyond the file's last page, then
// the rest from the front, then the old tail without its FINAL mark. What does not
// fit beyond the end is cut off again, and the run repeated with what does.
func (f *file) commit(ctx context.Context, r *run) (int, error) {
	l := f.n.fs.layout
	oldPages, oldSize := f.pages, f.size
	if r.last >= oldPages {
		fit, err := f.put(r, max(r.first, oldPages), r.last)
		if err != nil {
			if cerr := f.cutTo(oldPages, oldSize); cerr != nil {
				f.ragged = true
				return 0, errors.Join(err, cerr)
			}
			if room := l.PageStart(fit) - r.start; room > 0 {
				return f.writeRun(ctx, r.plain[:room], r.start)
			}
			return 0, err
		}
		f.pages, f.size = r.last+1, r.newSize
	}
	if r.first >= oldPages {
		if oldPages > 0 {
			if err := f.reseal(oldPages-1, oldSize, false); err != nil {
				f.n.fs.log.Warn("an old tail page keeps its FINAL mark", "ino", f.n.key.ino, "err", err)
			}
		}
		return len(r.plain), nil
	}
	if next, err := f.rewrite(r, min(r.last, oldPages-1)); err != nil {
		if f.pages > oldPages {
			if cerr := f.cutTo(oldPages, oldSize); cerr != nil {
				f.ragged = true
				err = errors.Join(err, cerr)
			}
		}
		return int(max(0, l.PageStart(next)-r.start)), err
	}
	f.size = r.newSize
	return len(r.plain), nil
}

// rewrite writes the pages of a run up to last over those that are there. It gives
// the first page that is not written whole.
func (f *file) rewrite(r *run, last int64) (next int64, err error) {
	if err := f.f.WaitWriteback(r.first*envelope.PageSize, (last-r.first+1)*envelope.PageSize); err != nil {
		return r.first, err
	}
	return f.put(r, r.first, last)
}

// put writes pages from..to of a run in one call; the header in page 0 is left
// alone unless it is new. It gives the first page that is not written whole.
func (f *file) put(r *run, from, to int64) (next int64, err error) {
	skip := int64(f.n.fs.layout.RecordOffset(from))
	if r.header != nil && from == 0 {
		skip = 0
	}
	b := r.buf[(from-r.first)*envelope.PageSize+skip : (to-r.first+1)*envelope.PageSize]
	n, err := f.writeAt(b, from*envelope.PageSize+skip)
	if err != nil {
		if n == 0 {
			skip = 0
		}
		return min(from+(int64(n)+skip)/envelope.PageSize, to), err
	}
	if r.header != nil {
		f.hdr = true
	}
	return to + 1, nil
}

// writeAt writes at an offset of the ciphertext. A write that ends within a page is
// taken up once more to the page's end: half a page is no page.
func (f *file) writeAt(b []byte, at int64) (int, error) {
	n, err := f.f.WriteAt(b, at)
	if torn := (at + int64(n)) % envelope.PageSize; err != nil && n > 0 && torn > 0 {
		end := min(n+int(envelope.PageSize-torn), len(b))
		m, _ := f.f.WriteAt(b[n:end], at+int64(n))
		if n += m; n == len(b) {
			err = nil
		}
	}
	return n, err
}

// cutTo cuts the ciphertext back to so many pages and sets the size.
func (f *file) cutTo(pages, size int64) error {
	csize := pages * envelope.PageSize
	if pages == 0 && f.hdr { // rule S1: the header stays
		csize = int64(f.n.fs.layout.H)
	}
	if err := f.f.Truncate(csize); err != nil {
		if st, serr := f.f.Stat(); serr == nil && st.Size == csize { // ext4 may cut first and fail then
			f.pages, f.size = pages, size
		}
		return err
	}
	f.pages, f.size, f.ragged = pages, size, false
	return nil
}

// reseal writes page t again with the plaintext it has, up to end, and with or
// without the FINAL mark.
func (f *file) reseal(t, end int64, final bool) error {
	l := f.n.fs.layout
	page, put := getPages(2)
	defer put()
	plain := page[:min(int64(l.Capacity(t)), end-l.PageStart(t))]
	if len(plain) == 0 {
		return nil
	}
	record := page[envelope.PageSize:][:l.RecordSize(t)]
	if !f.sparse || final {
		if err := f.oldPage(plain, t); err != nil {
			return err
		}
	} else {
		at := t*envelope.PageSize + int64(l.RecordOffset(t))
		if err := f.readPages(record, at); err != nil {
			return err
		}
		if hole, _ := envelope.IsHole(record); hole {
			return nil
		}
		if err := f.openInto(plain, record, t, 0); err != nil {
			return err
		}
	}
	f.sealer(1).Seal(record, t, plain, final)
	return f.overwrite(record, t)
}

// overwrite replaces the record of page t in place.
func (f *file) overwrite(record []byte, t int64) error {
	at := t*envelope.PageSize + int64(f.n.fs.layout.RecordOffset(t))
	if err := f.f.WaitWriteback(at, int64(len(record))); err != nil {
		return err
	}
	_, err := f.writeAt(record, at)
	return err
}
