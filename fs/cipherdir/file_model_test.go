package cipherdir_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"kmsfs/fs/cipherdir"
)

// fileModel drives one file and a plain byte slice alike.
type fileModel struct {
	w    *world
	fs   *cipherdir.FS
	name string
	n    *cipherdir.Inode
	h    *cipherdir.Handle
	want []byte
}

// offsets are mostly near the edges of pages.
var offsets = rapid.Custom(func(t *rapid.T) int64 {
	page := rapid.OneOf(rapid.Int64Range(0, 4), rapid.Int64Range(0, 12), rapid.Int64Range(250, 265)).Draw(t, "page")
	if rapid.Bool().Draw(t, "edge") {
		return max(0, layout.PageStart(page)+rapid.Int64Range(-2, 2).Draw(t, "by"))
	}
	return layout.PageStart(page) + rapid.Int64Range(0, 4063).Draw(t, "pos")
})

// near is an offset that is often the file's end.
func (m *fileModel) near(t *rapid.T) int64 {
	if rapid.IntRange(0, 2).Draw(t, "end") == 0 {
		return int64(len(m.want))
	}
	return offsets.Draw(t, "off")
}

func (m *fileModel) grow(size int64) {
	if n := size - int64(len(m.want)); n > 0 {
		m.want = append(m.want, make([]byte, n)...)
	}
}

func (m *fileModel) write(t *rapid.T) {
	off, n := m.near(t), offsets.Draw(t, "n")
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(rapid.Uint8().Draw(t, "seed"))})
	r.Read(p)
	k, err := m.h.Write(ctx, p, off)
	if k != len(p) || err != nil {
		t.Fatal(k, err)
	}
	if n > 0 {
		m.grow(off + n)
		copy(m.want[off:], p)
	}
}

func (m *fileModel) read(t *rapid.T) {
	off, n := m.near(t), offsets.Draw(t, "n")
	p := bytes.Repeat([]byte{0xee}, int(n))
	k, err := m.h.Read(ctx, p, off)
	want := m.want[min(off, int64(len(m.want))):]
	want = want[:min(n, int64(len(want)))]
	if err != nil || !bytes.Equal(p[:k], want) {
		t.Fatalf("read %d at %d: %d bytes of %d, %v", n, off, k, len(want), err)
	}
}

func (m *fileModel) truncate(t *rapid.T) {
	size := offsets.Draw(t, "size")
	if rapid.Bool().Draw(t, "by inode") {
		must(t, m.n.Truncate(ctx, size))
	} else {
		must(t, m.h.Truncate(ctx, size))
	}
	m.grow(size)
	m.want = m.want[:size]
}

func (m *fileModel) allocate(t *rapid.T) {
	off, n := m.near(t), 1+offsets.Draw(t, "n")
	mode := rapid.SampledFrom([]uint32{
		0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE,
		unix.FALLOC_FL_ZERO_RANGE, unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE,
	}).Draw(t, "mode")
	must(t, m.h.Allocate(ctx, mode, off, n))
	if mode&unix.FALLOC_FL_KEEP_SIZE == 0 {
		m.grow(off + n)
	}
	if mode&^unix.FALLOC_FL_KEEP_SIZE != 0 && off < int64(len(m.want)) {
		clear(m.want[off:min(off+n, int64(len(m.want)))])
	}
}

// seek checks that what is told as a hole is zeros, that the answers lie within the
// file, and that data is found where there is some.
func (m *fileModel) seek(t *rapid.T) {
	off, size := m.near(t), int64(len(m.want))
	data, derr := m.h.Seek(off, unix.SEEK_DATA)
	hole, herr := m.h.Seek(off, unix.SEEK_HOLE)
	if off >= size {
		if derr != unix.ENXIO || herr != unix.ENXIO {
			t.Fatal(derr, herr)
		}
		return
	}
	if herr != nil || hole < off || hole > size {
		t.Fatalf("hole from %d of %d: %d, %v", off, size, hole, herr)
	}
	if derr != nil { // the last page is never a hole
		t.Fatal(derr)
	}
	if data < off || data >= size || len(bytes.Trim(m.want[off:data], "\x00")) > 0 {
		t.Fatalf("data from %d of %d: %d", off, size, data)
	}
}

// reopen closes the handle, the inode and perhaps all of the file system.
func (m *fileModel) reopen(t *rapid.T) {
	must(t, m.h.Close())
	a, err := m.n.Attr()
	if err != nil || a.Size != int64(len(m.want)) {
		t.Fatalf("size after close: %d, want %d, %v", a.Size, len(m.want), err)
	}
	trunc := rapid.IntRange(0, 9).Draw(t, "trunc") == 0
	if rapid.Bool().Draw(t, "all") {
		m.n.Forget(1)
		if rapid.Bool().Draw(t, "fs") {
			must(t, m.fs.Close())
			m.fs = m.w.openWith(t, m.w.store, cipherdir.Options{})
		}
		m.n, a, err = m.fs.Root().Lookup(m.name)
		if err != nil || a.Size != int64(len(m.want)) {
			t.Fatalf("size after reopening: %d, want %d, %v", a.Size, len(m.want), err)
		}
	}
	m.h, err = m.n.Open(ctx, true, trunc)
	must(t, err)
	if trunc {
		m.want = m.want[:0]
	}
}

func (m *fileModel) check(t *rapid.T) {
	a, err := m.n.Attr()
	if err != nil || a.Size != int64(len(m.want)) {
		t.Fatalf("size %d, want %d, %v", a.Size, len(m.want), err)
	}
}

func TestFileAgainstBytes(t *testing.T) {
	noLeaks(t)
	w := newWorld(t)
	m := &fileModel{w: w, fs: w.open(t)}
	files := 0
	rapid.Check(t, func(t *rapid.T) {
		files++
		m.name, m.want = fmt.Sprint("file ", files), nil
		var err error
		m.n, m.h, _, err = m.fs.Root().Create(ctx, m.name, 0o600, cipherdir.Owner{})
		must(t, err)
		t.Repeat(map[string]func(*rapid.T){
			"write": m.write, "append": m.write, "overwrite": m.write, "read": m.read, "truncate": m.truncate, "allocate": m.allocate,
			"seek": m.seek, "reopen": m.reopen, "": m.check,
		})
		got := make([]byte, len(m.want)+1)
		if k, err := m.h.Read(ctx, got, 0); err != nil || !bytes.Equal(got[:k], m.want) {
			t.Fatal("contents differ at the end", k, err)
		}
		m.reopen(t)
		checkFile(t, w.path(t, m.n))
		must(t, m.h.Close())
		m.n.Forget(1)
		must(t, m.fs.Root().Unlink(m.name))
	})
	if s := m.fs.Stats(); s.Inodes != 1 || s.OpenFiles != 0 {
		t.Errorf("%+v", s)
	}
	must(t, m.fs.Close())
}
