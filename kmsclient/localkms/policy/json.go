package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

type nodeKind int

const (
	jsonText   nodeKind = iota // a string
	jsonScalar                 // a number, true or false
	jsonNull
	jsonList
	jsonObject
)

// node is a JSON value: unlike a map, one that cannot have lost a member.
type node struct {
	kind    nodeKind
	text    string // of a text, or of a scalar as it was written
	items   []node
	members []member
}

type member struct {
	name  string
	value node
}

// parseJSON reads one JSON value. It refuses what encoding/json lets pass:
// members of the same name, bytes and escapes that are no characters, and
// nesting deeper than any policy has. Outside escapes it takes the characters
// that AWS takes: tab, line feed, carriage return, U+0020 to U+007E and U+00A0
// to U+00FF (KMS API Reference, PutKeyPolicy).
func parseJSON(doc []byte) (node, error) {
	if !utf8.Valid(doc) {
		return node{}, &Error{"a policy is UTF-8 text"}
	}
	for _, c := range string(doc) {
		if c > 0xff || c > 0x7e && c < 0xa0 || c < 0x20 && !strings.ContainsRune("\t\n\r", c) {
			return node{}, &Error{fmt.Sprintf("a policy cannot have the character %U", c)}
		}
	}
	// The whole is checked first: after that, tokens come in a legal order and
	// nothing follows the value.
	var raw json.RawMessage
	if err := json.Unmarshal(doc, &raw); err != nil {
		return node{}, &Error{"not JSON: " + err.Error()}
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	return parseNode(d, 1)
}

func parseNode(d *json.Decoder, depth int) (n node, err error) {
	token, err := d.Token()
	if err != nil {
		return n, &Error{"not JSON: " + err.Error()}
	}
	switch v := token.(type) {
	case nil:
		n.kind = jsonNull
	case string:
		n.kind, n.text = jsonText, v
		// The decoder puts U+FFFD for half a surrogate pair.
		if strings.ContainsRune(v, utf8.RuneError) {
			return n, &Error{fmt.Sprintf("%q has an escape that is no character", v)}
		}
	case json.Delim:
		if depth > maxDepth {
			return n, &Error{fmt.Sprintf("a policy is nested at most %d deep", maxDepth)}
		}
		if n.kind = jsonList; v == '{' {
			n.kind = jsonObject
		}
		seen := map[string]bool{}
		for d.More() {
			var name node
			if n.kind == jsonObject {
				if name, err = parseNode(d, depth); err != nil {
					return n, err
				}
				if seen[name.text] {
					return n, &Error{fmt.Sprintf("%q stands twice in one object", name.text)}
				}
				seen[name.text] = true
			}
			value, err := parseNode(d, depth+1)
			if err != nil {
				return n, err
			}
			if n.kind == jsonObject {
				n.members = append(n.members, member{name.text, value})
			} else {
				n.items = append(n.items, value)
			}
		}
		if _, err := d.Token(); err != nil {
			return n, &Error{"not JSON: " + err.Error()}
		}
	default: // json.Number or bool
		n.kind, n.text = jsonScalar, fmt.Sprint(v)
	}
	return n, nil
}

// texts returns the texts of a value, or of the one or more values of a list, if
// all are of these kinds.
func (n node) texts(kinds ...nodeKind) ([]string, bool) {
	items := n.items
	if n.kind != jsonList {
		items = []node{n}
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		if !slices.Contains(kinds, item.kind) {
			return nil, false
		}
		out = append(out, item.text)
	}
	return out, len(out) > 0
}
