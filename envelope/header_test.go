package envelope

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func marshal(t testing.TB, h *Header) []byte {
	t.Helper()
	b, err := h.Marshal(make([]byte, MaxHeaderSize))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fixCRC makes the checksum of a header right again.
func fixCRC(b []byte) {
	binary.BigEndian.PutUint32(b[len(b)-crcSize:], crc32.Checksum(b[:len(b)-crcSize], castagnoli))
}

// openHeader is the whole of rule H9: parse, file system, commitment.
func openHeader(b []byte, size int, fsid FSID, dk *DataKey) (*Header, *FileKeys, error) {
	h, err := ParseHeader(b, size)
	if err != nil {
		return nil, nil, err
	}
	if err := h.CheckFSID(fsid); err != nil {
		return nil, nil, err
	}
	k := DeriveFileKeys(dk, fsid, h.FileID)
	return h, k, h.Verify(k)
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &Header{
			Size:  rapid.SampledFrom([]int{512, 1024, 2048}).Draw(t, "size"),
			Flags: uint32(rapid.Uint16().Draw(t, "flags")), FSID: testFSID, FileID: testFileID, DataKeyID: testDKID,
			Sequence: rapid.Uint32().Draw(t, "sequence"), RewrapTime: rapid.Int64().Draw(t, "time"),
		}
		for room := h.Size - entriesOffset - crcSize; ; {
			r := Recipient{Provider: rapid.ByteRange(1, 255).Draw(t, "provider"), Material: seq[[32]byte](rapid.Byte().Draw(t, "material")),
				Blob: rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "blob")}
			if room -= entryFixed + len(r.Blob); room < 0 {
				break
			}
			h.Recipients = append(h.Recipients, r)
		}
		k := testFileKeys()
		h.Bind(k)
		b, err := h.Marshal(make([]byte, h.Size))
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := openHeader(b, h.Size, testFSID, &testDK)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, h) {
			t.Fatalf("got %+v, want %+v", got, h)
		}
	})
}

