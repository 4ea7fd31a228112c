package cipherdir_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
)

// fakeKMS is a KMS that lives in a bubble of synctest: its keys are in a map.
type fakeKMS struct {
	kmsclient.KMS // nil: GenerateDataKey and Decrypt are there

	mu    sync.Mutex
	keys  map[string]fakeKey // by blob
	fails map[string]error   // by CMK; "" is any
	delay time.Duration
}

type fakeKey struct {
	plain []byte
	cmk   string
	ec    kmsclient.EncryptionContext
}

// fail makes a CMK (or "", all) answer with an error of a kind; nil ends that.
func (f *fakeKMS) fail(cmk string, kind error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if kind != nil {
		kind = &kmsclient.Error{Op: "any", KeyID: cmk, Kind: kind}
	}
	f.fails[cmk] = kind
}

func (f *fakeKMS) refusal(ctx context.Context, cmk string) error {
	select {
	case <-ctx.Done():
		return &kmsclient.Error{Kind: kmsclient.Interrupted(ctx.Err())}
	case <-time.After(f.delay):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fails[""]; err != nil {
		return err
	}
	return f.fails[cmk]
}

func (f *fakeKMS) GenerateDataKey(ctx context.Context, cmk string, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	if err := f.refusal(ctx, cmk); err != nil {
		return nil, kmsclient.Wrapped{}, err
	}
	plain := make([]byte, kmsclient.DataKeySize)
	rand.Read(plain)
	return plain, f.wrap(plain, cmk, ec), nil
}

func (f *fakeKMS) wrap(plain []byte, cmk string, ec kmsclient.EncryptionContext) kmsclient.Wrapped {
	f.mu.Lock()
	defer f.mu.Unlock()
	blob := fmt.Sprint("blob ", len(f.keys))
	f.keys[blob] = fakeKey{append([]byte(nil), plain...), cmk, maps.Clone(ec)}
	return kmsclient.Wrapped{Blob: []byte(blob), KeyID: cmk}
}

func (f *fakeKMS) Decrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	f.mu.Lock()
	k, ok := f.keys[string(blob)]
	f.mu.Unlock()
	if !ok || !maps.Equal(k.ec, ec) {
		return nil, kmsclient.Wrapped{}, &kmsclient.Error{Kind: kmsclient.ErrInvalidCiphertext}
	}
	if err := f.refusal(ctx, k.cmk); err != nil {
		return nil, kmsclient.Wrapped{}, err
	}
	return append([]byte(nil), k.plain...), kmsclient.Wrapped{Blob: blob, KeyID: k.cmk}, nil
}

// keyRig is a file system with a key TTL of a minute over a fake KMS.
type keyRig struct {
	*testing.T
	kms   *fakeKMS
	dir   string
	store backing.Store
	fs    *cipherdir.FS
}

func newKeyRig(t *testing.T, o cipherdir.Options) *keyRig {
	t.Helper()
	r := &keyRig{T: t, kms: &fakeKMS{keys: map[string]fakeKey{}, fails: map[string]error{}}, dir: t.TempDir()}
	var err error
	r.store, err = backing.OpenOS(r.dir, false)
	must(t, err)
	t.Cleanup(func() { r.store.Close() })
	_, err = cipherdir.Init(ctx, r.store, r.kms, cipherdir.InitOptions{KMSURI: "fake:", KeyID: "cmk 1", Provider: envelope.ProviderLocal})
	must(t, err)
	if o.KeyTTL == 0 {
		o.KeyTTL = time.Minute
	}
	o.KMS, o.Provider = r.kms, envelope.ProviderLocal
	r.fs, err = cipherdir.Open(ctx, r.store, o)
	must(t, err)
	t.Cleanup(func() {
		if err := r.fs.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *keyRig) calls() uint64 { return r.fs.Stats().KMSCallsTotal }

func (r *keyRig) create(name string) *cipherdir.Inode {
	r.Helper()
	n := create(r, r.fs.Root(), name, []byte("contents of "+name))
	r.Cleanup(func() { n.Forget(1) })
	return n
}

func (r *keyRig) open(n *cipherdir.Inode) *cipherdir.Handle {
	r.Helper()
	h, err := n.Open(ctx, true, false)
	must(r, err)
	r.Cleanup(func() { h.Close() })
	return h
}

func read(h *cipherdir.Handle) error {
	_, err := h.Read(ctx, make([]byte, 100), 0)
	return err
}
