package localkms_test

import (
	"context"
	"path/filepath"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmstest"
	"kmsfs/kmsclient/localkms"
)

func TestContract(t *testing.T) {
	kmstest.Run(t, func(t *testing.T) (kmsclient.KMS, kmstest.Admin) {
		s, err := localkms.Open(filepath.Join(t.TempDir(), "kms"), localkms.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := s.VerifyAudit(context.Background()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		c := s.Client("user/contract")
		return c, admin{c}
	})
}

type admin struct{ c *localkms.Client }

func (a admin) CreateKey(ctx context.Context) (string, error) {
	out, err := a.c.CreateKey(ctx, localkms.CreateKeyInput{})
	return out.KeyMetadata.Arn, err
}

func (a admin) CreateAlias(ctx context.Context, alias, key string) error {
	return a.c.CreateAlias(ctx, alias, key)
}

func (a admin) Disable(ctx context.Context, key string) error { return a.c.DisableKey(ctx, key) }

func (a admin) Enable(ctx context.Context, key string) error { return a.c.EnableKey(ctx, key) }

func (a admin) ScheduleDeletion(ctx context.Context, key string) error {
	_, err := a.c.ScheduleKeyDeletion(ctx, key, 7)
	return err
}

func (a admin) Rotate(ctx context.Context, key string) error {
	_, err := a.c.RotateKeyOnDemand(ctx, key)
	return err
}
