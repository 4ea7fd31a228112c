package envelope

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var (
	magic      = [8]byte{'K', 'M', 'S', 'F', 'S', 'v', '1', 0x1a}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Offsets of header fields, rule H2.
const (
	flagsOffset   = 12
	fsidOffset    = 16
	fileIDOffset  = 32
	dkIDOffset    = 64
	zeroOffset    = 80
	commitOffset  = 96
	seqOffset     = 128
	countOffset   = 132
	entryLenOff   = 134
	timeOffset    = 136
	entryFixed    = 4 + 16 + 32
	logPage       = 12
	suiteAESGCM   = 1
	crcSize       = 4
	maxRecipients = 255
)

// Providers of a recipient, rule H7.
const (
	ProviderLocal byte = 1 // the embedded KMS
	ProviderAWS   byte = 2 // AWS KMS, or what speaks its API
)

// Recipient is one wrapping of the data key: any one recipient opens the file.
type Recipient struct {
	Provider byte
	Flags    byte     // zero
	KeyTag   [16]byte // first 16 bytes of SHA-256 of the CMK's canonical id
	Material [32]byte // key material id, zero if the provider names none
	Blob     []byte   // the data key as the KMS wrapped it
}

// Header is the envelope header of a regular file, rules H1–H9.
type Header struct {
	Size       int // H, bytes on disk
	Flags      uint32
	FSID       FSID
	FileID     FileID
	DataKeyID  DataKeyID
	Commitment [32]byte
	Sequence   uint32 // +1 at every rewrap
	RewrapTime int64  // unix seconds of the last rewrap, 0 = never
	Recipients []Recipient
}

// Bind computes the commitment of the core fields under the file's keys. Call it
// after any change of a core field (Flags to SPARSE is the only one in a file's
// life).
func (h *Header) Bind(k *FileKeys) {
	var core [coreSize]byte
	h.putCore(core[:])
	h.Commitment = k.commitment(core[:])
}

// Verify tells whether the keys belong to this header: ErrCommitment if not.
func (h *Header) Verify(k *FileKeys) error {
	var core [coreSize]byte
	h.putCore(core[:])
	want := k.commitment(core[:])
	if !hmac.Equal(want[:], h.Commitment[:]) {
		return ErrCommitment
	}
	return nil
}

func (h *Header) putCore(b []byte) {
	copy(b, magic[:])
	b[8], b[9], b[10], b[11] = Version, byte(h.Size/MinHeaderSize), logPage, suiteAESGCM
	binary.BigEndian.PutUint32(b[flagsOffset:], h.Flags)
	copy(b[fsidOffset:], h.FSID[:])
	copy(b[fileIDOffset:], h.FileID[:])
	copy(b[dkIDOffset:], h.DataKeyID[:])
	clear(b[zeroOffset:commitOffset])
	copy(b[commitOffset:], h.Commitment[:])
}

// Marshal prints the header into dst, which must hold at least h.Size bytes, and
// returns dst[:h.Size]. It fails where the recipients do not fit.
func (h *Header) Marshal(dst []byte) ([]byte, error) {
	if !validHeaderSize(h.Size) || len(dst) < h.Size {
		return nil, fmt.Errorf("%w: header size %d", ErrHeader, h.Size)
	}
	if n := len(h.Recipients); n < 1 || n > maxRecipients {
		return nil, fmt.Errorf("%w: %d recipients", ErrHeader, n)
	}
	b := dst[:h.Size]
	clear(b)
	h.putCore(b)
	binary.BigEndian.PutUint32(b[seqOffset:], h.Sequence)
	b[countOffset] = byte(len(h.Recipients))
	binary.BigEndian.PutUint64(b[timeOffset:], uint64(h.RewrapTime))
	at := entriesOffset
	for i := range h.Recipients {
		r := &h.Recipients[i]
		if at+entryFixed+len(r.Blob) > h.Size-crcSize {
			return nil, fmt.Errorf("%w: recipients do not fit in %d bytes", ErrHeader, h.Size)
		}
		if err := r.check(); err != nil {
			return nil, err
		}
		b[at], b[at+1] = r.Provider, r.Flags
		binary.BigEndian.PutUint16(b[at+2:], uint16(len(r.Blob)))
		copy(b[at+4:], r.KeyTag[:])
		copy(b[at+20:], r.Material[:])
		copy(b[at+entryFixed:], r.Blob)
		at += entryFixed + len(r.Blob)
	}
	binary.BigEndian.PutUint16(b[entryLenOff:], uint16(at-entriesOffset))
	binary.BigEndian.PutUint32(b[h.Size-crcSize:], crc32.Checksum(b[:h.Size-crcSize], castagnoli))
	return b, nil
}

func (r *Recipient) check() error {
	if r.Provider == 0 || r.Flags != 0 || len(r.Blob) == 0 {
		return fmt.Errorf("%w: recipient with provider %d, flags %d, %d bytes", ErrHeader, r.Provider, r.Flags, len(r.Blob))
	}
	return nil
}

// validHeaderSize is rule H1.
func validHeaderSize(n int) bool { return n == 512 || n == 1024 || n == MaxHeaderSize }

// ParseHeader reads a header of h bytes from the start of b; blobs are copied, b
// is not kept. The order of checks is rule H9: magic, version, CRC, then fields;
// so an unknown version is told from damage. It does not check the commitment,
// which needs the data key, nor the fsid (see CheckFSID).
func ParseHeader(b []byte, size int) (*Header, error) {
	if !validHeaderSize(size) || len(b) < size {
		return nil, fmt.Errorf("%w: %d bytes of %d", ErrHeader, len(b), size)
	}
	b = b[:size]
	if [8]byte(b[:8]) != magic {
		return nil, ErrMagic
	}
	if b[8] != Version {
		return nil, fmt.Errorf("%w: version %d", ErrVersion, b[8])
	}
	if crc32.Checksum(b[:size-crcSize], castagnoli) != binary.BigEndian.Uint32(b[size-crcSize:]) {
		return nil, fmt.Errorf("%w: checksum", ErrHeader)
	}
	if int(b[9])*MinHeaderSize != size || b[10] != logPage {
		return nil, fmt.Errorf("%w: header size %d, page 2^%d", ErrHeader, int(b[9])*MinHeaderSize, b[10])
	}
	if b[11] != suiteAESGCM {
		return nil, fmt.Errorf("%w: suite %d", ErrVersion, b[11])
	}
	h := &Header{
		Size:       size,
		Flags:      binary.BigEndian.Uint32(b[flagsOffset:]),
		FSID:       FSID(b[fsidOffset:]),
		FileID:     FileID(b[fileIDOffset:]),
		DataKeyID:  DataKeyID(b[dkIDOffset:]),
		Commitment: [32]byte(b[commitOffset:]),
		Sequence:   binary.BigEndian.Uint32(b[seqOffset:]),
		RewrapTime: int64(binary.BigEndian.Uint64(b[timeOffset:])),
	}
	if h.Flags&flagMustKnow&^flagKnownUpper != 0 {
		return nil, fmt.Errorf("%w: flags %#x", ErrFlags, h.Flags)
	}
	if !isZero(b[zeroOffset:commitOffset]) || b[countOffset+1] != 0 {
		return nil, fmt.Errorf("%w: reserved bytes are not zero", ErrHeader)
	}
	if err := h.parseEntries(b); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Header) parseEntries(b []byte) error {
	n, total := int(b[countOffset]), int(binary.BigEndian.Uint16(b[entryLenOff:]))
	if n == 0 || entriesOffset+total > h.Size-crcSize {
		return fmt.Errorf("%w: %d recipients in %d bytes", ErrHeader, n, total)
	}
	e := b[entriesOffset : entriesOffset+total]
	for range n {
		if len(e) < entryFixed {
			return fmt.Errorf("%w: recipient cut short", ErrHeader)
		}
		size := int(binary.BigEndian.Uint16(e[2:]))
		if len(e) < entryFixed+size {
			return fmt.Errorf("%w: recipient cut short", ErrHeader)
		}
		r := Recipient{Provider: e[0], Flags: e[1], KeyTag: [16]byte(e[4:]), Material: [32]byte(e[20:]),
			Blob: append([]byte(nil), e[entryFixed:entryFixed+size]...)}
		if err := r.check(); err != nil {
			return err
		}
		h.Recipients = append(h.Recipients, r)
		e = e[entryFixed+size:]
	}
	if len(e) != 0 || !isZero(b[entriesOffset+total:h.Size-crcSize]) {
		return fmt.Errorf("%w: bytes after the recipients", ErrHeader)
	}
	return nil
}

// CheckFSID refuses a header of another file system with ErrForeign.
func (h *Header) CheckFSID(fsid FSID) error {
	if h.FSID != fsid {
		return ErrForeign
	}
	return nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
