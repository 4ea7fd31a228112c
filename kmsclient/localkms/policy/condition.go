package policy

import (
	"slices"
	"strings"
)

// condition is one operator applied to one condition key. All conditions of a
// statement must hold.
type condition struct {
	key     string // folded
	missing bool   // holds if the request has no value for the key
	present bool   // holds if it has one: what the operator Null asks
	every   bool   // else, must every value pass the test, or some
	negated bool   // a value passes if it matches none of the policy's
	matches []matcher
}

// matcher compares a value of the request with one of the policy.
type matcher func(r *Request, got string) bool

// holds applies the rules of "Conditions with multiple context keys or values":
// a value of the request that matches any of the policy's passes; under a
// negated operator, one that matches none of them.
func (c *condition) holds(r *Request) bool {
	values := r.values(c.key)
	switch {
	case len(values) == 0:
		return c.missing
	case c.matches == nil:
		return c.present
	}
	for _, v := range values {
		found := slices.ContainsFunc(c.matches, func(m matcher) bool { return m(r, v) })
		if passes := found != c.negated; passes != c.every {
			return passes
		}
	}
	return c.every
}

// conditions compiles Condition: operators, each with keys, each with values.
func (p *parser) conditions(n node) (all []condition, err error) {
	if n.kind != jsonObject {
		return nil, p.fail("Condition", "must be an object of operators")
	}
	for _, operator := range n.members {
		element := "Condition " + operator.name
		if operator.value.kind != jsonObject || len(operator.value.members) == 0 {
			return nil, p.fail(element, "must be an object of condition keys")
		}
		seen := map[string]bool{}
		for _, m := range operator.value.members {
			c, err := p.condition(element, operator.name, m)
			if err != nil {
				return nil, err
			}
			if seen[c.key] {
				return nil, p.fail(element, "names %q twice", c.key)
			}
			seen[c.key] = true
			all = append(all, c)
		}
	}
	return all, nil
}

// condition compiles one operator with one key and its values.
//
// A key that can hold several values needs a set operator, as AWS demands. The
// names after kms:EncryptionContext: can still stand for several entries of a
// request, see Folded. AWS does not say what happens then; here an Allow asks
// that every value passes, and a Deny that some value does.
func (p *parser) condition(element, name string, m member) (c condition, err error) {
	set, base, prefixed := strings.Cut(name, ":")
	if !prefixed {
		set, base = "", name
	}
	base, ifExists := strings.CutSuffix(base, "IfExists")
	op, ok := operators[base]
	if !ok || prefixed && set != "ForAllValues" && set != "ForAnyValue" {
		return c, p.fail(element, "is not an operator that is understood")
	}
	values, ok := m.value.texts(jsonText, jsonScalar)
	if !ok {
		return c, p.fail(element, "%q must have a string or a list of strings", m.name)
	}
	key, held, ok := p.key(m.name)
	if !ok {
		return c, p.fail(element, "%q is not a condition key that is understood in a %s", m.name, p.kind)
	}
	c.key = key
	if base == "Null" {
		if prefixed || ifExists {
			return c, p.fail(element, "Null has no set operator and no IfExists")
		}
		for _, v := range values {
			switch fold(v) {
			case "true":
				c.missing = true
			case "false":
				c.present = true
			default:
				return c, p.fail(element, "%q must be true or false", v)
			}
		}
		return c, nil
	}
	switch {
	case set == "ForAnyValue" && ifExists:
		// AWS documents both "false without values" and "true without the key".
		return c, p.fail(element, "ForAnyValue and IfExists contradict each other")
	case !prefixed && held&several != 0:
		return c, p.fail(element, "%q holds several values: the operator needs ForAllValues: or ForAnyValue:", m.name)
	case op.on != plain && held&op.on == 0:
		return c, p.fail(element, "%q holds no values that this operator compares", m.name)
	}
	c.negated = op.negated
	c.missing = set == "ForAllValues" || set == "" && (ifExists || op.negated)
	c.every = set == "ForAllValues" || set == "" && !p.deny
	for _, v := range values {
		match, err := op.compile(p, v)
		if err != nil {
			return c, p.fail(element, "%q: %q %v", m.name, v, err)
		}
		c.matches = append(c.matches, match)
	}
	return c, nil
}
