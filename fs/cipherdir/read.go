package cipherdir

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kmsfs/envelope"
)

// maxRun is how many pages one call of the store moves at most: those that 1 MiB,
// the largest request of the kernel, can touch.
const maxRun = 260

// lockReady takes f.mu for reading with the keys in place. Keys that lapse while it
// waits are good for this one access.
func (f *file) lockReady(ctx context.Context) error {
	f.mu.RLock()
	for had := false; !f.fresh() && (!had || f.keys == nil); had = true {
		f.mu.RUnlock()
		if err := f.warm(ctx); err != nil {
			return err
		}
		f.mu.Lock()
		err := f.ready(ctx)
		f.mu.Unlock()
		if err != nil {
			return err
		}
		f.mu.RLock()
	}
	return nil
}

// read fills p from plaintext offset off; short at the end of the file. f.mu is
// held, the keys are there.
func (f *file) read(p []byte, off int64) (int, error) {
	if off >= f.size || len(p) == 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), f.size-off)]
	l := f.n.fs.layout
	done := 0
	for done < len(p) {
		t0, _ := l.Locate(off + int64(done))
		t1, _ := l.Locate(off + int64(len(p)) - 1)
		t1 = min(t1, t0+maxRun-1)
		n, err := f.readRun(p[done:], off+int64(done), t0, t1)
		if err != nil { // a short count would say that the file ends here
			return 0, err
		}
		done += n
	}
	return done, nil
}

// readRun reads pages t0..t1 in one call and opens them into p, whose first byte
// is plaintext offset off in page t0. It gives how many bytes of p it filled.
func (f *file) readRun(p []byte, off, t0, t1 int64) (int, error) {
	l := f.n.fs.layout
	buf, put := getPages(int(t1 - t0 + 1))
	defer put()
	skip := l.RecordOffset(t0)
	if err := f.readPages(buf[skip:], t0*envelope.PageSize+int64(skip)); err != nil {
		return 0, err
	}
	done := 0
	for t := t0; t <= t1 && done < len(p); t++ {
		record := buf[(t-t0)*envelope.PageSize+int64(l.RecordOffset(t)) : (t-t0+1)*envelope.PageSize]
		_, pos := l.Locate(off + int64(done))
		want := min(l.Capacity(t)-pos, len(p)-done)
		if err := f.openInto(p[done:done+want], record, t, pos); err != nil {
			return done, err
		}
		done += want
	}
	return done, nil
}

func (f *file) readPages(buf []byte, at int64) error {
	n, err := f.f.ReadAt(buf, at)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: file is cut at byte %d", envelope.ErrPage, at+int64(n))
	}
	return err
}

// openInto fills dst with the plaintext of page t from position pos on; beyond the
// page's length it is zero (rule P8). A page that fails is read once more before
// it counts as damaged: a reader may have met a write half done.
func (f *file) openInto(dst, record []byte, t int64, pos int) error {
	err := f.open(dst, record, t, pos)
	if err == nil {
		return nil
	}
	again, put := getPages(1)
	defer put()
	again = again[:len(record)]
	if rerr := f.readPages(again, t*envelope.PageSize+int64(f.n.fs.layout.RecordOffset(t))); rerr != nil {
		return rerr
	}
	if err = f.open(dst, again, t, pos); err != nil {
		f.n.fs.log.Error("page is damaged", "ino", f.n.key.ino, "page", t, "err", err)
	}
	return err
}

func (f *file) open(dst, record []byte, t int64, pos int) error {
	hole, err := envelope.IsHole(record)
	if err != nil {
		return err
	}
	if hole {
		clear(dst)
		return f.allowHole(t)
	}
	m, err := envelope.CheckRecord(record)
	if err != nil {
		return err
	}
	c := f.cipher(m.Epoch())
	if pos == 0 && m.Length() <= len(dst) { // straight to where it is wanted
		out, err := c.Open(dst[:0], record, t)
		if err != nil {
			return err
		}
		clear(dst[len(out):])
		return nil
	}
	page, put := getPages(1)
	defer put()
	out, err := c.Open(page[:0], record, t)
	if err != nil {
		return err
	}
	n := 0
	if pos < len(out) {
		n = copy(dst, out[pos:])
	}
	clear(dst[n:])
	return nil
}

// allowHole says whether a page of zeros may stand for zeros: in a sparse file
// always, in another only after a crash (rule P7).
func (f *file) allowHole(t int64) error {
	if f.sparse {
		return nil
	}
	if f.n.fs.crashed {
		f.n.fs.log.Warn("a page never reached the disk before a crash; it reads as zeros", "ino", f.n.key.ino, "page", t)
		return nil
	}
	return fmt.Errorf("%w: hole in a file that has none", envelope.ErrPage)
}
