// Command kmsload measures a server of the AWS KMS API: clients that each send
// one signed request after another over a connection of their own. It prints
// one line per operation and number of clients: requests a second, and the
// median and 99th percentile of their latency.
//
// Endpoint and credentials come from AWS_ENDPOINT_URL_KMS, AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_REGION, as for the aws command.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// load is what the clients share.
type load struct {
	url, region string
	credentials aws.Credentials
	signer      *v4.Signer
}

func main() {
	key := flag.String("key", "", "`KEY` to use; several, between commas, are used at random")
	clients := flag.String("clients", "1,8", "`N`s of clients, one measurement each")
	ops := flag.String("ops", "GenerateDataKey,Decrypt", "`OPERATION`s to measure")
	duration := flag.Duration("for", 5*time.Second, "length of a measurement")
	unsigned := flag.Bool("unsigned", false, "sign nothing, for servers that do not check")
	flag.Parse()
	l := &load{
		url: os.Getenv("AWS_ENDPOINT_URL_KMS"), region: os.Getenv("AWS_REGION"), signer: v4.NewSigner(),
		credentials: aws.Credentials{
			AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		},
	}
	if *unsigned {
		l.signer = nil
	}
	if err := l.run(strings.Split(*key, ","), strings.Split(*ops, ","), strings.Split(*clients, ","), *duration); err != nil {
		fmt.Fprintln(os.Stderr, "kmsload:", err)
		os.Exit(1)
	}
}

func (l *load) run(keys, ops, clients []string, d time.Duration) error {
	fmt.Printf("%-32s %8s %12s %10s %10s\n", "operation", "clients", "requests/s", "p50", "p99")
	for _, op := range ops {
		bodies, err := l.bodies(op, keys)
		if err != nil {
			return err
		}
		for _, n := range clients {
			var count int
			if _, err := fmt.Sscan(n, &count); err != nil {
				return fmt.Errorf("-clients %q: %w", n, err)
			}
			latencies, elapsed, err := l.measure(op, bodies, count, d)
			if err != nil {
				return err
			}
			slices.Sort(latencies)
			at := func(p float64) time.Duration {
				return latencies[int(p*float64(len(latencies)-1))].Round(time.Microsecond)
			}
			fmt.Printf("%-32s %8d %12.0f %10s %10s\n", op, count, float64(len(latencies))/elapsed.Seconds(), at(0.5), at(0.99))
		}
	}
	return nil
}

// bodies are the requests of an operation, one for each key.
func (l *load) bodies(op string, keys []string) (bodies [][]byte, err error) {
	ec := map[string]string{"kmsload": "1"}
	for _, key := range keys {
		request := map[string]any{"KeyId": key, "EncryptionContext": ec}
		switch op {
		case "GenerateDataKey", "GenerateDataKeyWithoutPlaintext":
			request["NumberOfBytes"] = 32
		case "Encrypt":
			request["Plaintext"] = base64.StdEncoding.EncodeToString(make([]byte, 32))
		case "Decrypt":
			answer, err := l.call(http.DefaultTransport, "GenerateDataKey", mustJSON(map[string]any{"KeyId": key, "EncryptionContext": ec, "NumberOfBytes": 32}))
			if err != nil {
				return nil, err
			}
			var made struct{ CiphertextBlob string }
			if err := json.Unmarshal(answer, &made); err != nil {
				return nil, err
			}
			request = map[string]any{"CiphertextBlob": made.CiphertextBlob, "EncryptionContext": ec}
		case "DescribeKey":
			delete(request, "EncryptionContext")
		case "ListKeys":
			request = map[string]any{"Limit": 100}
		default:
			return nil, fmt.Errorf("-ops: %s is not one this knows", op)
		}
		bodies = append(bodies, mustJSON(request))
	}
	return bodies, nil
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return b
}

// measure has n clients send requests for d, after a warm-up.
func (l *load) measure(op string, bodies [][]byte, n int, d time.Duration) (all []time.Duration, elapsed time.Duration, err error) {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards all and err
	warm := time.Now().Add(d / 10)
	end := warm.Add(d)
	for range n {
		wg.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			var own []time.Duration
			for {
				start := time.Now()
				if start.After(end) {
					break
				}
				if _, e := l.call(transport, op, bodies[rand.IntN(len(bodies))]); e != nil {
					mu.Lock()
					err = e
					mu.Unlock()
					return
				}
				if start.After(warm) {
					own = append(own, time.Since(start))
				}
			}
			mu.Lock()
			all = append(all, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s: no answer within %v", op, d)
	}
	return all, d, err
}

// call sends one request and gives the answer.
func (l *load) call(transport http.RoundTripper, op string, body []byte) ([]byte, error) {
	req, err := http.NewRequest("POST", l.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+op)
	if l.signer != nil {
		sum := sha256.Sum256(body)
		if err := l.signer.SignHTTP(context.Background(), l.credentials, req, hex.EncodeToString(sum[:]), "kms", l.region, time.Now()); err != nil {
			return nil, err
		}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", op, resp.Status, answer)
	}
	return answer, err
}
