package cipherdir_test

import (
	"fmt"
	"testing"

	"kmsfs/fs/cipherdir"
)

func benchFile(b *testing.B, size int64) *cipherdir.Handle {
	b.Helper()
	w := newWorld(b).sibling(b)
	b.Cleanup(func() { w.store.Close() })
	fs := w.open(b)
	n, h, _, err := fs.Root().Create(ctx, "file", 0o600, cipherdir.Owner{})
	must(b, err)
	if size > 0 {
		_, err = h.Write(ctx, make([]byte, size), 0)
		must(b, err)
	}
	b.Cleanup(func() {
		h.Close()
		n.Forget(1)
		fs.Close()
	})
	return h
}

const benchSize = 16 << 20

func benchWrite(b *testing.B, n int64) {
	h := benchFile(b, benchSize)
	p := make([]byte, n)
	b.SetBytes(n)
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		if _, err := h.Write(ctx, p, i*n%(benchSize-n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite4K(b *testing.B) { benchWrite(b, 4<<10) }
func BenchmarkWrite1M(b *testing.B) { benchWrite(b, 1<<20) }

func benchRead(b *testing.B, n int64) {
	h := benchFile(b, benchSize)
	p := make([]byte, n)
	b.SetBytes(n)
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		if _, err := h.Read(ctx, p, i*n%(benchSize-n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead4K(b *testing.B) { benchRead(b, 4<<10) }
func BenchmarkRead1M(b *testing.B) { benchRead(b, 1<<20) }

func BenchmarkAppend4K(b *testing.B) {
	h := benchFile(b, 0)
	p := make([]byte, 4<<10)
	b.SetBytes(4 << 10)
	b.ReportAllocs()
	for i := int64(0); b.Loop(); i++ {
		if i == 64<<10 { // 256 MiB
			i = 0
			must(b, h.Truncate(ctx, 0))
		}
		if _, err := h.Write(ctx, p, i*4096); err != nil {
			b.Fatal(err)
		}
	}
}

func benchRoot(b *testing.B) *cipherdir.FS {
	b.Helper()
	w := newWorld(b).sibling(b)
	fs := w.open(b)
	b.Cleanup(func() {
		fs.Close()
		w.store.Close()
	})
	return fs
}

func BenchmarkLookup(b *testing.B) {
	for _, known := range []bool{false, true} {
		b.Run(fmt.Sprint("known=", known), func(b *testing.B) {
			fs := benchRoot(b)
			n := create(b, fs.Root(), "file", make([]byte, 100))
			if known {
				defer n.Forget(1)
			} else {
				n.Forget(1)
			}
			b.ReportAllocs()
			for b.Loop() {
				n, _, err := fs.Root().Lookup("file")
				must(b, err)
				n.Forget(1)
			}
		})
	}
}

func BenchmarkCreateWriteClose(b *testing.B) {
	fs := benchRoot(b)
	data := make([]byte, 100)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		create(b, fs.Root(), fmt.Sprint(i), data).Forget(1)
		i++
	}
}

func BenchmarkOpenReadClose(b *testing.B) {
	fs := benchRoot(b)
	n := create(b, fs.Root(), "file", make([]byte, 100))
	defer n.Forget(1)
	p := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		h, err := n.Open(ctx, false, false)
		must(b, err)
		_, err = h.Read(ctx, p, 0)
		must(b, err)
		must(b, h.Close())
	}
}
