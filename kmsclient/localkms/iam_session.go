package localkms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"kmsfs/kmsclient/localkms/policy"
	"kmsfs/kmsclient/localkms/shape"
)

// Sessions of roles are not stored. The session token, which comes with each
// request, says whose session it is and when it ends; it is sealed under a key
// that its access key id and the root key make. The secret is made of the same
// two. A session ends when its time is over or its role is deleted.

// tokenVersion is the first byte of a session token.
const tokenVersion = 1

// Labels of what is derived for one session, by its access key id.
const (
	labelSessionToken  = "kmsfs kms 1 session token"
	labelSessionSecret = "kmsfs kms 1 session secret"
)

// claims is what is sealed in a session token.
type claims struct {
	Role    string `json:"r"`
	RoleID  string `json:"i"`
	Session string `json:"s"`
	Expires int64  `json:"e"` // Unix milliseconds
}

// sessionToken is base64 of the version and, sealed with AES-256-GCM, the claims.
func (k rootKey) sessionToken(accessKeyID string, p Principal) string {
	text, err := json.Marshal(claims{p.name, p.id, p.session, p.expires})
	if err != nil {
		panic(err) // strings and a number cannot fail
	}
	version := []byte{tokenVersion}
	sealed := gcm(k.derive(labelSessionToken, []byte(accessKeyID))).Seal(nil, nil, text, version)
	return base64.StdEncoding.EncodeToString(append(version, sealed...))
}

// openSessionToken gives the session of a token, which may be over; false for
// what sessionToken did not make for this access key id.
func (k rootKey) openSessionToken(accessKeyID, token string) (p Principal, ok bool) {
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(b) == 0 || b[0] != tokenVersion {
		return p, false
	}
	text, err := gcm(k.derive(labelSessionToken, []byte(accessKeyID))).Open(nil, nil, b[1:], b[:1])
	if err != nil {
		return p, false
	}
	var c claims
	if json.Unmarshal(text, &c) != nil {
		return p, false
	}
	return Principal{kind: kindRole, name: c.Role, id: c.RoleID, session: c.Session, expires: c.Expires}, true
}

func (k rootKey) sessionSecret(accessKeyID string) string {
	return base64.StdEncoding.EncodeToString(k.derive(labelSessionSecret, []byte(accessKeyID))[:secretLength])
}

// Durations of sessions, in seconds.
const (
	standardSession = 3600
	maxChained      = 3600 // of a role that a session of a role assumes
)

// AssumeRole begins a session of a role: for an hour, unless DurationSeconds says
// otherwise, up to what the role allows, and up to an hour for who is in such a
// session already. The role's trust policy must let the caller, or leave it to
// the caller's own policies. The account itself assumes no roles.
//
// Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func (a *API) AssumeRole(ctx context.Context, in AssumeRoleInput) (AssumeRoleOutput, error) {
	return doIAM(ctx, a, "AssumeRole", &in, func(c *call) (out AssumeRoleOutput, err error) {
		s := c.w.store
		if validName(in.RoleArn) {
			in.RoleArn = roleARN(s.account, in.RoleArn)
		}
		e, err := c.assumable(in.RoleArn)
		if err != nil {
			return out, err
		}
		seconds := standardSession
		if in.DurationSeconds != nil {
			seconds = *in.DurationSeconds
		}
		switch {
		case seconds > e.session:
			return out, refuse("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
		case seconds > maxChained && c.api.caller.Principal.kind == kindRole:
			return out, refuse("ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
		case s.locked:
			return out, errLocked
		}
		expires := c.now.Truncate(time.Second).Add(time.Duration(seconds) * time.Second)
		p := Principal{kind: kindRole, name: e.name, session: in.RoleSessionName, id: e.id, expires: expires.UnixMilli()}
		id := newAccessKeyID("ASIA")
		return AssumeRoleOutput{
			Credentials{id, s.root.sessionSecret(id), s.root.sessionToken(id, p), shape.Time{Time: expires}},
			AssumedRoleUser{e.id + ":" + p.session, p.arn(s.account)},
		}, nil
	})
}

// assumable finds a role by its ARN, if the caller may assume it. Who may not
// learns nothing about it, not even whether it is there.
func (c *call) assumable(arn string) (*entity, error) {
	s, p := c.w.store, c.api.caller.Principal
	identity, id, err := c.policies()
	if err != nil {
		return nil, err
	}
	switch {
	case !strings.HasPrefix(arn, "arn:"):
		return nil, refuse("ValidationError", "%s is invalid", arn)
	case p.kind == kindRoot:
		return nil, refuse("AccessDenied", "Roles may not be assumed by root accounts.")
	}
	denied := refuse("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", p.arn(s.account), arn)
	name, ours := strings.CutPrefix(arn, roleARN(s.account, ""))
	if !ours {
		return nil, denied
	}
	e, err := c.findEntity(kindRole, name)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, denied
	}
	trust, err := policy.Parse([]byte(e.trust), policy.TrustPolicy)
	if err != nil {
		return nil, fmt.Errorf("%w: trust policy of role %s: %w", ErrDamaged, name, err)
	}
	values := &requestContext{call: c, principal: id}
	d := policy.Decide(&policy.Request{
		Action: "sts:AssumeRole", Resource: arn, Caller: p.caller(s.account), Context: values.get,
	}, trust, identity)
	if values.err != nil {
		return nil, values.err
	}
	if !d.Allowed {
		return nil, denied
	}
	return e, nil
}

// GetCallerIdentity tells who calls. Everybody may ask.
func (a *API) GetCallerIdentity(ctx context.Context, in GetCallerIdentityInput) (GetCallerIdentityOutput, error) {
	return doIAM(ctx, a, "GetCallerIdentity", &in, func(c *call) (GetCallerIdentityOutput, error) {
		account := c.w.store.account
		return GetCallerIdentityOutput{c.note.principal, account, c.api.caller.Principal.arn(account)}, nil
	})
}
