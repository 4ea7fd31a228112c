package localkms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"kmsfs/kmsclient"
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
	if err := s.vacuumInto(ctx, path); err != nil {
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

// vacuumInto copies the database into the empty file at path, and checks the copy:
// a damaged database gives a damaged copy, without a word of SQLite's.
func (s *Store) vacuumInto(ctx context.Context, path string) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "ATTACH ? AS copy", path); err != nil {
		return err
	}
	err = checkIntegrity(ctx, conn, "copy")
	_, detached := conn.ExecContext(context.WithoutCancel(ctx), "DETACH copy")
	return errors.Join(err, detached)
}

// checkIntegrity has SQLite check a whole database, "main" or an attached one.
func checkIntegrity(ctx context.Context, conn *sql.Conn, name string) error {
	var report string
	if err := conn.QueryRowContext(ctx, "PRAGMA "+name+".integrity_check(1)").Scan(&report); err != nil {
		return err
	}
	if report != "ok" {
		return fmt.Errorf("%w: %s", ErrDamaged, report)
	}
	return nil
}

// Restore makes a store in dir, which must not exist, of a backup, after checking
// it: database, root key, audit log, and that all that is sealed opens. A backup
// without root.key needs the path of one; "" takes the backup's own. What happened
// after the backup is not in it: keys deleted since are back, keys made since are
// gone. The store appears in dir whole; until then it is in dir.restoring.
func Restore(ctx context.Context, backup, rootKey, dir string, o Options) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore key store %s from %s: %w", dir, backup, err)
		}
	}()
	if rootKey == "" {
		rootKey = filepath.Join(backup, rootName)
	}
	if _, err := os.Lstat(dir); err == nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.EEXIST}
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	temporary := dir + ".restoring"
	if err := os.Mkdir(temporary, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	if err := restoreInto(ctx, backup, rootKey, temporary, o); err != nil {
		return err
	}
	if err := syncDir(temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// restoreInto makes a store of a backup in dir, which is empty, and checks it.
func restoreInto(ctx context.Context, backup, rootKey, dir string, o Options) (err error) {
	for from, to := range map[string]string{filepath.Join(backup, dbName): dbName, rootKey: rootName} {
		if err := copyPrivate(from, filepath.Join(dir, to)); err != nil {
			return err
		}
	}
	if err := writePrivate(filepath.Join(dir, lockName), nil); err != nil {
		return err
	}
	o.Create, o.AllowLocked = false, false
	s, err := Open(dir, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(checkIntegrity(ctx, conn, "main"), conn.Close())
	if err != nil {
		return damaged(err)
	}
	if _, err := s.VerifyAudit(ctx); err != nil {
		return err
	}
	if err := s.openSealed(ctx); err != nil {
		return err
	}
	return s.recordOwn(ctx, "RestoreStore")
}

// openSealed opens all key material and the secret of every access key. What was
// altered there would not show before it is needed.
func (s *Store) openSealed(ctx context.Context) error {
	return s.snapshot(ctx, func(conn *sql.Conn) error {
		err := each(ctx, conn, `SELECT cmk.id, spec, origin, public, material.id, sealed FROM material
				JOIN cmk ON cmk.region = material.region AND cmk.id = material.cmk WHERE sealed IS NOT NULL`,
			func(scan func(...any) error) error {
				var k cmk
				var id, material, sealed []byte
				if err := scan(&id, &k.spec, &k.origin, &k.public, &material, &sealed); err != nil {
					return err
				}
				if len(id) != len(k.id) || len(material) != len(kmsclient.MaterialID{}) {
					return ErrDamaged
				}
				k.id = keyID(id)
				m, err := unsealMaterial(s.root, &k, kmsclient.MaterialID(material), sealed)
				if err == nil {
					m.wipe()
				}
				return err
			})
		if err != nil {
			return err
		}
		return each(ctx, conn, "SELECT id, user, sealed FROM access_key", func(scan func(...any) error) error {
			var id, user string
			var sealed []byte
			if err := scan(&id, &user, &sealed); err != nil {
				return err
			}
			_, err := s.root.openSecret(id, user, sealed)
			return err
		})
	})
}

// each calls f for every row of a query, with the row's Scan.
func each(ctx context.Context, conn *sql.Conn, query string, f func(scan func(...any) error) error) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
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
