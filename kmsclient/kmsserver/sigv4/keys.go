package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
)

// keyID names a signing key: a secret by its hash, a day and a region.
type keyID struct {
	secret       [sha256.Size]byte
	date, region string
}

// keyCache remembers at most max signing keys, which change only once a day and
// cost four HMACs each.
type keyCache struct {
	max  int
	mu   sync.RWMutex // guards keys
	keys map[keyID][sha256.Size]byte
}

func (c *keyCache) get(id keyID) (key [sha256.Size]byte, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	key, ok = c.keys[id]
	return key, ok
}

// add forgets any one key when full: what is in use comes back at once, what is
// of yesterday goes.
func (c *keyCache) add(id keyID, key [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = map[keyID][sha256.Size]byte{}
	}
	for old := range c.keys {
		if len(c.keys) < c.max {
			break
		}
		delete(c.keys, old)
	}
	c.keys[id] = key
}

// signingKey derives the key for one day, region and service from a secret.
func signingKey(secret, date, region, service string) [sha256.Size]byte {
	key := mac([]byte("AWS4"+secret), []byte(date))
	for _, part := range []string{region, service, scopeEnd} {
		key = mac(key, []byte(part))
	}
	return [sha256.Size]byte(key)
}

func mac(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}
