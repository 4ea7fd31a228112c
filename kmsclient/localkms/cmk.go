package localkms

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"kmsfs/kmsclient"
)

// stateDeleted is the state of a tombstone. No operation finds such a key.
const stateDeleted kmsclient.KeyState = "Deleted"

// cmk is a row of table cmk, with the id of the key's current material.
type cmk struct {
	region      string
	id          keyID
	state       kmsclient.KeyState
	spec        string
	usage       string
	origin      string
	manager     string // managerCustomer, or the service of an AWS managed key
	description string
	policy      int64  // row of table policy
	created     int64  // Unix milliseconds
	prime       string // Region of the primary; "" if not a multi-Region key
	number      int    // of the current material; 0 before the first import
	public      []byte // asymmetric keys: DER SubjectPublicKeyInfo
	window      int    // days, while deletion is scheduled
	deletion    int64  // Unix milliseconds; 0 if none is scheduled
	period      int    // days between automatic rotations; 0 = off
	rotation    int64  // when the next one is due; 0 if none is
	expiry      int64  // when the first material expires; 0 if none does
	current     kmsclient.MaterialID
	sealed      []byte // current material, as read; nil if there is none
}

// managerCustomer is the manager of keys that CreateKey made.
const managerCustomer = "CUSTOMER"

