package shape

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON that is skipped.
const maxDepth = 32

// scanner reads JSON, which is valid UTF-8, token by token.
// Source: RFC 8259.
type scanner struct {
	data    []byte
	pos     int
	scratch []byte // an unescaped string
}

func serialization(format string, args ...any) *Error {
	return &Error{"SerializationException", fmt.Sprintf(format, args...)}
}

// malformed tells where the JSON goes wrong; it repeats nothing of it.
func (s *scanner) malformed(what string) error {
	return serialization("Malformed JSON at byte %d: %s", s.pos, what)
}

// peek returns the first byte of the next token, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// take reads the one-byte token c.
func (s *scanner) take(c byte) error {
	if s.peek() != c {
		return s.malformed("expected '" + string(c) + "'")
	}
	s.pos++
	return nil
}

// more tells whether item i, from 0, of an object or array follows, and reads
// what stands before it; or what closes the object or array.
func (s *scanner) more(i int, closing byte) (bool, error) {
	if s.peek() == closing {
		s.pos++
		return false, nil
	}
	if i == 0 {
		return true, nil
	}
	return true, s.take(',')
}

// name reads the name of a member, with the colon. It is valid until the next
// string is read.
func (s *scanner) name() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.malformed("expected a member name")
	}
	b, err := s.text()
	if err != nil {
		return nil, err
	}
	return b, s.take(':')
}

// literal reads null, true or false.
func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.malformed("expected a value")
	}
	s.pos += len(word)
	return nil
}

// text reads the string that starts here. The result is valid until the next
// string is read.
func (s *scanner) text() ([]byte, error) {
	s.pos++
	start := s.pos
	for i, c := range s.data[start:] {
		switch {
		case c == '"':
			s.pos = start + i + 1
			return s.data[start : start+i], nil
		case c == '\\':
			s.pos = start + i
			if s.scratch == nil { // escapes only shrink: it never grows
				s.scratch = make([]byte, 0, len(s.data)-start)
			}
			s.scratch = append(s.scratch[:0], s.data[start:s.pos]...)
			return s.escapedText()
		case c < ' ':
			s.pos = start + i
			return nil, s.malformed("control character in a string")
		}
	}
	s.pos = len(s.data)
	return nil, s.malformed("unexpected end")
}

// escapedText goes on with a string, the first part of which is in scratch.
func (s *scanner) escapedText() ([]byte, error) {
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			s.pos++
			return s.scratch, nil
		case c < ' ':
			return nil, s.malformed("control character in a string")
		case c != '\\':
			s.scratch = append(s.scratch, c)
			s.pos++
		default:
			if err := s.escape(); err != nil {
				return nil, err
			}
		}
	}
	return nil, s.malformed("unexpected end")
}

// escape reads one escape into scratch, or the two of a surrogate pair.
func (s *scanner) escape() error {
	const letters, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	rest := s.data[s.pos+1:]
	if len(rest) == 0 {
		return s.malformed("unexpected end")
	}
	if i := strings.IndexByte(letters, rest[0]); i >= 0 {
		s.scratch = append(s.scratch, values[i])
		s.pos += 2
		return nil
	}
	r, ok := s.unit()
	if !ok {
		return s.malformed("bad escape")
	}
	if utf16.IsSurrogate(r) {
		low, ok := s.unit()
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return s.malformed("lone surrogate")
		}
	}
	s.scratch = utf8.AppendRune(s.scratch, r)
	return nil
}

// unit reads one \uXXXX.
func (s *scanner) unit() (rune, bool) {
	if len(s.data)-s.pos < 6 || s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s.data[s.pos+2 : s.pos+6] {
		r <<= 4
		switch {
		case '0' <= c && c <= '9':
			r |= rune(c - '0')
		case 'a' <= c && c <= 'f':
			r |= rune(c-'a') + 10
		case 'A' <= c && c <= 'F':
			r |= rune(c-'A') + 10
		default:
			return 0, false
		}
	}
	s.pos += 6
	return r, true
}

// number reads a number.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	s.oneOf("-")
	if !s.oneOf("0") && !s.digits() {
		return nil, s.malformed("expected a digit")
	}
	if s.oneOf(".") && !s.digits() {
		return nil, s.malformed("expected a digit")
	}
	if s.oneOf("eE") {
		s.oneOf("+-")
		if !s.digits() {
			return nil, s.malformed("expected a digit")
		}
	}
	return s.data[start:s.pos], nil
}

// oneOf reads a byte that is in set.
func (s *scanner) oneOf(set string) bool {
	if s.pos < len(s.data) && strings.IndexByte(set, s.data[s.pos]) >= 0 {
		s.pos++
		return true
	}
	return false
}

func isNumber(c byte) bool { return c == '-' || '0' <= c && c <= '9' }

func (s *scanner) digits() bool {
	start := s.pos
	for s.oneOf("0123456789") {
	}
	return s.pos > start
}

// skip reads a value of any type.
func (s *scanner) skip(depth int) (err error) {
	if depth > maxDepth {
		return s.malformed("nested too deep")
	}
	switch c := s.peek(); c {
	case '"':
		_, err = s.text()
	case '{':
		s.pos++
		for i := 0; ; i++ {
			if more, err := s.more(i, '}'); !more || err != nil {
				return err
			}
			if _, err := s.name(); err != nil {
				return err
			}
			if err := s.skip(depth + 1); err != nil {
				return err
			}
		}
	case '[':
		s.pos++
		for i := 0; ; i++ {
			if more, err := s.more(i, ']'); !more || err != nil {
				return err
			}
			if err := s.skip(depth + 1); err != nil {
				return err
			}
		}
	case 'n':
		err = s.literal("null")
	case 't':
		err = s.literal("true")
	case 'f':
		err = s.literal("false")
	default:
		if !isNumber(c) {
			return s.malformed("expected a value")
		}
		_, err = s.number()
	}
	return err
}
