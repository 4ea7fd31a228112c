package localkms

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// ErrAuditBroken is matched by what VerifyAudit finds: a record edited, removed
// or added by other means than the KMS.
var ErrAuditBroken = errors.New("audit log does not verify")

// AuditFilter chooses audit records; its zero value chooses all.
type AuditFilter struct {
	KeyID string    // id, ARN, alias or alias ARN; "" for every key. Finds deleted keys by id and ARN.
	After uint64    // only records with a higher number
	Since time.Time // not before
	Until time.Time // before, unless zero
	// Principal is an ARN, "user/NAME", "role/NAME" or an access key id; "" for all.
	Principal string
	Operation string // "Decrypt"; "" for all
	Errors    bool   // only what was refused
	// FileSystem is the id of a cipher directory, as the encryption contexts of its
	// data keys name it; "" for all.
	FileSystem string
}

// admits applies what the database does not filter by.
func (f *AuditFilter) admits(e *Event) bool {
	if e.EventTime.Before(f.Since) || !f.Until.IsZero() && !e.EventTime.Before(f.Until) {
		return false
	}
	if f.Operation != "" && e.EventName != f.Operation || f.Errors && e.ErrorCode == "" {
		return false
	}
	if f.FileSystem != "" && e.FileSystem() != f.FileSystem {
		return false
	}
	who := &e.UserIdentity
	role, isRole := strings.CutPrefix(f.Principal, "role/")
	return f.Principal == "" || f.Principal == who.ARN || f.Principal == who.AccessKeyID ||
		!isRole && strings.HasSuffix(who.ARN, ":"+f.Principal) || isRole && strings.Contains(who.ARN, ":assumed-role/"+role+"/")
}

// AuditRecord is a record with its number, from 1.
type AuditRecord struct {
	Seq   uint64
	Event Event
}

// AuditEvents reads the audit log in order, as it was when reading began. An
// error ends the sequence.
func (s *Store) AuditEvents(ctx context.Context, f AuditFilter) iter.Seq2[AuditRecord, error] {
	return func(yield func(AuditRecord, error) bool) {
		err := s.snapshot(ctx, func(conn *sql.Conn) error {
			var key any
			if f.KeyID != "" {
				id, err := s.auditKey(ctx, f.KeyID)
				if err != nil {
					return err
				}
				key = id[:]
			}
			query := "SELECT seq, cmk, source, record, hash FROM audit WHERE seq > ?1 ORDER BY seq"
			if key != nil { // two index scans, merged: no sorting, however long the log
				query = `SELECT seq, cmk, source, record, hash FROM audit WHERE cmk = ?2 AND seq > ?1
					UNION ALL SELECT seq, cmk, source, record, hash FROM audit WHERE source = ?2 AND cmk IS NOT ?2 AND seq > ?1 ORDER BY seq`
			}
			rows, err := conn.QueryContext(ctx, query, int64(f.After), key)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var r AuditRecord
				var row auditRow
				var hash []byte
				if err := rows.Scan(&r.Seq, &row.cmk, &row.source, &row.record, &hash); err != nil {
					return err
				}
				if r.Event, err = s.event(row, hash); err != nil {
					return fmt.Errorf("%w: record %d is not JSON", ErrAuditBroken, r.Seq)
				}
				if !f.admits(&r.Event) {
					continue
				}
				if !yield(r, nil) {
					return errStop
				}
			}
			return rows.Err()
		})
		if err != nil && err != errStop {
			yield(AuditRecord{}, fmt.Errorf("read audit log: %w", err))
		}
	}
}

var errStop = errors.New("the reader has enough")

// auditKey resolves the key of a filter, deleted ones included. Of an ARN, the
// Region counts; an id or alias is the store's own Region's.
func (s *Store) auditKey(ctx context.Context, ref string) (id keyID, err error) {
	var refusal error
	err = s.writer.submit(ctx, func(t *tx) error {
		c := &call{tx: t, api: &API{store: s}}
		if f := strings.Split(ref, ":"); len(f) > 4 {
			c.api.caller.Region = f[3]
		}
		err := c.try(true, func() error { // an alias of AWS's own makes no key by that it is looked for
			id, refusal = c.resolve(ref, byIDOrAlias)
			return refusal
		})
		if !isRefusal(err) {
			return err
		}
		return nil
	})
	return id, errors.Join(err, refusal)
}

