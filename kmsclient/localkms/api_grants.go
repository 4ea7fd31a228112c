package localkms

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
)

// AWS's limits on grants. Sources: the quotas of AWS KMS; CreateGrant in its API
// Reference.
const (
	maxGrants          = 50_000 // of a key
	maxConstraintPairs = 8
	maxConstraintValue = 384 // characters
)

// CreateGrant lets a principal do some operations with a key until the grant is
// retired or revoked. A grant has one kind of constraint; an empty one is none.
//
// Who may call it by a policy may give any operation. Who may by a grant of his
// own may give no more than that grant gives him.
func (a *API) CreateGrant(ctx context.Context, in CreateGrantInput) (CreateGrantOutput, error) {
	return do(ctx, a, "CreateGrant", &in, func(c *call) (out CreateGrantOutput, err error) {
		g, err := newGrant(&in)
		if err != nil {
			return out, err
		}
		c.tokens, c.grant = in.GrantTokens, g
		c.fact("kms:grantoperations", g.operations...)
		c.fact("kms:granteeprincipal", g.grantee)
		c.fact("kms:retiringprincipal", g.retiring)
		c.constraintFacts(g)
		c.serviceFact()
		if _, err := c.encodedContext(c.ec); err != nil {
			return out, err
		}
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		g.key, g.created = k.id, c.now.UnixMilli()
		if err := c.checkGrant(g, k); err != nil {
			return out, err
		}
		if c.w.store.locked {
			return out, errLocked
		}
		if err := c.putGrant(g, k); err != nil {
			return out, err
		}
		return CreateGrantOutput{GrantToken: c.w.store.root.grantToken(k.region, g), GrantID: g.id.String()}, nil
	})
}

// newGrant makes the grant that a request describes, with a random id.
func newGrant(in *CreateGrantInput) (*grant, error) {
	g := &grant{name: in.Name, grantee: in.GranteePrincipal, retiring: in.RetiringPrincipal}
	rand.Read(g.id[:])
	for _, op := range shape.Enum("GrantOperation") {
		if slices.Contains(in.Operations, op) {
			g.operations = append(g.operations, op)
		}
	}
	if len(g.operations) == 0 {
		return nil, invalid("operations", "Member must have length greater than or equal to 1")
	}
	if in.Constraints == nil {
		return g, nil
	}
	subset, equals := in.Constraints.EncryptionContextSubset, in.Constraints.EncryptionContextEquals
	switch {
	case len(subset) > 0 && len(equals) > 0:
		return nil, refuse("ValidationException", "A grant can have EncryptionContextSubset or EncryptionContextEquals, not both.")
	case len(subset) > 0:
		g.subset = subset
	case len(equals) > 0:
		g.equals = equals
	}
	for _, pairs := range []map[string]string{subset, equals} {
		if len(pairs) > maxConstraintPairs {
			return nil, invalid("constraints", fmt.Sprintf("Member must have length less than or equal to %d", maxConstraintPairs))
		}
		for v := range maps.Values(pairs) {
			if utf8.RuneCountInString(v) > maxConstraintValue {
				return nil, invalid("constraints", fmt.Sprintf("Map value must have length less than or equal to %d", maxConstraintValue))
			}
		}
	}
	return g, nil
}

// constraintFacts states the condition keys about a grant's constraint. Its pairs
// stand for the encryption context, which the request does not have.
func (c *conditions) constraintFacts(g *grant) {
	switch {
	case g.equals != nil:
		c.ec = g.equals
		c.fact("kms:grantconstrainttype", "EncryptionContextEquals")
	case g.subset != nil:
		c.ec = g.subset
		c.fact("kms:grantconstrainttype", "EncryptionContextSubset")
	}
}

// serviceFact states whether a service manages grants for its own use, on behalf
// of the caller.
func (c *call) serviceFact() {
	c.fact("kms:grantisforawsresource", boolText(c.api.caller.ViaService != ""))
}

// checkGrant refuses a grant that the key cannot have, or that names nobody.
func (c *call) checkGrant(g *grant, k *cmk) error {
	for _, op := range g.operations {
		if !k.grantable(op) {
			return refuse("ValidationException", "Operation %s is not supported in a grant for key %s of spec %s and usage %s.",
				op, c.arn(k), k.spec, k.usage)
		}
	}
	if (g.subset != nil || g.equals != nil) && !k.symmetric() {
		return refuse("ValidationException", "Encryption context constraints are only supported for symmetric encryption keys.")
	}
	for _, arn := range []string{g.grantee, g.retiring} {
		if arn == "" {
			continue
		}
		switch exists, err := c.principalExists(arn); {
		case err != nil:
			return err
		case !exists:
			return refuse("InvalidArnException", "ARN does not refer to a valid principal: %s", arn)
		}
	}
	return nil
}

