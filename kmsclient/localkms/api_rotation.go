package localkms

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"kmsfs/kmsclient"
)

// maxOnDemand is AWS's limit of rotations on demand per key; standardPeriod the
// days between automatic rotations where EnableKeyRotation names none.
const (
	maxOnDemand    = 25
	standardPeriod = 365
)

// EnableKeyRotation makes a key rotate by itself, every 90 to 2560 days (365 by
// default), first that long from now.
func (a *API) EnableKeyRotation(ctx context.Context, in EnableKeyRotationInput) (Empty, error) {
	return do(ctx, a, "EnableKeyRotation", &in, func(c *call) (out Empty, err error) {
		period := standardPeriod
		if in.RotationPeriodInDays != nil {
			period = *in.RotationPeriodInDays
		}
		c.fact("kms:rotationperiodindays", strconv.Itoa(period))
		k, err := c.rotatingKey(in.KeyID)
		if err != nil {
			return out, err
		}
		if k.period == period { // enabling twice does not put the date off
			return out, nil
		}
		k.period = period
		k.rotation = c.now.Add(time.Duration(period) * 24 * time.Hour).UnixMilli()
		return out, c.save(k)
	})
}

// DisableKeyRotation ends automatic rotation. Rotation on demand stays possible.
func (a *API) DisableKeyRotation(ctx context.Context, in DisableKeyRotationInput) (Empty, error) {
	return do(ctx, a, "DisableKeyRotation", &in, func(c *call) (out Empty, err error) {
		k, err := c.rotatingKey(in.KeyID)
		if err != nil {
			return out, err
		}
		k.period, k.rotation = 0, 0
		return out, c.save(k)
	})
}

// rotatingKey is key for what concerns automatic rotation: symmetric keys of the
// customer's, with material of the KMS's own making, primary ones if multi-Region.
func (c *call) rotatingKey(ref string) (*cmk, error) {
	k, err := c.managedKey(ref)
	switch {
	case err != nil:
		return nil, err
	case k.origin == originExternal:
		return nil, refuseExternal.refusal(c.arn(k))
	}
	return k, c.rotatable(k)
}

// rotatable refuses keys that have one material for ever, or another's.
func (c *call) rotatable(k *cmk) error {
	switch {
	case k.spec != specSymmetric:
		return refuse("UnsupportedOperationException", "%s key spec is %s which is not valid for this operation.", c.arn(k), k.spec)
	case k.multiRegionType() == "REPLICA":
		return refuse("UnsupportedOperationException", "%s is a replica key, which is rotated with its primary key.", c.arn(k))
	}
	return nil
}

// GetKeyRotationStatus tells whether and when a key rotates by itself. A replica
// has the status of its primary key.
func (a *API) GetKeyRotationStatus(ctx context.Context, in GetKeyRotationStatusInput) (GetKeyRotationStatusOutput, error) {
	return do(ctx, a, "GetKeyRotationStatus", &in, func(c *call) (out GetKeyRotationStatusOutput, err error) {
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		if k.spec != specSymmetric {
			return out, c.rotatable(k)
		}
		out.KeyID = c.arn(k)
		if k.multiRegionType() == "REPLICA" {
			if k, err = c.loadAny(k.prime, k.id); err != nil {
				return out, err
			}
		}
		if k.period != 0 {
			out.KeyRotationEnabled, out.RotationPeriodInDays = true, k.period
			if k.state == kmsclient.StateEnabled {
				out.NextRotationDate = timestamp(k.rotation)
			}
		}
		return out, nil
	})
}

