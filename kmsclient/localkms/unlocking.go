package localkms

import (
	"context"
	"fmt"
	"path/filepath"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/unlock"
)

// ChangeUnlock keeps the root key by another method from now on. Processes that
// have the store open go on as before. Copies of the old root.key, in backups too,
// still open by the old method. A key of the store itself cannot be what unlocks it.
func (s *Store) ChangeUnlock(ctx context.Context, m unlock.Method) error {
	if s.locked {
		return errLocked
	}
	release, err := lockDir(s.dir, true)
	if err != nil {
		return err
	}
	defer release()
	if k, ok := m.(unlock.KMS); ok && k.Open != nil {
		open := k.Open
		k.Open = func(ctx context.Context, uri string) (kmsclient.KMS, error) {
			kms, err := open(ctx, uri)
			return foreign{kms, s}, err
		}
		m = k
	}
	if err := unlock.Change(ctx, filepath.Join(s.dir, rootName), s.key, m); err != nil {
		return err
	}
	return s.recordOwn(ctx, "ChangeUnlockMethod")
}

// foreign is a KMS that does not encrypt under keys of the store, which it may be
// a server of.
type foreign struct {
	kmsclient.KMS
	store *Store
}

// Encrypt implements kmsclient.KMS.
func (k foreign) Encrypt(ctx context.Context, keyID string, plaintext []byte, ec kmsclient.EncryptionContext) (kmsclient.Wrapped, error) {
	w, err := k.KMS.Encrypt(ctx, keyID, plaintext, ec)
	p, ours := parseBlob(w.Blob)
	if err != nil || !ours {
		return w, err
	}
	var own bool
	err = k.store.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM cmk WHERE id = ?)", p.id[:]).Scan(&own)
	if err == nil && own {
		err = fmt.Errorf("%s is one of this key store's own: it cannot unlock it", keyID)
	}
	return w, err
}
