package envelope

import (
	"bytes"
	"testing"
)

// Fixed keys and identifiers of tests: bytes 0, 1, 2, … from a start.
func seq[T ~[16]byte | ~[32]byte](start byte) (a T) {
	for i := range len(a) {
		a[i] = start + byte(i)
	}
	return a
}

var (
	testFSID   = seq[FSID](0x10)
	testFileID = seq[FileID](0x40)
	testDKID   = seq[DataKeyID](0x70)
	testIV     = seq[DirIV](0x20)
	testDK     = seq[DataKey](0x80)
	testNK     = seq[NamesKey](0xa0)
)

func testFileKeys() *FileKeys { return DeriveFileKeys(&testDK, testFSID, testFileID) }
func testNames() *NameKeys    { return DeriveNameKeys(&testNK, testFSID) }

// testHeader is a bound header with one recipient.
func testHeader(size int) *Header {
	h := &Header{Size: size, FSID: testFSID, FileID: testFileID, DataKeyID: testDKID, Sequence: 3, RewrapTime: 1_700_000_000,
		Recipients: []Recipient{{Provider: ProviderLocal, KeyTag: seq[[16]byte](1), Material: seq[[32]byte](9), Blob: bytes.Repeat([]byte("blob"), 40)}}}
	h.Bind(testFileKeys())
	return h
}

func BenchmarkSealPage(b *testing.B) {
	c, record, plain := testFileKeys().PageCipher(7), make([]byte, PageSize), make([]byte, PageCapacity)
	b.SetBytes(PageCapacity)
	b.ReportAllocs()
	for b.Loop() {
		c.Seal(record, 1, plain, false)
	}
}

func BenchmarkOpenPage(b *testing.B) {
	c, record, plain := testFileKeys().PageCipher(7), make([]byte, PageSize), make([]byte, PageCapacity)
	c.Seal(record, 1, plain, false)
	b.SetBytes(PageCapacity)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open(plain[:0], record, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseHeader(b *testing.B) {
	raw, err := testHeader(512).Marshal(make([]byte, 512))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeader(raw, 512); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFileKeys is what opening a file costs beside the KMS.
func BenchmarkFileKeys(b *testing.B) {
	h := testHeader(512)
	b.ReportAllocs()
	for b.Loop() {
		k := testFileKeys()
		if err := h.Verify(k); err != nil {
			b.Fatal(err)
		}
		k.PageCipher(1)
	}
}

func BenchmarkEncryptName(b *testing.B) {
	k := testNames()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.EncryptName(testIV, "quarterly report.odt"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecryptName(b *testing.B) {
	k := testNames()
	enc, err := k.EncryptName(testIV, "quarterly report.odt")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.DecryptName(testIV, enc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseDirIV(b *testing.B) {
	k := testNames()
	target := k.DirIVTarget(testIV)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.ParseDirIV(target); err != nil {
			b.Fatal(err)
		}
	}
}
