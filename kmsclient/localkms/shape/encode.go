package shape

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Style is one of the ways to print an answer.
type Style int

const (
	// Wire is what AWS answers over HTTP: compact, with timestamps as seconds
	// since 1970, to the millisecond.
	Wire Style = iota
	// CLI is what `aws` version 2 prints: indented by four spaces, with timestamps
	// in ISO 8601 in the local zone, with microseconds unless they are zero.
	CLI
	// audit is what CloudTrail shows of a request.
	audit
)

// Encode prints out, a struct or a pointer to one, as a JSON object with its
// members in their order and the entries of maps in the order of their keys,
// without a line break at the end. Nil pointers and zero Times are left out, and
// with omitempty other zero values and empty lists, blobs and maps. Without it
// such lists, blobs and maps print empty, not null.
func Encode(out any, style Style) []byte {
	v := reflect.Indirect(reflect.ValueOf(out))
	if !v.IsValid() {
		return []byte("{}")
	}
	e := encoder{buf: make([]byte, 0, 512), style: style}
	e.structure(planOf(v.Type()), v)
	return e.buf
}

// Params prints, for the audit log, the members that are given in a request, a
// struct or a pointer to one. Secrets and blobs are left out, nested ones too.
// Timestamps are in ISO 8601 in UTC. It is nil if there is nothing to print.
func Params(in any) json.RawMessage {
	e := encoder{buf: make([]byte, 0, 256), style: audit}
	v := reflect.Indirect(reflect.ValueOf(in))
	if !v.IsValid() {
		return nil
	}
	if e.structure(planOf(v.Type()), v); string(e.buf) == "{}" {
		return nil
	}
	return e.buf
}

type encoder struct {
	buf   []byte
	style Style
	depth int
}

// structure prints v without the members that are left out.
func (e *encoder) structure(p *plan, v reflect.Value) {
	e.open('{')
	n := 0
	for i := range p.members {
		m := &p.members[i]
		f := m.of(v)
		if e.leavesOut(m, f) {
			continue
		}
		e.item(n)
		n++
		if e.style == audit {
			e.name(m.Label)
		} else {
			e.name(m.Name)
		}
		e.value(m, f)
	}
	e.close(n, '}')
}

func (e *encoder) leavesOut(m *member, f reflect.Value) bool {
	switch {
	case m.Unsupported, (m.pointer || m.Kind == Timestamp) && f.IsZero():
		return true
	case e.style == audit:
		return m.Secret || m.Kind == Blob || m.absent(f)
	case !m.omitEmpty:
		return false
	case m.Kind == Blob || m.Kind == List || m.Kind == Map:
		return f.Len() == 0
	}
	return f.IsZero()
}

func (e *encoder) value(m *member, f reflect.Value) {
	if m.pointer {
		f = f.Elem()
	}
	switch m.Kind {
	case String:
		if !m.Document || e.style != CLI || !e.document(f.String()) {
			e.text(f.String())
		}
	case Boolean:
		e.buf = strconv.AppendBool(e.buf, f.Bool())
	case Integer:
		e.buf = strconv.AppendInt(e.buf, f.Int(), 10)
	case Blob:
		e.buf = append(e.buf, '"')
		e.buf = base64.StdEncoding.AppendEncode(e.buf, f.Bytes())
		e.buf = append(e.buf, '"')
	case Timestamp:
		e.time(f.Interface().(Time))
	case List:
		e.open('[')
		for i := range f.Len() {
			e.item(i)
			if m.Item == String {
				e.text(f.Index(i).String())
			} else {
				e.structure(m.inner, f.Index(i))
			}
		}
		e.close(f.Len(), ']')
	case Map:
		e.open('{')
		entries := stringMap(f)
		for i, k := range slices.Sorted(maps.Keys(entries)) {
			e.item(i)
			e.name(k)
			e.text(entries[k])
		}
		e.close(len(entries), '}')
	case Structure:
		e.structure(m.inner, f)
	}
}

// document prints a text that is JSON, in lines of its own; false if it is not.
func (e *encoder) document(s string) bool {
	out := bytes.NewBuffer(e.buf)
	if json.Indent(out, []byte(strings.TrimSpace(s)), strings.Repeat("    ", e.depth), "    ") != nil {
		return false
	}
	e.buf = out.Bytes()
	return true
}

func (e *encoder) open(bracket byte) {
	e.buf = append(e.buf, bracket)
	e.depth++
}

// item stands before item i, from 0.
func (e *encoder) item(i int) {
	if i > 0 {
		e.buf = append(e.buf, ',')
	}
	e.line()
}

func (e *encoder) close(items int, bracket byte) {
	if e.depth--; items > 0 {
		e.line()
	}
	e.buf = append(e.buf, bracket)
}

// line starts a new line, in the style that has lines.
func (e *encoder) line() {
	if e.style == CLI {
		e.buf = append(e.buf, '\n')
		for range e.depth {
			e.buf = append(e.buf, "    "...)
		}
	}
}

func (e *encoder) name(s string) {
	e.text(s)
	if e.buf = append(e.buf, ':'); e.style == CLI {
		e.buf = append(e.buf, ' ')
	}
}

// text prints a string, with as few escapes as JSON allows. What is not UTF-8
// becomes U+FFFD.
func (e *encoder) text(s string) {
	const letters, hex = "\"\\\b\f\n\r\t", "0123456789abcdef"
	e.buf = append(e.buf, '"')
	plain := 0 // where what is not yet printed begins
	for i, r := range s {
		if r >= ' ' && r != '"' && r != '\\' && r != utf8.RuneError {
			continue
		}
		e.buf = append(e.buf, s[plain:i]...)
		if r == utf8.RuneError {
			e.buf = utf8.AppendRune(e.buf, r)
			_, n := utf8.DecodeRuneInString(s[i:])
			plain = i + n
			continue
		}
		plain = i + 1
		e.buf = append(e.buf, '\\')
		if j := strings.IndexByte(letters, byte(r)); j >= 0 {
			e.buf = append(e.buf, `"\bfnrt`[j])
		} else {
			e.buf = append(e.buf, 'u', '0', '0', hex[r>>4], hex[r&15])
		}
	}
	e.buf = append(append(e.buf, s[plain:]...), '"')
}

func (e *encoder) time(t Time) {
	switch e.style {
	case Wire:
		ms := t.UnixMilli()
		if ms < 0 {
			e.buf = append(e.buf, '-')
			ms = -ms
		}
		e.buf = strconv.AppendInt(e.buf, ms/1000, 10)
		ms %= 1000
		e.buf = append(e.buf, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	case CLI:
		layout := `"2006-01-02T15:04:05.000000-07:00"`
		if t.Nanosecond()/1000 == 0 {
			layout = `"2006-01-02T15:04:05-07:00"`
		}
		e.buf = t.Local().AppendFormat(e.buf, layout)
	case audit:
		e.buf = t.UTC().Truncate(time.Millisecond).AppendFormat(e.buf, `"`+time.RFC3339Nano+`"`)
	}
}
