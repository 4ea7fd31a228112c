package unlock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Constants of the format; doc.go has the rules.
const (
	magic   = "kmsfs root key "
	header1 = magic + "1\n"
	header2 = magic + "2\n"

	saltSize       = 16 // RFC 9106, section 4
	commitmentSize = 32
	idSize         = 16
	sealedSize     = 12 + 32 + 16 // nonce, root key, tag
	maxBlob        = 6144         // AWS: CiphertextBlob of Decrypt
	maxLine        = 2048         // a URI or key id; AWS: KeyId
	maxFile        = 20 << 10
)

// text prints the file. The caller wipes it: that of a key file holds the key.
func (s *Sealed) text() []byte {
	if s.Kind == KindKeyFile {
		b := make([]byte, 0, len(header1)+64+1)
		return append(hex.AppendEncode(append(b, header1...), s.key[:]), '\n')
	}
	b := fmt.Appendf(s.head(), "sealed %x\n", s.sealed)
	return fmt.Appendf(b, "sum %x\n", sha256.Sum256(b))
}

// head is a file of version 2 as far as the line "sealed", exclusive.
func (s *Sealed) head() []byte {
	b := fmt.Appendf(nil, "%smethod %s\n", header2, s.Kind)
	if s.Kind == KindKMS {
		return fmt.Appendf(b, "uri %s\nkey %s\nid %x\n", s.URI, s.Key, s.id)
	}
	return fmt.Appendf(b, "time %d\nmemory %d\nthreads %d\nsalt %x\ncommitment %x\n",
		s.Cost.Time, s.Cost.Memory, s.Cost.Threads, s.salt, s.commitment)
}

// parse is the inverse of text. It refuses what text cannot have written, except
// that version 1 is read as leniently as ever. It keeps nothing of b.
func parse(b []byte) (*Sealed, error) {
	if digits, ok := bytes.CutPrefix(b, []byte(header1)); ok {
		s := &Sealed{Kind: KindKeyFile}
		digits = bytes.TrimSuffix(digits, []byte("\n"))
		if len(digits) != hex.EncodedLen(len(s.key)) {
			return nil, ErrDamaged
		}
		if _, err := hex.Decode(s.key[:], digits); err != nil {
			s.Wipe()
			return nil, ErrDamaged // the cause would quote a digit
		}
		return s, nil
	}
	if !bytes.HasPrefix(b, []byte(header2)) {
		return nil, foreign(b)
	}
	// lines forgives everything; what it misread does not print as it was.
	l := lines{string(b[len(header2):])}
	s := &Sealed{Kind: Kind(l.value("method"))}
	if s.Kind == KindKMS {
		s.URI, s.Key, s.id = l.value("uri"), l.value("key"), l.bytes("id")
	} else {
		s.Cost = Cost{uint32(l.number("time", 32)), uint32(l.number("memory", 32)), uint8(l.number("threads", 8))}
		s.salt, s.commitment = l.bytes("salt"), l.bytes("commitment")
	}
	s.sealed = l.bytes("sealed")
	if !bytes.Equal(s.text(), b) {
		return nil, ErrDamaged
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, nil
}

// foreign says why a file that starts with neither header is refused.
func foreign(b []byte) error {
	line, _, _ := bytes.Cut(b[:min(len(b), 64)], []byte("\n"))
	version, ok := strings.CutPrefix(string(line), magic)
	if n, err := strconv.Atoi(version); ok && err == nil && n > 2 && version == strconv.Itoa(n) {
		return ErrNewer
	}
	return fmt.Errorf("%w: not a root key file", ErrDamaged)
}

// lines reads "name value" lines, one after the other.
type lines struct{ rest string }

func (l *lines) value(name string) string {
	line, rest, _ := strings.Cut(l.rest, "\n")
	l.rest = rest
	return strings.TrimPrefix(line, name+" ")
}

func (l *lines) number(name string, bits int) uint64 {
	n, _ := strconv.ParseUint(l.value(name), 10, bits)
	return n
}

func (l *lines) bytes(name string) []byte {
	b, _ := hex.DecodeString(l.value(name))
	return b
}

// check holds a Sealed of version 2 to the limits of the format.
func (s *Sealed) check() error {
	var sizes bool
	switch s.Kind {
	case KindPassphrase:
		if err := s.Cost.check(); err != nil {
			return err
		}
		sizes = len(s.salt) == saltSize && len(s.commitment) == commitmentSize && len(s.sealed) == sealedSize
	case KindKMS:
		if err := errors.Join(checkLine("KMS URI", s.URI), checkLine("key id", s.Key)); err != nil {
			return err
		}
		sizes = len(s.id) == idSize && len(s.sealed) >= 1 && len(s.sealed) <= maxBlob
	default:
		return fmt.Errorf("unknown method %q", s.Kind)
	}
	if !sizes {
		return errors.New("a field has the wrong size")
	}
	return nil
}

// checkLine refuses a text that does not fit on a line of its own.
func checkLine(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s is empty", what)
	case len(s) > maxLine:
		return fmt.Errorf("%s of %d bytes is longer than %d", what, len(s), maxLine)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s %q is not plain text", what, s)
	}
	return nil
}
