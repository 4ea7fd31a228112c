package localkms

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"

	"kmsfs/kmsclient/localkms/policy"
)

// migrations bring a database from version i+1 to i+2, within a transaction. A
// version that was ever released stays readable for ever.
var migrations = []func(*sql.Tx, *Store) error{migrate1}

// migrate converts a database of an earlier version, all of it or nothing.
func (s *Store) migrate(ctx context.Context, conn *sql.Conn, version int) error {
	t, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	for _, m := range migrations[version-1:] {
		if err := m(t, s); err != nil {
			return fmt.Errorf("convert schema %d: %w", version, err)
		}
	}
	if _, err := t.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return err
	}
	return t.Commit()
}

// migrate1 gives keys a Region, a policy (AWS's default, which leaves everything
// as it was to the local user) and the columns of rotation and import. The audit
// log stays as it is, and goes on.
func migrate1(t *sql.Tx, s *Store) error {
	for _, q := range []string{
		"DROP INDEX cmk_deletion", "DROP INDEX alias_cmk",
		"ALTER TABLE cmk RENAME TO cmk1", "ALTER TABLE material RENAME TO material1", "ALTER TABLE alias RENAME TO alias1",
		schema, checkpointSchema,
	} {
		if _, err := t.Exec(q); err != nil {
			return err
		}
	}
	document := string(policy.Default(s.account))
	hash := sha256.Sum256([]byte(document))
	const standard = 1
	if _, err := t.Exec("INSERT INTO policy VALUES (?, ?, ?)", standard, hash[:], document); err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO cmk (region, id, state, spec, usage, origin, manager, description, policy, created, prime, current, window, deletion, period)
			SELECT ?1, id, state, spec, usage, origin, 'CUSTOMER', description, ?2, created, '',
				(SELECT max(number) FROM material1 WHERE cmk = cmk1.id), 0, deletion, 0 FROM cmk1`,
		s.region, standard); err != nil {
		return err
	}
	if _, err := t.Exec(`INSERT INTO material (region, cmk, number, id, ref, sealed, created, rotated, rotation, description)
			SELECT ?1, cmk, number, id, ref, sealed, created, iif(rotation IS NULL, NULL, created), rotation, '' FROM material1`,
		s.region); err != nil {
		return err
	}
	if _, err := t.Exec("INSERT INTO alias SELECT ?1, name, cmk, created, updated FROM alias1", s.region); err != nil {
		return err
	}
	for _, old := range []string{"alias1", "material1", "cmk1"} {
		if _, err := t.Exec("DROP TABLE " + old); err != nil {
			return err
		}
	}
	return nil
}
