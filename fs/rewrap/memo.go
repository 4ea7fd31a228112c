package rewrap

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"kmsfs/envelope"
	"kmsfs/kmsclient"
)

// memo remembers how the KMS rewrapped each data key, so that it is asked once
// per key however many files share it, and in a file, so that a walker that is
// interrupted does not ask again. Several goroutines may use it.
type memo struct {
	kms  kmsclient.KMS
	to   target
	fsid envelope.FSID
	log  *logFile // nil in a dry run: then no KMS is asked

	mu      sync.Mutex // guards all below, and writes to log
	entries map[memoKey]*memoEntry
	used    map[envelope.DataKeyID]bool // data keys that this run came across
}

// memoEntry is an answer that is there when done is closed.
type memoEntry struct {
	done chan struct{}
	r    envelope.Recipient
	err  error
}

func newMemo(kms kmsclient.KMS, fsid envelope.FSID, to target) *memo {
	return &memo{
		kms: kms, fsid: fsid, to: to,
		entries: map[memoKey]*memoEntry{}, used: map[envelope.DataKeyID]bool{},
	}
}

// load takes the answers of an interrupted run over from log, if they are for
// the same CMK and key material, and appends to it from then on.
func (m *memo) load(log *logFile) error {
	b, err := log.readAll()
	if err != nil {
		return fmt.Errorf("read the memo: %w", err)
	}
	m.log = log
	want := targetRecord{m.to.tag, m.to.Material}
	for end, p := range frames(b) {
		if log.end == 0 {
			if t, err := parseTarget(p); err != nil || *t != want {
				break
			}
		} else if a, err := parseAnswer(p); err == nil && a.Recipient.KeyTag == m.to.tag {
			e := &memoEntry{done: make(chan struct{}), r: a.Recipient}
			close(e.done)
			m.entries[a.Key] = e
		}
		log.end = end
	}
	if err := log.f.Truncate(log.end); err != nil {
		return fmt.Errorf("cut the memo: %w", err)
	}
	if log.end == 0 {
		if err := log.append(appendFrame(nil, want.payload())); err != nil {
			return fmt.Errorf("write the memo: %w", err)
		}
	}
	return nil
}

// rewrap gives the wrapping under the target of the data key in old. An error
// that matches errStop concerns the whole run, any other this wrapping alone.
// The blob returned is shared: callers do not change it.
func (m *memo) rewrap(ctx context.Context, id envelope.DataKeyID, old *envelope.Recipient) (envelope.Recipient, error) {
	key := memoKey{id, sha256.Sum256(old.Blob)}
	m.mu.Lock()
	m.used[id] = true
	if m.log == nil {
		m.mu.Unlock()
		return *old, nil
	}
	e := m.entries[key]
	if e != nil {
		m.mu.Unlock()
		<-e.done
		return e.r, e.err
	}
	e = &memoEntry{done: make(chan struct{})}
	m.entries[key] = e
	m.mu.Unlock()
	defer close(e.done)
	e.r, e.err = m.ask(ctx, key, old)
	return e.r, e.err
}

// ask has the KMS rewrap, and writes its answer down before it is used.
func (m *memo) ask(ctx context.Context, key memoKey, old *envelope.Recipient) (envelope.Recipient, error) {
	w, err := m.to.reencrypt(ctx, m.kms, old.Blob, envelope.DataContext(m.fsid, key.DataKeyID))
	if err != nil {
		return envelope.Recipient{}, err
	}
	a := answer{Key: key, Recipient: envelope.Recipient{
		Provider: old.Provider, Flags: old.Flags, KeyTag: m.to.tag, Material: w.Material, Blob: w.Blob,
	}}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.log.append(appendFrame(nil, a.payload())); err != nil {
		return envelope.Recipient{}, fmt.Errorf("%w: write the memo: %w", errStop, err)
	}
	return a.Recipient, nil
}

// dataKeys is how many distinct data keys this run came across.
func (m *memo) dataKeys() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.used)
}

// errStop marks errors after which the walker does not go on.
var errStop = errors.New("rewrap stopped")
