package kmsclient

import (
	"bytes"
	"container/list"
	"context"
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

// KeyCache keeps unwrapped data keys in memory, so that a KMS is asked once per
// key and TTL rather than at every open. It bounds how long a revoked key still
// works: an entry older than the TTL is never returned. Keys are wiped when they
// leave the cache for whatever reason. Several goroutines may use it.
type KeyCache struct {
	kms KMS
	ttl time.Duration
	max int

	mu      sync.Mutex                 // guards all below, and every entry; never held while the KMS is asked
	entries map[blobHash]*list.Element // of *entry
	recent  list.List                  // the most recently used first
	flights map[blobHash]*flight       // KMS calls under way
}

type blobHash = [sha256.Size]byte

type entry struct {
	hash  blobHash
	key   [DataKeySize]byte
	info  Wrapped
	ec    EncryptionContext // that the KMS accepted
	anyEC bool              // the key came by Put: its context is not known
	at    time.Time         // when the KMS vouched for it, for TTL
}

// flight is one Decrypt that any number of callers wait for.
type flight struct {
	ec      EncryptionContext
	waiters int           // under KeyCache.mu; the call is cancelled at zero
	cancel  func()        //
	done    chan struct{} // closed when the fields below are set
	key     [DataKeySize]byte
	info    Wrapped
	err     error
}

// NewKeyCache makes a cache over kms of at most max keys, each for at most ttl.
func NewKeyCache(kms KMS, ttl time.Duration, max int) *KeyCache {
	return &KeyCache{
		kms: kms, ttl: ttl, max: max,
		entries: map[blobHash]*list.Element{}, flights: map[blobHash]*flight{},
	}
}

// Get returns the data key in blob, from the cache or from the KMS. Callers that
// miss the same blob at the same time share one Decrypt. Failures are not
// cached; a blob of other than DataKeySize bytes is ErrInvalidCiphertext. The
// caller wipes the copy it got.
func (c *KeyCache) Get(ctx context.Context, blob []byte, ec EncryptionContext) (key [DataKeySize]byte, info Wrapped, err error) {
	h := sha256.Sum256(blob)
	c.mu.Lock()
	if e := c.live(h); e != nil && (e.anyEC || maps.Equal(e.ec, ec)) {
		defer c.mu.Unlock()
		c.recent.MoveToFront(c.entries[h])
		return e.key, e.info.clone(), nil
	}
	f := c.flights[h]
	if f == nil || !maps.Equal(f.ec, ec) {
		f = c.launch(ctx, h, blob, ec)
	}
	f.waiters++
	c.mu.Unlock()
	return c.wait(ctx, h, f)
}

// Put adds a key that the caller has just generated, with what the KMS said of
// it. The blob's context is not checked when Get finds such a key.
func (c *KeyCache) Put(blob []byte, key [DataKeySize]byte, w Wrapped) {
	h := sha256.Sum256(blob)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(&entry{hash: h, key: key, info: w.clone(), anyEC: true, at: time.Now()})
}

// Renew asks the KMS again whether blob may be opened. Yes restarts the TTL. If
// the KMS could not answer (Retryable), a cached key stays until its TTL lapses;
// any other answer drops it at once. The error is the KMS's.
func (c *KeyCache) Renew(ctx context.Context, blob []byte, ec EncryptionContext) error {
	h := sha256.Sum256(blob)
	c.mu.Lock()
	f := c.flights[h]
	if f == nil || !maps.Equal(f.ec, ec) {
		f = c.launch(ctx, h, blob, ec)
	}
	f.waiters++
	c.mu.Unlock()
	key, _, err := c.wait(ctx, h, f)
	clear(key[:])
	if err != nil && !Retryable(err) {
		c.Drop(blob)
	}
	return err
}

// Drop forgets the key in blob, and what a call under way will say of it.
func (c *KeyCache) Drop(blob []byte) {
	h := sha256.Sum256(blob)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, h)
	c.remove(c.entries[h])
}

