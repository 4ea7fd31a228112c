package envelope

import "fmt"

// Layout is the arithmetic between plaintext offsets and pages (rules P1–P4 and
// S1–S4) for a file system whose headers are H bytes. All offset and size
// functions of the format are methods of it.
//
// Page t lies at bytes [4096t, 4096t+4096) of the ciphertext. In page 0 the
// record starts after the header, so page 0 carries H bytes less.
type Layout struct{ H int }

// NewLayout checks the header size of a file system: 512, 1024 or 2048.
func NewLayout(headerSize int) (Layout, error) {
	if !validHeaderSize(headerSize) {
		return Layout{}, fmt.Errorf("%w: header size %d", ErrHeader, headerSize)
	}
	return Layout{headerSize}, nil
}

// Capacity is how many plaintext bytes page t holds.
func (l Layout) Capacity(t int64) int {
	if t == 0 {
		return PageCapacity - l.H
	}
	return PageCapacity
}

// RecordOffset is where in its page the record of page t starts.
func (l Layout) RecordOffset(t int64) int {
	if t == 0 {
		return l.H
	}
	return 0
}

// RecordSize is the bytes of page t that its record fills.
func (l Layout) RecordSize(t int64) int { return PageSize - l.RecordOffset(t) }

// Locate gives the page that holds plaintext byte off, and the byte's position
// in that page's plaintext.
func (l Layout) Locate(off int64) (t int64, pos int) {
	v := off + int64(l.H)
	t, pos = v/PageCapacity, int(v%PageCapacity)
	if t == 0 {
		pos -= l.H
	}
	return t, pos
}

// PageStart is the plaintext offset of the first byte of page t.
func (l Layout) PageStart(t int64) int64 {
	if t == 0 {
		return 0
	}
	return t*PageCapacity - int64(l.H)
}

// Pages is how many whole pages a ciphertext file of size bytes has (S2).
func (l Layout) Pages(size int64) int64 { return size / PageSize }

// CipherSize is the ciphertext size of a file of plain bytes that has a header.
func (l Layout) CipherSize(plain int64) int64 {
	if plain == 0 {
		return int64(l.H)
	}
	t, _ := l.Locate(plain - 1)
	return (t + 1) * PageSize
}

// MaxSize is the largest plaintext size of the format.
func (l Layout) MaxSize() int64 { return MaxPages*PageCapacity - int64(l.H) }

// PeekOffset is where the meta field of the last page of a ciphertext file of
// size bytes lies; ok is false where the file has no page and its plaintext is
// empty (S1).
func (l Layout) PeekOffset(size int64) (off int64, ok bool) {
	n := l.Pages(size)
	if n == 0 {
		return 0, false
	}
	return (n-1)*PageSize + int64(l.RecordOffset(n-1)), true
}

// PlainSize is the plaintext size of a file of size bytes whose last page has
// the given meta field (S3). A zero meta is a hole: the file ends where that page
// starts. An impossible meta is ErrMeta, and the size returned with it is the
// largest the file can have, so that a copy runs into the damage instead of
// stopping short of it.
func (l Layout) PlainSize(size int64, last Meta) (int64, error) {
	n := l.Pages(size)
	if n == 0 {
		return 0, nil
	}
	start := l.PageStart(n - 1)
	if last == 0 {
		return start, nil
	}
	if err := last.check(l.Capacity(n - 1)); err != nil {
		return start + int64(l.Capacity(n-1)), err
	}
	return start + int64(last.Length()), nil
}
