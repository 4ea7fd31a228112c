package localkms

import (
	"context"
	"encoding/hex"
)

// ListGrants lists the grants of a key in order of their ids, in parts of up to
// 100 (50 by default): all, one, or those of a grantee.
func (a *API) ListGrants(ctx context.Context, in ListGrantsInput) (ListGrantsOutput, error) {
	return do(ctx, a, "ListGrants", &in, func(c *call) (ListGrantsOutput, error) {
		out := ListGrantsOutput{Grants: []Grant{}}
		c.serviceFact()
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		var only any // NULL: all grants
		if in.GrantID != "" {
			id, ok := parseGrantID(in.GrantID)
			if !ok {
				return out, refuse("InvalidGrantIdException", "Grant ID %s is not valid", in.GrantID)
			}
			only = id[:]
		}
		var after []byte
		if in.Marker != "" {
			id, ok := parseGrantID(in.Marker)
			if !ok {
				return out, refuse("InvalidMarkerException", "")
			}
			after = id[:]
		}
		limit := in.limit(50, 100)
		err = c.eachGrant(`region = ?1 AND cmk = ?2 AND id > ifnull(?3, x'') AND (?4 IS NULL OR id = ?4)
				AND (?5 = '' OR grantee = ?5) ORDER BY id LIMIT ?6`,
			[]any{k.region, k.id[:], orNull(after), only, in.GranteePrincipal, limit + 1},
			func(g *grant) { out.Grants = append(out.Grants, c.listed(g)) })
		out.Grants, out.More = cut(out.Grants, limit, func(g Grant) string { return g.GrantID })
		return out, err
	})
}

// ListRetirableGrants lists the grants of all keys of the Region that name a
// principal of this account as retiring principal, in parts of up to 100 (50 by
// default). The permission is one on the principal, not on the keys.
func (a *API) ListRetirableGrants(ctx context.Context, in ListRetirableGrantsInput) (ListRetirableGrantsOutput, error) {
	return do(ctx, a, "ListRetirableGrants", &in, func(c *call) (ListRetirableGrantsOutput, error) {
		out := ListRetirableGrantsOutput{Grants: []Grant{}}
		if err := c.authorizeOn("kms:ListRetirableGrants", in.RetiringPrincipal, nil); err != nil {
			return out, err
		}
		if _, ok := c.principalOf(in.RetiringPrincipal); !ok {
			return out, refuse("InvalidArnException", "ARN does not refer to a valid principal: %s", in.RetiringPrincipal)
		}
		var key keyID
		var id grantID
		if in.Marker != "" {
			b, err := hex.DecodeString(in.Marker)
			if err != nil || len(b) != len(key)+len(id) {
				return out, refuse("InvalidMarkerException", "")
			}
			key, id = keyID(b[:len(key)]), grantID(b[len(key):])
		}
		limit := in.limit(50, 100)
		var next []string // how the list goes on after each grant
		err := c.eachGrant("region = ? AND retiring = ? AND retiring <> '' AND (cmk, id) > (?, ?) ORDER BY cmk, id LIMIT ?",
			[]any{c.region(), in.RetiringPrincipal, key[:], id[:], limit + 1}, func(g *grant) {
				out.Grants = append(out.Grants, c.listed(g))
				next = append(next, hex.EncodeToString(g.key[:])+g.id.String())
			})
		out.Grants, out.More = cut(out.Grants, limit, func(Grant) string { return next[limit-1] })
		return out, err
	})
}

// listed is a grant as lists show it.
func (c *call) listed(g *grant) Grant {
	out := Grant{
		KeyID: c.w.store.keyARN(c.region(), g.key), GrantID: g.id.String(), Name: g.name, CreationDate: timestamp(g.created),
		GranteePrincipal: g.grantee, RetiringPrincipal: g.retiring, IssuingAccount: rootARN(c.w.store.account), Operations: g.operations,
	}
	if g.subset != nil || g.equals != nil {
		out.Constraints = &GrantConstraints{EncryptionContextSubset: g.subset, EncryptionContextEquals: g.equals}
	}
	return out
}
