package localkms

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// schemaVersion is PRAGMA user_version of the databases this code writes.
const schemaVersion = 1

// schema is version 1. Times are Unix milliseconds, ids 16-byte UUIDs.
const schema = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cmk (
	id          BLOB PRIMARY KEY CHECK (length(id) = 16),
	state       TEXT NOT NULL, -- Enabled, Disabled, PendingDeletion, Deleted
	spec        TEXT NOT NULL,
	usage       TEXT NOT NULL,
	origin      TEXT NOT NULL,
	description TEXT NOT NULL,
	created     INTEGER NOT NULL,
	deletion    INTEGER        -- when it is due, or was done
) STRICT, WITHOUT ROWID;
CREATE INDEX cmk_deletion ON cmk (deletion) WHERE state = 'PendingDeletion';

CREATE TABLE material (
	cmk      BLOB NOT NULL REFERENCES cmk (id),
	number   INTEGER NOT NULL, -- 1 for the first, the highest is current
	id       BLOB NOT NULL,    -- KeyMaterialId, 32 bytes
	ref      BLOB NOT NULL,    -- its first 8 bytes, as blobs name it
	sealed   BLOB,             -- NULL once destroyed
	created  INTEGER NOT NULL,
	rotation TEXT,             -- ON_DEMAND; NULL for the first
	PRIMARY KEY (cmk, number),
	UNIQUE (cmk, ref)
) STRICT, WITHOUT ROWID;

CREATE TABLE alias (
	name    TEXT PRIMARY KEY,  -- "alias/NAME"
	cmk     BLOB NOT NULL REFERENCES cmk (id),
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_cmk ON alias (cmk);

CREATE TABLE audit (
	seq    INTEGER PRIMARY KEY, -- 1, 2, 3 and no gaps
	cmk    BLOB,                -- key of the operation
	source BLOB,                -- ReEncrypt: key the blob was under
	record TEXT NOT NULL,       -- CloudTrail-shaped JSON
	hash   BLOB NOT NULL        -- chained over all of the above
) STRICT;
CREATE INDEX audit_cmk ON audit (cmk);
CREATE INDEX audit_source ON audit (source) WHERE source IS NOT NULL;

CREATE TABLE audit_head (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	seq  INTEGER NOT NULL,
	hash BLOB NOT NULL,
	mac  BLOB NOT NULL          -- over seq and hash
) STRICT;
`

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
	case version == 0:
		if err := s.createSchema(ctx, conn, o); err != nil {
			return err
		}
	}
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
	s.region, s.account = string(meta["region"]), string(meta["account"])
	if err := rows.Err(); err != nil {
		return err
	}
	if !hmac.Equal(meta["root_check"], s.root.derive(labelCheck, meta["store_id"])) {
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
	if _, err := t.Exec(schema); err != nil {
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
	head := chainHead{}
	if _, err := t.Exec("INSERT INTO audit_head VALUES (1, 0, ?, ?)", head.hash[:], s.root.sealHead(head)); err != nil {
		return err
	}
	if _, err := t.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return err
	}
	return t.Commit()
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
