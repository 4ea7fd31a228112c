package localkms

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"kmsfs/kmsclient"
)

// A grant token is base64 (RFC 4648, section 5, without padding) of:
//
//	offset  size
//	     0     1  version, 1
//	     1    16  key id
//	    17    32  grant id
//	    49    16  nonce, random: each answer of CreateGrant has a token of its own
//	    65    32  HMAC-SHA256 of the length-prefixed Region and bytes 0..64
//
// The MAC is under a key that is derived from the root key, so that nobody else
// makes tokens, and those of other stores and Regions are refused.
//
// In AWS a token makes a grant count before all of KMS has heard of it. Here a
// grant counts in every process from when CreateGrant returns, so that a token
// adds nothing to what its bearer may do: it is only held to be genuine. It
// outlives its grant.
const (
	grantTokenVersion = 1
	grantTokenBody    = 1 + 16 + 32 + 16
	grantTokenLen     = grantTokenBody + sha256.Size
	labelGrantToken   = "kmsfs kms 1 grant token"
)

var grantTokenText = base64.RawURLEncoding.Strict()

// grantToken makes a new token for a grant.
func (k rootKey) grantToken(region string, g *grant) string {
	b := make([]byte, grantTokenBody, grantTokenLen)
	b[0] = grantTokenVersion
	copy(b[1:17], g.key[:])
	copy(b[17:49], g.id[:])
	rand.Read(b[49:])
	return grantTokenText.EncodeToString(append(b, k.macGrantToken(region, b)...))
}

// openGrantToken reads and verifies a token; ok is false for any text that
// grantToken does not make for the Region.
func (k rootKey) openGrantToken(region, token string) (key keyID, id grantID, ok bool) {
	if len(token) != grantTokenText.EncodedLen(grantTokenLen) {
		return key, id, false
	}
	b, err := grantTokenText.DecodeString(token)
	if err != nil || len(b) != grantTokenLen || b[0] != grantTokenVersion {
		return key, id, false
	}
	if !hmac.Equal(b[grantTokenBody:], k.macGrantToken(region, b[:grantTokenBody])) {
		return key, id, false
	}
	return keyID(b[1:17]), grantID(b[17:49]), true
}

func (k rootKey) macGrantToken(region string, body []byte) []byte {
	mac := hmac.New(sha256.New, k.derive(labelGrantToken))
	mac.Write(lengthPrefixed([]byte(region)))
	mac.Write(body)
	return mac.Sum(nil)
}

// checkTokens refuses grant tokens of the request that this store did not make
// for the Region. A locked store cannot tell.
func (c *call) checkTokens() error {
	if len(c.tokens) > 0 && c.w.store.locked {
		return errLocked
	}
	for _, token := range c.tokens {
		if _, _, ok := c.w.store.root.openGrantToken(c.region(), token); !ok {
			return errGrantToken()
		}
	}
	return nil
}

func errGrantToken() *kmsclient.Error {
	return refuse("InvalidGrantTokenException", "The specified grant token is not valid.")
}
