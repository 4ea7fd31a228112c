package localkms

import (
	"database/sql"
	"errors"
	"strings"
	"time"

	"kmsfs/kmsclient"
)

// stateDeleted is the state of a tombstone. No operation finds such a key.
const stateDeleted kmsclient.KeyState = "Deleted"

// cmk is a row of table cmk, with the id of the key's current material.
type cmk struct {
	id          keyID
	state       kmsclient.KeyState
	spec        string
	usage       string
	origin      string
	description string
	created     int64 // Unix milliseconds
	deletion    int64 // the same; 0 if none is scheduled
	current     kmsclient.MaterialID
}

// naming says by what an operation lets a caller name a key. AWS takes aliases
// where a key is used or described, and not where it is managed.
type naming int

const (
	byIDOrAlias naming = iota
	byID
)

// resolve finds the id of the CMK that a key id, ARN, alias or alias ARN names.
// It refuses names that are malformed, of another region or account, and
// aliases that do not exist; a key id or ARN may be of a key that does not.
func (t *tx) resolve(ref string, n naming) (id keyID, err error) {
	s := t.w.store
	if err := inRange("keyId", "length", len(ref), 1, 2048); err != nil {
		return id, err
	}
	name := ref
	if rest, ok := strings.CutPrefix(ref, "arn:"); ok {
		f := strings.SplitN(rest, ":", 5) // partition, service, region, account, resource
		switch {
		case len(f) != 5 || f[1] != "kms":
			return id, refuse("NotFoundException", "Invalid keyId %s", ref)
		case f[0] != "aws" || f[2] != s.region:
			return id, refuse("NotFoundException", "Invalid arn %s", f[2])
		case f[3] != s.account:
			return id, refuse("NotFoundException", "Key '%s' does not exist", ref)
		}
		name = f[4]
		if uuid, ok := strings.CutPrefix(name, "key/"); ok {
			name = uuid
		} else if !strings.HasPrefix(name, "alias/") {
			return id, refuse("NotFoundException", "Invalid keyId %s", ref)
		}
	}
	if strings.HasPrefix(name, "alias/") && n == byIDOrAlias {
		return t.aliasTarget(name)
	}
	id, ok := parseKeyID(name)
	if !ok {
		return id, refuse("NotFoundException", "Invalid keyId %s", ref)
	}
	return id, nil
}

// load reads a CMK; a deleted one, like an unknown one, does not exist.
func (t *tx) load(id keyID) (*cmk, error) {
	k, err := t.loadAny(id)
	if err == nil && (k == nil || k.state == stateDeleted) {
		return nil, refuse("NotFoundException", "Key '%s' does not exist", t.w.store.keyARN(id))
	}
	return k, err
}

// loadAny reads a CMK even if it is deleted; nil if this store never had it.
func (t *tx) loadAny(id keyID) (*cmk, error) {
	k := &cmk{id: id}
	var deletion sql.NullInt64
	var current []byte
	err := t.row(`SELECT state, spec, usage, origin, description, created, deletion,
			(SELECT id FROM material WHERE cmk = cmk.id ORDER BY number DESC LIMIT 1)
			FROM cmk WHERE id = ?`,
		[]any{id[:]},
		[]any{&k.state, &k.spec, &k.usage, &k.origin, &k.description, &k.created, &deletion, &current})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	k.deletion = deletion.Int64
	copy(k.current[:], current)
	return k, err
}

// material unseals the current material of a CMK. The caller wipes it.
func (t *tx) material(k *cmk) (*material, error) {
	return t.materialByRef(k, materialRef(k.current[:8]))
}

// materialByRef unseals the material a blob names; nil if the CMK has no such.
func (t *tx) materialByRef(k *cmk, ref materialRef) (*material, error) {
	var id, sealed []byte
	err := t.row("SELECT id, sealed FROM material WHERE cmk = ? AND ref = ?",
		[]any{k.id[:], ref[:]}, []any{&id, &sealed})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(id) != len(kmsclient.MaterialID{}) {
		return nil, ErrDamaged
	}
	return unsealMaterial(t.w.store.root, k, kmsclient.MaterialID(id), sealed)
}

// addMaterial gives a CMK new random material, current from now on. rotation is
// nil for the first.
func (t *tx) addMaterial(k *cmk, number int, rotation any) error {
	m := t.w.store.root.newMaterial(k.id)
	defer clear(m.key[:])
	ref := m.ref()
	k.current = m.id
	return t.exec("INSERT INTO material VALUES (?, ?, ?, ?, ?, ?, ?)",
		k.id[:], number, m.id[:], ref[:], m.seal(t.w.store.root, k), t.now.UnixMilli(), rotation)
}

// purgeDue destroys the material of keys whose deletion date has come, drops
// their aliases and leaves a tombstone, with a record of its own. It runs at the
// start of every transaction, so nobody can use a key past its date.
func (t *tx) purgeDue() error {
	var due []keyID
	err := t.each("SELECT id FROM cmk WHERE state = 'PendingDeletion' AND deletion <= ?",
		[]any{t.now.UnixMilli()}, func(scan func(...any) error) error {
			var id []byte
			if err := scan(&id); err != nil {
				return err
			}
			due = append(due, keyID(id))
			return nil
		})
	if err != nil {
		return err
	}
	for _, id := range due {
		t.wiped = true
		for _, q := range []string{
			"UPDATE material SET sealed = NULL WHERE cmk = ?",
			"DELETE FROM alias WHERE cmk = ?",
			"UPDATE cmk SET state = 'Deleted' WHERE id = ?",
		} {
			if err := t.exec(q, id[:]); err != nil {
				return err
			}
		}
		c := &call{tx: t, api: &API{store: t.w.store}, op: "DeleteKey", note: auditNote{cmk: &id}}
		if err := c.record(nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// setState moves a key to a state; deletion is nil or its date.
func (t *tx) setState(k *cmk, state kmsclient.KeyState, deletion *time.Time) error {
	var at any
	k.state, k.deletion = state, 0
	if deletion != nil {
		k.deletion = deletion.UnixMilli()
		at = k.deletion
	}
	return t.exec("UPDATE cmk SET state = ?, deletion = ? WHERE id = ?", string(state), at, k.id[:])
}
