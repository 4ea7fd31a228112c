package policy

import (
	"fmt"
	"slices"
	"strings"
)

// statement is one rule. It applies to a request that all of its elements match.
type statement struct {
	deny       bool
	actions    actionSet
	principals *principals // nil in an identity policy
	resources  *resources  // nil in a trust policy
	conditions []condition
	variables  []string // condition keys that its policy variables stand for
}

// elements says, for each element, in which kinds of policy it can stand.
// NotPrincipal is not supported in a trust policy by AWS either.
var elements = map[string][]Kind{
	"Sid":          {KeyPolicy, IdentityPolicy, TrustPolicy},
	"Effect":       {KeyPolicy, IdentityPolicy, TrustPolicy},
	"Principal":    {KeyPolicy, TrustPolicy},
	"NotPrincipal": {KeyPolicy},
	"Action":       {KeyPolicy, IdentityPolicy, TrustPolicy},
	"NotAction":    {KeyPolicy, IdentityPolicy},
	"Resource":     {KeyPolicy, IdentityPolicy},
	"NotResource":  {KeyPolicy, IdentityPolicy},
	"Condition":    {KeyPolicy, IdentityPolicy, TrustPolicy},
}

// required are the elements of which each statement must have exactly one, as
// far as its kind of policy has them.
var required = [][]string{{"Effect"}, {"Principal", "NotPrincipal"}, {"Action", "NotAction"}, {"Resource", "NotResource"}}

func (p *parser) parseStatement(number int, n node) (s statement, sid string, err error) {
	p.statement, p.used = fmt.Sprintf("statement %d", number), nil
	if n.kind != jsonObject {
		return s, "", p.fail("Statement", "must be a JSON object")
	}
	found := map[string]node{}
	for _, m := range n.members {
		found[m.name] = m.value
	}
	if n, ok := found["Sid"]; ok {
		if sid = n.text; n.kind != jsonText || !p.isSid(sid) {
			return s, "", p.fail("Sid", "must be letters and digits; in a key policy, printable ASCII")
		}
		if sid != "" {
			p.statement = fmt.Sprintf("statement %q", sid)
		}
	}
	for _, m := range n.members {
		if !slices.Contains(elements[m.name], p.kind) {
			return s, "", p.fail(m.name, "is not an element of a statement in a %s", p.kind)
		}
	}
	for _, names := range required {
		count := 0
		for _, name := range names {
			if _, ok := found[name]; ok {
				count++
			}
		}
		if count != 1 && slices.Contains(elements[names[0]], p.kind) {
			return s, "", p.fail(strings.Join(names, " or "), "must be given, once")
		}
	}
	// The effect first: the meaning of conditions and principals depends on it.
	effect := found["Effect"]
	if effect.kind != jsonText || effect.text != "Allow" && effect.text != "Deny" {
		return s, "", p.fail("Effect", `must be "Allow" or "Deny"`)
	}
	s.deny = effect.text == "Deny"
	p.deny = s.deny
	for _, m := range n.members {
		switch m.name {
		case "Principal", "NotPrincipal":
			s.principals, err = p.principals(m.name, m.value)
		case "Action", "NotAction":
			s.actions, err = p.actions(m.name, m.value)
		case "Resource", "NotResource":
			s.resources, err = p.resources(m.name, m.value)
		case "Condition":
			s.conditions, err = p.conditions(m.value)
		}
		if err != nil {
			return s, "", err
		}
	}
	slices.Sort(p.used)
	s.variables = slices.Compact(p.used)
	return s, sid, nil
}

// isSid says whether a Sid is one. In a key policy it may have spaces and more;
// an empty one counts as none.
func (p *parser) isSid(sid string) bool {
	for _, c := range []byte(sid) {
		alphanumeric := '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !alphanumeric && (p.kind != KeyPolicy || c < ' ' || c > '~') {
			return false
		}
	}
	return true
}

// evaluate says how the statement gets to the caller of a request, if it applies.
//
// A variable for which the request has no value makes an Allow not apply at all
// (AWS calls such a statement invalid); in a Deny, it equals nothing.
func (s *statement) evaluate(r *Request, action int) reach {
	if !s.actions.has(action) {
		return unreached
	}
	reached := direct
	if s.principals != nil {
		reached = s.principals.reach(&r.Caller)
	}
	if reached == unreached || s.resources != nil && !s.resources.match(r) {
		return unreached
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r) {
			return unreached
		}
	}
	for _, key := range s.variables {
		if _, ok := r.variable(key); !ok && !s.deny {
			return unreached
		}
	}
	return reached
}
