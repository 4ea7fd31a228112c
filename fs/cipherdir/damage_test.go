package cipherdir_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
)

// pattern is n bytes, none zero, that differ from page to page.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i/100)%255 + 1
	}
	return b
}

// hurt is a world with a file of three pages, another one, and the path of the first.
func hurt(t *testing.T) (w *world, path string, data []byte) {
	w = newWorld(t)
	data = pattern(9000)
	fs := w.open(t)
	n := create(t, fs.Root(), "file", data)
	path = w.path(t, n)
	n.Forget(1)
	create(t, fs.Root(), "other", data).Forget(1)
	must(t, fs.Close())
	return w, path, data
}

// edit changes a file of the store.
func edit(t fataler, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, change(b), 0o600))
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte { b[at] ^= 0x10; return b }
}

func zeros(from, to int) func([]byte) []byte {
	return func(b []byte) []byte { clear(b[from:to]); return b }
}

// crash takes away the record of a clean unmount.
func (w *world) crash(t fataler) {
	t.Helper()
	must(t, os.Remove(filepath.Join(w.dir, envelope.ControlName, "state")))
}

func TestDamagedFile(t *testing.T) {
	swap := func(b []byte) []byte {
		return slices.Concat(b[:4096], b[8192:12288], b[4096:8192])
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		class  error // of opening or reading
		good   int   // bytes readable before it
	}{
		{"magic", flip(0), envelope.ErrMagic, 0},
		{"version", flip(8), envelope.ErrVersion, 0},
		{"core", flip(40), envelope.ErrHeader, 0},
		{"blob", flip(220), envelope.ErrHeader, 0},
		{"header crc", flip(511), envelope.ErrHeader, 0},
		{"header of zeros", zeros(0, 512), envelope.ErrMagic, 0},
		{"meta of page 0", flip(512), envelope.ErrMeta, 0},
		{"page 0", flip(1000), envelope.ErrPage, 0},
		{"page 1", flip(5000), envelope.ErrPage, 3552},
		{"padding of the last page", flip(12287), envelope.ErrPage, 7616},
		{"last page's length", flip(8193), envelope.ErrPage, 7616},
		{"last page's mark", flip(8192), nil, 7616},
		{"page 1 of zeros", zeros(4096, 8192), envelope.ErrPage, 3552},
		{"meta of zeros", zeros(4096, 4100), envelope.ErrMeta, 3552},
		{"pages swapped", swap, envelope.ErrPage, 3552},
	} {
		t.Run(c.name, func(t *testing.T) {
			noLeaks(t)
			w, path, data := hurt(t)
			edit(t, path, c.change)
			fs := w.open(t)
			defer fs.Close()
			root := fs.Root()
			n, a, err := root.Lookup("file")
			must(t, err)
			if st, err := n.Attr(); err != nil || st.Size != a.Size {
				t.Fatal("stat: ", err)
			}
			got, err := contents(root, "file")
			if c.class == nil && err == nil || c.class != nil && !errors.Is(err, c.class) {
				t.Fatalf("%v, want %v", err, c.class)
			}
			if !bytes.Equal(got, data[:c.good]) {
				t.Fatalf("%d bytes are readable, want %d", len(got), c.good)
			}
			if b, err := contents(root, "other"); err != nil || !bytes.Equal(b, data) {
				t.Fatal("another file: ", err)
			}
			if c.good > 0 { // what is whole can be written, and the rest overwritten
				overwriteDamaged(t, n, a.Size)
			}
			must(t, n.Truncate(ctx, 0))
			h, err := n.Open(ctx, true, false)
			must(t, err)
			if k, err := h.Write(ctx, data, 0); k != len(data) || err != nil {
				t.Fatal(k, err)
			}
			must(t, h.Close())
			if b, err := contents(root, "file"); err != nil || !bytes.Equal(b, data) {
				t.Fatal("written anew: ", err)
			}
			checkFile(t, path)
			edit(t, path, c.change)
			n.Forget(1)
			must(t, root.Unlink("file"))
		})
	}
}

