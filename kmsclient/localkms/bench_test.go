package localkms

import (
	"fmt"
	"sync"
	"testing"

	"kmsfs/kmsclient"
)

// BenchmarkGenerateDataKey is bound by fsync for one client; several share one
// (group commit).
func BenchmarkGenerateDataKey(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			c := newStore(b, Options{}).Client()
			key := newKey(b, c)
			work := make(chan struct{})
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range work {
						if _, _, err := c.GenerateDataKey(bg, key, kmsclient.EncryptionContext{"a": "b"}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
		})
	}
}
