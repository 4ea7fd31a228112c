package rewrap

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"iter"

	"kmsfs/envelope"
)

// The journal and the memo are sequences of records, rule R1:
//
//	u32 length ‖ u32 CRC32C(payload) ‖ payload
//
// and a payload starts with its kind, rules R2 to R4:
//
//	journal  u8 1 ‖ u64 inode ‖ file id (32) ‖ u16 length of the path ‖ path ‖ old header, bytes [0,H)
//	memo     u8 2 ‖ dk_id (16) ‖ SHA-256 of the old blob (32) ‖ new recipient entry, as in a header
//	target   u8 3 ‖ CMK tag (16) ‖ key material id (32), the first record of a memo
//
// A reader stops at the first record that is cut short or fails its CRC: that is
// where an interrupted run was writing.
const (
	kindJournal byte = 1
	kindMemo    byte = 2
	kindTarget  byte = 3

	frameSize  = 8
	maxPayload = 1 << 17 // a journal record with the longest path has less
)

// errRecord is a payload with a good CRC that no version of kmsfs writes.
var errRecord = errors.New("not a record of the walker")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// undo is one journal record: what a header was before the walker replaced it.
type undo struct {
	Ino    uint64
	FileID envelope.FileID
	Path   string // ciphertext path in the store
	Header []byte // H bytes
}

// answer is one memo record: how the KMS rewrapped a data key.
type answer struct {
	Key       memoKey
	Recipient envelope.Recipient
}

// memoKey names one wrapping of one data key.
type memoKey struct {
	DataKeyID envelope.DataKeyID
	Blob      [32]byte // SHA-256 of the blob
}

// targetRecord says for which CMK and key material the answers of a memo are.
type targetRecord struct {
	KeyTag   [16]byte
	Material [32]byte
}

// appendFrame appends payload as a record.
func appendFrame(dst, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(payload, castagnoli))
	return append(dst, payload...)
}

// frames gives the payloads of the whole records at the start of b, each with
// the offset behind its record. Payloads alias b.
func frames(b []byte) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		end := int64(0)
		for len(b) >= frameSize {
			n := binary.BigEndian.Uint32(b)
			if n == 0 || n > maxPayload || uint64(n) > uint64(len(b)-frameSize) {
				return
			}
			payload := b[frameSize : frameSize+n]
			if crc32.Checksum(payload, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
				return
			}
			b = b[frameSize+n:]
			end += int64(frameSize + n)
			if !yield(end, payload) {
				return
			}
		}
	}
}

func (u *undo) payload() []byte {
	b := make([]byte, 0, 1+8+32+2+len(u.Path)+len(u.Header))
	b = append(b, kindJournal)
	b = binary.BigEndian.AppendUint64(b, u.Ino)
	b = append(b, u.FileID[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(u.Path)))
	b = append(b, u.Path...)
	return append(b, u.Header...)
}

// parseUndo reads a journal payload for headers of h bytes; the result aliases p.
func parseUndo(p []byte, h int) (*undo, error) {
	const fixed = 1 + 8 + 32 + 2
	if len(p) < fixed || p[0] != kindJournal {
		return nil, errRecord
	}
	n := int(binary.BigEndian.Uint16(p[fixed-2:]))
	if n == 0 || len(p) != fixed+n+h {
		return nil, errRecord
	}
	return &undo{
		Ino: binary.BigEndian.Uint64(p[1:]), FileID: envelope.FileID(p[9:]),
		Path: string(p[fixed : fixed+n]), Header: p[fixed+n:],
	}, nil
}

const entryFixed = 4 + 16 + 32 // of a recipient entry, before its blob

func (a *answer) payload() []byte {
	r := &a.Recipient
	b := make([]byte, 0, 1+16+32+entryFixed+len(r.Blob))
	b = append(b, kindMemo)
	b = append(b, a.Key.DataKeyID[:]...)
	b = append(b, a.Key.Blob[:]...)
	b = append(b, r.Provider, r.Flags)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Blob)))
	b = append(b, r.KeyTag[:]...)
	b = append(b, r.Material[:]...)
	return append(b, r.Blob...)
}

// parseAnswer reads a memo payload; the blob is copied.
func parseAnswer(p []byte) (*answer, error) {
	const fixed = 1 + 16 + 32
	if len(p) < fixed+entryFixed || p[0] != kindMemo {
		return nil, errRecord
	}
	e := p[fixed:]
	if n := int(binary.BigEndian.Uint16(e[2:])); n == 0 || len(e) != entryFixed+n {
		return nil, errRecord
	}
	return &answer{
		Key: memoKey{envelope.DataKeyID(p[1:]), [32]byte(p[17:])},
		Recipient: envelope.Recipient{
			Provider: e[0], Flags: e[1], KeyTag: [16]byte(e[4:]), Material: [32]byte(e[20:]),
			Blob: append([]byte(nil), e[entryFixed:]...),
		},
	}, nil
}

func (t *targetRecord) payload() []byte {
	b := append([]byte{kindTarget}, t.KeyTag[:]...)
	return append(b, t.Material[:]...)
}

func parseTarget(p []byte) (*targetRecord, error) {
	if len(p) != 1+16+32 || p[0] != kindTarget {
		return nil, errRecord
	}
	return &targetRecord{KeyTag: [16]byte(p[1:]), Material: [32]byte(p[17:])}, nil
}
