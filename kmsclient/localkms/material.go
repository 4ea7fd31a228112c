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
	"strings"

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

// keyID is the id of a CMK: a UUID of version 4, or, for a multi-Region key, 16
// bytes that are told apart by their version being 8. Related multi-Region keys
// have the same id, and blobs name no Region, so that what one has sealed the
// others open.
type keyID [16]byte

const multiRegionPrefix = "mrk-"

func newKeyID(multiRegion bool) (id keyID) {
	rand.Read(id[:])
	version := byte(4)
	if multiRegion {
		version = 8
	}
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id
}

func (id keyID) multiRegion() bool { return id[6]>>4 == 8 }

func (id keyID) String() string {
	if id.multiRegion() {
		return multiRegionPrefix + hex.EncodeToString(id[:])
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// parseKeyID accepts exactly what String prints.
func parseKeyID(s string) (id keyID, ok bool) {
	digits, multi := strings.CutPrefix(s, multiRegionPrefix)
	if !multi {
		if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
			return id, false
		}
		digits = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	if len(digits) != 2*len(id) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(digits))
	return id, err == nil && id.String() == s
}

// materialRef names a material within its CMK: the start of its MaterialID.
type materialRef [8]byte

// material is one piece of key material of a CMK, unsealed: 32 bytes of a
// symmetric key, the bytes of an HMAC key, PKCS #8 DER of an asymmetric one.
type material struct {
	id  kmsclient.MaterialID
	key []byte
}

func (m *material) wipe() { clear(m.key) }

func (m *material) ref() materialRef { return materialRef(m.id[:8]) }

// newMaterial makes random material of a symmetric key.
func (k rootKey) newMaterial(id keyID) *material {
	key := make([]byte, 32)
	rand.Read(key)
	return k.nameMaterial(id, key)
}

// nameMaterial gives material its KeyMaterialId, which is the same whenever the
// same bytes become the same key's, and says nothing about them. It keeps key.
func (k rootKey) nameMaterial(id keyID, key []byte) *material {
	m := &material{key: key}
	mac := hmac.New(sha256.New, k.derive(labelMaterial))
	mac.Write(id[:])
	mac.Write(key)
	mac.Sum(m.id[:0])
	return m
}

// seal encrypts the material for the database: AES-256-GCM under the CMK's
// wrapping key, bound to key, material, spec, origin and public key.
func (m *material) seal(root rootKey, c *cmk) []byte {
	aead := gcm(root.derive(labelWrapping, c.id[:]))
	return aead.Seal(nil, nil, m.key, c.materialAAD(m.id))
}

// unsealMaterial undoes seal. A failure means a damaged or edited database.
func unsealMaterial(root rootKey, c *cmk, id kmsclient.MaterialID, sealed []byte) (*material, error) {
	aead := gcm(root.derive(labelWrapping, c.id[:]))
	key, err := aead.Open(nil, nil, sealed, c.materialAAD(id))
	if err != nil {
		return nil, fmt.Errorf("%w: material of key %s does not open", ErrDamaged, c.id)
	}
	return &material{id: id, key: key}, nil
}

func (c *cmk) materialAAD(id kmsclient.MaterialID) []byte {
	var b []byte
	for _, p := range [][]byte{c.id[:], id[:], []byte(c.spec), []byte(c.origin)} {
		b = append(b, lengthPrefixed(p)...)
	}
	if c.public != nil {
		b = append(b, lengthPrefixed(c.public)...)
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
