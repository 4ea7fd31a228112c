package localkms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"kmsfs/kmsclient"
)

// Labels of what is derived from the root key. Each names one use.
const (
	labelCheck    = "kmsfs kms 1 root key check"
	labelWrapping = "kmsfs kms 1 wrapping key"
	labelMaterial = "kmsfs kms 1 key material id"
	labelAudit    = "kmsfs kms 1 audit head"
)

// derive makes the 32-byte key for one use: HKDF-SHA256 of the root key with
// the label and parts, each length-prefixed, as info.
func (k rootKey) derive(label string, parts ...[]byte) []byte {
	info := lengthPrefixed([]byte(label))
	for _, p := range parts {
		info = append(info, lengthPrefixed(p)...)
	}
	out, err := hkdf.Key(sha256.New, k[:], nil, string(info), 32)
	if err != nil {
		panic(err) // only for lengths out of range
	}
	return out
}

// keyID is the UUID of a CMK.
type keyID [16]byte

func newKeyID() (id keyID) {
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id
}

func (id keyID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// parseKeyID accepts exactly what String prints.
func parseKeyID(s string) (id keyID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]))
	return id, err == nil && id.String() == s
}

// materialRef names a material within its CMK: the start of its MaterialID.
type materialRef [8]byte

// material is one piece of key material of a CMK, unsealed.
type material struct {
	id  kmsclient.MaterialID
	key [32]byte
}

func (m *material) ref() materialRef { return materialRef(m.id[:8]) }

func (k rootKey) newMaterial(id keyID) *material {
	m := &material{}
	rand.Read(m.key[:])
	mac := hmac.New(sha256.New, k.derive(labelMaterial))
	mac.Write(id[:])
	mac.Write(m.key[:])
	mac.Sum(m.id[:0])
	return m
}

// seal encrypts the material for the database: AES-256-GCM under the CMK's
// wrapping key, bound to key, material, spec and origin.
func (m *material) seal(root rootKey, c *cmk) []byte {
	aead := gcm(root.derive(labelWrapping, c.id[:]))
	return aead.Seal(nil, nil, m.key[:], c.materialAAD(m.id))
}

// unsealMaterial undoes seal. A failure means a damaged or edited database.
func unsealMaterial(root rootKey, c *cmk, id kmsclient.MaterialID, sealed []byte) (*material, error) {
	aead := gcm(root.derive(labelWrapping, c.id[:]))
	key, err := aead.Open(nil, nil, sealed, c.materialAAD(id))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%w: material of key %s does not open", ErrDamaged, c.id)
	}
	defer clear(key)
	return &material{id: id, key: [32]byte(key)}, nil
}

func (c *cmk) materialAAD(id kmsclient.MaterialID) []byte {
	var b []byte
	for _, p := range [][]byte{c.id[:], id[:], []byte(c.spec), []byte(c.origin)} {
		b = append(b, lengthPrefixed(p)...)
	}
	return b
}

// gcm is AES-256-GCM that draws its own nonce and puts it first.
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // a key of the wrong length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func lengthPrefixed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

var errBlob = errors.New("invalid ciphertext")
