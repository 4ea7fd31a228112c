package localkms

import (
	"context"
	"slices"
	"time"

	"kmsfs/kmsclient"
)

// runDue does what the clock asks for: deletes keys whose date has come, expires
// imported material, rotates. It runs at the start of every transaction, so that
// nobody uses a key past its date, and each leaves a record of its own.
func (t *tx) runDue() error {
	var due []*cmk
	err := t.each(selectCMK+"WHERE due <= ? AND due < 9e18", []any{t.now.UnixMilli()},
		func(scan func(...any) error) error {
			k, err := scanCMK(scan)
			due = append(due, k)
			return err
		})
	if err != nil || len(due) == 0 {
		return err
	}
	now := t.now.UnixMilli()
	for _, k := range due {
		// What was due before it may have changed a related key.
		if k, err = t.loadAny(k.region, k.id); err != nil {
			return err
		}
		dated := func(at int64) bool { return at != 0 && at <= now }
		switch pending := k.state == kmsclient.StatePendingDeletion; {
		case pending && dated(k.deletion):
			err = t.destroy(k)
		case dated(k.expiry):
			err = t.expire(k)
		case dated(k.rotation) && !t.w.store.locked:
			err = t.rotateDue(k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Tend does what the clock asks for every so often, until ctx ends: for a process
// that keeps the store open and may have no calls for a long time. Failures show
// again at the next call.
func (s *Store) Tend(ctx context.Context, every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			_ = s.writer.submit(ctx, func(*tx) error { return nil })
		}
	}
}

// recordDue writes the audit record of something that nobody asked for.
func (t *tx) recordDue(op string, k *cmk) error {
	c := &call{tx: t, api: &API{store: t.w.store, caller: Caller{Region: k.region}}, op: op, note: auditNote{cmk: &k.id}}
	if op == "RotateKey" {
		c.note.material = k.current
	}
	return c.record(nil, nil, nil)
}

// destroy deletes a key for good: its material, aliases, grants and tags. A
// tombstone stays, so that its id is not used again.
func (t *tx) destroy(k *cmk) error {
	t.wiped = true
	for _, q := range []string{
		"UPDATE material SET sealed = NULL WHERE region = ? AND cmk = ?",
		"DELETE FROM alias WHERE region = ? AND cmk = ?",
		"DELETE FROM key_grant WHERE region = ? AND cmk = ?",
		"DELETE FROM tag WHERE region = ? AND cmk = ?",
	} {
		if err := t.exec(q, k.region, k.id[:]); err != nil {
			return err
		}
	}
	k.state, k.rotation, k.expiry = stateDeleted, 0, 0
	if err := t.save(k); err != nil {
		return err
	}
	if err := t.recordDue("DeleteKey", k); err != nil {
		return err
	}
	return t.replicaDeleted(k)
}

// expire drops the imported materials whose time is over; the key waits for them
// to be imported again.
func (t *tx) expire(k *cmk) error {
	t.wiped = true
	err := t.exec("UPDATE material SET sealed = NULL WHERE region = ? AND cmk = ? AND expires <= ?",
		k.region, k.id[:], t.now.UnixMilli())
	if err != nil {
		return err
	}
	if err := t.reconsider(k); err != nil {
		return err
	}
	return t.recordDue("DeleteExpiredKeyMaterial", k)
}

// rotateDue makes the new material an automatic rotation asks for, once however
// many dates were missed, and sets the next date from now. So a clock that is set
// back finds the date still to come.
func (t *tx) rotateDue(k *cmk) error {
	k.rotation = t.now.Add(time.Duration(k.period) * 24 * time.Hour).UnixMilli()
	if err := t.rotate(k, t.w.store.root.newMaterial(k.id), rotationAutomatic); err != nil {
		return err
	}
	return t.recordDue("RotateKey", k)
}

// How a material came to be the current one.
const (
	rotationAutomatic = "AUTOMATIC"
	rotationOnDemand  = "ON_DEMAND"
)

// rotate makes m, new and random, the current material of a key and, if it is a
// multi-Region key's, of its replicas. It wipes m.
func (t *tx) rotate(k *cmk, m *material, how string) error {
	defer m.wipe()
	related, err := t.related(k)
	if err != nil {
		return err
	}
	for _, k := range related {
		last, err := t.lastMaterial(k)
		if err != nil {
			return err
		}
		if err := t.addMaterial(k, m, materialRow{number: last + 1, rotated: t.now.UnixMilli(), rotation: how}); err != nil {
			return err
		}
		k.number, k.current = last+1, m.id
		if err := t.save(k); err != nil {
			return err
		}
	}
	return nil
}

// lastMaterial is the highest number of a key's materials.
func (t *tx) lastMaterial(k *cmk) (n int, err error) {
	return n, t.row("SELECT ifnull(max(number), 0) FROM material WHERE region = ? AND cmk = ?",
		[]any{k.region, k.id[:]}, []any{&n})
}

// related gives a key, as it is, and after it those related to it in other
// Regions, as the database has them; deleted ones not.
func (t *tx) related(k *cmk) ([]*cmk, error) {
	all := []*cmk{k}
	if k.prime == "" {
		return all, nil
	}
	err := t.each(selectCMK+"WHERE cmk.id = ? AND cmk.region <> ? AND state <> 'Deleted' ORDER BY cmk.region", []any{k.id[:], k.region},
		func(scan func(...any) error) error {
			r, err := scanCMK(scan)
			all = append(all, r)
			return err
		})
	return slices.Clip(all), err
}
