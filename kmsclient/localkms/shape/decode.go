package shape

import (
	"reflect"
	"unicode/utf8"
)

// Decode reads the JSON object of a request into in, a pointer to a struct,
// which it clears first, and checks the members against their constraints. An
// empty body is an empty object, a null member an absent one. The strings and
// slices of in are its own; a buffer that escaped strings need is wiped. After an
// error in holds what was read.
//
// It is strict: names are compared exactly, and duplicate members, null items,
// anything after the object, and a value of another JSON type than the member's
// are refused with SerializationException. So are invalid UTF-8, half surrogate
// pairs, numbers with a fraction or beyond the Go type, and blobs that are not
// base64 with padding. Timestamps are seconds since 1970, or strings in ISO 8601,
// and are rounded to milliseconds.
//
// AWS ignores members that it does not know. Decode refuses them with
// ValidationException: who misspells EncryptionContext shall know before the data
// is encrypted without. Members that AWS knows and this KMS does not offer are
// refused with UnsupportedOperationException.
func Decode(body []byte, in any) error {
	v := reflect.ValueOf(in).Elem()
	p := planOf(v.Type())
	v.SetZero()
	d := decoder{scanner: scanner{data: body}}
	return d.request(p, v)
}

type decoder struct {
	scanner
	refused *Error // the first member that is unknown or unsupported
	bad     violations
}

// request reads all of the body into v.
func (d *decoder) request(p *plan, v reflect.Value) error {
	defer func() { clear(d.scratch[:cap(d.scratch)]) }() // of secrets, perhaps
	if d.peek() == 0 && d.pos == len(d.data) {
		d.scanner = scanner{data: []byte("{}")}
	}
	if !utf8.Valid(d.data) {
		return serialization("The request is not valid UTF-8")
	}
	if d.peek() != '{' {
		return d.mismatch(Structure, "request")
	}
	if err := d.structure(p, v); err != nil {
		return err
	}
	if d.peek(); d.pos < len(d.data) {
		return d.malformed("expected the end")
	}
	if d.refused != nil {
		return d.refused
	}
	return d.bad.err()
}

// structure reads an object into v, the opening brace of which is next.
func (d *decoder) structure(p *plan, v reflect.Value) error {
	var seen, given uint64 // bit i: member i
	first := len(d.bad.list)
	d.pos++
	for n := 0; ; n++ {
		more, err := d.more(n, '}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		i, known := p.byName[string(name)]
		if !known {
			if err := d.unknown(name); err != nil {
				return err
			}
			continue
		}
		m := &p.members[i]
		if seen&(1<<i) != 0 {
			return serialization("Duplicate member '%s'", m.Label)
		}
		seen |= 1 << i
		if d.peek() == 'n' {
			if err := d.literal("null"); err != nil {
				return err
			}
			continue
		}
		given |= 1 << i
		if err := d.value(i, m, m.of(v)); err != nil {
			return err
		}
	}
	d.bad.structure(p, v, given, first)
	return nil
}

// unknown skips a member that is not AWS's.
func (d *decoder) unknown(name []byte) error {
	if d.refused == nil {
		d.refused = &Error{"ValidationException", "Unknown member '" + clip(string(name)) + "'"}
	}
	return d.skip(0)
}

// value reads the value of member i of a struct, which is not null, into field f.
func (d *decoder) value(i int, m *member, f reflect.Value) error {
	if m.Unsupported {
		if d.refused == nil {
			d.refused = m.unsupported()
		}
		return d.skip(0)
	}
	if m.pointer {
		f.Set(reflect.New(f.Type().Elem()))
		f = f.Elem()
	}
	switch c := d.peek(); {
	case m.Kind == String && c == '"':
		b, err := d.text()
		f.SetString(string(b))
		return err
	case m.Kind == Boolean && c == 't':
		f.SetBool(true)
		return d.literal("true")
	case m.Kind == Boolean && c == 'f':
		return d.literal("false")
	case m.Kind == Integer && isNumber(c):
		return d.integer(m, f)
	case m.Kind == Blob && c == '"':
		return d.blob(m, f)
	case m.Kind == Timestamp && (isNumber(c) || c == '"'):
		return d.timestamp(m, f)
	case m.Kind == List && c == '[':
		return d.array(i, m, f)
	case m.Kind == Map && c == '{':
		return d.object(m, f)
	case m.Kind == Structure && c == '{':
		n := len(d.bad.list)
		err := d.structure(m.inner, f)
		d.bad.nest(n, i, m, 0)
		return err
	}
	return d.mismatch(m.Kind, m.Label)
}

// mismatch refuses the next token, where a value of kind k belongs, in AWS's
// words, to which the member's label is added.
func (d *decoder) mismatch(k Kind, label string) error {
	var found, what string
	switch c := d.peek(); {
	case c == '"':
		found = "STRING_VALUE"
	case isNumber(c):
		found = "NUMBER_VALUE"
	case c == 't':
		found = "TRUE_VALUE"
	case c == 'f':
		found = "FALSE_VALUE"
	case c == 'n':
		found = "NULL_VALUE"
	case c == '[':
		what = "Start of list found where not expected"
	case c == '{':
		what = "Start of structure or map found where not expected"
	default:
		return d.malformed("expected a value")
	}
	switch {
	case k == List || k == Map || k == Structure:
		what = "Expected " + k.String() + " or null"
	case found != "":
		what = found + " can not be converted to " + javaName[k]
	}
	return serialization("%s at '%s'", what, label)
}

var javaName = [...]string{
	String: "a String", Boolean: "a Boolean", Integer: "an Integer", Blob: "a Blob", Timestamp: "a Timestamp",
}
