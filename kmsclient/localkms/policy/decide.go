package policy

import "strings"

// Request is what is to be decided.
type Request struct {
	Action   string // as AWS writes it: "kms:Decrypt"
	Resource string // an ARN, or "*" for an action on no particular resource
	Caller   Caller
	Context  Context // nil if there is none
}

// Caller is a principal of the account: a user, the root user or a session of a
// role.
type Caller struct {
	ARN     string // of the user, the root user (…:root) or the session (arn:aws:sts::…:assumed-role/…)
	Role    string // for a session, the ARN of its role; else empty
	Account string // 12 digits
	Root    bool   // the account's root user
}

// Context gives a request's values for a condition key, none if the request does
// not have it. It is called once or more for each condition that has to be
// looked at, possibly not at all. The key comes in lower case, also what follows
// kms:encryptioncontext: or a tag prefix (see Folded).
//
// Dates are given as RFC 3339 or seconds since 1970, booleans as true or false.
// It is never asked for what the Caller says: aws:PrincipalArn,
// aws:PrincipalAccount, aws:PrincipalType, aws:username and kms:CallerAccount.
type Context func(key string) []string

// values are the request's values for a condition key.
func (r *Request) values(key string) []string {
	c := &r.Caller
	switch key {
	case "aws:principalarn": // of a session, the role
		if c.Role != "" {
			return []string{c.Role}
		}
		return []string{c.ARN}
	case "aws:principalaccount", "kms:calleraccount":
		return []string{c.Account}
	case "aws:principaltype":
		switch {
		case c.Root:
			return []string{"Account"}
		case c.Role != "":
			return []string{"AssumedRole"}
		}
		return []string{"User"}
	case "aws:username": // only users have one
		if c.Root || c.Role != "" {
			return nil
		}
		return []string{c.ARN[strings.LastIndexByte(c.ARN, '/')+1:]}
	}
	if r.Context == nil {
		return nil
	}
	return r.Context(key)
}

// Source is the kind of policy that a decision rests on, as AWS names it.
type Source string

const (
	ResourceBased Source = "resource-based"
	IdentityBased Source = "identity-based"
)

// Decision is the answer to a request. The zero value denies.
type Decision struct {
	Allowed  bool
	Explicit bool   // denied by a Deny statement, not for want of an Allow
	By       Source // which kind of policy allowed or denied, or did not allow
}

// Reason is the end of AWS's message about a denied request, which starts "User:
// ARN is not authorized to perform: ACTION on resource: ARN". It is empty for an
// allowed one.
func (d Decision) Reason(action string) string {
	switch {
	case d.Allowed:
		return ""
	case d.Explicit && d.By == ResourceBased:
		return "with an explicit deny in a resource-based policy"
	case d.Explicit:
		return "with an explicit deny in an identity-based policy"
	}
	return "because no " + string(d.By) + " policy allows the " + action + " action"
}

// Decide decides a request of a caller of the account that the resource belongs
// to. Statements are combined as AWS does within one account:
//
//   - A Deny that applies, in any of the policies, decides.
//   - Else the resource's policy allows the caller if it names the caller, the
//     role of the caller's session, or "*".
//   - Else, if it allows the account, an Allow of one of the identity policies
//     decides. The root user is the account and needs no such Allow.
//
// The resource's policy is the policy of the key or, for sts:AssumeRole, the
// trust policy of the role. It is nil for an operation on no key, such as
// kms:CreateKey, or on an alias; then the identity policies alone decide.
// Identity policies of a session are those of its role; nil ones are skipped.
//
// A policy of the wrong kind or an action that does not exist is denied. AWS
// lets no root user assume a role, whatever the trust policy says; that is for
// the caller of Decide to refuse.
func Decide(r *Request, resource *Policy, identity []*Policy) Decision {
	action, known := actionBits[r.Action]
	if !known {
		return Decision{By: IdentityBased}
	}
	reached := delegated
	if resource != nil {
		var denied bool
		reached, denied = resource.evaluate(r, action)
		if denied || resource.kind == IdentityPolicy {
			return Decision{Explicit: denied, By: ResourceBased}
		}
	}
	allowed := r.Caller.Root
	for _, p := range identity {
		if p == nil {
			continue
		}
		own, denied := p.evaluate(r, action)
		if denied || p.kind != IdentityPolicy {
			return Decision{Explicit: denied, By: IdentityBased}
		}
		allowed = allowed || own != unreached
	}
	switch {
	case reached == direct:
		return Decision{Allowed: true, By: ResourceBased}
	case reached == delegated:
		return Decision{Allowed: allowed, By: IdentityBased}
	}
	return Decision{By: ResourceBased}
}

// evaluate says how far the Allow statements of a policy reach, and whether a
// Deny statement applies.
func (p *Policy) evaluate(r *Request, action int) (reached reach, denied bool) {
	for i := range p.statements {
		s := &p.statements[i]
		if !s.deny && reached == direct {
			continue
		}
		got := s.evaluate(r, action)
		if s.deny && got != unreached {
			return unreached, true
		}
		if !s.deny {
			reached = max(reached, got)
		}
	}
	return reached, false
}