// VerifyAudit reads the whole log and checks numbers, hashes, checkpoints and
// head, and that the log has passed through the given checkpoints of this store,
// which were kept elsewhere. It returns how many records verified; an error that
// matches ErrAuditBroken says what is wrong, at the first such place. Only a
// checkpoint kept elsewhere shows that a database was replaced as a whole by an
// older copy of itself. A locked store cannot be verified.
func (s *Store) VerifyAudit(ctx context.Context, kept ...Checkpoint) (records uint64, err error) {
	if s.locked {
		return 0, fmt.Errorf("verify audit log: %w", errLocked)
	}
	sealed := s.writer.submit(ctx, func(*tx) error { return nil }) // what was appended while the store was locked
	err = s.snapshot(ctx, func(conn *sql.Conn) error {
		records, err = s.verify(ctx, conn, kept)
		return err
	})
	if err == nil && errors.Is(sealed, errHead) {
		err = fmt.Errorf("%w: its tail does not go on from its head", ErrAuditBroken)
	}
	if err != nil {
		return records, fmt.Errorf("verify audit log: %w", damaged(err))
	}
	return records, nil
}

func (s *Store) verify(ctx context.Context, conn *sql.Conn, kept []Checkpoint) (records uint64, err error) {
	var seq int64
	var hash, mac []byte
	err = conn.QueryRowContext(ctx, "SELECT seq, hash, mac FROM audit_head").Scan(&seq, &hash, &mac)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%w: head is missing", ErrAuditBroken)
	} else if err != nil {
		return 0, err
	}
	head, err := s.root.openHead(seq, hash, mac)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrAuditBroken, err)
	}
	checkpoints, err := s.checkpoints(ctx, conn, kept)
	if err != nil {
		return 0, err
	}
	rows, err := conn.QueryContext(ctx, "SELECT seq, cmk, source, record, hash FROM audit ORDER BY seq")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var at chainHead
	for rows.Next() {
		var seq uint64
		var r auditRow
		var hash []byte
		if err := rows.Scan(&seq, &r.cmk, &r.source, &r.record, &hash); err != nil {
			return records, err
		}
		if seq != at.seq+1 {
			return records, fmt.Errorf("%w: record %d is missing", ErrAuditBroken, at.seq+1)
		}
		at = at.next(r)
		if string(hash) != string(at.hash[:]) {
			return records, fmt.Errorf("%w: record %d was altered", ErrAuditBroken, seq)
		}
		for _, hash := range checkpoints[seq] {
			if string(hash) != string(at.hash[:]) {
				return records, fmt.Errorf("%w: record %d or one before it is not what checkpoint %d says", ErrAuditBroken, seq, seq)
			}
		}
		delete(checkpoints, seq)
		records = seq
	}
	if err := rows.Err(); err != nil {
		return records, err
	}
	for seq := range checkpoints {
		if seq != 0 {
			return records, fmt.Errorf("%w: records from %d are missing at the end; there is a checkpoint of %d", ErrAuditBroken, at.seq+1, seq)
		}
	}
	switch {
	case at.seq < head.seq:
		return records, fmt.Errorf("%w: records from %d to %d are missing at the end", ErrAuditBroken, at.seq+1, head.seq)
	case at != head:
		return records, fmt.Errorf("%w: the last record is not the one the head names", ErrAuditBroken)
	}
	return records, nil
}

// snapshot runs f on a connection that sees one state of the database, whatever
// is written meanwhile.
func (s *Store) snapshot(ctx context.Context, f func(*sql.Conn) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer conn.ExecContext(context.Background(), "ROLLBACK")
	return f(conn)
}
