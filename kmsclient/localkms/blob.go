package localkms

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"

	"kmsfs/kmsclient"
)

// A ciphertext blob, version 1 (docs/kms.md, "Blob format"):
//
//	offset  size
//	     0     1  version, 1
//	     1    16  key id
//	    17     8  material reference: first bytes of the KeyMaterialId
//	    25    32  salt, random
//	    57    32  commitment
//	    89    12  nonce, random
//	   101     n  ciphertext
//	 101+n    16  tag
//
// message key and commitment are the two halves of HKDF-SHA256(material, salt,
// info = "kmsfs kms blob 1" || bytes 0..24 || context). The associated data is
// bytes 0..88 || context. Since every message has its own key, the number of
// messages under one CMK is not limited by the 96-bit nonce; since key, header
// and context are committed to, a blob opens in one way only.
const (
	blobVersion   = 1
	blobHeader    = 1 + 16 + 8
	blobSalt      = 32
	blobPrefix    = blobHeader + blobSalt + 32
	blobOverhead  = blobPrefix + 12 + 16
	blobInfo      = "kmsfs kms blob 1"
	maxPlaintext  = 4096
	maxCiphertext = 6144 // AWS's limit on what Decrypt accepts
)

// blob is a parsed ciphertext blob. It aliases what it was parsed from.
type blob struct {
	id         keyID
	ref        materialRef
	salt       []byte
	commitment []byte
	sealed     []byte // nonce, ciphertext, tag
}

// parseBlob takes a blob apart. It refuses what no Encrypt can have written:
// another version, or a plaintext of no bytes or over 4096.
func parseBlob(b []byte) (p blob, ok bool) {
	if len(b) <= blobOverhead || len(b) > blobOverhead+maxPlaintext || b[0] != blobVersion {
		return p, false
	}
	return blob{
		id:         keyID(b[1:17]),
		ref:        materialRef(b[17:blobHeader]),
		salt:       b[blobHeader : blobHeader+blobSalt],
		commitment: b[blobHeader+blobSalt : blobPrefix],
		sealed:     b[blobPrefix:],
	}, true
}

// bytes prints the blob: the inverse of parseBlob.
func (p blob) bytes() []byte {
	return slices.Concat(p.header(), p.salt, p.commitment, p.sealed)
}

func (p blob) header() []byte {
	return slices.Concat([]byte{blobVersion}, p.id[:], p.ref[:])
}

// keys derives message key and commitment for this header, salt and context.
func (p blob) keys(m *material, ec []byte) (key, commitment []byte) {
	info := slices.Concat([]byte(blobInfo), p.header(), ec)
	out, err := hkdf.Key(sha256.New, m.key, p.salt, string(info), 64)
	if err != nil {
		panic(err) // only for lengths out of range
	}
	return out[:32], out[32:]
}

func (p blob) aad(ec []byte) []byte {
	return slices.Concat(p.header(), p.salt, p.commitment, ec)
}

// sealBlob encrypts 1..4096 bytes under a material, bound to an encoded context.
func sealBlob(id keyID, m *material, plaintext, ec []byte) []byte {
	p := blob{id: id, ref: m.ref(), salt: make([]byte, blobSalt)}
	rand.Read(p.salt)
	key, commitment := p.keys(m, ec)
	defer clear(key)
	p.commitment = commitment
	p.sealed = gcm(key).Seal(nil, nil, plaintext, p.aad(ec))
	return p.bytes()
}

// open decrypts the blob with the material it names, or fails with errBlob:
// altered, or another context. It says no more on purpose.
func (p blob) open(m *material, ec []byte) ([]byte, error) {
	key, commitment := p.keys(m, ec)
	defer clear(key)
	if !hmac.Equal(commitment, p.commitment) {
		return nil, errBlob
	}
	plaintext, err := gcm(key).Open(nil, nil, p.sealed, p.aad(ec))
	if err != nil {
		return nil, errBlob
	}
	return plaintext, nil
}

// BlobKeyID reads which key and which material a ciphertext blob of this KMS
// names, without any key: what `kmsfs inspect` can tell. The material is the
// first 8 bytes of its KeyMaterialId. ok is false for a foreign or cut blob.
func BlobKeyID(b []byte) (id string, ref [8]byte, ok bool) {
	p, ok := parseBlob(b)
	if !ok {
		return "", ref, false
	}
	return p.id.String(), p.ref, true
}

var _ kmsclient.KMS = (*Client)(nil)
