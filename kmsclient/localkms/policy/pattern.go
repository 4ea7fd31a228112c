package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// pattern is a text with wildcards and variables. They stand in it as bytes that
// UTF-8 never has, so that a literal * needs no escape: star for any number of
// characters, one for a single one, and mark, condition key, mark for a variable.
//
// Matching takes time in proportion to pattern plus text. Only a single-character
// wildcard can make it their product, and Parse bounds how many bytes of patterns
// with those a document has (maxQuestion).
type pattern string

const (
	star = "\xff"
	one  = "\xfe"
	mark = "\xfd"
)

// variables are the condition keys that can stand in ${ }.
var variables = map[string]bool{
	"aws:username": true, "aws:userid": true, "aws:principalarn": true, "aws:principalaccount": true,
}

// pattern compiles a value; without wildcards, * and ? are characters like any
// other. It records the variables used.
func (p *parser) pattern(value string, wildcards bool) (pattern, error) {
	var b strings.Builder
	for rest := value; rest != ""; {
		c := rest[:1]
		switch {
		case p.variables && strings.HasPrefix(rest, "${"):
			name, after, closed := strings.Cut(rest[2:], "}")
			key := fold(name)
			switch {
			case !closed:
				return "", errors.New("has ${ without }")
			case name == "*", name == "?", name == "$":
				b.WriteString(name)
			case variables[key]:
				b.WriteString(mark + key + mark)
				p.used = append(p.used, key)
			default:
				return "", fmt.Errorf("has the variable ${%s}, which is not understood", name)
			}
			rest = after
			continue
		case wildcards && c == "*":
			c = star
		case wildcards && c == "?":
			c = one
		}
		b.WriteString(c)
		rest = rest[1:]
	}
	out := b.String()
	if strings.Contains(out, one) {
		if p.questions += len(out); p.questions > maxQuestion {
			return "", fmt.Errorf("is one too many with a ?: together they may have %d bytes", maxQuestion)
		}
	}
	return pattern(out), nil
}

// expand puts the request's values in place of the variables. They are taken
// literally, wildcards included. It is false if one has no value.
func (p pattern) expand(r *Request) (pattern, bool) {
	if !strings.Contains(string(p), mark) {
		return p, true
	}
	parts := strings.Split(string(p), mark)
	for i := 1; i < len(parts); i += 2 {
		value, ok := r.variable(parts[i])
		if !ok {
			return "", false
		}
		parts[i] = value
	}
	return pattern(strings.Join(parts, "")), true
}

// variable is the value of a policy variable: a condition key with exactly one.
func (r *Request) variable(key string) (string, bool) {
	values := r.values(key)
	if len(values) != 1 || !utf8.ValidString(values[0]) {
		return "", false
	}
	return values[0], true
}

// match says whether the whole text fits the pattern, whose variables must be
// expanded. Each piece between two stars is looked for once, leftmost: if a
// later piece then does not follow, it would not follow a later match either.
func (p pattern) match(text string) bool {
	head, rest, starred := strings.Cut(string(p), star)
	n := prefix(head, text)
	if n < 0 {
		return false
	}
	text = text[n:]
	for starred {
		var piece string
		piece, rest, starred = strings.Cut(rest, star)
		end := search(piece, text, !starred)
		if end < 0 {
			return false
		}
		text = text[end:]
	}
	return text == ""
}

// prefix is the length of the start of text that a piece without stars takes,
// or -1.
func prefix(piece, text string) int {
	n := 0
	for i := range len(piece) {
		switch {
		case n == len(text):
			return -1
		case piece[i] == one[0]:
			_, width := utf8.DecodeRuneInString(text[n:])
			n += width
		case piece[i] != text[n]:
			return -1
		default:
			n++
		}
	}
	return n
}

// search is the end of the leftmost occurrence of a piece without stars in text,
// or if last of the one at its end, or -1.
func search(piece, text string, last bool) int {
	if !strings.Contains(piece, one) {
		at := len(text) - len(piece)
		if !last {
			at = strings.Index(text, piece)
		} else if !strings.HasSuffix(text, piece) {
			at = -1
		}
		if at < 0 {
			return -1
		}
		return at + len(piece)
	}
	for i := range text {
		if n := prefix(piece, text[i:]); n >= 0 && (!last || i+n == len(text)) {
			return i + n
		}
	}
	return -1
}