func overwriteDamaged(t *testing.T, n *cipherdir.Inode, size int64) {
	t.Helper()
	h, err := n.Open(ctx, true, false)
	must(t, err)
	defer h.Close()
	b := make([]byte, size)
	if k, err := h.Write(ctx, b[:100], 0); k != 100 || err != nil {
		t.Fatal(k, err)
	}
	if k, err := h.Write(ctx, b, 0); k != len(b) || err != nil {
		t.Fatal(k, err)
	}
	if k, err := h.Read(ctx, b, 0); k != len(b) || err != nil {
		t.Fatal(k, err)
	}
}

// O_TRUNC starts a file over whatever its header is, and takes its attributes along.
func TestTruncatingOpenOfDamagedHeader(t *testing.T) {
	w, path, data := hurt(t)
	fs := w.open(t)
	defer fs.Close()
	n, _, err := fs.Root().Lookup("file")
	must(t, err)
	defer n.Forget(1)
	must(t, n.Setxattr(ctx, "user.old", []byte("x"), 0))
	edit(t, path, flip(200))
	if _, err := n.Open(ctx, true, false); !errors.Is(err, envelope.ErrHeader) {
		t.Fatal(err)
	}
	h, err := n.Open(ctx, true, true)
	must(t, err)
	defer h.Close()
	if names, err := n.Listxattr(); err != nil || slices.Contains(names, "user.old") {
		t.Fatal(names, err)
	}
	if k, err := h.Write(ctx, data[:10], 0); k != 10 || err != nil {
		t.Fatal(k, err)
	}
	must(t, n.Setxattr(ctx, "user.new", []byte("y"), 0))
	if b, err := n.Getxattr(ctx, "user.new"); string(b) != "y" || err != nil {
		t.Fatal(b, err)
	}
}

func TestPageOfAnotherFile(t *testing.T) {
	w, path, data := hurt(t)
	fs := w.open(t)
	defer fs.Close()
	n, _, err := fs.Root().Lookup("other")
	must(t, err)
	other, err := os.ReadFile(w.path(t, n))
	n.Forget(1)
	must(t, err)
	edit(t, path, func(b []byte) []byte { copy(b[4096:8192], other[4096:]); return b })
	if _, err := contents(fs.Root(), "file"); !errors.Is(err, envelope.ErrPage) {
		t.Fatal(err)
	}
	edit(t, path, func(b []byte) []byte { copy(b, other[:512]); return b })
	if _, err := contents(fs.Root(), "file"); !errors.Is(err, envelope.ErrPage) {
		t.Fatal("with the header of another: ", err)
	}
	if b, err := contents(fs.Root(), "other"); err != nil || !bytes.Equal(b, data) {
		t.Fatal(err)
	}
}

// A header whose checksum is right and whose contents are not.
func TestForgedHeader(t *testing.T) {
	for _, c := range []struct {
		name  string
		forge func(h *envelope.Header)
		class error
	}{
		{"file id", func(h *envelope.Header) { h.FileID[0] ^= 1 }, envelope.ErrCommitment},
		{"flags", func(h *envelope.Header) { h.Flags |= envelope.FlagSparse }, envelope.ErrCommitment},
		{"file system", func(h *envelope.Header) { h.FSID[0] ^= 1 }, envelope.ErrForeign},
		{"data key id", func(h *envelope.Header) { h.DataKeyID[0] ^= 1 }, kmsclient.ErrInvalidCiphertext},
		{"blob", func(h *envelope.Header) { h.Recipients[0].Blob[20] ^= 1 }, kmsclient.ErrInvalidCiphertext},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, path, data := hurt(t)
			edit(t, path, func(b []byte) []byte {
				h, err := envelope.ParseHeader(b, layout.H)
				must(t, err)
				c.forge(h)
				_, err = h.Marshal(b)
				must(t, err)
				return b
			})
			fs := w.open(t)
			defer fs.Close()
			n, _, err := fs.Root().Lookup("file")
			must(t, err)
			defer n.Forget(1)
			if _, err := n.Open(ctx, true, false); !errors.Is(err, c.class) {
				t.Fatal(err)
			}
			h, err := n.Open(ctx, true, true)
			must(t, err)
			if k, err := h.Write(ctx, data, 0); k != len(data) || err != nil {
				t.Fatal(k, err)
			}
			must(t, h.Close())
			if b, err := contents(fs.Root(), "file"); err != nil || !bytes.Equal(b, data) {
				t.Fatal(err)
			}
		})
	}
}
