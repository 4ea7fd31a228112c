package rewrap

import (
	"fmt"
	"testing"

	"kmsfs/fs/cipherdir"
)

const benchFiles = 5000

// benchWorld is a tree of 5,000 files of one page in 50 directories, under the
// data keys that a mount would give them (1000 files each).
func benchWorld(b *testing.B) *world {
	w := newWorld(b)
	v := w.mount(cipherdir.Options{})
	for i := range benchFiles {
		w.put(v, fmt.Sprintf("dir%d/file%d", i%50, i), "one page")
	}
	w.ok(v.Close())
	b.ResetTimer()
	return w
}

// BenchmarkRewrap moves all files between two keys, there and back.
func BenchmarkRewrap(b *testing.B) {
	w := benchWorld(b)
	keys := []string{w.newKey(), w.keyA}
	for b.Loop() {
		r := w.run(w.kms, Options{To: keys[0]})
		if r.FilesRewrapped != benchFiles {
			b.Fatalf("%+v", r)
		}
		keys[0], keys[1] = keys[1], keys[0]
	}
	b.ReportMetric(float64(benchFiles)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

// BenchmarkCurrent scans files that need nothing.
func BenchmarkCurrent(b *testing.B) {
	w := benchWorld(b)
	for b.Loop() {
		w.run(w.kms, Options{})
	}
	b.ReportMetric(float64(benchFiles)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkStatus(b *testing.B) {
	w := benchWorld(b)
	for b.Loop() {
		w.status()
	}
	b.ReportMetric(float64(benchFiles)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
