package localkms

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
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
}

// AuditRecord is a record with its number, from 1, and its exact text.
type AuditRecord struct {
	Seq   uint64
	Event Event
	JSON  json.RawMessage
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
			query := "SELECT seq, record FROM audit WHERE seq > ?1 ORDER BY seq"
			if key != nil {
				query = "SELECT seq, record FROM audit WHERE seq > ?1 AND (cmk = ?2 OR source = ?2) ORDER BY seq"
			}
			rows, err := conn.QueryContext(ctx, query, int64(f.After), key)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var r AuditRecord
				var text string
				if err := rows.Scan(&r.Seq, &text); err != nil {
					return err
				}
				r.JSON = json.RawMessage(text)
				if err := json.Unmarshal(r.JSON, &r.Event); err != nil {
					return fmt.Errorf("%w: record %d is not JSON", ErrAuditBroken, r.Seq)
				}
				at := r.Event.EventTime
				if at.Before(f.Since) || !f.Until.IsZero() && !at.Before(f.Until) {
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

// auditKey resolves the key of a filter, deleted ones included.
func (s *Store) auditKey(ctx context.Context, ref string) (id keyID, err error) {
	var refusal error
	err = s.writer.submit(ctx, func(t *tx) error {
		id, refusal = t.resolve(ref, byIDOrAlias)
		if refusal != nil && !isRefusal(refusal) {
			return refusal
		}
		return nil
	})
	return id, errors.Join(err, refusal)
}

// VerifyAudit reads the whole log and checks numbers, hashes and head. It
// returns how many records verified; an error that matches ErrAuditBroken says
// what is wrong, at the first such place. A database replaced as a whole by an
// older copy of itself verifies: compare the count with one noted elsewhere.
func (s *Store) VerifyAudit(ctx context.Context) (records uint64, err error) {
	err = s.snapshot(ctx, func(conn *sql.Conn) error {
		var seq int64
		var hash, mac []byte
		err := conn.QueryRowContext(ctx, "SELECT seq, hash, mac FROM audit_head").Scan(&seq, &hash, &mac)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: head is missing", ErrAuditBroken)
		} else if err != nil {
			return err
		}
		head, err := s.root.openHead(seq, hash, mac)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAuditBroken, err)
		}
		rows, err := conn.QueryContext(ctx, "SELECT seq, cmk, source, record, hash FROM audit ORDER BY seq")
		if err != nil {
			return err
		}
		defer rows.Close()
		var at chainHead
		for rows.Next() {
			var seq uint64
			var r auditRow
			var hash []byte
			if err := rows.Scan(&seq, &r.cmk, &r.source, &r.record, &hash); err != nil {
				return err
			}
			if seq != at.seq+1 {
				return fmt.Errorf("%w: record %d is missing", ErrAuditBroken, at.seq+1)
			}
			at = at.next(r)
			if string(hash) != string(at.hash[:]) {
				return fmt.Errorf("%w: record %d was altered", ErrAuditBroken, seq)
			}
			records = seq
		}
		if err := rows.Err(); err != nil {
			return err
		}
		switch {
		case at.seq < head.seq:
			return fmt.Errorf("%w: records from %d to %d are missing at the end", ErrAuditBroken, at.seq+1, head.seq)
		case at != head:
			return fmt.Errorf("%w: the last record is not the one the head names", ErrAuditBroken)
		}
		return nil
	})
	if err != nil {
		return records, fmt.Errorf("verify audit log: %w", damaged(err))
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
