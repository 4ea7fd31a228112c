package fsck

import (
	"fmt"
	"strings"
	"testing"

	"kmsfs/fs/cipherdir"
)

// BenchmarkCheck checks a tree of 5,000 files of one page in 50 directories.
func BenchmarkCheck(b *testing.B) {
	const files = 5000
	w := newWorld(b)
	v := w.mountWith(cipherdir.DefaultFilesPerDataKey)
	for i := range 50 {
		n, _, err := v.Root().Mkdir(fmt.Sprintf("dir%d", i), 0o755, cipherdir.Owner{})
		w.ok(err)
		n.Forget(1)
	}
	for i := range files {
		w.put(v, fmt.Sprintf("dir%d/file%d", i%50, i), "one page")
	}
	w.ok(v.Close())
	for name, o := range map[string]Options{"full": {KMS: w.kms}, "quick": {KMS: w.kms, Quick: true}, "nokeys": {}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if r := w.check(o); r.Files != files || r.Bad() {
					b.Fatalf("%+v", r)
				}
			}
			b.ReportMetric(float64(files)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
		})
	}
}

// BenchmarkLargeFile checks one file of 256 MiB.
func BenchmarkLargeFile(b *testing.B) {
	w := newWorld(b)
	v := w.mount()
	w.put(v, "large", strings.Repeat("x", 256<<20))
	w.ok(v.Close())
	b.SetBytes(256 << 20)
	for b.Loop() {
		if r := w.check(Options{KMS: w.kms}); r.Bad() {
			b.Fatalf("%+v", r)
		}
	}
}
