package localkms

import (
	"context"
	"database/sql"
	"strconv"
)

// maxOnDemand is AWS's limit of rotations on demand per key.
const maxOnDemand = 25

// RotateKeyOnDemand gives a key new material: what is wrapped from now on is
// under it, what was wrapped before still opens. 25 times per key.
func (a *API) RotateKeyOnDemand(ctx context.Context, key string) (KeyIDOutput, error) {
	return do(ctx, a, "RotateKeyOnDemand", params{"keyId": key}, func(c *call) (out KeyIDOutput, err error) {
		k, err := c.key(key, byID)
		if err != nil {
			return out, err
		}
		var last, onDemand int
		err = c.row("SELECT max(number), count(*) FILTER (WHERE rotation = 'ON_DEMAND') FROM material WHERE cmk = ?",
			[]any{k.id[:]}, []any{&last, &onDemand})
		if err != nil {
			return out, err
		}
		if onDemand >= maxOnDemand {
			return out, refuse("LimitExceededException",
				"The on-demand rotations limit has been reached for the given keyId. "+
					"No more on-demand rotations can be performed for this key: %s", c.arn(k))
		}
		return KeyIDOutput{c.arn(k)}, c.addMaterial(k, last+1, "ON_DEMAND")
	})
}

// ListKeyRotationsInput asks for the rotations of a key.
type ListKeyRotationsInput struct {
	KeyID              string // id or ARN
	IncludeKeyMaterial string // ROTATIONS_ONLY (default), or ALL_KEY_MATERIAL for the first as well
	Page
}

// Rotation is one piece of key material, with how and when it came about.
type Rotation struct {
	KeyID            string `json:"KeyId"`
	KeyMaterialID    string `json:"KeyMaterialId"`
	KeyMaterialState string
	RotationDate     *Timestamp `json:",omitempty"`
	RotationType     string     `json:",omitempty"`
}

// ListKeyRotationsOutput is one part of the list of rotations.
type ListKeyRotationsOutput struct {
	Rotations []Rotation
	More
}

// ListKeyRotations lists a key's materials from the oldest, in parts of up to
// 1000 (100 by default).
func (a *API) ListKeyRotations(ctx context.Context, in ListKeyRotationsInput) (ListKeyRotationsOutput, error) {
	p := params{"keyId": in.KeyID, "includeKeyMaterial": in.IncludeKeyMaterial, "limit": in.Limit, "marker": in.Marker}
	return do(ctx, a, "ListKeyRotations", p, func(c *call) (ListKeyRotationsOutput, error) {
		out := ListKeyRotationsOutput{Rotations: []Rotation{}}
		limit, err := in.limit(100, 1000)
		if err != nil {
			return out, err
		}
		after := 1 // the first material is not a rotation
		switch in.IncludeKeyMaterial {
		case "", "ROTATIONS_ONLY":
		case "ALL_KEY_MATERIAL":
			after = 0
		default:
			return out, invalid("includeKeyMaterial", "Member must satisfy enum value set: [ALL_KEY_MATERIAL, ROTATIONS_ONLY]")
		}
		if in.Marker != "" {
			n, err := strconv.Atoi(in.Marker)
			if err != nil {
				return out, refuse("InvalidMarkerException", "")
			}
			after = max(after, n)
		}
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		last := 0
		err = c.each("SELECT number, id, created, rotation FROM material WHERE cmk = ? AND number > ? ORDER BY number LIMIT ?",
			[]any{k.id[:], after, limit + 1}, func(scan func(...any) error) error {
				var number int
				var id []byte
				var created int64
				var kind sql.NullString
				if err := scan(&number, &id, &created, &kind); err != nil {
					return err
				}
				if len(out.Rotations) == limit {
					out.More = More{true, strconv.Itoa(last)}
					return nil
				}
				last = number
				r := Rotation{KeyID: k.id.String(), KeyMaterialID: hexID([32]byte(id)), KeyMaterialState: "NON_CURRENT"}
				if [32]byte(id) == k.current {
					r.KeyMaterialState = "CURRENT"
				}
				if kind.Valid {
					r.RotationDate, r.RotationType = timestamp(created), kind.String
				}
				out.Rotations = append(out.Rotations, r)
				return nil
			})
		return out, err
	})
}

// RotationStatus is the answer of GetKeyRotationStatus.
type RotationStatus struct {
	KeyRotationEnabled bool
	KeyID              string `json:"KeyId"` // ARN
}

// GetKeyRotationStatus tells whether a key rotates by itself. Keys of this KMS
// do not yet.
func (a *API) GetKeyRotationStatus(ctx context.Context, key string) (RotationStatus, error) {
	return do(ctx, a, "GetKeyRotationStatus", params{"keyId": key}, func(c *call) (out RotationStatus, err error) {
		k, err := c.key(key, byID)
		if err != nil {
			return out, err
		}
		return RotationStatus{KeyID: c.arn(k)}, nil
	})
}