// insert writes a new key; its material is added after.
func (t *tx) insert(k *cmk) error {
	return t.exec(`INSERT INTO cmk (region, id, state, spec, usage, origin, manager, description, policy, created,
			prime, current, public, window, deletion, period, rotation, expiry)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		k.region, k.id[:], string(k.state), k.spec, k.usage, k.origin, k.manager, k.description, k.policy, k.created,
		k.prime, k.number, orNull(k.public), k.window, nullTime(k.deletion), k.period, nullTime(k.rotation), nullTime(k.expiry))
}

// save writes what may change of a key.
func (t *tx) save(k *cmk) error {
	if k.state == kmsclient.StateUnavailable {
		k.state = kmsclient.StateEnabled // see loadAny
	}
	return t.exec(`UPDATE cmk SET state = ?, description = ?, policy = ?, prime = ?, current = ?, public = ?, window = ?,
			deletion = ?, period = ?, rotation = ?, expiry = ? WHERE region = ? AND id = ?`,
		string(k.state), k.description, k.policy, k.prime, k.number, orNull(k.public), k.window,
		nullTime(k.deletion), k.period, nullTime(k.rotation), nullTime(k.expiry), k.region, k.id[:])
}

// nullTime is a time for the database: 0 stands for none.
func nullTime(ms int64) any {
	if ms == 0 {
		return nil
	}
	return ms
}

// multiRegionType is PRIMARY or REPLICA, "" for a key of one Region.
func (k *cmk) multiRegionType() string {
	switch k.prime {
	case "":
		return ""
	case k.region:
		return "PRIMARY"
	}
	return "REPLICA"
}

// naming says by what an operation lets a caller name a key. AWS takes aliases
// where a key is used or described, and not where it is managed.
type naming int

const (
	byIDOrAlias naming = iota
	byID
)

// resolve finds the id of the CMK that a key id, ARN, alias or alias ARN names, in
// the Region of the call. It refuses names that are malformed, of another Region
// or account, and aliases that do not exist; a key id or ARN may be of a key that
// does not.
func (c *call) resolve(ref string, n naming) (id keyID, err error) {
	s := c.w.store
	name := ref
	if rest, ok := strings.CutPrefix(ref, "arn:"); ok {
		f := strings.SplitN(rest, ":", 5) // partition, service, region, account, resource
		switch {
		case len(f) != 5 || f[1] != "kms":
			return id, refuse("InvalidArnException", "%s is not a KMS ARN", ref)
		case f[0] != "aws" || f[2] != c.region():
			return id, refuse("NotFoundException", "Invalid arn %s", f[2])
		case f[3] != s.account:
			return id, refuse("NotFoundException", "Key '%s' does not exist", ref)
		}
		name = f[4]
		if uuid, ok := strings.CutPrefix(name, "key/"); ok {
			name = uuid
		} else if !strings.HasPrefix(name, "alias/") {
			return id, refuse("NotFoundException", "Invalid keyId '%s'", ref)
		}
	}
	if strings.HasPrefix(name, "alias/") {
		if n == byID {
			return id, refuse("InvalidArnException", "Key Aliases are not supported for this operation.")
		}
		return c.aliasTarget(name)
	}
	id, ok := parseKeyID(name)
	switch {
	case !ok && keyIDForm.MatchString(name): // of a key that was not made here
		return id, refuse("NotFoundException", "Key '%s' does not exist", s.arn(c.region(), "key/"+name))
	case !ok:
		return id, refuse("NotFoundException", "Invalid keyId '%s'", ref)
	}
	return id, nil
}

// keyIDForm is what key ids of AWS's look like; those of this KMS are some of them.
var keyIDForm = regexp.MustCompile(`^(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// load reads a CMK of the call's Region; a deleted one, like an unknown one, does
// not exist.
func (c *call) load(id keyID) (*cmk, error) {
	k, err := c.loadAny(c.region(), id)
	if err == nil && (k == nil || k.state == stateDeleted) {
		return nil, c.noKey(id)
	}
	return k, err
}

func (c *call) noKey(id keyID) error {
	return refuse("NotFoundException", "Key '%s' does not exist", c.w.store.keyARN(c.region(), id))
}

// selectCMK reads what scanCMK takes, for WHERE clauses to follow.
const selectCMK = `SELECT cmk.region, cmk.id, state, spec, usage, origin, manager, cmk.description, policy, cmk.created, prime,
	current, public, window, deletion, period, cmk.rotation, expiry, m.id, m.sealed
	FROM cmk LEFT JOIN material m ON m.region = cmk.region AND m.cmk = cmk.id AND m.number = cmk.current `

func scanCMK(scan func(...any) error) (*cmk, error) {
	k := &cmk{}
	var deletion, rotation, expiry sql.NullInt64
	var id, current []byte
	err := scan(&k.region, &id, &k.state, &k.spec, &k.usage, &k.origin, &k.manager, &k.description, &k.policy, &k.created,
		&k.prime, &k.number, &k.public, &k.window, &deletion, &k.period, &rotation, &expiry, &current, &k.sealed)
	if err != nil {
		return nil, err
	}
	k.id = keyID(id)
	k.deletion, k.rotation, k.expiry = deletion.Int64, rotation.Int64, expiry.Int64
	copy(k.current[:], current)
	return k, nil
}

// loadAny reads a CMK even if it is deleted; nil if this store never had it. Of a
// locked store, keys that could be used are Unavailable.
func (t *tx) loadAny(region string, id keyID) (*cmk, error) {
	var k *cmk
	err := t.each(selectCMK+"WHERE cmk.region = ? AND cmk.id = ?", []any{region, id[:]}, func(scan func(...any) (err error)) (err error) {
		k, err = scanCMK(scan)
		return err
	})
	if k != nil && t.w.store.locked && k.state == kmsclient.StateEnabled {
		k.state = kmsclient.StateUnavailable
	}
	return k, err
}

// material unseals the current material of a CMK. The caller wipes it.
func (t *tx) material(k *cmk) (*material, error) {
	if k.sealed == nil {
		return nil, fmt.Errorf("%w: material of key %s is missing", ErrDamaged, k.id)
	}
	return unsealMaterial(t.w.store.root, k, k.current, k.sealed)
}

// publicKey is the public key of a pair, which nobody but the KMS has put there: the
// private one, sealed, is bound to it.
func (t *tx) publicKey(k *cmk) ([]byte, error) {
	m, err := t.material(k)
	if err != nil {
		return nil, err
	}
	m.wipe()
	return k.public, nil
}

// materialByRef unseals the material a blob names; nil if the CMK has no such.
func (t *tx) materialByRef(k *cmk, ref materialRef) (*material, error) {
	var id, sealed []byte
	err := t.row("SELECT id, sealed FROM material WHERE region = ? AND cmk = ? AND ref = ?",
		[]any{k.region, k.id[:], ref[:]}, []any{&id, &sealed})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	switch {
	case err != nil:
		return nil, err
	case sealed == nil: // destroyed, deleted or expired
		return nil, nil
	case len(id) != len(kmsclient.MaterialID{}):
		return nil, ErrDamaged
	}
	return unsealMaterial(t.w.store.root, k, kmsclient.MaterialID(id), sealed)
}

// materialRow is a row of table material about to be written.
type materialRow struct {
	number      int
	rotated     int64  // 0 for the first material and for one that waits
	rotation    string // AUTOMATIC, ON_DEMAND or ""
	expires     int64  // 0 = never
	description string
}

// addMaterial writes a material of a CMK. The caller makes it current, or not.
func (t *tx) addMaterial(k *cmk, m *material, r materialRow) error {
	ref := m.ref()
	return t.exec(`INSERT INTO material (region, cmk, number, id, ref, sealed, created, rotated, rotation, expires, description)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		k.region, k.id[:], r.number, m.id[:], ref[:], m.seal(t.w.store.root, k), t.now.UnixMilli(),
		nullTime(r.rotated), nullString(r.rotation), nullTime(r.expires), r.description)
}

// nullString is a text for the database: "" stands for none.
func nullString(s string) any {
	if s == "" {
		return nil
	}
	return s
}
