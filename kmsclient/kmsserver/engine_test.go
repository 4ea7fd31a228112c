package kmsserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"kmsfs/kmsclient/localkms"
)

// account is a store with a user who may use all keys, and an access key.
func account(t testing.TB) (*localkms.Store, aws.Credentials) {
	t.Helper()
	s, err := localkms.Open(filepath.Join(t.TempDir(), "kms"), localkms.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c, ctx := s.Client(), t.Context()
	_, err1 := c.CreateUser(ctx, localkms.CreateUserInput{UserName: "alice"})
	_, err2 := c.PutUserPolicy(ctx, localkms.PutUserPolicyInput{
		UserName: "alice", PolicyName: "all",
		PolicyDocument: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`,
	})
	out, err3 := c.CreateAccessKey(ctx, localkms.CreateAccessKeyInput{UserName: "alice"})
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s, aws.Credentials{AccessKeyID: out.AccessKey.AccessKeyID, SecretAccessKey: out.AccessKey.SecretAccessKey}
}

// BenchmarkKMS is the whole: clients that sign, HTTP, policies, a durable record.
func BenchmarkKMS(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("clients=%d", n), func(b *testing.B) {
			store, credentials := account(b)
			key, err := store.Client().CreateKey(b.Context(), localkms.CreateKeyInput{})
			if err != nil {
				b.Fatal(err)
			}
			s := New(NewEngine(store), Options{Log: slog.New(slog.DiscardHandler)})
			l, err := Listen(b.Context(), "127.0.0.1:0", nil)
			if err != nil {
				b.Fatal(err)
			}
			r := serve(b, s, l, "http", &logBuffer{})
			body := fmt.Appendf(nil, `{"KeyId":%q,"NumberOfBytes":32,"EncryptionContext":{"kmsfs:fs":"0123456789abcdef0123456789abcdef"}}`, key.KeyMetadata.KeyID)
			sum := sha256.Sum256(body)
			hexSum := hex.EncodeToString(sum[:])
			signer := v4.NewSigner()
			clients(b, n, func() func() error {
				transport := &http.Transport{}
				b.Cleanup(transport.CloseIdleConnections)
				return func() error {
					req, _ := http.NewRequest("POST", r.url, bytes.NewReader(body))
					req.Header.Set("Content-Type", contentType)
					req.Header.Set("X-Amz-Target", "TrentService.GenerateDataKey")
					if err := signer.SignHTTP(context.Background(), credentials, req, hexSum, "kms", "us-east-1", time.Now()); err != nil {
						return err
					}
					resp, err := transport.RoundTrip(req)
					if err != nil {
						return err
					}
					defer resp.Body.Close()
					answer, err := io.ReadAll(resp.Body)
					if err == nil && resp.StatusCode != http.StatusOK {
						err = fmt.Errorf("%s: %s", resp.Status, answer)
					}
					return err
				}
			})
		})
	}
}
