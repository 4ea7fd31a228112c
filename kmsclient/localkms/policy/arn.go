package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// arnPattern has the six parts of an ARN, arn:partition:service:region:account:
// resource. Each is matched on its own, so no wildcard reaches across a colon,
// except in the resource.
type arnPattern [6]pattern

// arn compiles an ARN with wildcards and, in the resource, variables.
func (p *parser) arn(value string) (a arnPattern, err error) {
	parts := strings.SplitN(value, ":", len(a))
	if len(parts) != len(a) || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return a, errors.New("is no ARN")
	}
	for i, part := range parts {
		if i < 5 && strings.Contains(part, "${") {
			return a, errors.New("has a variable outside the resource part of the ARN")
		}
		if a[i], err = p.pattern(part, true); err != nil {
			return a, err
		}
	}
	return a, nil
}

func (a *arnPattern) match(r *Request, text string) bool {
	for i, part := range a {
		piece, found := text, true
		if i < len(a)-1 {
			piece, text, found = strings.Cut(text, ":")
		}
		part, ok := part.expand(r)
		if !ok || !found || !part.match(piece) {
			return false
		}
	}
	return true
}

// resources are those of Resource or, if not is set, all but those of
// NotResource.
type resources struct {
	not      bool
	all      bool // "*" is one of them
	patterns []arnPattern
}

func (s *resources) match(r *Request) bool {
	found := s.all || slices.ContainsFunc(s.patterns, func(a arnPattern) bool { return a.match(r, r.Resource) })
	return found != s.not
}

// resources compiles Resource or NotResource. An ARN that no resource of this
// kind of policy can have is refused: it would look like a rule and be none.
func (p *parser) resources(element string, n node) (*resources, error) {
	values, ok := n.texts(jsonText)
	if !ok {
		return nil, p.fail(element, "must be a string or a list of strings")
	}
	out := &resources{not: element == "NotResource"}
	for _, v := range values {
		if v == "*" {
			out.all = true
			continue
		}
		a, err := p.arn(v)
		if err == nil {
			err = p.checkResource(a)
		}
		if err != nil {
			return nil, p.fail(element, "%q %v", v, err)
		}
		out.patterns = append(out.patterns, a)
	}
	return out, nil
}

func (p *parser) checkResource(a arnPattern) error {
	service := string(a[2])
	types := []string{""}
	switch {
	case service == "kms" && p.kind == KeyPolicy:
		types = []string{"key/"}
	case service == "kms":
		types = []string{"key/", "alias/"}
	case service != "iam" && service != "sts" || p.kind == KeyPolicy:
		return fmt.Errorf("is no ARN that a %s can be about", p.kind)
	}
	literal := string(a[5])
	if i := strings.IndexRune(literal, utf8.RuneError); i >= 0 { // star, one or mark
		literal = literal[:i]
	}
	for _, t := range types {
		if strings.HasPrefix(literal, t) || len(literal) < len(a[5]) && strings.HasPrefix(t, literal) {
			return nil
		}
	}
	return fmt.Errorf("is no ARN of a KMS resource: after the account comes %s", strings.Join(types, " or "))
}
