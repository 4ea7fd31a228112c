package localkms

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"kmsfs/kmsclient"
)

// benchSize reads how large a store a benchmark makes.
func benchSize(b *testing.B, variable string, standard int) int {
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return standard
	}
	return n
}

// BenchmarkKeys compares a store of few keys with one of KMSFS_BENCH_KEYS (10,000;
// AWS's quota is 100,000): to list, describe and use a key should cost the same.
func BenchmarkKeys(b *testing.B) {
	for _, n := range []int{100, benchSize(b, "KMSFS_BENCH_KEYS", 10_000)} {
		c := newStore(b, Options{}).Client()
		keys := make([]string, n)
		next := make(chan int)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := range next {
					keys[i] = newKey(b, c)
				}
			})
		}
		for i := range keys {
			next <- i
		}
		close(next)
		wg.Wait()
		any := func() string { return keys[rand.IntN(n)] }
		for name, do := range map[string]func() error{
			"DescribeKey":     func() error { return only(c.DescribeKey(bg, any())) },
			"GenerateDataKey": func() error { _, _, err := c.GenerateDataKey(bg, any(), nil); return err },
			"ListKeys": func() error {
				id, _ := parseKeyID(any()[len("arn:aws:kms:us-east-1:000000000000:key/"):])
				return only(c.ListKeys(bg, ListKeysInput{Page{Marker: id.String()}}))
			},
			"CreateKey": func() error {
				out, err := c.CreateKey(bg, CreateKeyInput{})
				if err == nil {
					err = only(c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: out.KeyMetadata.KeyID}))
				}
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s/keys=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRecords compares a new store with one whose log has
// KMSFS_BENCH_RECORDS records (100,000) of 1,000 keys. KMSFS_BENCH_STORE keeps
// the large one in a directory for the next time: ten million take minutes.
func BenchmarkRecords(b *testing.B) {
	for _, n := range []int{0, benchSize(b, "KMSFS_BENCH_RECORDS", 100_000)} {
		dir := filepath.Join(b.TempDir(), "kms")
		if kept := os.Getenv("KMSFS_BENCH_STORE"); n > 0 && kept != "" {
			dir = kept
		}
		s := openStore(b, dir, Options{Create: true})
		c := s.Client()
		key := newKey(b, c)
		var have int
		ok(b, s.db.QueryRow("SELECT seq FROM audit_head").Scan(&have))
		fillLog(b, s, n-have)
		_, w, err := c.GenerateDataKey(bg, key, kmsclient.EncryptionContext{"a": "b"})
		ok(b, err)
		for name, do := range map[string]func() error{
			"GenerateDataKey": func() error {
				_, _, err := c.GenerateDataKey(bg, key, kmsclient.EncryptionContext{"a": "b"})
				return err
			},
			"Decrypt": func() error {
				_, _, err := c.Decrypt(bg, w.Blob, kmsclient.EncryptionContext{"a": "b"})
				return err
			},
			"GetKeyLastUsage": func() error { return only(c.GetKeyLastUsage(bg, GetKeyLastUsageInput{KeyID: key})) },
			"audit --key": func() error {
				for _, err := range s.AuditEvents(bg, AuditFilter{KeyID: key}) {
					return err
				}
				return nil
			},
		} {
			b.Run(fmt.Sprintf("%s/records=%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// fillLog appends n records as calls would, of keys that are not there, many in
// one transaction.
func fillLog(b *testing.B, s *Store, n int) {
	const batch = 50_000
	ids := make([]keyID, 1000)
	for i := range ids {
		ids[i] = newKeyID(false)
	}
	for done := 0; done < n; done += batch {
		ok(b, s.writer.submit(bg, func(t *tx) error {
			for i := range min(batch, n-done) {
				id := ids[(done+i)%len(ids)]
				c := &call{tx: t, api: s.Client().API, op: "Decrypt", note: auditNote{cmk: &id, principal: "AIDAEXAMPLE"}}
				c.note.material[0] = 1
				request := fmt.Appendf(nil, `{"encryptionContext":{"kmsfs:fs":"%x","kmsfs:dk":"%016x"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, id, i)
				if err := c.record(request, nil, nil); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}
