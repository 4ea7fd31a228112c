package kmsserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// What GenerateDataKey sends and gets, in size.
const (
	benchRequest = `{"EncryptionContext":{"kmsfs:fsid":"0123456789abcdef0123456789abcdef","kmsfs:dk":"0123456789abcdef"},"KeyId":"alias/data","KeySpec":"AES_256"}`
	benchAnswer  = `{"CiphertextBlob":"AQECAHhqPkmTW0Cq0jY9Qz3k1m2n4p6r8s0t2u4v6w8x0y2zAAAAfjB8BgkqhkiG9w0BBwagbzBtAgEAMGgGCSqGSIb3DQEHATAeBglghkgBZQMEAS4wEQQMH0123456789abcdefghijklmnopqrstuvwxyz","KeyId":"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab","Plaintext":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=","KeyMaterialId":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}`
)

func nullEngine() *engine {
	return &engine{call: func(context.Context, Caller, string, []byte) ([]byte, error) { return []byte(benchAnswer), nil }}
}

func startBench(b *testing.B) *running {
	s := New(nullEngine(), Options{Log: slog.New(slog.DiscardHandler)})
	l, err := Listen(b.Context(), "127.0.0.1:0", nil)
	if err != nil {
		b.Fatal(err)
	}
	return serve(b, s, l, "http", &logBuffer{})
}

// clients runs do b.N times, spread over n goroutines, each with its own state,
// and reports the CPU time of the process, clients included, per request.
func clients(b *testing.B, n int, client func() func() error) {
	work := make(chan struct{}, n)
	var wg sync.WaitGroup
	for range n {
		do := client()
		wg.Go(func() {
			for range work {
				if err := do(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	before := cpuTime(b)
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSigned has clients on net/http that sign each request with the SDK's
// signer.
func BenchmarkSigned(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			r := startBench(b)
			signer := v4.NewSigner()
			sum := sha256.Sum256([]byte(benchRequest))
			hexSum := hex.EncodeToString(sum[:])
			clients(b, n, func() func() error {
				transport := &http.Transport{}
				b.Cleanup(transport.CloseIdleConnections)
				return func() error {
					req, _ := http.NewRequest("POST", r.url, bytes.NewReader([]byte(benchRequest)))
					req.Header.Set("Content-Type", contentType)
					req.Header.Set("X-Amz-Target", "TrentService.GenerateDataKey")
					if err := signer.SignHTTP(b.Context(), aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, req, hexSum, "kms", region, time.Now()); err != nil {
						return err
					}
					resp, err := transport.RoundTrip(req)
					if err != nil {
						return err
					}
					defer resp.Body.Close()
					if n, err := io.Copy(io.Discard, resp.Body); n != int64(len(benchAnswer)) || err != nil {
						return fmt.Errorf("%d bytes, %w", n, err)
					}
					return nil
				}
			})
		})
	}
}

// BenchmarkPresent has clients that send one signed request again and again, as
// bytes: what is left is the server, the kernel, and little else.
func BenchmarkPresent(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			r := startBench(b)
			req := r.request(b, benchRequest)
			text := []byte(head(req, fmt.Sprintf("Content-Length: %d", len(benchRequest))) + benchRequest)
			clients(b, n, func() func() error {
				conn, err := net.Dial("tcp", r.addr)
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { conn.Close() })
				answers := bufio.NewReader(conn)
				return func() error {
					if _, err := conn.Write(text); err != nil {
						return err
					}
					status, err := answers.ReadString('\n')
					if err != nil || status != "HTTP/1.1 200 OK\r\n" {
						return fmt.Errorf("%q, %w", status, err)
					}
					for line := []byte(nil); len(line) != 2; { // to the empty line
						if line, err = answers.ReadSlice('\n'); err != nil {
							return err
						}
					}
					_, err = answers.Discard(len(benchAnswer))
					return err
				}
			})
		})
	}
}

// discard is a ResponseWriter without a connection.
type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkHandler is the front alone, after net/http has read the head.
func BenchmarkHandler(b *testing.B) {
	r := startBench(b)
	req := r.request(b, benchRequest)
	req.Host, req.RemoteAddr = req.URL.Host, "127.0.0.1:1"
	body := bytes.NewReader(nil)
	req.Body = io.NopCloser(body)
	b.ReportAllocs()
	for b.Loop() {
		body.Reset([]byte(benchRequest))
		w := discard{h: make(http.Header, 4)}
		r.ServeHTTP(&w, req)
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
}
