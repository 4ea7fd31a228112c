package envelope

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestPageRoundTrip(t *testing.T) {
	k := testFileKeys()
	rapid.Check(t, func(t *rapid.T) {
		l := Layout{rapid.SampledFrom([]int{512, 1024, 2048}).Draw(t, "H")}
		page := rapid.Int64Range(0, MaxPages-1).Draw(t, "page")
		plain := rapid.SliceOfN(rapid.Byte(), 1, l.Capacity(page)).Draw(t, "plain")
		final, epoch := rapid.Bool().Draw(t, "final"), rapid.Uint16().Draw(t, "epoch")
		record := bytes.Repeat([]byte{0xee}, l.RecordSize(page))
		c := k.PageCipher(epoch)
		c.Seal(record, page, plain, final)
		m, err := CheckRecord(record)
		if err != nil || m.Length() != len(plain) || m.Final() != final || m.Epoch() != epoch {
			t.Fatalf("meta %#x: %v", m, err)
		}
		got, err := c.Open([]byte("dst"), record, page)
		if err != nil || !bytes.Equal(got, append([]byte("dst"), plain...)) {
			t.Fatalf("opened %d bytes: %v", len(got), err)
		}
		if got, err := c.Open(nil, record, page+1); !errors.Is(err, ErrPage) || got != nil {
			t.Fatalf("opened as page %d: %v", page+1, err)
		}
	})
}

// Every flip of one bit of a page is refused: in the meta field, the nonce, the
// ciphertext, the tag and the zeros after it.
func TestPageBitFlips(t *testing.T) {
	c := testFileKeys().PageCipher(0x1234)
	for _, n := range []int{1, 100, PageCapacity - 512} {
		record := make([]byte, PageSize-512)
		c.Seal(record, 0, make([]byte, n), true)
		for i := range len(record) * 8 {
			record[i/8] ^= 1 << (i % 8)
			if _, err := c.Open(nil, record, 0); !errors.Is(err, ErrPage) && !errors.Is(err, ErrMeta) {
				t.Fatalf("%d bytes, bit %d of byte %d flipped: %v", n, i%8, i/8, err)
			}
			record[i/8] ^= 1 << (i % 8)
		}
	}
}

func TestPageBelongsToItsFileAndEpoch(t *testing.T) {
	record := make([]byte, PageSize)
	testFileKeys().PageCipher(7).Seal(record, 3, []byte("plaintext"), true)
	otherEpoch := bytes.Clone(record)
	binary.BigEndian.PutUint32(otherEpoch, uint32(NewMeta(9, true, 8)))
	for name, c := range map[string]struct {
		keys   *FileKeys
		epoch  uint16
		record []byte
	}{
		"file":         {DeriveFileKeys(&testDK, testFSID, FileID{}), 7, record},
		"file system":  {DeriveFileKeys(&testDK, FSID{}, testFileID), 7, record},
		"data key":     {DeriveFileKeys(&DataKey{}, testFSID, testFileID), 7, record},
		"epoch":        {testFileKeys(), 8, record},
		"epoch forged": {testFileKeys(), 8, otherEpoch},
	} {
		if _, err := c.keys.PageCipher(c.epoch).Open(nil, c.record, 3); !errors.Is(err, ErrPage) {
			t.Errorf("opened under another %s: %v", name, err)
		}
	}
}

func TestCheckRecord(t *testing.T) {
	good := NewMeta(100, false, 5)
	for name, c := range map[string]struct {
		m    Meta
		size int
		want error
	}{
		"good":            {good, PageSize, nil},
		"full":            {NewMeta(PageCapacity, true, 0), PageSize, nil},
		"full first page": {NewMeta(PageCapacity-512, true, 0), PageSize - 512, nil},
		"over the page":   {NewMeta(PageCapacity+1, true, 0), PageSize, ErrMeta},
		"over the first":  {NewMeta(PageCapacity-511, true, 0), PageSize - 512, ErrMeta},
		"empty":           {NewMeta(0, true, 0), PageSize, ErrMeta},
		"zero":            {0, PageSize, ErrMeta},
		"mark 00":         {good &^ metaMarks, PageSize, ErrMeta},
		"mark 10":         {good ^ metaMarks, PageSize, ErrMeta},
		"mark 11":         {good | metaMarks, PageSize, ErrMeta},
		"kind 1":          {good | metaKind, PageSize, ErrMeta},
		"no record":       {good, Overhead, ErrMeta},
		"too long":        {good, PageSize + 1, ErrMeta},
	} {
		record := make([]byte, c.size)
		binary.BigEndian.PutUint32(record, uint32(c.m))
		if _, err := CheckRecord(record); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestIsHole(t *testing.T) {
	record := make([]byte, PageSize)
	if hole, err := IsHole(record); !hole || err != nil {
		t.Errorf("zeros: %v, %v", hole, err)
	}
	for i := metaSize; i < PageSize; i++ {
		record[i] = 1
		if hole, err := IsHole(record); hole || !errors.Is(err, ErrMeta) {
			t.Fatalf("byte %d set: %v, %v", i, hole, err)
		}
		record[i] = 0
	}
	record[0] = 0x40
	if hole, err := IsHole(record); hole || err != nil {
		t.Errorf("a page: %v, %v", hole, err)
	}
}

// A nonce must never repeat under one key (rule P5): they are random.
func TestNoncesDiffer(t *testing.T) {
	c, record, seen := testFileKeys().PageCipher(0), make([]byte, PageSize), map[[nonceSize]byte]bool{}
	for range 1000 {
		c.Seal(record, 0, []byte("same"), true)
		seen[[nonceSize]byte(record[metaSize:])] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d nonces in 1000 seals", len(seen))
	}
}

func TestSealPanicsOnWrongLength(t *testing.T) {
	for _, n := range []int{0, PageCapacity + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("sealed %d bytes", n)
				}
			}()
			testFileKeys().PageCipher(0).Seal(make([]byte, PageSize), 1, make([]byte, n), true)
		}()
	}
}
