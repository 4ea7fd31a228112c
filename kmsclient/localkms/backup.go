package localkms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Backup copies the store, as it is at one moment, into a new directory, while
// any process goes on using it. The copy is a store; it holds the root key as the
// original does, unless withoutRoot leaves root.key to another keeping: both
// together are all the keys. The log records it, in original and copy.
func (s *Store) Backup(ctx context.Context, dir string, withoutRoot bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up key store to %s: %w", dir, err)
		}
	}()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir)) // half a backup must not pass for one
		}
	}()
	if err := s.recordOwn(ctx, "BackupStore"); err != nil {
		return err
	}
	// VACUUM INTO reads one state of the database and takes an empty file, which it
	// would otherwise make for all to read.
	path := filepath.Join(dir, dbName)
	if err := writePrivate(path, nil); err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return damaged(err)
	}
	if err := syncFile(path); err != nil {
		return err
	}
	if !withoutRoot {
		if err := copyPrivate(filepath.Join(s.dir, rootName), filepath.Join(dir, rootName)); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// Restore makes a store in dir, which must not exist, of a backup, after checking
// it: database, root key and audit log. A backup without root.key needs the path
// of one; "" takes the backup's own. What happened after the backup is not in it:
// keys deleted since are back, keys made since are gone.
func Restore(ctx context.Context, backup, rootKey, dir string, o Options) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore key store %s from %s: %w", dir, backup, err)
		}
	}()
	if rootKey == "" {
		rootKey = filepath.Join(backup, rootName)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	for from, to := range map[string]string{filepath.Join(backup, dbName): dbName, rootKey: rootName} {
		if err := copyPrivate(from, filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	o.Create, o.AllowLocked = false, false
	s, err := Open(dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var report string
	if err := s.db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&report); err != nil {
		return damaged(err)
	}
	if report != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, report)
	}
	if _, err := s.VerifyAudit(ctx); err != nil {
		return err
	}
	if err := s.recordOwn(ctx, "RestoreStore"); err != nil {
		return err
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// recordOwn records something the local user did with the store as a whole.
func (s *Store) recordOwn(ctx context.Context, op string) error {
	return s.writer.submit(ctx, func(t *tx) error {
		c := &call{tx: t, api: s.Client().API, op: op}
		return c.record(nil, nil, nil)
	})
}

// copyPrivate copies a file that only its owner may read to a new one, durably.
func copyPrivate(from, to string) error {
	if err := checkPrivate(from); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return writePrivate(to, in)
}

// writePrivate makes a new file for its owner alone, durably; from may be nil.
func writePrivate(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if from != nil {
		_, err = io.Copy(f, from)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
