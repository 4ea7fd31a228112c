package localkms

import (
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/policy"
)

// grant is a row of table key_grant: it lets the grantee do some operations with
// one key, beside what policies allow.
//
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
type grant struct {
	key        keyID
	id         grantID
	name       string
	grantee    string   // ARN
	retiring   string   // ARN of who may end it; "" for nobody in particular
	operations []string // in the order of AWS's model, each once
	grantLimits
	created int64 // Unix milliseconds
}

// grantID is a GrantId: 64 hex digits.
type grantID [32]byte

func (id grantID) String() string { return hex.EncodeToString(id[:]) }

// parseGrantID accepts exactly what String prints.
func parseGrantID(s string) (id grantID, ok bool) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil && id.String() == s
}

// grantLimits are the constraints of a grant; nil where there are none. At most
// one of the two is there.
type grantLimits struct{ subset, equals kmsclient.EncryptionContext }

// granted tells whether a grant lets the caller do the operation with the key.
// That the retiring principal, and the account, may end a grant lies in the grant
// too.
func (c *call) granted(op string, k *cmk) (bool, error) {
	who := c.api.caller.Principal.caller(c.w.store.account)
	allowed := op == "RetireGrant" && (who.Root || c.grant != nil && c.grant.retiring != "" &&
		(c.grant.retiring == who.ARN || c.grant.retiring == who.Role))
	err := c.eachGrant("region = ? AND cmk = ? AND grantee IN (?, ?)", []any{k.region, k.id[:], who.ARN, who.Role},
		func(g *grant) {
			allowed = allowed || slices.Contains(g.operations, op) && g.admits(op, &c.conditions)
		})
	return allowed, err
}

// admits tells whether a grant of an operation is one of this request.
func (g *grant) admits(op string, c *conditions) bool {
	switch {
	case op == "CreateGrant":
		return c.grant != nil && g.covers(c.grant)
	case op == "RetireGrant": // of the grant itself, not of others that the key has
		return c.grant != nil && g.id == c.grant.id
	case takesContext[op]:
		return (g.subset == nil || within(g.subset, c.ec)) && (g.equals == nil || sameContext(g.equals, c.ec))
	}
	return true
}

// takesContext are the operations with an encryption context, by the names
// grants have for them: those that constraints apply to.
var takesContext = map[string]bool{
	"Decrypt": true, "Encrypt": true, "GenerateDataKey": true, "GenerateDataKeyWithoutPlaintext": true,
	"GenerateDataKeyPair": true, "GenerateDataKeyPairWithoutPlaintext": true, "ReEncryptFrom": true, "ReEncryptTo": true,
}

// covers tells whether a child, made by permission of g, gives no more than g
// does: the same operations or fewer, under constraints as strict or stricter. A
// subset may grow, or become what the context must equal.
//
// Source: "Granting CreateGrant permission" in
// https://docs.aws.amazon.com/kms/latest/developerguide/create-grant-overview.html
func (g *grant) covers(child *grant) bool {
	for _, op := range child.operations {
		if !slices.Contains(g.operations, op) {
			return false
		}
	}
	return (g.equals == nil || child.equals != nil && sameContext(g.equals, child.equals)) &&
		(g.subset == nil || within(g.subset, child.subset) || within(g.subset, child.equals))
}

// within tells whether an encryption context has all pairs of a constraint. Names
// do not depend on case there, as in AWS; if they stand for several entries of
// the context, all of these must have the value.
func within(pairs, ec kmsclient.EncryptionContext) bool {
	for name, want := range pairs {
		got := policy.Folded(ec, strings.ToLower(name))
		if len(got) == 0 || slices.ContainsFunc(got, func(v string) bool { return v != want }) {
			return false
		}
	}
	return true
}

func sameContext(a, b kmsclient.EncryptionContext) bool {
	return len(a) == len(b) && within(a, b) && within(b, a)
}

// eachGrant calls f for each grant that a WHERE clause, with all that may follow
// it, chooses. f asks nothing of the database.
func (t *tx) eachGrant(where string, args []any, f func(*grant)) error {
	return t.each("SELECT cmk, id, name, grantee, retiring, operations, subset, equals, created FROM key_grant WHERE "+where, args,
		func(scan func(...any) error) error {
			g := &grant{}
			var key, id []byte
			var operations string
			var subset, equals sql.NullString
			err := scan(&key, &id, &g.name, &g.grantee, &g.retiring, &operations, &subset, &equals, &g.created)
			if err != nil {
				return err
			}
			g.key, g.id = keyID(key), grantID(id)
			err = json.Unmarshal([]byte(operations), &g.operations)
			if subset.Valid {
				err = errors.Join(err, json.Unmarshal([]byte(subset.String), &g.subset))
			}
			if equals.Valid {
				err = errors.Join(err, json.Unmarshal([]byte(equals.String), &g.equals))
			}
			if err != nil {
				return fmt.Errorf("%w: grant %s: %w", ErrDamaged, g.id, err)
			}
			f(g)
			return nil
		})
}

// columns are the operations and constraints of a grant as the database has them.
func (g *grant) columns() (operations string, subset, equals any, err error) {
	list, err := json.Marshal(g.operations)
	if err == nil && g.subset != nil {
		subset, err = jsonText(g.subset)
	}
	if err == nil && g.equals != nil {
		equals, err = jsonText(g.equals)
	}
	return string(list), subset, equals, err
}

// jsonText prints a context; equal ones print equally.
func jsonText(ec kmsclient.EncryptionContext) (string, error) {
	b, err := json.Marshal(ec)
	return string(b), err
}