// Every flip of one bit of a header is refused, by the checksum if by nothing else.
func TestHeaderBitFlips(t *testing.T) {
	for _, size := range []int{512, 1024, 2048} {
		b := marshal(t, testHeader(size))
		for i := range size * 8 {
			b[i/8] ^= 1 << (i % 8)
			if _, err := ParseHeader(b, size); err == nil {
				t.Fatalf("size %d: bit %d of byte %d flipped: accepted", size, i%8, i/8)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
}

// Every flip of one bit of the core is refused even where the checksum is made
// right again: the core is bound to the data key (rule H4).
func TestHeaderCoreIsBound(t *testing.T) {
	b := marshal(t, testHeader(512))
	for i := range coreSize * 8 {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		fixCRC(c)
		if _, _, err := openHeader(c, 512, testFSID, &testDK); err == nil {
			t.Fatalf("bit %d of byte %d flipped: accepted", i%8, i/8)
		}
	}
	// The envelope is not: the walker replaces it without a plaintext key (rule H6).
	c := bytes.Clone(b)
	c[seqOffset+3]++
	fixCRC(c)
	if _, _, err := openHeader(c, 512, testFSID, &testDK); err != nil {
		t.Fatalf("a rewrapped header: %v", err)
	}
}

func TestHeaderRefuses(t *testing.T) {
	valid := marshal(t, testHeader(512))
	otherDK, otherFS := seq[DataKey](1), seq[FSID](1)
	for name, c := range headerFaults {
		b := bytes.Clone(valid)
		c.damage(b)
		if _, _, err := openHeader(b, 512, testFSID, &testDK); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, _, err := openHeader(valid, 512, testFSID, &otherDK); !errors.Is(err, ErrCommitment) {
		t.Errorf("another data key: %v", err)
	}
	if _, _, err := openHeader(valid, 512, otherFS, &testDK); !errors.Is(err, ErrForeign) {
		t.Errorf("another file system: %v", err)
	}
	for _, size := range []int{0, 511, 1024, 4096, -512} {
		if _, err := ParseHeader(valid, size); !errors.Is(err, ErrHeader) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}

// headerFaults are ways to damage a header, checksum right unless that is the fault.
var headerFaults = map[string]struct {
	damage func([]byte)
	want   error
}{
	"magic":                {put(0, 'k'), ErrMagic},
	"magic-tail":           {put(7, 0x0a), ErrMagic},
	"version-0":            {put(8, 0), ErrVersion},
	"version-2":            {put(8, 2), ErrVersion},
	"size-other":           {put(9, 2), ErrHeader},
	"size-0":               {put(9, 0), ErrHeader},
	"page-8k":              {put(10, 13), ErrHeader},
	"suite-0":              {put(11, 0), ErrVersion},
	"suite-2":              {put(11, 2), ErrVersion},
	"flag-31":              {put(12, 0x80), ErrFlags},
	"flag-30":              {put(12, 0x40), ErrFlags},
	"flag-16":              {put(13, 0x01), ErrFlags},
	"fsid":                 {put(16, 0xff), ErrForeign},
	"file-id":              {put(32, 0xff), ErrCommitment},
	"dk-id":                {put(64, 0xff), ErrCommitment},
	"flag-0-unbound":       {put(15, 1), ErrCommitment},
	"zero-80":              {put(80, 1), ErrHeader},
	"zero-95":              {put(95, 1), ErrHeader},
	"commitment-first":     {put(96, 0xff), ErrCommitment},
	"commitment-last":      {put(127, 0xff), ErrCommitment},
	"recipients-0":         {put(132, 0), ErrHeader},
	"recipients-2-of-1":    {put(132, 2), ErrHeader},
	"recipients-255":       {put(132, 255), ErrHeader},
	"zero-133":             {put(133, 1), ErrHeader},
	"entries-longer":       {put(135, 213), ErrHeader},
	"entries-shorter":      {put(135, 211), ErrHeader},
	"entries-0":            {put(135, 0), ErrHeader},
	"entries-beyond":       {put(134, 0xff), ErrHeader},
	"provider-0":           {put(144, 0), ErrHeader},
	"recipient-flags":      {put(145, 1), ErrHeader},
	"blob-longer":          {put(147, 161), ErrHeader},
	"blob-shorter":         {put(147, 159), ErrHeader},
	"blob-beyond":          {put(146, 0xff), ErrHeader},
	"bytes-after-entries":  {put(356, 1), ErrHeader},
	"bytes-before-the-crc": {put(507, 1), ErrHeader},
	"crc":                  {func(b []byte) { b[511] ^= 1 }, ErrHeader},
	"all-zero":             {func(b []byte) { clear(b) }, ErrMagic},
	"tail-of-zeros":        {func(b []byte) { clear(b[256:]) }, ErrHeader}, // a torn write of 512 bytes
}

// put sets one byte of a header and makes the checksum right again.
func put(at int, v byte) func([]byte) {
	return func(b []byte) { b[at] = v; fixCRC(b) }
}

func TestHeaderMarshalRefuses(t *testing.T) {
	for name, change := range map[string]func(*Header){
		"size":          func(h *Header) { h.Size = 4096 },
		"no recipient":  func(h *Header) { h.Recipients = nil },
		"no blob":       func(h *Header) { h.Recipients[0].Blob = nil },
		"provider 0":    func(h *Header) { h.Recipients[0].Provider = 0 },
		"flags":         func(h *Header) { h.Recipients[0].Flags = 1 },
		"does not fit":  func(h *Header) { h.Recipients[0].Blob = make([]byte, 512-144-52-4+1) },
		"256 of them":   func(h *Header) { h.Recipients = make([]Recipient, 256) },
		"dst too short": func(h *Header) { h.Size = 1024 },
	} {
		h := testHeader(512)
		change(h)
		if _, err := h.Marshal(make([]byte, 512)); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := testHeader(512)
	h.Recipients[0].Blob = make([]byte, 512-144-52-4) // exactly full
	if _, err := ParseHeader(marshal(t, h), 512); err != nil {
		t.Error(err)
	}
}
