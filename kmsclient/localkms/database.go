package localkms

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"kmsfs/kmsclient/localkms/policy"
)

// openDB opens the database at path: write-ahead log, every commit on disk
// before it returns, deleted content overwritten.
func openDB(path string, busy time.Duration) (*sql.DB, error) {
	q := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "secure_delete(ON)", "foreign_keys(ON)",
	}}
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	return sql.Open("sqlite", dsn.String())
}

// loadSchema creates the tables in an empty database, or checks version and
// root key of an existing one, and reads what a Store keeps in memory.
func (s *Store) loadSchema(o Options) error {
	ctx := context.Background()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return fmt.Errorf("%w: schema %d, this one knows up to %d", ErrNewer, version, schemaVersion)
	case version == 0 && !o.Create:
		return fmt.Errorf("no key store here: %w", fs.ErrNotExist)
	case version == 0 && s.locked: // it would belong to no root key
		return s.why
	case version == 0:
		if err := s.createSchema(ctx, conn, o); err != nil {
			return err
		}
		version = schemaVersion
	}
	if err := s.loadMeta(ctx, conn); err != nil {
		return err
	}
	if version < schemaVersion {
		return s.migrate(ctx, conn, version)
	}
	return nil
}

// loadMeta reads what the store says of itself, and recognises a root key that
// is not its own.
func (s *Store) loadMeta(ctx context.Context, conn *sql.Conn) error {
	meta := map[string][]byte{}
	rows, err := conn.QueryContext(ctx, "SELECT name, value FROM meta")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var value []byte
		if err := rows.Scan(&name, &value); err != nil {
			return err
		}
		meta[name] = value
	}
	if err := rows.Err(); err != nil {
		return err
	}
	s.id, s.region, s.account = meta["store_id"], string(meta["region"]), string(meta["account"])
	if !s.locked && !hmac.Equal(meta["root_check"], s.root.derive(labelCheck, meta["store_id"])) {
		return ErrRootKey
	}
	return nil
}

func (s *Store) createSchema(ctx context.Context, conn *sql.Conn, o Options) (err error) {
	region, account := o.Region, o.Account
	if region == "" {
		region = "us-east-1"
	}
	if account == "" {
		account = "000000000000"
	}
	storeID := make([]byte, 16)
	rand.Read(storeID)
	t, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	if _, err := t.Exec(auditSchema + checkpointSchema + schema); err != nil {
		return err
	}
	for name, value := range map[string][]byte{
		"store_id": storeID, "root_check": s.root.derive(labelCheck, storeID),
		"region": []byte(region), "account": []byte(account),
	} {
		if _, err := t.Exec("INSERT INTO meta VALUES (?, ?)", name, value); err != nil {
			return err
		}
	}
	document := string(policy.Default(account))
	hash := sha256.Sum256([]byte(document))
	if _, err := t.Exec("INSERT INTO policy (hash, document) VALUES (?, ?)", hash[:], document); err != nil {
		return err
	}
	head := chainHead{}
	if _, err := t.Exec("INSERT INTO audit_head VALUES (1, 0, ?, ?)", head.hash[:], s.root.sealHead(head)); err != nil {
		return err
	}
	if _, err := t.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return err
	}
	return t.Commit()
}

// inPlace refuses to go on with a database that was removed or replaced since it
// was opened: what is written to it is gone when the last process closes it. (Never
// open the file for this: closing it would drop SQLite's locks of this process.)
func (s *Store) inPlace() error {
	path := filepath.Join(s.dir, dbName)
	fi, err := os.Stat(path)
	if err == nil && !os.SameFile(fi, s.file) {
		err = errors.New("another file is there")
	}
	if err != nil {
		return fmt.Errorf("key store was removed or replaced while open: %w", err)
	}
	return nil
}

// damaged adds ErrDamaged to an error by which SQLite says the file is not
// (any longer) a sound database.
func damaged(err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR:
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return err
}
