package envelope

import "strings"

// A symlink's text is base64url(u8 1 ‖ AEAD(symlink key, target, AAD "l")), rule
// N6, or where that does not fit the store, the name of a sidecar, rule N7.
const (
	targetVersion  = 1
	targetOverhead = 1 + nonceSize + tagSize

	// LinksDir is the directory inside ControlName that holds sidecars.
	LinksDir = "links"
	// SidecarLength is the length of a sidecar's name, shorter than any direct
	// text (40 or more): st_size alone tells them apart.
	SidecarLength = len(sidecarStart) + 22
)

var targetAAD = []byte("l")

// SealTarget encrypts a symlink target of at least one byte. Two calls give two texts.
func (k *NameKeys) SealTarget(target string) string {
	b := make([]byte, 1, targetOverhead+len(target))
	b[0] = targetVersion
	return b64.EncodeToString(k.symlink.Seal(b, nil, []byte(target), targetAAD))
}

// OpenTarget reverses SealTarget; ErrTarget for anything else, a sidecar's name
// included.
func (k *NameKeys) OpenTarget(stored string) (string, error) {
	b, ok := decode64(stored)
	if !ok || len(b) <= targetOverhead || b[0] != targetVersion {
		return "", ErrTarget
	}
	target, err := k.symlink.Open(b[1:1], nil, b[1:], targetAAD)
	if err != nil {
		return "", ErrTarget
	}
	return string(target), nil
}

// StoredTargetLength is the length of the direct text of a target of n bytes.
func StoredTargetLength(n int) int { return b64.EncodedLen(targetOverhead + n) }

// TargetLength is the length of the target behind a direct text of storedLen
// bytes, which lstat reports; ErrTarget where no text is so long. The target
// of a sidecar is as long as the sidecar's plaintext instead.
func TargetLength(storedLen int64) (int64, error) {
	n := storedLen/4*3 + storedLen%4*3/4 - targetOverhead
	if n < 1 || storedLen%4 == 1 {
		return 0, ErrTarget
	}
	return n, nil
}

// NewSidecarName makes the name of a sidecar from 16 random bytes: the text of
// the symlink, and the name of the file in LinksDir that holds the target.
func NewSidecarName(id [16]byte) string { return sidecarStart + b64.EncodeToString(id[:]) }

// IsSidecar reports whether the text of a symlink names a sidecar.
func IsSidecar(stored string) bool {
	text, ok := strings.CutPrefix(stored, sidecarStart)
	if !ok || len(stored) != SidecarLength {
		return false
	}
	_, ok = decode64(text)
	return ok
}
