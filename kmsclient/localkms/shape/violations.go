package shape

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// AWS lists every violation; here the first printed of them are in the message,
// all in its count. kept bounds the memory that a bad request costs.
const (
	printed = 20
	kept    = 64
)

// violation is one constraint not satisfied.
type violation struct {
	member            int // index in its struct, or in the struct around
	path              string
	value, constraint string
}

type violations struct {
	list  []violation
	count int
}

func (b *violations) add(i int, m *member, value, constraint string) {
	if b.count++; len(b.list) < kept {
		b.list = append(b.list, violation{i, m.Label, value, constraint})
	}
}

// nest makes the violations from number n on those of member i of a struct, or of
// item j, from 0, of that member.
func (b *violations) nest(n, i int, m *member, j int) {
	if len(b.list) == n {
		return
	}
	prefix := m.Label + "."
	if m.Kind == List {
		prefix += strconv.Itoa(j+1) + ".member."
	}
	for k := range b.list[n:] {
		x := &b.list[n+k]
		x.member, x.path = i, prefix+x.path
	}
}

// structure checks the members of struct v, of which those in the set given are
// present. The violations inside its members, from number first on, are known;
// afterwards all are in the order of the members.
func (b *violations) structure(p *plan, v reflect.Value, given uint64, first int) {
	for i := range p.members {
		m := &p.members[i]
		switch {
		case m.Unsupported:
		case given&(1<<i) != 0:
			b.member(i, m, m.of(v))
		case m.Required:
			b.add(i, m, "null", "Member must not be null")
		}
	}
	slices.SortStableFunc(b.list[first:], func(x, y violation) int { return cmp.Compare(x.member, y.member) })
}

func (b *violations) err() error {
	if b.count == 0 {
		return nil
	}
	var s strings.Builder
	plural := "s"
	if b.count == 1 {
		plural = ""
	}
	fmt.Fprintf(&s, "%d validation error%s detected: ", b.count, plural)
	for i, x := range b.list[:min(len(b.list), printed)] {
		if i > 0 {
			s.WriteString("; ")
		}
		s.WriteString("Value ")
		if x.value != "" {
			s.WriteString(x.value + " ")
		}
		s.WriteString("at '" + x.path + "' failed to satisfy constraint: " + x.constraint)
	}
	return &Error{"ValidationException", s.String()}
}

// shown bounds, in code points, what a message repeats of a value.
const shown = 128

// show prints a value as AWS does, "" for one that messages must not repeat:
// secrets, blobs and structures.
func (m *member) show(f reflect.Value) string {
	var s string
	switch {
	case m.Secret, m.Kind == Blob, m.inner != nil:
		return ""
	case m.Kind == String:
		s = f.String()
	case m.Kind == Integer:
		s = strconv.FormatInt(f.Int(), 10)
	case m.Kind == List:
		var items []string
		for i := range min(f.Len(), shown) { // more are cut off anyway
			items = append(items, f.Index(i).String())
		}
		s = "[" + strings.Join(items, ", ") + "]"
	case m.Kind == Map:
		entries := stringMap(f)
		items := make([]string, 0, len(entries))
		for _, k := range slices.Sorted(maps.Keys(entries)) {
			items = append(items, k+"="+entries[k])
		}
		s = "{" + strings.Join(items, ", ") + "}"
	}
	return "'" + clip(s) + "'"
}

// clip bounds what a message repeats of a request.
func clip(s string) string {
	n := 0
	for i := range s {
		if n++; n > shown {
			return s[:i] + "..."
		}
	}
	return s
}
