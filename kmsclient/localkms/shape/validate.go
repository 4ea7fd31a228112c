package shape

import "reflect"

// Validate checks the members of in, a struct or a pointer to one, against their
// constraints. It returns nil or an *Error that lists the violations.
func Validate(in any) error {
	v := reflect.Indirect(reflect.ValueOf(in))
	var b violations
	if err := b.validate(planOf(v.Type()), v); err != nil {
		return err
	}
	return b.err()
}

// validate checks struct v and what is in it.
func (b *violations) validate(p *plan, v reflect.Value) error {
	var given uint64
	first := len(b.list)
	for i := range p.members {
		m := &p.members[i]
		f := m.of(v)
		if m.Unsupported && !f.IsZero() {
			return m.unsupported()
		}
		if m.absent(f) {
			continue
		}
		given |= 1 << i
		if m.inner == nil {
			continue
		}
		if m.pointer {
			f = f.Elem()
		}
		if m.Kind == Structure {
			n := len(b.list)
			if err := b.validate(m.inner, f); err != nil {
				return err
			}
			b.nest(n, i, m, 0)
			continue
		}
		for j := range f.Len() {
			n := len(b.list)
			if err := b.validate(m.inner, f.Index(j)); err != nil {
				return err
			}
			b.nest(n, i, m, j)
		}
	}
	b.structure(p, v, given, first)
	return nil
}

// absent tells whether a field of a Go struct stands for a member not given.
func (m *member) absent(f reflect.Value) bool {
	return f.IsZero() && !(m.Required && m.Kind == String && !m.pointer && m.Length != nil && m.Length.Low == 0)
}

func (m *member) unsupported() *Error {
	return &Error{"UnsupportedOperationException", "The " + m.Name + " parameter is not supported."}
}
