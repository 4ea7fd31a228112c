package envelope

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// EncryptName encrypts one path element for the directory with the given IV,
// rule N2. The text may be longer than a name can be on disk: see IsLong.
// Errors: ErrName for what no directory entry can be called, ErrNameTooLong for
// more than MaxName bytes.
func (k *NameKeys) EncryptName(iv DirIV, name string) (string, error) {
	if len(name) > MaxName {
		return "", ErrNameTooLong
	}
	if !validName(name) {
		return "", fmt.Errorf("%w: not a name for a directory entry", ErrName)
	}
	return k.name.seal("", iv[:], name), nil
}

// DecryptName reverses EncryptName. Anything else than exactly the text that
// EncryptName makes for a valid name in this directory is ErrName, rule N3.
func (k *NameKeys) DecryptName(iv DirIV, enc string) (string, error) {
	name, ok := k.name.open(iv[:], enc)
	if !ok || !validName(name) {
		return "", ErrName
	}
	return name, nil
}

func validName(s string) bool {
	return s != "" && s != "." && s != ".." && strings.IndexByte(s, '/') < 0 && strings.IndexByte(s, 0) < 0
}

// IsLong reports whether an encrypted name is too long for a directory entry and
// lies in a long-name pair instead, rule N4.
func IsLong(enc string) bool { return len(enc) > MaxName }

// LongNames gives the two stored names of a long encrypted name: data holds the
// contents, link is a symlink whose text is the encrypted name. Link is made
// first and deleted last.
func LongNames(enc string) (data, link string) {
	sum := sha256.Sum256([]byte(enc))
	text := b64.EncodeToString(sum[:])
	return longDataStart + text, longNameStart + text
}

// LongNameOf gives the link of a stored data name; ok is false for any other name.
func LongNameOf(stored string) (link string, ok bool) {
	return swapStart(stored, longDataStart, longNameStart)
}

// DataNameOf gives the data name of a stored link; ok is false for any other name.
func DataNameOf(link string) (data string, ok bool) {
	return swapStart(link, longNameStart, longDataStart)
}

func swapStart(s, from, to string) (string, bool) {
	text, ok := strings.CutPrefix(s, from)
	if !ok || len(text) != b64.EncodedLen(sha256.Size) {
		return "", false
	}
	if _, ok := decode64(text); !ok {
		return "", false
	}
	return to + text, true
}

// CheckLongName refuses, with ErrName, an encrypted name read from a link whose
// stored data or link name belongs to another, or one that is not long.
func CheckLongName(stored, enc string) error {
	data, link := LongNames(enc)
	if !IsLong(enc) || stored != data && stored != link {
		return fmt.Errorf("%w: long name and its hash differ", ErrName)
	}
	return nil
}
