package envelope

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// Meta is the clear first field of a page record, authenticated when the page is
// opened (rule P3): bits 31–30 = 01, bit 29 FINAL, bit 28 kind, bits 27–16
// plaintext length, bits 15–0 key epoch. Zero marks a hole.
type Meta uint32

const (
	metaMark  Meta = 1 << 30
	metaMarks Meta = 3 << 30
	metaFinal Meta = 1 << 29
	metaKind  Meta = 1 << 28
)

// NewMeta makes the meta field of a page of n plaintext bytes.
func NewMeta(n int, final bool, epoch uint16) Meta {
	m := metaMark | Meta(n)<<16 | Meta(epoch)
	if final {
		m |= metaFinal
	}
	return m
}

// ReadMeta reads the meta field at the start of a record.
func ReadMeta(record []byte) Meta { return Meta(binary.BigEndian.Uint32(record)) }

// Length is the plaintext bytes in the page.
func (m Meta) Length() int { return int(m>>16) & 0xfff }

// Epoch is the key epoch that sealed the page.
func (m Meta) Epoch() uint16 { return uint16(m) }

// Final reports whether the page was the last one when it was sealed.
func (m Meta) Final() bool { return m&metaFinal != 0 }

// check refuses a meta that no writer of format 1 makes.
func (m Meta) check(capacity int) error {
	if m&metaMarks != metaMark || m&metaKind != 0 || m.Length() == 0 || m.Length() > capacity {
		return fmt.Errorf("%w: %#08x", ErrMeta, uint32(m))
	}
	return nil
}

// PageCipher seals and opens the pages of one file in one key epoch.
type PageCipher struct {
	aead  cipher.AEAD
	epoch uint16
}

// Epoch is the epoch the cipher belongs to.
func (c *PageCipher) Epoch() uint16 { return c.epoch }

func pageAAD(t int64, m Meta) (aad [12]byte) {
	binary.BigEndian.PutUint64(aad[:], uint64(t))
	binary.BigEndian.PutUint32(aad[8:], uint32(m))
	return aad
}

// Seal fills record, the whole record of page t (see Layout.RecordSize), with
// plaintext sealed under a fresh random nonce, and zeroes the rest of it.
// Plaintext has 1 to capacity bytes and must not overlap record.
func (c *PageCipher) Seal(record []byte, t int64, plaintext []byte, final bool) {
	if n := len(plaintext); n == 0 || n > len(record)-Overhead {
		panic(fmt.Sprintf("envelope: sealing %d bytes into a record of %d", n, len(record)))
	}
	m := NewMeta(len(plaintext), final, c.epoch)
	aad := pageAAD(t, m)
	binary.BigEndian.PutUint32(record, uint32(m))
	out := c.aead.Seal(record[metaSize:metaSize], nil, plaintext, aad[:])
	clear(record[metaSize+len(out):])
}

// Open appends the plaintext of page t to dst. The cipher must be that of the
// page's epoch. Errors: ErrMeta for what no writer makes, ErrPage for what fails
// authentication or has bytes after its end (P4). A hole is not for Open: see
// IsHole.
func (c *PageCipher) Open(dst, record []byte, t int64) ([]byte, error) {
	m, err := CheckRecord(record)
	if err != nil {
		return dst, err
	}
	end := metaSize + nonceSize + m.Length() + tagSize
	if m.Epoch() != c.epoch || !isZero(record[end:]) {
		return dst, ErrPage
	}
	aad := pageAAD(t, m)
	out, err := c.aead.Open(dst, nil, record[metaSize:end], aad[:])
	if err != nil {
		return dst, ErrPage
	}
	return out, nil
}

// CheckRecord reads and checks the meta field of a record that is not a hole.
func CheckRecord(record []byte) (Meta, error) {
	if len(record) <= Overhead || len(record) > PageSize {
		return 0, fmt.Errorf("%w: record of %d bytes", ErrMeta, len(record))
	}
	m := ReadMeta(record)
	return m, m.check(len(record) - Overhead)
}

// IsHole reports whether a record is a hole: every byte of it zero (P7). A record
// whose meta alone is zero is damaged: ErrMeta.
func IsHole(record []byte) (bool, error) {
	if ReadMeta(record) != 0 {
		return false, nil
	}
	if !isZero(record) {
		return false, fmt.Errorf("%w: zero, with data behind it", ErrMeta)
	}
	return true, nil
}
