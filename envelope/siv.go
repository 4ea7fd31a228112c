package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"sync"
)

// sivCipher encrypts names deterministically (rules N2 and X2): equal names in
// one directory give equal text, and nothing else does. It is SIV in the sense
// of RFC 5297 with HMAC-SHA256 in the place of S2V:
//
//	X   = plaintext, padded with NUL to a multiple of 16
//	SIV = HMAC-SHA256(mac, u8 kind ‖ u16 len(iv) ‖ iv ‖ X)[0:16]
//	C   = AES-256-CTR(ctr, initial counter block = SIV, X)
//
// The result is SIV ‖ C as base64url.
type sivCipher struct {
	mac  *sync.Pool // of *keyedHash
	ctr  cipher.Block
	kind byte
}

const (
	kindName      byte = 1
	kindXattrName byte = 2

	sivSize   = 16
	padTo     = aes.BlockSize
	maxPadded = (MaxName + padTo - 1) / padTo * padTo
	maxSealed = sivSize + maxPadded
	maxText   = (maxSealed*8 + 5) / 6
)

func padded(n int) int { return (n + padTo - 1) / padTo * padTo }

// seal appends the encrypted text of name, 1 to MaxName bytes, to prefix.
func (c *sivCipher) seal(prefix string, iv []byte, name string) string {
	b := make([]byte, sivSize+padded(len(name)))
	x := b[sivSize:]
	copy(x, name)
	siv := c.siv(iv, x)
	copy(b, siv[:])
	cipher.NewCTR(c.ctr, b[:sivSize]).XORKeyStream(x, x)

	var text [len(XattrPrefix) + maxText]byte
	n := copy(text[:], prefix)
	b64.Encode(text[n:], b)
	return string(text[:n+b64.EncodedLen(len(b))])
}

// open reverses seal and reports whether text is exactly what seal makes for
// some name of 1 to MaxName bytes.
func (c *sivCipher) open(iv []byte, text string) (name string, ok bool) {
	if len(text) > maxText {
		return "", false
	}
	b, ok := decode64(text)
	if !ok || len(b) < sivSize+padTo || len(b)%padTo != 0 {
		return "", false
	}
	siv, x := b[:sivSize], b[sivSize:]
	cipher.NewCTR(c.ctr, siv).XORKeyStream(x, x)
	if want := c.siv(iv, x); subtle.ConstantTimeCompare(want[:], siv) != 1 {
		return "", false
	}
	n := len(x)
	for n > 0 && x[n-1] == 0 {
		n--
	}
	if n == 0 || n > MaxName || padded(n) != len(x) {
		return "", false
	}
	return string(x[:n]), true
}

// siv is the synthetic IV of iv and X. Keyed hashes are reused: keying one costs
// more than the name.
func (c *sivCipher) siv(iv, x []byte) (out [sivSize]byte) {
	h := c.mac.Get().(*keyedHash)
	defer c.mac.Put(h)
	h.Reset()
	h.buf[0] = c.kind
	binary.BigEndian.PutUint16(h.buf[1:], uint16(len(iv)))
	h.Write(h.buf[:3])
	h.Write(iv)
	h.Write(x)
	copy(out[:], h.Sum(h.buf[:0]))
	return out
}

// keyedHash is an HMAC-SHA256 that knows its key, with room for input and sum.
type keyedHash struct {
	hash.Hash
	buf [sha256.Size]byte
}

func newSIVCipher(mac [32]byte, ctr cipher.Block, kind byte) sivCipher {
	return sivCipher{ctr: ctr, kind: kind, mac: &sync.Pool{New: func() any {
		return &keyedHash{Hash: hmac.New(sha256.New, mac[:])}
	}}}
}

// decode64 is the only base64 decoder of this package: exactly one text per byte
// string. (Go's strict decoder still skips CR and LF; the length tells.)
func decode64(s string) ([]byte, bool) {
	b := make([]byte, b64.DecodedLen(len(s)))
	n, err := b64.Decode(b, []byte(s))
	if err != nil || b64.EncodedLen(n) != len(s) {
		return nil, false
	}
	return b[:n], true
}
