package shape

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readTag reads what the tags kms and pattern say.
func (m *member) readTag(tag reflect.StructTag) error {
	m.Pattern = tag.Get("pattern")
	text := tag.Get("kms")
	if text == "" {
		return nil
	}
	for word := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "required":
			m.Required = true
		case "secret":
			m.Secret = true
		case "unsupported":
			m.Unsupported = true
		case "document":
			m.Document = true
		case "len":
			m.Length, err = parseBounds(value)
		case "item.len":
			m.ItemLength, err = parseBounds(value)
		case "range":
			m.Range, err = parseBounds(value)
		case "enum", "item.enum":
			if m.Enum = Enum(value); strings.Contains(value, "|") {
				m.Enum = strings.Split(value, "|")
			}
			if m.Enum == nil {
				err = fmt.Errorf("no enum %q", value)
			}
			m.enumOfItems = key == "item.enum"
		default:
			err = fmt.Errorf("unknown word %q in tag", word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compile prepares the constraints, after the kind is known, and refuses those
// that say nothing about it.
func (m *member) compile() error {
	text := m.Kind == String
	items := m.Kind == List && m.Item == String
	switch {
	case m.Length != nil && !slices.Contains([]Kind{String, Blob, List, Map}, m.Kind),
		m.Range != nil && m.Kind != Integer,
		m.ItemLength != nil && !items,
		m.Enum != nil && (m.enumOfItems != items || !text && !items),
		(m.Pattern != "" || m.Document) && !text:
		return fmt.Errorf("constraint of another kind on a %v", m.Kind)
	case m.Secret && m.inner != nil:
		return fmt.Errorf("secret on a %v, not on the members within", m.Kind)
	}
	if m.Pattern != "" {
		// Java writes a code point as \u0020 where Go writes \x{0020}.
		re, err := regexp.Compile(`\A(?:` + javaCodePoint.ReplaceAllString(m.Pattern, `\x{$1}`) + `)\z`)
		if err != nil {
			return err
		}
		m.pattern = re
	}
	if items {
		var rules []string
		if b := m.ItemLength; b != nil {
			rules = append(rules, atMost("length", b), atLeast("length", b))
		}
		if m.Enum != nil {
			rules = append(rules, m.oneOf())
		}
		m.itemRule = "Member must satisfy constraint: [" + strings.Join(rules, ", ") + "]"
	}
	return nil
}

var javaCodePoint = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

func parseBounds(s string) (*Bounds, error) {
	low, high, _ := strings.Cut(s, ":")
	l, err1 := strconv.Atoi(low)
	h, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || l > h {
		return nil, fmt.Errorf("bounds %q", s)
	}
	return &Bounds{l, h}, nil
}
