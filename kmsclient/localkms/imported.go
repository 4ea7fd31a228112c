package localkms

import (
	"context"
	"database/sql"
	"slices"

	"kmsfs/kmsclient"
)

// DeleteImportedKeyMaterial destroys a material that was imported, the current
// one if none is named. The key waits for the same material then. One that waits
// for its rotation is forgotten instead, in all Regions if it is a primary key's.
func (a *API) DeleteImportedKeyMaterial(ctx context.Context, in DeleteImportedKeyMaterialInput) (DeleteImportedKeyMaterialOutput, error) {
	return do(ctx, a, "DeleteImportedKeyMaterial", &in, func(c *call) (out DeleteImportedKeyMaterialOutput, err error) {
		k, err := c.importKey(in.KeyID)
		if err != nil {
			return out, err
		}
		out.KeyID = c.arn(k)
		if in.KeyMaterialID == "" && k.number == 0 {
			return out, nil
		}
		gone := knownMaterial{k.number, k.current}
		if in.KeyMaterialID != "" {
			known, err := c.knownMaterials(k)
			if err != nil {
				return out, err
			}
			at := slices.IndexFunc(known, func(m knownMaterial) bool { return hexID(m.id) == in.KeyMaterialID })
			if at < 0 {
				return out, refuse("NotFoundException", "Key material %s of %s does not exist", in.KeyMaterialID, c.arn(k))
			}
			gone = known[at]
		}
		c.wiped = true
		err = c.exec("UPDATE material SET sealed = NULL, expires = NULL WHERE region = ? AND cmk = ? AND number = ?",
			k.region, k.id[:], gone.number)
		if err != nil {
			return out, err
		}
		if k.symmetric() {
			c.note.material, out.KeyMaterialID = gone.id, hexID(gone.id)
		}
		return out, c.reconsider(k)
	})
}

// reconsider derives state and expiry of a key with imported material from the
// materials that are there, and saves it:
//
//   - A key that is to be deleted stays so.
//   - Else, if one of its materials is missing, it is PendingImport: the current
//     one or, since what was wrapped under them is to open too, an earlier one.
//   - Else, if it was PendingImport, it is Enabled; a disabled key stays disabled.
//
// A material that waits for its rotation is not the key's for good. Once the
// primary key has it no more, it is forgotten in all Regions.
func (t *tx) reconsider(k *cmk) error {
	if k.multiRegionType() != "REPLICA" {
		err := t.exec(`DELETE FROM material WHERE cmk = ?2 AND number > ?3 AND NOT EXISTS
				(SELECT 1 FROM material own WHERE own.region = ?1 AND own.cmk = ?2 AND own.number = material.number AND own.sealed IS NOT NULL)`,
			k.region, k.id[:], k.number)
		if err != nil {
			return err
		}
	}
	missing := 0
	var expiry sql.NullInt64
	err := t.row(`SELECT count(*) FILTER (WHERE sealed IS NULL AND number <= ?3), min(expires) FILTER (WHERE sealed IS NOT NULL)
			FROM material WHERE region = ?1 AND cmk = ?2`, []any{k.region, k.id[:], k.number}, []any{&missing, &expiry})
	if err != nil {
		return err
	}
	k.expiry = expiry.Int64
	switch {
	case k.state == kmsclient.StatePendingDeletion || k.state == statePendingReplicaDeletion:
	case missing > 0 || k.number == 0:
		k.state = kmsclient.StatePendingImport
	case k.state == kmsclient.StatePendingImport:
		k.state = kmsclient.StateEnabled
	}
	if err := t.save(k); err != nil || k.multiRegionType() != "PRIMARY" {
		return err
	}
	related, err := t.related(k)
	if err != nil {
		return err
	}
	for _, replica := range related[1:] {
		if err := t.reconsider(replica); err != nil {
			return err
		}
	}
	return nil
}

// validTo is when the first of the materials expires that are the key's for good;
// 0 if none does. k.expiry counts one that waits for its rotation as well.
func (t *tx) validTo(k *cmk) (int64, error) {
	var first sql.NullInt64
	err := t.row("SELECT min(expires) FROM material WHERE region = ? AND cmk = ? AND number <= ? AND sealed IS NOT NULL",
		[]any{k.region, k.id[:], k.number}, []any{&first})
	return first.Int64, err
}

// rotationReady tells whether material waits for its rotation, and k and its
// related keys all have it, but for replicas that are to be deleted.
func (t *tx) rotationReady(k *cmk) (bool, error) {
	var keys, lack int
	err := t.row(`SELECT count(*), count(*) FILTER (WHERE sealed IS NULL AND (region = ?1 OR state <> 'PendingDeletion'))
			FROM material JOIN cmk USING (region) WHERE material.cmk = ?2 AND cmk.id = ?2 AND number = ?3 AND state <> 'Deleted'`,
		[]any{k.region, k.id[:], k.number + 1}, []any{&keys, &lack})
	return keys > 0 && lack == 0, err
}

// rotateImported makes the material current that was imported for that, in all
// Regions.
func (c *call) rotateImported(k *cmk) error {
	switch ready, err := c.rotationReady(k); {
	case err != nil:
		return err
	case !ready:
		return refuse("KMSInvalidStateException", "No available key material pending rotation for the key: %s.", c.arn(k))
	}
	next := k.number + 1
	err := c.exec("UPDATE material SET rotated = ?, rotation = ? WHERE cmk = ? AND number = ?",
		c.now.UnixMilli(), rotationOnDemand, k.id[:], next)
	if err != nil {
		return err
	}
	related, err := c.related(k)
	if err != nil {
		return err
	}
	for _, r := range related[1:] {
		r.number = next
		if err := c.save(r); err != nil {
			return err
		}
	}
	k.number = next
	return c.reconsider(k)
}
