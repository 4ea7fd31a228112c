package envelope

import (
	"crypto/hmac"
	"strings"
)

const (
	dirIVMark = "k1:"
	dirIVMAC  = 8
)

// DirIVTarget prints the text of the symlink DirIVName, rule D1:
// "k1:" base64url(IV) ":" base64url(HMAC(diriv key, IV)[0:8]).
func (k *NameKeys) DirIVTarget(iv DirIV) string {
	mac := hmac256(&k.dirIV, iv[:])
	return dirIVMark + b64.EncodeToString(iv[:]) + ":" + b64.EncodeToString(mac[:dirIVMAC])
}

// ParseDirIV reads the text of a DirIVName symlink; ErrDirIV for any text that
// DirIVTarget does not make.
func (k *NameKeys) ParseDirIV(target string) (DirIV, error) {
	text, ok := strings.CutPrefix(target, dirIVMark)
	first, _, found := strings.Cut(text, ":")
	b, valid := decode64(first)
	if !ok || !found || !valid || len(b) != len(DirIV{}) {
		return DirIV{}, ErrDirIV
	}
	iv := DirIV(b)
	if !hmac.Equal([]byte(target), []byte(k.DirIVTarget(iv))) {
		return DirIV{}, ErrDirIV
	}
	return iv, nil
}
