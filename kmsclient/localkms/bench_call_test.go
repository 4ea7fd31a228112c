package localkms

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
)

// BenchmarkCall is what the server asks for each request: JSON in, policies of a
// user, a durable record, JSON out.
func BenchmarkCall(b *testing.B) {
	for _, clients := range []int{1, 8} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			s := newStore(b, Options{})
			key := newKey(b, s.Client())
			api := as(b, s, "user/alice", "").API
			api.caller.SourceIP, api.caller.UserAgent = "127.0.0.1", "aws-cli/2.0 Python/3.11 exec-env/x botocore/1.43"
			api.caller.RequestID = "0d990263-018e-4e65-a703-eff731de951e"
			body := fmt.Appendf(nil, `{"KeyId":%q,"NumberOfBytes":32,"EncryptionContext":{"kmsfs:fsid":"0123456789abcdef0123456789abcdef"}}`, key)
			work := make(chan struct{})
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range work {
						if _, err := api.Call(bg, "GenerateDataKey", body); err != nil {
							b.Error(err)
						}
					}
				})
			}
			var before, after syscall.Rusage
			ok(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
			for b.Loop() {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			ok(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
			cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(cpu)/1e3/float64(b.N), "cpu-µs/op")
		})
	}
}
