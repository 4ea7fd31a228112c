package localkms

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/policy"
)

// conditions is what an operation tells authorisation about its request. An
// operation fills it in before it asks for its key.
type conditions struct {
	ec     kmsclient.EncryptionContext
	tokens []string // grant tokens
	ref    string   // how the request named the key
	grant  *grant   // the grant that the request would make or end
	facts  []fact
}

// fact is the value of a condition key, by its name in lower case.
type fact struct {
	key    string
	values []string
}

// fact states the value of a condition key; "" is no value.
func (c *conditions) fact(key string, values ...string) {
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	if len(values) > 0 {
		c.facts = append(c.facts, fact{key, values})
	}
}

// authorize decides whether the caller may do action ("Decrypt") with the key:
// explicit denial first, then key policy, identity policies and grants. k is nil
// for what is about no key.
//
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
func (c *call) authorize(action string, k *cmk) error {
	return c.authorizeOn("kms:"+action, "*", k)
}

// authorizeOn is authorize for any action; resource counts where there is no key.
func (c *call) authorizeOn(action, resource string, k *cmk) error {
	if err := c.checkTokens(); err != nil {
		return err
	}
	identity, id, err := c.policies()
	if err != nil {
		return err
	}
	c.note.principal = id
	values := &requestContext{call: c, key: k, principal: id}
	r := &policy.Request{
		Action: action, Resource: resource, Caller: c.api.caller.Principal.caller(c.w.store.account), Context: values.get,
	}
	var keyPolicy *policy.Policy
	if k != nil {
		r.Resource = c.arn(k)
		if keyPolicy, err = c.keyPolicy(k.policy); err != nil {
			return err
		}
	}
	d := policy.Decide(r, keyPolicy, identity)
	if values.err != nil { // a value that could not be read may have been what a Deny is about
		return values.err
	}
	if !d.Allowed && !d.Explicit && k != nil {
		if d.Allowed, err = c.granted(strings.TrimPrefix(action, "kms:"), k); err != nil {
			return err
		}
	}
	if d.Allowed {
		return nil
	}
	return refuse("AccessDeniedException", "User: %s is not authorized to perform: %s on resource: %s %s",
		r.Caller.ARN, action, r.Resource, d.Reason(action))
}

// keyPolicy gives a key policy in parsed form. An id never stands for another
// text, so what is cached stays right; keys with the same policy share one.
func (t *tx) keyPolicy(id int64) (*policy.Policy, error) {
	if p := t.w.policies[id]; p != nil {
		return p, nil
	}
	document, err := t.policyDocument(id)
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse([]byte(document), policy.KeyPolicy)
	if err != nil {
		return nil, fmt.Errorf("%w: key policy %d: %w", ErrDamaged, id, err)
	}
	if len(t.w.policies) >= maxCached {
		clear(t.w.policies)
	}
	t.w.policies[id] = p
	return p, nil
}

// requestContext gives policies the values of their condition keys.
type requestContext struct {
	call      *call
	key       *cmk // nil for what is about no key
	principal string
	err       error // of the database

	tags    map[string]string // of the key; nil before they were asked for
	aliases *[]string         // like tags
}

// get is a policy.Context.
func (r *requestContext) get(name string) []string {
	c, caller := r.call, &r.call.api.caller
	if name, ok := strings.CutPrefix(name, "kms:encryptioncontext:"); ok {
		return policy.Folded(c.ec, name)
	}
	for _, f := range c.facts {
		if f.key == name {
			return f.values
		}
	}
	switch name {
	case "kms:encryptioncontextkeys":
		return slices.Sorted(maps.Keys(c.ec))
	case "kms:viaservice":
		return one(caller.ViaService)
	case "aws:userid":
		return one(r.principal)
	case "aws:sourceip":
		return one(caller.SourceIP)
	case "aws:useragent":
		return one(caller.UserAgent)
	case "aws:securetransport":
		return one(strconv.FormatBool(caller.TLS != nil))
	case "aws:currenttime":
		return one(c.now.UTC().Format(time.RFC3339))
	case "aws:epochtime":
		return one(strconv.FormatInt(c.now.Unix(), 10))
	case "aws:requestedregion":
		return one(c.region())
	}
	if r.key != nil {
		return r.keyValue(name)
	}
	return nil
}

// one is the values of a condition key that has at most one; "" is none.
func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// keyValue gives the condition keys that are about the key itself.
func (r *requestContext) keyValue(name string) []string {
	k := r.key
	switch name {
	case "kms:keyspec", "kms:customermasterkeyspec":
		return one(k.spec)
	case "kms:keyusage", "kms:customermasterkeyusage":
		return one(k.usage)
	case "kms:keyorigin":
		return one(k.origin)
	case "kms:multiregion":
		return one(strconv.FormatBool(k.prime != ""))
	case "kms:multiregionkeytype":
		return one(k.multiRegionType())
	case "kms:requestalias":
		if strings.Contains(r.call.ref, "alias/") {
			return one(r.call.ref[strings.Index(r.call.ref, "alias/"):])
		}
	case "kms:resourcealiases":
		if r.aliases == nil {
			r.aliases = new(r.column("SELECT name FROM alias WHERE region = ? AND cmk = ? ORDER BY name", k.region, k.id[:]))
		}
		return *r.aliases
	}
	if tag, ok := strings.CutPrefix(name, "aws:resourcetag/"); ok {
		if r.tags == nil {
			var err error
			r.tags, err = r.call.tags(k)
			r.err = errors.Join(r.err, err)
		}
		return policy.Folded(r.tags, tag)
	}
	return nil
}

// column gives a column of text.
func (r *requestContext) column(query string, args ...any) (values []string) {
	err := r.call.each(query, args, func(scan func(...any) error) error {
		var s string
		err := scan(&s)
		values = append(values, s)
		return err
	})
	r.err = errors.Join(r.err, err)
	return values
}