// RotateKeyOnDemand gives a key new material, or makes the imported material
// current that waits for it: what is wrapped from now on is under it, what was
// wrapped before still opens. 25 times per key. The date of the next automatic
// rotation stays.
func (a *API) RotateKeyOnDemand(ctx context.Context, in RotateKeyOnDemandInput) (RotateKeyOnDemandOutput, error) {
	return do(ctx, a, "RotateKeyOnDemand", &in, func(c *call) (out RotateKeyOnDemandOutput, err error) {
		k, err := c.managedKey(in.KeyID)
		if err != nil {
			return out, err
		}
		if err := c.rotatable(k); err != nil {
			return out, err
		}
		var n int
		err = c.row("SELECT count(*) FROM material WHERE region = ? AND cmk = ? AND rotation = 'ON_DEMAND'",
			[]any{k.region, k.id[:]}, []any{&n})
		if err != nil {
			return out, err
		}
		if n >= maxOnDemand {
			return out, refuse("LimitExceededException",
				"The on-demand rotations limit has been reached for the given keyId. "+
					"No more on-demand rotations can be performed for this key: %s", c.arn(k))
		}
		out.KeyID = c.arn(k)
		if k.origin == originExternal {
			return out, c.rotateImported(k)
		}
		return out, c.rotate(k, c.w.store.root.newMaterial(k.id), rotationOnDemand)
	})
}

// ListKeyRotations lists a key's rotations or, with ALL_KEY_MATERIAL, all its
// materials, from the oldest, in parts of up to 1000 (100 by default).
func (a *API) ListKeyRotations(ctx context.Context, in ListKeyRotationsInput) (ListKeyRotationsOutput, error) {
	return do(ctx, a, "ListKeyRotations", &in, func(c *call) (ListKeyRotationsOutput, error) {
		out := ListKeyRotationsOutput{Rotations: []Rotation{}}
		limit := in.limit(100, 1000)
		after := 0
		if in.Marker != "" {
			n, err := strconv.Atoi(in.Marker)
			if err != nil || n < 0 {
				return out, refuse("InvalidMarkerException", "")
			}
			after = n
		}
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		if k.spec != specSymmetric {
			return out, c.rotatable(k)
		}
		all := in.IncludeKeyMaterial == "ALL_KEY_MATERIAL"
		var numbers []int
		err = c.each(`SELECT number, id, sealed IS NOT NULL, rotated, rotation, expires, description FROM material
				WHERE region = ? AND cmk = ? AND number > ? AND (? OR rotated IS NOT NULL) ORDER BY number LIMIT ?`,
			[]any{k.region, k.id[:], after, all, limit + 1}, func(scan func(...any) error) error {
				var number int
				r, err := scanRotation(scan, k, &number)
				out.Rotations, numbers = append(out.Rotations, r), append(numbers, number)
				return err
			})
		if err != nil {
			return out, err
		}
		if last := len(out.Rotations) - 1; last >= 0 && k.prime != "" && out.Rotations[last].KeyMaterialState == pendingRotation {
			switch ready, err := c.rotationReady(k); {
			case err != nil:
				return out, err
			case !ready:
				out.Rotations[last].KeyMaterialState = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
			}
		}
		if len(out.Rotations) > limit {
			out.Rotations = out.Rotations[:limit]
			out.More = More{NextMarker: strconv.Itoa(numbers[limit-1]), Truncated: true}
		}
		return out, nil
	})
}

// pendingRotation is the state of material that was imported to become the
// current one.
const pendingRotation = "PENDING_ROTATION"

func scanRotation(scan func(...any) error, k *cmk, number *int) (r Rotation, err error) {
	var id []byte
	var there bool
	var rotated, expires sql.NullInt64
	var how sql.NullString
	var description string
	if err := scan(number, &id, &there, &rotated, &how, &expires, &description); err != nil {
		return r, err
	}
	r = Rotation{
		KeyID: k.id.String(), KeyMaterialID: hexID([32]byte(id)), RotationDate: timestamp(rotated.Int64), RotationType: how.String,
	}
	switch {
	case *number == k.number:
		r.KeyMaterialState = "CURRENT"
	case *number < k.number:
		r.KeyMaterialState = "NON_CURRENT"
	default:
		r.KeyMaterialState = pendingRotation
	}
	if k.origin != originExternal {
		return r, nil
	}
	r.KeyMaterialDescription, r.ImportState = description, "PENDING_IMPORT"
	if there {
		r.ImportState, r.ExpirationModel = "IMPORTED", "KEY_MATERIAL_DOES_NOT_EXPIRE"
		if expires.Valid {
			r.ExpirationModel, r.ValidTo = "KEY_MATERIAL_EXPIRES", timestamp(expires.Int64)
		}
	}
	return r, nil
}
