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
		c := s.Client()
		return c, admin{c}
	})
}

type admin struct{ c *localkms.Client }

func (a admin) CreateKey(ctx context.Context) (string, error) {
	out, err := a.c.CreateKey(ctx, localkms.CreateKeyInput{})
	return out.KeyMetadata.Arn, err
}

func (a admin) CreateAlias(ctx context.Context, alias, key string) error {
	return drop(a.c.CreateAlias(ctx, localkms.CreateAliasInput{AliasName: alias, TargetKeyID: key}))
}

func (a admin) Disable(ctx context.Context, key string) error {
	return drop(a.c.DisableKey(ctx, localkms.DisableKeyInput{KeyID: key}))
}

func (a admin) Enable(ctx context.Context, key string) error {
	return drop(a.c.EnableKey(ctx, localkms.EnableKeyInput{KeyID: key}))
}

func (a admin) ScheduleDeletion(ctx context.Context, key string) error {
	_, err := a.c.ScheduleKeyDeletion(ctx, localkms.ScheduleKeyDeletionInput{KeyID: key, PendingWindowInDays: new(7)})
	return err
}

func (a admin) Rotate(ctx context.Context, key string) error {
	_, err := a.c.RotateKeyOnDemand(ctx, localkms.RotateKeyOnDemandInput{KeyID: key})
	return err
}

func drop(_ localkms.Empty, err error) error { return err }
