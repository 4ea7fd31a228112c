package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Labels of the key derivation, rule K2. Each key has one purpose and one label.
const (
	labelCommit  = "kmsfs/1/commit"
	labelPage    = "kmsfs/1/page"
	labelXattr   = "kmsfs/1/xattr"
	labelNameMAC = "kmsfs/1/name-mac"
	labelNameCTR = "kmsfs/1/name-ctr"
	labelXnMAC   = "kmsfs/1/xname-mac"
	labelXnCTR   = "kmsfs/1/xname-ctr"
	labelXval    = "kmsfs/1/xval"
	labelSymlink = "kmsfs/1/symlink"
	labelDirIV   = "kmsfs/1/diriv"
	labelConfig  = "kmsfs/1/config"
	labelState   = "kmsfs/1/state"
)

// must is for calls that fail only on a wrong constant (key length, hash) of this
// package: keys are array types, so no input can reach the panic.
func must[T any](v T, err error) T {
	if err != nil {
		panic("envelope: " + err.Error())
	}
	return v
}

func expand(prk []byte, info string) (k [32]byte) {
	copy(k[:], must(hkdf.Expand(sha256.New, prk, info, 32)))
	return k
}

func newGCM(key *[32]byte) cipher.AEAD {
	return must(cipher.NewGCMWithRandomNonce(must(aes.NewCipher(key[:]))))
}

func hmac256(key *[32]byte, parts ...[]byte) (out [32]byte) {
	h := hmac.New(sha256.New, key[:])
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

// FileKeys are the keys of one file, derived from its data key and file id (K1).
// It may be used by several goroutines at once. Wipe it when it is no longer used.
type FileKeys struct {
	prk  [32]byte
	fsid FSID
}

// DeriveFileKeys derives the keys of one file: PRK = HKDF-Extract(salt = file id, DK).
func DeriveFileKeys(dk *DataKey, fsid FSID, id FileID) *FileKeys {
	k := &FileKeys{fsid: fsid}
	prk := must(hkdf.Extract(sha256.New, dk[:], id[:]))
	copy(k.prk[:], prk)
	clear(prk)
	return k
}

// Wipe zeroes the keys. Ciphers made from them stay in memory until collected.
func (k *FileKeys) Wipe() { clear(k.prk[:]) }

// commitment is HMAC(commitment key, bytes 0..95 of the header), rule H4.
func (k *FileKeys) commitment(core []byte) [32]byte {
	ck := expand(k.prk[:], labelCommit)
	return hmac256(&ck, core[:commitOffset])
}

// PageCipher makes the cipher of one key epoch, rule P5. It may be used by
// several goroutines at once.
func (k *FileKeys) PageCipher(epoch uint16) *PageCipher {
	var info [len(labelPage) + 16 + 2]byte
	n := copy(info[:], labelPage)
	n += copy(info[n:], k.fsid[:])
	binary.BigEndian.PutUint16(info[n:], epoch)
	key := expand(k.prk[:], string(info[:]))
	defer clear(key[:])
	return &PageCipher{aead: newGCM(&key), epoch: epoch}
}

// XattrCipher makes the cipher for values of extended attributes of this file.
func (k *FileKeys) XattrCipher() *XattrCipher {
	key := expand(k.prk[:], labelXattr+string(k.fsid[:]))
	defer clear(key[:])
	return &XattrCipher{newGCM(&key)}
}

// NameKeys are the keys derived from the names key (K3): those of names, IVs,
// symlinks, directory xattrs and control files. Safe for concurrent use.
type NameKeys struct {
	name, xname          sivCipher
	dirIV, config, state [32]byte
	symlink              cipher.AEAD
	xval                 *XattrCipher
}

// DeriveNameKeys derives them: PRK = HKDF-Extract(salt = fsid, NK).
func DeriveNameKeys(nk *NamesKey, fsid FSID) *NameKeys {
	prk := must(hkdf.Extract(sha256.New, nk[:], fsid[:]))
	defer clear(prk)
	block := func(label string) cipher.Block {
		key := expand(prk, label)
		defer clear(key[:])
		return must(aes.NewCipher(key[:]))
	}
	gcm := func(label string) cipher.AEAD {
		key := expand(prk, label)
		defer clear(key[:])
		return newGCM(&key)
	}
	return &NameKeys{
		name:  newSIVCipher(expand(prk, labelNameMAC), block(labelNameCTR), kindName),
		xname: newSIVCipher(expand(prk, labelXnMAC), block(labelXnCTR), kindXattrName),
		dirIV: expand(prk, labelDirIV), config: expand(prk, labelConfig), state: expand(prk, labelState),
		symlink: gcm(labelSymlink), xval: &XattrCipher{gcm(labelXval)},
	}
}
