package localkms

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"kmsfs/kmsclient/localkms/shape"
)

// GetKeyLastUsage tells of the last successful cryptographic operation with a
// key, which may have been the source of ReEncrypt. Related multi-Region keys
// each have their own. All is read from the audit log, which goes back to before
// the key's creation.
func (a *API) GetKeyLastUsage(ctx context.Context, in GetKeyLastUsageInput) (GetKeyLastUsageOutput, error) {
	// The log of a key that is looked at and not used can be long. So it is searched
	// before the transaction, in which only what was added since is left to search.
	var ahead lastUse
	if a.forbidden(ctx, "GetKeyLastUsage", func(c *call) error {
		_, err := c.key(in.KeyID, byID)
		return err
	}) == nil {
		ahead = a.lastUseAhead(ctx, in.KeyID)
	}
	return do(ctx, a, "GetKeyLastUsage", &in, func(c *call) (out GetKeyLastUsageOutput, err error) {
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		last := ahead
		if last.id != k.id {
			last = lastUse{id: k.id, region: k.region}
		}
		if err := last.search(c.w.store, c.each); err != nil {
			return out, err
		}
		out = GetKeyLastUsageOutput{KeyID: k.id.String(), TrackingStartDate: timestamp(k.created), KeyCreationDate: timestamp(k.created)}
		out.KeyLastUsage, err = last.usage(c.w.store)
		return out, err
	})
}

// lastUse is how far the audit log has been searched for the last use of a key,
// and what was found.
type lastUse struct {
	id       keyID
	region   string
	searched int64 // number of the last record that was there
	seq      int64 // of the use; 0 if there is none
	row      auditRow
	hash     []byte
}

// lastUseQuery finds the latest record after one, of a successful operation. The
// index on the column has the records of a key in their order. Records of schema 1
// are whole Events.
const lastUseQuery = `SELECT seq, cmk, source, record, hash FROM audit WHERE %s = ?1 AND seq > ?2
	AND ifnull(record ->> 'name', record ->> 'eventName') IN (SELECT value FROM json_each(?3))
	AND ifnull(record ->> 'error', record ->> 'errorCode') IS NULL
	AND coalesce(record ->> 'region', record ->> 'awsRegion', ?4) = ?5
	ORDER BY seq DESC LIMIT 1`

// search looks for a later use among the records that have been added.
func (l *lastUse) search(s *Store, each func(string, []any, func(scan func(...any) error) error) error) error {
	operations, err := json.Marshal(shape.Enum("KeyLastUsageTrackingOperation"))
	if err != nil {
		return err
	}
	found := *l
	for _, column := range []string{"cmk", "source"} {
		args := []any{l.id[:], l.searched, string(operations), s.region, l.region}
		err := each(fmt.Sprintf(lastUseQuery, column), args, func(scan func(...any) error) error {
			var use lastUse
			err := scan(&use.seq, &use.row.cmk, &use.row.source, &use.row.record, &use.hash)
			if use.seq > found.seq {
				found.seq, found.row, found.hash = use.seq, use.row, use.hash
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	*l = found
	return nil
}

// usage is the answer; empty if there was no use.
func (l *lastUse) usage(s *Store) (*KeyLastUsage, error) {
	if l.seq == 0 {
		return &KeyLastUsage{}, nil
	}
	e, err := s.event(l.row, l.hash)
	if err != nil {
		return nil, fmt.Errorf("%w: audit record %d: %w", ErrDamaged, l.seq, err)
	}
	return &KeyLastUsage{
		Operation: e.EventName, Timestamp: &shape.Time{Time: e.EventTime}, CloudTrailEventID: e.EventID, KmsRequestID: e.RequestID,
	}, nil
}

// lastUseAhead searches the log as it is committed. Where it cannot, it has
// searched nothing.
func (a *API) lastUseAhead(ctx context.Context, ref string) (l lastUse) {
	id, ok := parseKeyID(refName(ref))
	if !ok {
		return l
	}
	a.store.computing.run(ctx, a.store, func() {
		found := lastUse{id: id, region: a.region()}
		err := a.store.snapshot(ctx, func(conn *sql.Conn) error {
			var end sql.NullInt64
			if err := conn.QueryRowContext(ctx, "SELECT max(seq) FROM audit").Scan(&end); err != nil {
				return err
			}
			err := found.search(a.store, func(query string, args []any, f func(scan func(...any) error) error) error {
				rows, err := conn.QueryContext(ctx, query, args...)
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
			})
			found.searched = end.Int64
			return err
		})
		if err == nil {
			l = found
		}
	})
	return l
}
