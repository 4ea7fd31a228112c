package cipherdir

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"kmsfs/envelope"
	"kmsfs/kmsclient"
)

// keySource hands out the data key for new files: one GenerateDataKey serves up
// to perKey files or maxAge, whichever ends first. Every file still has its own
// keys, derived with its file id.
type keySource struct {
	kms      kmsclient.KMS
	cache    *kmsclient.KeyCache
	fsid     envelope.FSID
	provider byte
	perKey   int
	maxAge   time.Duration

	turn chan struct{} // holds one: whoever has it may ask the KMS for the next key

	mu      sync.Mutex // guards what follows; not held while the KMS is asked
	keyID   string     // CMK for new data keys
	cur     *issued
	used    int
	until   time.Time
	retired int // how often retire was called
}

func newKeySource(kms kmsclient.KMS, cache *kmsclient.KeyCache, fsid envelope.FSID, keyID string, o Options) *keySource {
	return &keySource{kms: kms, cache: cache, fsid: fsid, provider: o.Provider, perKey: o.FilesPerDataKey, maxAge: o.DataKeyAge,
		keyID: keyID, turn: make(chan struct{}, 1)}
}

// issued is a data key as new headers carry it. Its plaintext lies in the cache
// alone, so that TTL and DropKeys reach it.
type issued struct {
	id  envelope.DataKeyID
	rec envelope.Recipient
}

// next gives the data key for one more new file. Who waits for a KMS call of
// another waits no longer than its own context.
func (s *keySource) next(ctx context.Context) (envelope.DataKey, *issued, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return envelope.DataKey{}, nil, &kmsclient.Error{Op: "GenerateDataKey", Kind: kmsclient.Interrupted(ctx.Err())}
	}
	cur, err := s.current(ctx)
	if err != nil {
		return envelope.DataKey{}, nil, err
	}
	dk, _, err := s.cache.Get(ctx, cur.rec.Blob, envelope.DataContext(s.fsid, cur.id))
	if err != nil {
		return envelope.DataKey{}, nil, err
	}
	s.mu.Lock()
	s.used++
	s.mu.Unlock()
	return dk, cur, nil
}

// current gives the data key in use, or a new one where that has served its time.
// The caller has the turn.
func (s *keySource) current(ctx context.Context) (*issued, error) {
	s.mu.Lock()
	cur, keyID, retired := s.cur, s.keyID, s.retired
	if s.used >= s.perKey || !time.Now().Before(s.until) {
		cur = nil
	}
	s.mu.Unlock()
	if cur != nil {
		return cur, nil
	}
	cur, err := s.generate(ctx, keyID)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired == retired { // else it serves this file only
		s.cur, s.used, s.until = cur, 0, time.Now().Add(s.maxAge)
	}
	return cur, nil
}

func (s *keySource) generate(ctx context.Context, keyID string) (*issued, error) {
	next := &issued{}
	rand.Read(next.id[:])
	plain, w, err := s.kms.GenerateDataKey(ctx, keyID, envelope.DataContext(s.fsid, next.id))
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	if len(plain) != kmsclient.DataKeySize {
		return nil, kmsclient.ErrInvalidCiphertext
	}
	next.rec = envelope.Recipient{Provider: s.provider, KeyTag: kmsclient.KeyTag(w.KeyID), Material: w.Material, Blob: w.Blob}
	s.cache.Put(w.Blob, [32]byte(plain), w)
	return next, nil
}

// retire ends the current data key; keyID, if given, is the CMK of the next.
func (s *keySource) retire(keyID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = nil
	s.retired++
	if keyID != "" {
		s.keyID = keyID
	}
}

// unwrap opens the data key of a header by its first usable recipient and derives
// the file's keys, checking the commitment. The blob returned is the one that
// opened.
func (s *keySource) unwrap(ctx context.Context, h *envelope.Header) (*envelope.FileKeys, []byte, error) {
	var first error
	for i := range h.Recipients {
		blob := h.Recipients[i].Blob
		dk, _, err := s.cache.Get(ctx, blob, envelope.DataContext(s.fsid, h.DataKeyID))
		if err != nil {
			if first == nil || errors.Is(first, kmsclient.ErrInvalidCiphertext) { // a refusal says more
				first = err
			}
			continue
		}
		k := envelope.DeriveFileKeys((*envelope.DataKey)(&dk), s.fsid, h.FileID)
		clear(dk[:])
		if err := h.Verify(k); err != nil {
			k.Wipe()
			return nil, nil, err
		}
		return k, blob, nil
	}
	return nil, nil, first
}
