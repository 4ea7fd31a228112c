package cipherdir_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
)

// A file cut anywhere reads up to the cut or gives an error, and can go on.
func TestCutFile(t *testing.T) {
	w, path, data := hurt(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	lengths := []int{0, 1, 100, 511, 512, 513, 600, 1000, 4095, 4096, 4097, 5000, 8191, 8192, 8193, 12287}
	for _, n := range lengths {
		for _, crashed := range []bool{false, true} {
			must(t, os.WriteFile(path, whole[:n], 0o600))
			if crashed {
				w.crash(t)
			}
			fs := w.open(t)
			size := []int{0, 3552, 7616}[n/4096]
			b, err := contents(fs.Root(), "file")
			if err != nil || !bytes.Equal(b, data[:size]) {
				t.Fatalf("cut at %d: %d bytes, %v", n, len(b), err)
			}
			f, _, err := fs.Root().Lookup("file")
			must(t, err)
			h, err := f.Open(ctx, true, false)
			must(t, err)
			if k, err := h.Write(ctx, data[:10], 20000); k != 10 || err != nil {
				t.Fatal(k, err)
			}
			want := slices.Concat(data[:size], make([]byte, 20000-size), data[:10])
			must(t, h.Close())
			f.Forget(1)
			if b, err = contents(fs.Root(), "file"); err != nil || !bytes.Equal(b, want) {
				t.Fatalf("cut at %d, then written: %d bytes, %v", n, len(b), err)
			}
			checkFile(t, path)
			must(t, fs.Close())
		}
	}
}

// What a power cut leaves reads as zeros in an unclean directory; the same in a
// clean one is damage.
func TestAfterACrash(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   func(data []byte) []byte
		clean  error // in a clean directory
	}{
		{"page 1 never written", zeros(4096, 8192), func(d []byte) []byte { clear(d[3552:7616]); return d }, envelope.ErrPage},
		{"last page never written", zeros(8192, 12288), func(d []byte) []byte { return d[:7616] }, nil},
		{"page 0 but for its header", zeros(512, 4096), func(d []byte) []byte { clear(d[:3552]); return d }, envelope.ErrPage},
		{"header and first page", zeros(0, 4096), func(d []byte) []byte { return nil }, envelope.ErrMagic},
		{"nothing but the size", zeros(0, 12288), func(d []byte) []byte { return nil }, envelope.ErrMagic},
		{"a header alone, and not that", func(b []byte) []byte { return make([]byte, 512) }, func(d []byte) []byte { return nil }, envelope.ErrMagic},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, path, data := hurt(t)
			edit(t, path, c.change)
			fs := w.open(t)
			b, err := contents(fs.Root(), "file")
			if !errors.Is(err, c.clean) {
				t.Fatalf("in a clean directory: %d bytes, %v", len(b), err)
			}
			must(t, fs.Close())

			w.crash(t)
			fs = w.open(t)
			if !fs.Stats().Unclean {
				t.Fatal("the crash was not seen")
			}
			want := c.want(slices.Clone(data))
			n, a, err := fs.Root().Lookup("file")
			must(t, err)
			if a.Size != int64(len(want)) {
				t.Fatalf("size %d, want %d", a.Size, len(want))
			}
			if b, err := contents(fs.Root(), "file"); err != nil || !bytes.Equal(b, want) {
				t.Fatalf("%d bytes, want %d, %v", len(b), len(want), err)
			}
			h, err := n.Open(ctx, true, false)
			must(t, err)
			want = slices.Concat(want, make([]byte, 20000-len(want)), []byte("more"))
			if k, err := h.Write(ctx, []byte("more"), 20000); k != 4 || err != nil {
				t.Fatal(k, err)
			}
			must(t, n.Setxattr(ctx, "user.x", []byte("y"), 0))
			must(t, h.Close())
			n.Forget(1)
			must(t, fs.Close())
			must(t, cipherdir.MarkClean(ctx, w.store, w.kms))

			fs = w.open(t)
			defer fs.Close()
			if b, err := contents(fs.Root(), "file"); err != nil || !bytes.Equal(b, want) {
				t.Fatalf("at the end: %d bytes, want %d, %v", len(b), len(want), err)
			}
		})
	}
}
