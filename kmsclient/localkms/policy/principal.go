package policy

import (
	"regexp"
	"slices"
)

// Principals that can be named (IAM User Guide, "AWS JSON policy elements:
// Principal"). Groups, unique ids and ARNs with wildcards are none; federated
// users are left out because this KMS has none.
var (
	accountPrincipal = regexp.MustCompile(`^(?:([0-9]{12})|arn:aws[a-z-]*:iam::([0-9]{12}):root)$`)
	namedPrincipal   = regexp.MustCompile(`^arn:aws[a-z-]*:(?:iam::[0-9]{12}:(?:user|role)/(?:[\w+=,.@/-]+/)?[\w+=,.@-]+|` +
		`sts::[0-9]{12}:assumed-role/[\w+=,.@-]+/[\w+=,.@-]{2,64})$`)
	servicePrincipal = regexp.MustCompile(`^[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?$`)
)

// principals are those of Principal or, if not is set, all but those of
// NotPrincipal. Services are not kept: no caller of this KMS is one.
type principals struct {
	not      bool
	everyone bool
	accounts []string // 12 digits
	arns     []string // of users, roles and role sessions
}

// reach says how a statement gets to a caller: not at all, through the account,
// which leaves Allow to the caller's own policies, or directly.
type reach int

const (
	unreached reach = iota
	delegated
	direct
)

// reach finds the caller among the principals. A role names its sessions too.
//
// NotPrincipal spares a caller only if it lists all that the caller is: account,
// user or role, and session. AWS advises to list all and says that it might
// otherwise deny the whole account; here it surely does.
func (s *principals) reach(c *Caller) reach {
	account := slices.Contains(s.accounts, c.Account)
	named := slices.Contains(s.arns, c.ARN)
	role := c.Role != "" && slices.Contains(s.arns, c.Role)
	switch {
	case s.not && account && (c.Root || named) && (c.Role == "" || role):
		return unreached
	case s.not, s.everyone, named, role, account && c.Root:
		return direct
	case account:
		return delegated
	}
	return unreached
}

// principals compiles Principal or NotPrincipal.
func (p *parser) principals(element string, n node) (*principals, error) {
	out := &principals{not: element == "NotPrincipal"}
	if out.not && !p.deny {
		return nil, p.fail(element, "needs the effect Deny")
	}
	if n.kind == jsonText && n.text == "*" {
		n = node{kind: jsonObject, members: []member{{"AWS", n}}}
	}
	if n.kind != jsonObject || len(n.members) == 0 {
		return nil, p.fail(element, `must be "*" or an object with AWS or Service`)
	}
	for _, m := range n.members {
		values, ok := m.value.texts(jsonText)
		if !ok || m.name != "AWS" && m.name != "Service" {
			return nil, p.fail(element, "has AWS and Service as members, a string or a list of strings each, not %q", m.name)
		}
		for _, v := range values {
			account := accountPrincipal.FindStringSubmatch(v)
			switch {
			case m.name == "Service" && servicePrincipal.MatchString(v):
			case m.name == "AWS" && v == "*" && !out.not:
				out.everyone = true
			case m.name == "AWS" && account != nil:
				id := account[1] + account[2]
				out.accounts = append(out.accounts, id)
				p.named = append(p.named, rootARN(id))
			case m.name == "AWS" && namedPrincipal.MatchString(v):
				out.arns = append(out.arns, v)
				p.named = append(p.named, v)
			default:
				return nil, p.fail(element, "%q is no principal", v)
			}
		}
	}
	return out, nil
}

// rootARN names an account: as a principal, and as its root user.
func rootARN(account string) string { return "arn:aws:iam::" + account + ":root" }