// grantable tells whether a grant for the key can have an operation.
//
// Source: "Grant operations" in
// https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
func (k *cmk) grantable(op string) bool {
	switch op {
	case "CreateGrant", "DescribeKey", "RetireGrant":
		return true
	case "GetPublicKey":
		return keyspec.Spec(k.spec).Asymmetric()
	case "Encrypt", "Decrypt", "ReEncryptFrom", "ReEncryptTo":
		return k.usage == usageEncrypt
	case "Sign", "Verify":
		return k.usage == string(keyspec.SignVerify)
	case "GenerateMac", "VerifyMac":
		return k.usage == string(keyspec.GenerateVerifyMAC)
	case "DeriveSharedSecret":
		return k.usage == string(keyspec.KeyAgreement)
	}
	return k.symmetric() // data keys
}

// putGrant writes a grant. If the key has the same already, under the same name,
// that is taken for an earlier try of this request, and g becomes it.
func (c *call) putGrant(g *grant, k *cmk) error {
	operations, subset, equals, err := g.columns()
	if err != nil {
		return err
	}
	var id []byte
	err = c.row(`SELECT id FROM key_grant WHERE region = ? AND cmk = ? AND grantee = ? AND name = ? AND name <> ''
			AND retiring = ? AND operations = ? AND subset IS ? AND equals IS ?`,
		[]any{k.region, k.id[:], g.grantee, g.name, g.retiring, operations, subset, equals}, []any{&id})
	if err == nil {
		g.id = grantID(id)
		return nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var n int
	err = c.row("SELECT count(*) FROM (SELECT 1 FROM key_grant WHERE region = ? AND cmk = ? LIMIT ?)",
		[]any{k.region, k.id[:], maxGrants}, []any{&n})
	if err != nil {
		return err
	}
	if n >= maxGrants {
		return refuse("LimitExceededException", "Key %s has reached the limit of %d grants.", c.arn(k), maxGrants)
	}
	return c.exec("INSERT INTO key_grant VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		k.region, k.id[:], g.id[:], g.name, g.grantee, g.retiring, operations, subset, equals, g.created)
}

// RetireGrant ends a grant, named by its token or by key and grant id. Its
// retiring principal may, the grantee if RetireGrant is among the operations, the
// account, and who has the permission by policy.
//
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/grant-delete.html
func (a *API) RetireGrant(ctx context.Context, in RetireGrantInput) (Empty, error) {
	return do(ctx, a, "RetireGrant", &in, func(c *call) (out Empty, err error) {
		if err := c.readToken(&in); err != nil {
			return out, err
		}
		return out, c.endGrant(in.KeyID, in.GrantID, (*conditions).constraintFacts)
	})
}

// readToken fills in what grant the token of a request is of, also for the audit
// record, which does not show the token.
func (c *call) readToken(in *RetireGrantInput) error {
	if in.GrantToken == "" {
		if in.KeyID == "" || in.GrantID == "" {
			return refuse("ValidationException", "Either a grant token or both a key and a grant ID must be given.")
		}
		return nil
	}
	if c.w.store.locked {
		return errLocked
	}
	key, id, ok := c.w.store.root.openGrantToken(c.region(), in.GrantToken)
	if !ok {
		return errGrantToken()
	}
	if in.KeyID != "" {
		if k, err := c.resolve(in.KeyID, byID); err != nil || k != key {
			return errGrantToken()
		}
	}
	if in.GrantID != "" && in.GrantID != id.String() {
		return errGrantToken()
	}
	in.KeyID, in.GrantID = c.w.store.keyARN(c.region(), key), id.String()
	return nil
}

// RevokeGrant ends a grant, for who manages the key. From when it returns no
// process lets the grantee do anything by it.
func (a *API) RevokeGrant(ctx context.Context, in RevokeGrantInput) (Empty, error) {
	return do(ctx, a, "RevokeGrant", &in, func(c *call) (Empty, error) {
		c.serviceFact()
		return Empty{}, c.endGrant(in.KeyID, in.GrantID, nil)
	})
}

// endGrant deletes a grant. facts, if any, states what authorisation looks at.
func (c *call) endGrant(key, id string, facts func(*conditions, *grant)) error {
	gid, ok := parseGrantID(id)
	if !ok {
		return refuse("InvalidGrantIdException", "Grant ID %s is not valid", id)
	}
	kid, err := c.resolve(key, byID)
	if err != nil {
		return err
	}
	err = c.eachGrant("region = ? AND cmk = ? AND id = ?", []any{c.region(), kid[:], gid[:]}, func(g *grant) { c.grant = g })
	if err != nil {
		return err
	}
	if c.grant != nil && facts != nil {
		facts(&c.conditions, c.grant)
	}
	k, err := c.key(key, byID)
	if err != nil {
		return err
	}
	if c.grant == nil {
		return refuse("NotFoundException", "Grant ID %s not found", id)
	}
	return c.exec("DELETE FROM key_grant WHERE region = ? AND cmk = ? AND id = ?", k.region, k.id[:], gid[:])
}
