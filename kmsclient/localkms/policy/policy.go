// Package policy is the policy language of the embedded KMS: the JSON grammar
// of AWS IAM, as key policies, identity policies of users and roles, and trust
// policies of roles use it. Bytes go in, decisions come out; there is no clock,
// file or network here.
//
// Parse understands a document wholly or refuses it. An element, operator,
// condition key, variable or action that this package does not know is an error
// when the policy is written, not a statement that silently never applies.
//
// Where AWS's documents leave a case open, the answer is the one that denies:
// see Decide, and the comments on condition and principals.
//
// Sources: the IAM User Guide ("Policy grammar", "Condition operators",
// "Conditions with multiple context keys or values", "Variables and tags",
// "NotPrincipal", "Policy evaluation logic"), the KMS Developer Guide ("Key
// policies", "AWS KMS condition keys") and the Service Authorization Reference.
package policy

import (
	"fmt"
	"slices"
)

// Kind says what a policy is attached to, and so which elements it may have.
type Kind int

const (
	// KeyPolicy is the policy of a KMS key. Each statement names a principal and
	// a resource; the actions are those of KMS.
	KeyPolicy Kind = iota
	// IdentityPolicy is a policy of a user or role. A statement names no
	// principal, and the actions are those of KMS, IAM and STS.
	IdentityPolicy
	// TrustPolicy says who may assume a role. A statement names a principal and
	// no resource, and its action is sts:AssumeRole.
	TrustPolicy
)

func (k Kind) String() string {
	switch k {
	case KeyPolicy:
		return "key policy"
	case IdentityPolicy:
		return "identity policy"
	}
	return "trust policy"
}

// What Parse accepts at most. The size of a key policy is AWS's limit; the
// others have AWS's largest, the one for all inline policies of a role.
const (
	maxKeyPolicy = 32768 // bytes
	maxPolicy    = 10240 // bytes
	maxDepth     = 8     // of JSON; a condition's list of values is at 6
	// maxQuestion bounds, in bytes and for a whole document, the patterns that
	// use ?. Matching such a pattern costs its length times that of the text;
	// all others cost the sum (see pattern).
	maxQuestion = 4096
)

// Error says why a document is not a policy. The message names the statement,
// by its Sid or its number from 1, and the element.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }

// Policy is a parsed policy. It does not change, so goroutines may share it.
type Policy struct {
	kind       Kind
	statements []statement
	named      []string
}

// Principals returns the ARNs of all AWS principals that the policy names, in
// Principal or NotPrincipal, sorted and each once: accounts as the ARN of their
// root user, users, roles and role sessions. "*" and services are left out. The
// caller owns the slice.
func (p *Policy) Principals() []string { return slices.Clone(p.named) }

// Parse reads a policy of at most 32768 bytes, or 10240 if it is not a key
// policy. It keeps nothing of doc. The error is an *Error.
func Parse(doc []byte, kind Kind) (*Policy, error) {
	limit := maxPolicy
	if kind == KeyPolicy {
		limit = maxKeyPolicy
	}
	if len(doc) > limit {
		return nil, &Error{fmt.Sprintf("a %s may have %d bytes, not %d", kind, limit, len(doc))}
	}
	root, err := parseJSON(doc)
	if err != nil {
		return nil, err
	}
	p := &parser{kind: kind}
	return p.document(root)
}

// parser carries what the elements of a document need to know of each other.
type parser struct {
	kind      Kind
	variables bool     // the Version has policy variables
	questions int      // bytes of patterns with ? so far
	statement string   // what to call the current statement
	deny      bool     // its effect
	used      []string // the condition keys its variables stand for
	named     []string // the principals of all statements
}

// fail is the error of an element of the current statement.
func (p *parser) fail(element, format string, args ...any) error {
	return &Error{p.statement + ": " + element + ": " + fmt.Sprintf(format, args...)}
}

func (p *parser) document(root node) (*Policy, error) {
	if root.kind != jsonObject {
		return nil, &Error{"a policy is a JSON object"}
	}
	p.statement = "policy"
	var list []node
	for _, m := range root.members {
		switch m.name {
		case "Version":
			if m.value.kind != jsonText || m.value.text != "2012-10-17" && m.value.text != "2008-10-17" {
				return nil, p.fail("Version", "must be %q or %q", "2012-10-17", "2008-10-17")
			}
			p.variables = m.value.text == "2012-10-17"
		case "Id":
			if m.value.kind != jsonText || p.kind == IdentityPolicy {
				return nil, p.fail("Id", "must be a string, and has no place in an identity policy")
			}
		case "Statement":
			if list = m.value.items; m.value.kind == jsonObject {
				list = []node{m.value}
			}
		default:
			return nil, p.fail(m.name, "is not an element of a policy")
		}
	}
	if len(list) == 0 {
		return nil, p.fail("Statement", "must be a statement or a list of statements")
	}
	policy := &Policy{kind: p.kind}
	sids := map[string]bool{"": false}
	for i, n := range list {
		s, sid, err := p.parseStatement(i+1, n)
		if err != nil {
			return nil, err
		}
		if sids[sid] {
			return nil, p.fail("Sid", "is used twice")
		}
		sids[sid] = sid != ""
		policy.statements = append(policy.statements, s)
	}
	slices.Sort(p.named)
	policy.named = slices.Compact(p.named)
	return policy, nil
}
