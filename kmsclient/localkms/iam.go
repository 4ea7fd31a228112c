package localkms

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

// The IAM of the embedded KMS: users and roles, their inline policies and access
// keys, and, of STS, the sessions of roles.
//
// Key policies, trust policies and grants name users and roles by ARN. AWS turns
// these names into unique ids, so that a user made anew under an old name gets
// nothing of what the first one had. Here grants end with their user or role, but
// a policy that still names it means whoever gets the name next.

// AWS's quotas for an account.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxUsers = 5000
	maxRoles = 1000
)

// doIAM is do for the operations of IAM and STS, which have names of their own
// for the errors that every service knows.
func doIAM[In, Out any](ctx context.Context, a *API, op string, in *In, f func(*call) (Out, error)) (Out, error) {
	return doChecked(ctx, a, op, in, asIAM(asRefusal(shape.Validate(in))), func(c *call) (Out, error) {
		out, err := f(c)
		return out, asIAM(err)
	})
}

func asIAM(err error) error {
	var e *kmsclient.Error
	if !errors.As(err, &e) {
		return err
	}
	renamed := *e
	switch e.Code {
	case "AccessDeniedException":
		renamed.Code = "AccessDenied"
	case "ValidationException":
		renamed.Code = "ValidationError"
	}
	return &renamed
}

// entity is a user or role: a row of table principal.
type entity struct {
	kind    principalKind
	name    string
	id      string
	trust   string // roles: who may assume it, a policy document
	session int    // roles: longest session in seconds
	created int64  // Unix milliseconds, whole seconds
}

const selectEntity = "SELECT name, id, trust, session, created FROM principal WHERE kind = ? "

func (e *entity) scan(scan func(...any) error) error {
	return scan(&e.name, &e.id, &e.trust, &e.session, &e.created)
}

func (s *Store) entityARN(kind principalKind, name string) string {
	if kind == kindRole {
		return roleARN(s.account, name)
	}
	return userARN(s.account, name)
}

// authorizeIAM decides whether the caller may do the operation with a user or
// role; a list is about the one without a name.
func (c *call) authorizeIAM(kind principalKind, name string) error {
	return c.authorizeOn("iam:"+c.op, c.w.store.entityARN(kind, name), nil)
}

// entity reads a user or role, if the caller may do the operation with it.
func (c *call) entity(kind principalKind, name string) (*entity, error) {
	if err := c.authorizeIAM(kind, name); err != nil {
		return nil, err
	}
	e, err := c.findEntity(kind, name)
	if err == nil && e == nil {
		err = refuse("NoSuchEntity", "The %s with name %s cannot be found.", kind, name)
	}
	return e, err
}

// findEntity reads a user or role; nil if there is none.
func (t *tx) findEntity(kind principalKind, name string) (e *entity, err error) {
	err = t.each(selectEntity+"AND name = ?", []any{kind.String(), name}, func(scan func(...any) error) error {
		e = &entity{kind: kind}
		return e.scan(scan)
	})
	return e, err
}

// entities reads a part of all users or roles, by name, and one more.
func (c *call) entities(kind principalKind, p IAMPage) (list []*entity, err error) {
	if err := c.authorizeIAM(kind, ""); err != nil {
		return nil, err
	}
	err = c.each(selectEntity+"AND name > ? ORDER BY name LIMIT ?", []any{kind.String(), p.Marker, p.limit() + 1},
		func(scan func(...any) error) error {
			e := &entity{kind: kind}
			list = append(list, e)
			return e.scan(scan)
		})
	return list, err
}

// limit is how many entries to answer with.
func (p IAMPage) limit() int { return Page{Limit: p.MaxItems}.limit(100, 1000) }

// cutIAM is cut for the lists of IAM.
func cutIAM[E any](list []E, p IAMPage, marker func(E) string) ([]E, IAMMore) {
	list, more := cut(list, p.limit(), marker)
	return list, IAMMore{IsTruncated: more.Truncated, Marker: more.NextMarker}
}

// createEntity writes a new user or role with a random id that begins with
// prefix. Names that differ in case alone are the same here.
func (c *call) createEntity(e *entity, prefix, title, quota string, most int) error {
	var n int
	var taken bool
	err := c.row("SELECT count(*), ifnull(max(name COLLATE NOCASE = ?), 0) FROM principal WHERE kind = ?",
		[]any{e.name, e.kind.String()}, []any{&n, &taken})
	switch {
	case err != nil:
		return err
	case taken:
		return refuse("EntityAlreadyExists", "%s with name %s already exists.", title, e.name)
	case n >= most:
		return refuse("LimitExceeded", "Cannot exceed quota for %s: %d", quota, most)
	}
	e.id, e.created = prefix+rand.Text()[:17], c.now.Truncate(time.Second).UnixMilli()
	err = c.exec("INSERT INTO principal VALUES (?, ?, ?, ?, ?, ?)", e.kind.String(), e.name, e.id, e.trust, e.session, e.created)
	if err != nil {
		return err
	}
	return c.iamChanged()
}

// deleteEntity deletes a user or role that has neither policies nor access keys,
// and ends the grants to it.
func (c *call) deleteEntity(kind principalKind, name string) error {
	if _, err := c.entity(kind, name); err != nil {
		return err
	}
	for _, held := range []struct{ what, query string }{
		{"access keys", "SELECT EXISTS (SELECT 1 FROM access_key WHERE ?1 = 'user' AND user = ?2)"},
		{"policies", "SELECT EXISTS (SELECT 1 FROM principal_policy WHERE kind = ?1 AND owner = ?2)"},
	} {
		var some bool
		if err := c.row(held.query, []any{kind.String(), name}, []any{&some}); err != nil {
			return err
		}
		if some {
			return refuse("DeleteConflict", "Cannot delete entity, must delete %s first.", held.what)
		}
	}
	if err := c.endGrantsTo(kind, name); err != nil {
		return err
	}
	if err := c.exec("DELETE FROM principal WHERE kind = ? AND name = ?", kind.String(), name); err != nil {
		return err
	}
	return c.iamChanged()
}

// endGrantsTo ends the grants to a user, or to a role and its sessions, with a
// record of RevokeGrant for each, so that the log of a key tells who may use it.
func (c *call) endGrantsTo(kind principalKind, name string) error {
	const which = "FROM key_grant WHERE grantee = ?1 OR substr(grantee, 1, length(?2)) = ?2"
	var sessions any // start of their ARNs; NULL for a user
	if kind == kindRole {
		sessions = Principal{kind: kindRole, name: name}.arn(c.w.store.account)
	}
	args := []any{c.w.store.entityARN(kind, name), sessions}
	var ended []*call
	var requests []RevokeGrantInput
	err := c.each("SELECT region, cmk, id "+which, args, func(scan func(...any) error) error {
		var region string
		var key, id []byte
		if err := scan(&region, &key, &id); err != nil {
			return err
		}
		api := &API{store: c.api.store, caller: c.api.caller}
		api.caller.Region = region
		ended = append(ended, &call{tx: c.tx, api: api, op: "RevokeGrant", note: auditNote{principal: c.note.principal, cmk: new(keyID(key))}})
		requests = append(requests, RevokeGrantInput{KeyID: c.w.store.keyARN(region, keyID(key)), GrantID: grantID(id).String()})
		return nil
	})
	if err != nil || len(ended) == 0 {
		return err
	}
	if err := c.exec("DELETE "+which, args...); err != nil {
		return err
	}
	for i, r := range ended {
		if err := r.record(shape.Params(&requests[i]), nil, nil); err != nil {
			return err
		}
	}
	return nil
}
