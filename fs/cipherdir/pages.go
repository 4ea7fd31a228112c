package cipherdir

import (
	"math/bits"
	"sync"

	"kmsfs/envelope"
)

// pagePool holds buffers for runs of pages, by power of two, so that no read or
// write allocates in proportion to its data.
var pagePool [12]sync.Pool

// getPages gives a buffer of n pages with any content; return it by put.
func getPages(n int) (buf []byte, put func()) {
	class := bits.Len(uint(n - 1))
	if class >= len(pagePool) {
		return make([]byte, n*envelope.PageSize), func() {}
	}
	p, _ := pagePool[class].Get().(*[]byte)
	if p == nil {
		b := make([]byte, envelope.PageSize<<class)
		p = &b
	}
	return (*p)[:n*envelope.PageSize], func() { pagePool[class].Put(p) }
}
