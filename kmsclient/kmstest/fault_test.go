package kmstest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmstest"
	"kmsfs/kmsclient/localkms"
)

func TestFaulty(t *testing.T) {
	ctx := t.Context()
	s, err := localkms.Open(t.TempDir()+"/kms", localkms.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k, err := s.Client().CreateKey(ctx, localkms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	key := k.KeyMetadata.Arn
	for _, after := range []bool{false, true} {
		var seen []string
		inner := kmsclient.NewCounting(s.Client())
		kms := kmstest.NewFaulty(inner, func(_ context.Context, c kmstest.Call) error {
			seen = append(seen, fmt.Sprint(c.Op, c.N, c.After))
			if c.N == 2 && c.After == after {
				return kmstest.Fail(c, kmsclient.ErrThrottled)
			}
			return nil
		})
		plaintext, w, err := kms.GenerateDataKey(ctx, key, nil)
		if err != nil || len(plaintext) != 32 {
			t.Fatal(err)
		}
		plaintext, _, err = kms.Decrypt(ctx, w.Blob, nil)
		if !errors.Is(err, kmsclient.ErrThrottled) || plaintext != nil {
			t.Errorf("got %d bytes, %v", len(plaintext), err)
		}
		calls, want := inner.Counts()["Decrypt"], "GenerateDataKey1 false GenerateDataKey1 true Decrypt2 false"
		if after {
			want += " Decrypt2 true"
		}
		if (calls == 1) != after || strings.Join(seen, " ") != want {
			t.Errorf("after=%v: %d calls below, saw %v", after, calls, seen)
		}
	}
}
