package backing

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// dirents is what getdents64 writes for entries.
func dirents(entries ...Entry) []byte {
	var buf []byte
	for _, e := range entries {
		rec := make([]byte, (direntName+len(e.Name)+1+7)&^7)
		binary.NativeEndian.PutUint64(rec, e.Ino)
		binary.NativeEndian.PutUint16(rec[direntReclen:], uint16(len(rec)))
		rec[direntType] = byte(e.Type >> 12)
		copy(rec[direntName:], e.Name)
		buf = append(buf, rec...)
	}
	return buf
}

func TestParseDirents(t *testing.T) {
	want := []Entry{
		{"a", 1, unix.S_IFREG},
		{"...", 0, unix.S_IFDIR}, // some file systems have an inode 0
		{strings.Repeat("n", 255), 1<<64 - 1, unix.S_IFLNK},
		{"unknown", 5, 0},
		{"s", 6, unix.S_IFSOCK},
	}
	buf := dirents(append([]Entry{{".", 9, unix.S_IFDIR}, {"..", 9, unix.S_IFDIR}}, want...)...)
	got, err := parseDirents(nil, buf)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	whiteout, err := parseDirents(nil, dirents(Entry{"w", 1, 14 << 12}))
	if err != nil || whiteout[0].Type != 0 {
		t.Errorf("a type that is no S_IFMT: %v, %v", whiteout, err)
	}
	for cut := 1; cut < len(buf); cut++ { // the end of a record, or an error
		got, err := parseDirents(nil, buf[:cut])
		if err == nil && !slices.Equal(got, want[:len(got)]) {
			t.Errorf("cut at %d: %v", cut, got)
		}
	}
	endless := slices.Concat(dirents(Entry{"abcd", 1, 0}), []byte{1})
	copy(endless[direntName:], "abcdefgh")
	if _, err := parseDirents(nil, endless[:direntName+5]); err == nil {
		t.Error("a name without an end was taken")
	}
}

func FuzzParseDirents(f *testing.F) {
	f.Add(dirents(Entry{"a", 1, unix.S_IFREG}, Entry{"..", 2, unix.S_IFDIR}))
	f.Add(make([]byte, 24))
	f.Fuzz(func(t *testing.T, buf []byte) {
		got, err := parseDirents(nil, buf)
		if err != nil {
			return
		}
		// What was parsed comes back from a buffer made of it, but for types unknown.
		again, err := parseDirents(nil, dirents(got...))
		if err != nil || !slices.Equal(got, again) {
			t.Errorf("%v became %v, %v", got, again, err)
		}
	})
}
