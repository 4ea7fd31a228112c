package localkms

import (
	"database/sql"
	"errors"
	"fmt"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/policy"
)

// iamCache keeps what the tables of principals, their policies and access keys
// say, for the writer's goroutine. The version, read in each transaction that
// asks, tells whether any process has changed them.
type iamCache struct {
	version    int64
	principals map[Principal]*identity // by kind and name alone
	keys       map[string]string       // access key id -> user, active ones only; "" = none
}

// identity is what IAM knows of a user or role. id is "" if it knows nothing.
type identity struct {
	id       string
	policies []*policy.Policy
}

// maxCached bounds each of the caches: enough for every principal of an account,
// not for every name a hostile caller can think of.
const maxCached = 10_000

// ownerPolicy is what the local user and the account may do.
var ownerPolicy = mustParse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`)

func mustParse(document string) []*policy.Policy {
	p, err := policy.Parse([]byte(document), policy.IdentityPolicy)
	if err != nil {
		panic(err)
	}
	return []*policy.Policy{p}
}

// iam gives the cache, emptied if the tables have changed.
func (t *tx) iam() (*iamCache, error) {
	c := &t.w.iam
	if t.iamFresh {
		return c, nil
	}
	var version int64
	if err := t.row("SELECT version FROM iam_version", nil, []any{&version}); err != nil {
		return nil, err
	}
	if version != c.version || len(c.principals) > maxCached || len(c.keys) > maxCached {
		*c = iamCache{version: version, principals: map[Principal]*identity{}, keys: map[string]string{}}
	}
	t.iamFresh = true
	return c, nil
}

// iamChanged is called by whatever changes the tables.
func (t *tx) iamChanged() error {
	t.iamFresh = false
	return t.exec("UPDATE iam_version SET version = version + 1")
}

// identity looks a user or role up.
func (t *tx) identity(p Principal) (*identity, error) {
	c, err := t.iam()
	if err != nil {
		return nil, err
	}
	key := Principal{kind: p.kind, name: p.name}
	if i := c.principals[key]; i != nil {
		return i, nil
	}
	i := &identity{}
	err = t.row("SELECT id FROM principal WHERE kind = ? AND name = ?", []any{p.kind.String(), p.name}, []any{&i.id})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	err = t.each("SELECT name, document FROM principal_policy WHERE kind = ? AND owner = ?", []any{p.kind.String(), p.name},
		func(scan func(...any) error) error {
			var name, document string
			if err := scan(&name, &document); err != nil {
				return err
			}
			parsed, err := policy.Parse([]byte(document), policy.IdentityPolicy)
			if err != nil {
				return fmt.Errorf("%w: policy %s of %s: %w", ErrDamaged, name, p, err)
			}
			i.policies = append(i.policies, parsed)
			return nil
		})
	if err != nil {
		return nil, err
	}
	c.principals[key] = i
	return i, nil
}

// accessKeyUser tells whose an access key is; "" if it is unknown or inactive.
func (t *tx) accessKeyUser(id string) (string, error) {
	c, err := t.iam()
	if err != nil {
		return "", err
	}
	user, known := c.keys[id]
	if known {
		return user, nil
	}
	err = t.row("SELECT user FROM access_key WHERE id = ? AND active", []any{id}, []any{&user})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	c.keys[id] = user
	return user, nil
}

// policies gives the identity policies in force for the caller of c, and its
// unique id. It refuses credentials that have been withdrawn since the request
// was signed: an access key or role that was deleted, a session that has ended.
func (c *call) policies() (_ []*policy.Policy, id string, err error) {
	p := c.api.caller.Principal
	if p.kind == kindRoot {
		return ownerPolicy, c.w.store.account, nil
	}
	if p.kind == kindNone {
		return nil, "", nil
	}
	i, err := c.identity(p)
	if err != nil {
		return nil, "", err
	}
	id = i.id
	switch {
	case id == "" && p.owner:
		return ownerPolicy, p.String(), nil
	case p.expires != 0 && c.now.UnixMilli() >= p.expires:
		return nil, id, errExpiredToken()
	case p.id != "" && p.id != id:
		return nil, id, errUnknownToken()
	}
	if key := c.api.caller.AccessKeyID; key != "" && p.kind == kindUser {
		switch user, err := c.accessKeyUser(key); {
		case err != nil:
			return nil, id, err
		case user != p.name:
			return nil, id, errUnknownToken()
		}
	}
	if p.kind == kindRole && id != "" {
		id += ":" + p.session
	}
	return i.policies, id, nil
}

func errUnknownToken() *kmsclient.Error {
	return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
}

// String is the kind as the database has it.
func (k principalKind) String() string {
	switch k {
	case kindUser:
		return "user"
	case kindRole:
		return "role"
	}
	return ""
}
