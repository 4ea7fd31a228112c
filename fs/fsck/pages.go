package fsck

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
)

// runPages is how many pages one read takes.
const runPages = 256

// checkPages checks every page, or the last one alone.
func (i *inspection) checkPages() error {
	pages := i.c.layout.Pages(i.size)
	if pages == 0 {
		return nil
	}
	first := int64(0)
	if i.c.o.Quick {
		first = pages - 1
	}
	buf := make([]byte, min(pages-first, runPages)*envelope.PageSize)
	for t := first; t < pages; {
		if i.c.ctx.Err() != nil {
			return nil
		}
		part := buf[:min(pages-t, runPages)*envelope.PageSize]
		n, err := i.read(part, t*envelope.PageSize)
		if err != nil {
			return err
		}
		if n < len(part) {
			return nil // cut meanwhile: the file has changed, and is looked at again
		}
		next, err := i.checkRun(part, t, pages)
		if err != nil {
			return err
		}
		i.pages += next - t
		t = next
	}
	return nil
}

// checkRun checks the pages in buf, the first of which is t, of a file of so many
// pages. It gives the page to go on with, which is beyond buf where the store has
// a hole.
func (i *inspection) checkRun(buf []byte, t, pages int64) (next int64, err error) {
	for ; len(buf) > 0; buf, t = buf[envelope.PageSize:], t+1 {
		record := buf[i.c.layout.RecordOffset(t):envelope.PageSize]
		hole, fault := i.open(record, t)
		if fault != nil {
			if record, err = i.again(t); err != nil {
				return t, err
			}
			hole, fault = i.open(record, t)
		}
		switch {
		case fault != nil:
			i.found(BadPage, i.offset(t), "page %d: %v", t, fault)
		case hole:
			end, err := i.hole(t, pages)
			if err != nil {
				return t, err
			}
			if skip := end - t; skip*envelope.PageSize >= int64(len(buf)) {
				return end, nil
			} else if skip > 1 {
				buf, t = buf[(skip-1)*envelope.PageSize:], end-1
			}
		default:
			i.structure(record, t, pages)
		}
	}
	return t, nil
}

// offset is the ciphertext offset of a page's record.
func (i *inspection) offset(t int64) int64 {
	return t*envelope.PageSize + int64(i.c.layout.RecordOffset(t))
}

// open tells whether a record is a hole, or what is wrong with it. Without the
// file's keys it looks at the form alone.
func (i *inspection) open(record []byte, t int64) (hole bool, fault error) {
	if hole, fault = envelope.IsHole(record); hole || fault != nil {
		return hole, fault
	}
	m, err := envelope.CheckRecord(record)
	if err != nil {
		return false, err
	}
	if i.keys == nil {
		for _, b := range record[envelope.Overhead+m.Length():] {
			if b != 0 {
				return false, envelope.ErrPage
			}
		}
		return false, nil
	}
	_, err = i.cipher(m.Epoch()).Open(i.text[:0], record, t)
	return false, err
}

// again reads a page that looks damaged once more: the first read may have met a
// write half done.
func (i *inspection) again(t int64) ([]byte, error) {
	time.Sleep(time.Millisecond)
	record := make([]byte, i.c.layout.RecordSize(t))
	_, err := i.read(record, i.offset(t)) // zeros beyond the end, if it was cut meanwhile
	return record, err
}

// structure checks what a genuine page says of its place in the file.
func (i *inspection) structure(record []byte, t, pages int64) {
	m := envelope.ReadMeta(record)
	if t == pages-1 {
		if !m.Final() {
			i.found(TailNotFinal, i.offset(t), "page %d is the last, and was not when it was sealed", t)
		}
		return
	}
	if m.Final() {
		i.found(StaleFinal, i.offset(t), "page %d of %d was the last when it was sealed", t, pages)
	}
	if m.Length() < i.c.layout.Capacity(t) {
		i.found(ShortInterior, i.offset(t), "page %d holds %d bytes of %d, the rest reads as zeros", t, m.Length(), i.c.layout.Capacity(t))
	}
}

// hole reports the hole that starts at page t, if it must not be there, and
// gives the page behind it.
func (i *inspection) hole(t, pages int64) (end int64, err error) {
	end = t + 1
	data, err := i.f.SeekData(end * envelope.PageSize)
	switch {
	case errors.Is(err, unix.ENXIO):
		end = pages
	case err != nil:
		return end, err
	default:
		end = min(max(end, data/envelope.PageSize), pages)
	}
	if i.header.Flags&envelope.FlagSparse == 0 {
		i.dense(t, end)
	} else if end == pages {
		i.found(TailNotFinal, i.offset(pages-1), "the last page is a hole")
	}
	return end, nil
}

// dense reports a hole in a file that has none; neighbouring ones become one
// finding, at the first page.
func (i *inspection) dense(t, end int64) {
	if n := len(i.findings); n > 0 && i.findings[n-1].Class == HoleInDense && i.holeEnd == t {
		i.holeEnd = end
		return
	}
	i.holeEnd = end
	i.found(HoleInDense, i.offset(t), "zeros from page %d on, in a file without holes", t)
}

// cipher keeps the page ciphers of one file, one per epoch.
func (i *inspection) cipher(epoch uint16) *envelope.PageCipher {
	p := i.ciphers[epoch]
	if p == nil {
		if len(i.ciphers) >= 64 {
			clear(i.ciphers)
		}
		p = i.keys.PageCipher(epoch)
		i.ciphers[epoch] = p
	}
	return p
}
