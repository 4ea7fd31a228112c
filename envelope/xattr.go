package envelope

import (
	"crypto/cipher"
	"fmt"
	"strings"
)

const (
	xattrVersion  = 1
	xattrOverhead = 1 + nonceSize + tagSize
)

// XattrCipher seals values of user xattrs, rules X3 and X4: those of a regular file under
// a key of its own (FileKeys.XattrCipher), all others under NameKeys.DirXattr.
// Safe for concurrent use.
type XattrCipher struct{ aead cipher.AEAD }

// Seal gives u8 1 ‖ AEAD(value, AAD = stored name). The stored name is the whole
// encrypted name, XattrPrefix included.
func (c *XattrCipher) Seal(value []byte, storedName string) []byte {
	b := make([]byte, 1, xattrOverhead+len(value))
	b[0] = xattrVersion
	return c.aead.Seal(b, nil, value, []byte(storedName))
}

// Open reverses Seal into a new slice; ErrXattr for anything else.
func (c *XattrCipher) Open(stored []byte, storedName string) ([]byte, error) {
	if len(stored) < xattrOverhead || stored[0] != xattrVersion {
		return nil, ErrXattr
	}
	value, err := c.aead.Open(nil, nil, stored[1:], []byte(storedName))
	if err != nil {
		return nil, ErrXattr
	}
	return value, nil
}

// SealedLength is the stored length of a value of n bytes.
func SealedLength(n int) int { return xattrOverhead + n }

// OpenedLength is the length of the value behind n stored bytes; ErrXattr where
// nothing is stored so.
func OpenedLength(n int) (int, error) {
	if n < xattrOverhead {
		return 0, ErrXattr
	}
	return n - xattrOverhead, nil
}

// DirXattr is the cipher for xattrs of directories.
func (k *NameKeys) DirXattr() *XattrCipher { return k.xval }

// EncryptXattrName encrypts what follows "user." in the name of an xattr, rule X2;
// the result is the whole stored name. Errors: ErrName, ErrNameTooLong over
// MaxXattrName bytes.
func (k *NameKeys) EncryptXattrName(name string) (string, error) {
	if len(name) > MaxXattrName {
		return "", ErrNameTooLong
	}
	if !validXattrName(name) {
		return "", fmt.Errorf("%w: not a name for an xattr", ErrName)
	}
	return k.xname.seal(XattrPrefix, nil, name), nil
}

// DecryptXattrName reverses EncryptXattrName; ErrName for any other stored name.
func (k *NameKeys) DecryptXattrName(stored string) (string, error) {
	text, ours := strings.CutPrefix(stored, XattrPrefix)
	name, ok := k.xname.open(nil, text)
	if !ours || !ok || !validXattrName(name) {
		return "", ErrName
	}
	return name, nil
}

func validXattrName(s string) bool {
	return s != "" && len(s) <= MaxXattrName && strings.IndexByte(s, 0) < 0
}
