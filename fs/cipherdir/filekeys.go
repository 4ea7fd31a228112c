package cipherdir

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"kmsfs/envelope"
)

// maxCiphers bounds the page ciphers kept per open file: one per epoch met.
const maxCiphers = 64

// dropKeys wipes the file's keys; the next access unwraps again. f.mu is held
// exclusively.
func (f *file) dropKeys() {
	if f.keys != nil {
		f.keys.Wipe()
	}
	f.until.Store(0)
	f.keys, f.blob, f.epoch, f.context = nil, nil, nil, nil
	f.cmu.Lock()
	f.ciphers = nil
	f.cmu.Unlock()
}

// fresh reports whether the keys are there and within their TTL, or none is
// needed.
func (f *file) fresh() bool {
	return !f.hdr || f.keys != nil && time.Now().UnixNano() < f.until.Load()
}

// lapses reports whether keys are held that end before t.
func (f *file) lapses(t time.Time) bool {
	u := f.until.Load()
	return u != 0 && u < t.UnixNano()
}

// warm has the data key of an open file in the cache before its lock is taken for
// work, so that a KMS that hangs holds up who waits for it and nobody else. The
// error is the KMS's; damage is left for ready to find.
func (f *file) warm(ctx context.Context) error {
	f.mu.RLock()
	if f.handles == 0 || f.fresh() {
		f.mu.RUnlock()
		return nil
	}
	fs := f.n.fs
	h, err := ReadHeader(f.f, fs.layout, fs.fsid)
	f.mu.RUnlock()
	if err != nil || h == nil {
		return nil
	}
	for i := range h.Recipients {
		if _, ok := fs.cache.Expires(h.Recipients[i].Blob); ok {
			return nil
		}
	}
	keys, _, err := fs.keys.unwrap(ctx, h)
	if err == nil {
		keys.Wipe()
		return nil
	}
	if damaged(err) {
		return nil
	}
	fs.log.Error("data key cannot be unwrapped", "ino", f.n.key.ino, "err", err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.keys != nil && !f.fresh() {
		f.dropKeys()
		f.lost.Store(true)
	}
	return err
}

// ready makes sure of the keys of a file that has a header. f.mu is held
// exclusively.
func (f *file) ready(ctx context.Context) error {
	if f.fresh() {
		return nil
	}
	had := f.keys != nil
	f.dropKeys()
	err := f.unlock(ctx)
	if err != nil && had {
		f.lost.Store(true)
	}
	return err
}

// unlock reads the header and has the data key unwrapped.
func (f *file) unlock(ctx context.Context) error {
	h, err := ReadHeader(f.f, f.n.fs.layout, f.n.fs.fsid)
	if err == nil && h == nil {
		err = fmt.Errorf("%w: it is gone", envelope.ErrHeader)
	}
	if err != nil {
		f.n.fs.log.Error("header cannot be used", "ino", f.n.key.ino, "err", err)
		return err
	}
	keys, blob, err := f.n.fs.keys.unwrap(ctx, h)
	if err != nil {
		f.n.fs.log.Error("data key cannot be unwrapped", "ino", f.n.key.ino, "err", err)
		return err
	}
	f.take(keys, h, blob)
	return nil
}

// take makes keys the file's own until the cache's TTL for their blob ends.
func (f *file) take(keys *envelope.FileKeys, h *envelope.Header, blob []byte) {
	f.keys, f.blob, f.sparse = keys, blob, h.Flags&envelope.FlagSparse != 0
	f.context = envelope.DataContext(h.FSID, h.DataKeyID)
	until, ok := f.n.fs.cache.Expires(blob)
	if !ok { // evicted between two calls: good for this access, asked again at the next
		until = time.Now().Add(time.Second)
	}
	f.until.Store(until.UnixNano())
	f.lost.Store(false)
}

// renew asks the KMS again for the data key of an open file; asked holds the blobs
// it was asked for already. Where the key cannot be had any longer the file loses
// it, which f.lost tells.
func (n *Inode) renew(ctx context.Context, asked map[string]bool) {
	f := &n.file
	f.mu.RLock()
	blob, ec := f.blob, f.context
	f.mu.RUnlock()
	if blob == nil {
		return
	}
	if at, ok := n.fs.cache.Expires(blob); !asked[string(blob)] && (!ok || at.UnixNano() <= f.until.Load()) {
		if err := n.fs.cache.Renew(ctx, blob, ec); err != nil {
			n.fs.log.Warn("data key could not be renewed", "ino", n.key.ino, "err", err)
		}
	}
	asked[string(blob)] = true
	at, ok := n.fs.cache.Expires(blob)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.keys == nil || !bytes.Equal(f.blob, blob): // closed, or opened anew
	case ok:
		f.until.Store(at.UnixNano())
	case f.rewrapped(asked):
		f.until.Store(0)
		f.ready(ctx) // tells in f.lost if it fails
	default:
		f.dropKeys()
		f.lost.Store(true)
	}
}

// rewrapped reports whether the header on disk has a blob that is not in asked: a
// walker has wrapped the data key anew.
func (f *file) rewrapped(asked map[string]bool) bool {
	h, err := ReadHeader(f.f, f.n.fs.layout, f.n.fs.fsid)
	if err != nil || h == nil {
		return false
	}
	for i := range h.Recipients {
		if !asked[string(h.Recipients[i].Blob)] {
			return true
		}
	}
	return false
}

// cipher gives the page cipher of an epoch.
func (f *file) cipher(epoch uint16) *envelope.PageCipher {
	f.cmu.Lock()
	defer f.cmu.Unlock()
	c := f.ciphers[epoch]
	if c == nil {
		c = f.keys.PageCipher(epoch)
		if f.ciphers == nil || len(f.ciphers) >= maxCiphers {
			f.ciphers = map[uint16]*envelope.PageCipher{}
		}
		f.ciphers[epoch] = c
	}
	return c
}

// sealer gives the cipher for sealing n more pages: a fresh random epoch when the
// file is first written and after 2^26 seals (rule P6). f.mu is held exclusively.
func (f *file) sealer(n int) *envelope.PageCipher {
	if f.epoch == nil || f.seals+n > envelope.SealsPerEpoch {
		var e [2]byte
		rand.Read(e[:])
		f.epoch, f.seals = f.cipher(binary.BigEndian.Uint16(e[:])), 0
	}
	f.seals += n
	return f.epoch
}
