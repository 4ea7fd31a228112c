package shape

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// member holds member i of a struct, which is given, against its constraints.
// What is inside structures is checked elsewhere.
func (b *violations) member(i int, m *member, f reflect.Value) {
	if m.pointer {
		f = f.Elem()
	}
	switch m.Kind {
	case String:
		b.string(i, m, f)
	case Integer:
		b.within(i, m, f, "value", m.Range, f.Int())
	case Blob:
		b.within(i, m, f, "length", m.Length, int64(f.Len()))
	case List:
		b.within(i, m, f, "length", m.Length, int64(f.Len()))
		if m.Item == String {
			b.items(i, m, f)
		}
	case Map:
		entries := stringMap(f)
		b.within(i, m, f, "length", m.Length, int64(len(entries)))
		for k, v := range entries {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				b.add(i, m, "", notText)
				break
			}
		}
	}
}

// notText is what a Go string can be and no JSON string.
const notText = "Member must be valid UTF-8"

func (b *violations) string(i int, m *member, f reflect.Value) {
	s := f.String()
	if !utf8.ValidString(s) {
		b.add(i, m, "", notText)
		return
	}
	b.within(i, m, f, "length", m.Length, int64(utf8.RuneCountInString(s)))
	if m.Enum != nil && !slices.Contains(m.Enum, s) {
		b.add(i, m, m.show(f), m.oneOf())
	}
	if m.pattern != nil && !m.pattern.MatchString(s) {
		b.add(i, m, m.show(f), "Member must satisfy regular expression pattern: "+m.Pattern)
	}
}

func (b *violations) items(i int, m *member, f reflect.Value) {
	for j := range f.Len() {
		s := f.Index(j).String()
		if !utf8.ValidString(s) {
			b.add(i, m, "", notText)
			return
		}
		if n := utf8.RuneCountInString(s); m.ItemLength != nil && (n < m.ItemLength.Low || n > m.ItemLength.High) ||
			m.Enum != nil && !slices.Contains(m.Enum, s) {
			b.add(i, m, m.show(f), m.itemRule)
			return
		}
	}
}

// within compares a value or a length with its limits, if there are any.
func (b *violations) within(i int, m *member, f reflect.Value, noun string, limits *Bounds, n int64) {
	switch {
	case limits == nil:
	case n < int64(limits.Low):
		b.add(i, m, m.show(f), atLeast(noun, limits))
	case n > int64(limits.High):
		b.add(i, m, m.show(f), atMost(noun, limits))
	}
}

func atLeast(noun string, b *Bounds) string {
	return "Member must have " + noun + " greater than or equal to " + strconv.Itoa(b.Low)
}

func atMost(noun string, b *Bounds) string {
	return "Member must have " + noun + " less than or equal to " + strconv.Itoa(b.High)
}

func (m *member) oneOf() string {
	return "Member must satisfy enum value set: [" + strings.Join(m.Enum, ", ") + "]"
}
