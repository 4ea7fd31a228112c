package envelope

import (
	"crypto/rand"
	"errors"
)

var errHole = errors.New("hole in a file without SPARSE")

// readFile is a whole reader: the plaintext of the ciphertext file b. A hole in a
// file without SPARSE is an error unless the directory is unclean.
func readFile(b []byte, l Layout, fsid FSID, dk *DataKey, unclean bool) ([]byte, error) {
	if len(b) < l.H {
		return nil, nil // never written, or creation cut short
	}
	h, k, err := openHeader(b[:l.H], l.H, fsid, dk)
	if err != nil {
		return nil, err
	}
	off, ok := l.PeekOffset(int64(len(b)))
	if !ok {
		return nil, nil
	}
	size, err := l.PlainSize(int64(len(b)), ReadMeta(b[off:]))
	if err != nil {
		return nil, err
	}
	plain := make([]byte, size)
	for t := range l.Pages(int64(len(b))) {
		record := b[t*PageSize+int64(l.RecordOffset(t)) : (t+1)*PageSize]
		if hole, err := IsHole(record); err != nil {
			return nil, err
		} else if hole {
			if h.Flags&FlagSparse == 0 && !unclean && l.PageStart(t) < size {
				return nil, errHole
			}
			continue
		}
		m, err := CheckRecord(record)
		if err != nil {
			return nil, err
		}
		if _, err := k.PageCipher(m.Epoch()).Open(plain[l.PageStart(t):l.PageStart(t)], record, t); err != nil {
			return nil, err
		}
	}
	return plain, nil
}

// writeFile is a whole writer: a header and pages of the given plaintexts, of
// which any may be short and nil is a hole. Every page has an epoch of its own.
func writeFile(l Layout, h *Header, dk *DataKey, pages ...[]byte) []byte {
	k := DeriveFileKeys(dk, h.FSID, h.FileID)
	h.Bind(k)
	size := len(pages) * PageSize
	if size == 0 {
		size = l.H
	}
	b := make([]byte, size)
	must(h.Marshal(b))
	for i, plain := range pages {
		t := int64(i)
		if plain != nil {
			k.PageCipher(uint16(0xe000+i)).Seal(b[t*PageSize+int64(l.RecordOffset(t)):(t+1)*PageSize], t, plain, i == len(pages)-1)
		}
	}
	return b
}

// split cuts a plaintext into pages.
func split(l Layout, plain []byte) (pages [][]byte) {
	for t := int64(0); len(plain) > 0; t++ {
		n := min(l.Capacity(t), len(plain))
		pages, plain = append(pages, plain[:n]), plain[n:]
	}
	return pages
}

func random(n int) []byte {
	b := make([]byte, n)
	must(rand.Read(b))
	return b
}