// Clear wipes every key now, and keeps nothing of calls under way.
func (c *KeyCache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.flights)
	for _, el := range c.entries {
		c.remove(el)
	}
}

// Expires tells until when a cached key may be used; ok is false where there is
// none. Who keeps something derived from a key must let go of it then.
func (c *KeyCache) Expires(blob []byte) (at time.Time, ok bool) {
	h := sha256.Sum256(blob)
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.live(h); e != nil {
		return e.at.Add(c.ttl), true
	}
	return time.Time{}, false
}

// Sweep wipes the keys whose TTL has lapsed. Get never returns one, swept or
// not; call it now and then so that none lingers in memory.
func (c *KeyCache) Sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range c.entries {
		c.live(h)
	}
}

// Len is the number of keys held.
func (c *KeyCache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// live finds an entry within its TTL, and wipes one beyond it. With c.mu held.
func (c *KeyCache) live(h blobHash) *entry {
	el := c.entries[h]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	// The monotonic clock stands still while the machine sleeps, the wall clock
	// may be set back: whichever says the entry is old is believed.
	now := time.Now()
	if now.Sub(e.at) >= c.ttl || now.Round(0).Sub(e.at.Round(0)) >= c.ttl {
		c.remove(el)
		return nil
	}
	return e
}

// insert adds or replaces an entry and evicts the least recently used beyond
// max. With c.mu held.
func (c *KeyCache) insert(e *entry) {
	c.remove(c.entries[e.hash])
	c.entries[e.hash] = c.recent.PushFront(e)
	for len(c.entries) > max(c.max, 0) {
		c.remove(c.recent.Back())
	}
}

// remove wipes an entry; nil is no entry. With c.mu held.
func (c *KeyCache) remove(el *list.Element) {
	if el == nil {
		return
	}
	e := c.recent.Remove(el).(*entry)
	delete(c.entries, e.hash)
	clear(e.key[:])
}

// launch starts a Decrypt that outlives its first caller as long as others wait
// for it. With c.mu held.
func (c *KeyCache) launch(ctx context.Context, h blobHash, blob []byte, ec EncryptionContext) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{ec: maps.Clone(ec), cancel: cancel, done: make(chan struct{})}
	c.flights[h] = f
	blob = bytes.Clone(blob)
	go func() {
		defer cancel()
		asked := time.Now() // the TTL counts from before the answer
		plaintext, info, err := c.kms.Decrypt(ctx, blob, f.ec)
		defer clear(plaintext)
		if err == nil && len(plaintext) != DataKeySize {
			err = &Error{Op: opDecrypt, KeyID: info.KeyID, Kind: ErrInvalidCiphertext, Message: "not a data key"}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		defer close(f.done)
		if err != nil {
			f.err = err
		} else {
			f.key, f.info = [DataKeySize]byte(plaintext), info.clone()
		}
		if c.flights[h] == f { // neither dropped nor abandoned meanwhile
			delete(c.flights, h)
			if err == nil {
				c.insert(&entry{hash: h, key: f.key, info: info.clone(), ec: f.ec, at: asked})
			}
		}
		if f.waiters == 0 {
			clear(f.key[:])
		}
	}()
	return f
}

// wait waits for a flight that counts this caller among its waiters. The last
// waiter wipes its key, or cancels it if nobody is left to want the answer.
func (c *KeyCache) wait(ctx context.Context, h blobHash, f *flight) (key [DataKeySize]byte, info Wrapped, err error) {
	select {
	case <-f.done:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	select {
	case <-f.done:
		key, info, err = f.key, f.info.clone(), f.err
		if f.waiters == 0 {
			clear(f.key[:])
		}
	default:
		err = &Error{Op: opDecrypt, Kind: Interrupted(ctx.Err())}
		if f.waiters == 0 {
			f.cancel()
			if c.flights[h] == f {
				delete(c.flights, h)
			}
		}
	}
	return key, info, err
}

func (w Wrapped) clone() Wrapped {
	w.Blob = bytes.Clone(w.Blob)
	return w
}
