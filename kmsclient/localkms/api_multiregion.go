package localkms

import (
	"context"
	"slices"
	"strings"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

// multiRegion lists a multi-Region key and its relations as DescribeKey answers;
// nil for a key of one Region.
func (c *call) multiRegion(k *cmk) (*MultiRegionConfiguration, error) {
	if k.prime == "" {
		return nil, nil
	}
	related, err := c.related(k)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(related, func(a, b *cmk) int { return strings.Compare(a.region, b.region) })
	m := &MultiRegionConfiguration{MultiRegionKeyType: k.multiRegionType(), ReplicaKeys: []MultiRegionKey{}}
	for _, r := range related {
		key := MultiRegionKey{Arn: c.arn(r), Region: r.region}
		if r.region == k.prime {
			m.PrimaryKey = &key
		} else {
			m.ReplicaKeys = append(m.ReplicaKeys, key)
		}
	}
	return m, nil
}

// in is the same caller's call of another operation, in another Region.
func (c *call) in(region, op string) *call {
	api := *c.api
	api.caller.Region = region
	return &call{tx: c.tx, api: &api, op: op}
}

// primaryKey is managedKey for operations on the primary key of a multi-Region key.
func (c *call) primaryKey(ref string) (*cmk, error) {
	k, err := c.managedKey(ref)
	if err == nil && k.multiRegionType() != "PRIMARY" {
		err = refuse("UnsupportedOperationException", "%s is not a multi-Region primary key.", c.arn(k))
	}
	return k, err
}

// ReplicateKey makes a key in another Region of the same id and material as the
// primary key, so that each opens what the other has sealed. Policy, description,
// tags, aliases, grants and state are its own. Imported material has to be
// imported there too.
func (a *API) ReplicateKey(ctx context.Context, in ReplicateKeyInput) (ReplicateKeyOutput, error) {
	return do(ctx, a, "ReplicateKey", &in, func(c *call) (out ReplicateKeyOutput, err error) {
		c.fact("kms:replicaregion", in.ReplicaRegion)
		c.fact("kms:primaryregion", c.region())
		k, err := c.primaryKey(in.KeyID)
		if err != nil {
			return out, err
		}
		r := &cmk{
			region: in.ReplicaRegion, id: k.id, state: kmsclient.StateEnabled, spec: k.spec, usage: k.usage, origin: k.origin,
			manager: k.manager, description: in.Description, created: c.now.UnixMilli(), prime: k.region,
			number: k.number, current: k.current, public: k.public,
		}
		there := c.in(in.ReplicaRegion, "CreateKey")
		if err := there.checkReplica(r, &in); err != nil {
			return out, err
		}
		if r.policy, err = there.newPolicy(in.Policy, r, in.BypassPolicyLockoutSafetyCheck); err != nil {
			return out, err
		}
		if err := there.insertReplica(r, k, in.Tags); err != nil {
			return out, err
		}
		if out.ReplicaPolicy, err = there.policyDocument(r.policy); err != nil {
			return out, err
		}
		out.ReplicaTags = in.Tags
		if out.ReplicaKeyMetadata, err = there.metadata(r); err != nil {
			return out, err
		}
		// As with AWS, the replica's Region has a record of its own.
		there.note.cmk = &r.id
		return out, there.record(shape.Params(&in), shape.Params(&CreateKeyOutput{out.ReplicaKeyMetadata}), nil)
	})
}

// checkReplica refuses a replica where there is one already, or that the caller
// may not create.
func (c *call) checkReplica(r *cmk, in *ReplicateKeyInput) error {
	switch old, err := c.loadAny(r.region, r.id); {
	case err != nil:
		return err
	case old != nil && old.state != stateDeleted:
		return refuse("AlreadyExistsException", "%s already exists", c.arn(r))
	}
	if err := c.mayCreate(r, in.BypassPolicyLockoutSafetyCheck, in.Tags); err != nil {
		return err
	}
	return c.keyQuota()
}

// insertReplica writes a replica of k, in place of one that was deleted.
func (c *call) insertReplica(r, k *cmk, tags []Tag) error {
	for _, q := range []string{"DELETE FROM material WHERE region = ? AND cmk = ?", "DELETE FROM cmk WHERE region = ? AND id = ?"} {
		if err := c.exec(q, r.region, r.id[:]); err != nil {
			return err
		}
	}
	if err := c.insert(r); err != nil {
		return err
	}
	if err := c.copyMaterials(k, r.region, 1); err != nil {
		return err
	}
	if k.origin == originExternal {
		if err := c.reconsider(r); err != nil {
			return err
		}
	}
	return c.putTags(r, tags)
}

// copyMaterials gives the key related to k in another Region the materials of k
// from a number on; of imported ones, all but the material itself.
func (t *tx) copyMaterials(k *cmk, region string, from int) error {
	return t.exec(`INSERT INTO material (region, cmk, number, id, ref, sealed, created, rotated, rotation, expires, description)
			SELECT ?4, cmk, number, id, ref, iif(?5, NULL, sealed), created, rotated, rotation, NULL, iif(?5, '', description)
			FROM material WHERE region = ?1 AND cmk = ?2 AND number >= ?3`,
		k.region, k.id[:], from, region, k.origin == originExternal)
}

// UpdatePrimaryRegion makes a replica the primary key, and the primary key a
// replica, at once.
func (a *API) UpdatePrimaryRegion(ctx context.Context, in UpdatePrimaryRegionInput) (Empty, error) {
	return do(ctx, a, "UpdatePrimaryRegion", &in, func(c *call) (out Empty, err error) {
		c.fact("kms:primaryregion", in.PrimaryRegion)
		k, err := c.primaryKey(in.KeyID)
		if err != nil {
			return out, err
		}
		there := c.in(in.PrimaryRegion, c.op)
		there.fact("kms:primaryregion", in.PrimaryRegion)
		r, err := there.key(k.id.String(), byID)
		if err != nil {
			return out, err
		}
		if r.region == k.region {
			return out, refuse("UnsupportedOperationException", "%s is the primary key already.", c.arn(k))
		}
		related, err := c.related(k)
		if err != nil {
			return out, err
		}
		period, rotation := k.period, k.rotation
		for _, m := range related {
			m.prime, m.period, m.rotation = r.region, 0, 0
			if m.region == r.region { // rotation is the primary key's, and goes on there
				m.period, m.rotation = period, rotation
			}
			if err := c.save(m); err != nil {
				return out, err
			}
		}
		return out, there.record(shape.Params(&in), nil, nil)
	})
}

// replicaDeleted starts the waiting period of a primary key that waited for the
// last of its replicas, of which k is one, to be deleted.
func (t *tx) replicaDeleted(k *cmk) error {
	if k.multiRegionType() != "REPLICA" {
		return nil
	}
	primary, err := t.loadAny(k.prime, k.id)
	if err != nil || primary == nil || primary.state != statePendingReplicaDeletion {
		return err
	}
	return (&call{tx: t}).scheduleDeletion(primary)
}
