package localkms

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
)

// work is what an operation does with a key pair. What is wrong with the request
// it reports by the errors of package keyspec.
type work func(k *cmk, material []byte) ([]byte, error)

// withPrivate is work with the private key.
func withPrivate(f func(*keyspec.Private) ([]byte, error)) work {
	return func(k *cmk, material []byte) ([]byte, error) {
		p, err := keyspec.ParsePrivate(keyspec.Spec(k.spec), material)
		if err != nil {
			return nil, ErrDamaged
		}
		defer p.Wipe()
		return f(p)
	}
}

// withPublic is a check with the public key.
func withPublic(f func(*keyspec.Public) error) work {
	return func(k *cmk, _ []byte) ([]byte, error) {
		p, err := keyspec.ParsePublic(k.public)
		if err != nil {
			return nil, ErrDamaged
		}
		return nil, f(p)
	}
}

// ahead is work done before the transaction that decides whether the caller may
// have its result: signing with RSA takes milliseconds, and one goroutine runs
// the transactions of all callers. Nobody has been authorised by then, and the
// key may be disabled or deleted a moment later, so result and error wait in here
// until an operation, past all its checks, asks for them.
type ahead struct {
	work     work
	key      *cmk // as it was read; nil if nothing was done
	material kmsclient.MaterialID
	out      []byte
	err      error
}

// ahead does work on the key pair that ref names now. It checks nothing, and
// where anything is in the way (no such key, a key that is not enabled, the end of
// ctx) it does nothing: the transaction will find the same, or do the work itself.
func (a *API) ahead(ctx context.Context, ref string, w work) *ahead {
	h := &ahead{work: w}
	a.store.computing.run(ctx, a.store, func() {
		k, m, err := a.readPair(ctx, ref)
		if err != nil {
			return
		}
		defer m.wipe()
		h.key, h.material = k, m.id
		h.out, h.err = w(k, m.key)
	})
	return h
}

// readPair reads an enabled key pair and its material as they are committed.
func (a *API) readPair(ctx context.Context, ref string) (*cmk, *material, error) {
	if a.store.locked {
		return nil, nil, errLocked
	}
	k := &cmk{region: a.region()}
	name := refName(ref)
	var want any // NULL: name is an alias
	if id, ok := parseKeyID(name); ok {
		want = id[:]
	}
	var id, material, sealed []byte
	err := a.store.db.QueryRowContext(ctx, `SELECT cmk.id, spec, origin, public, material.id, sealed FROM cmk
			JOIN material ON material.region = cmk.region AND material.cmk = cmk.id AND number = current
			WHERE cmk.region = ?1 AND cmk.id = ifnull(?2, (SELECT alias.cmk FROM alias WHERE region = ?1 AND name = ?3))
				AND state = 'Enabled' AND public IS NOT NULL AND sealed IS NOT NULL`, k.region, want, name).
		Scan(&id, &k.spec, &k.origin, &k.public, &material, &sealed)
	if err != nil {
		return nil, nil, err
	}
	if len(material) != len(kmsclient.MaterialID{}) {
		return nil, nil, ErrDamaged
	}
	k.id = keyID(id)
	m, err := unsealMaterial(a.store.root, k, kmsclient.MaterialID(material), sealed)
	return k, m, err
}

// refName is the key id or alias in what names a key. Whether it does is for
// resolve to say.
func refName(ref string) string {
	return strings.TrimPrefix(ref[strings.LastIndexByte(ref, ':')+1:], "key/")
}

// result is what the work made of k's current material or, if it was done on
// another one or not at all, makes of it now. The caller owns the slice.
func (h *ahead) result(c *call, k *cmk) ([]byte, error) {
	if h.key != nil && h.key.id == k.id && h.material == k.current {
		return bytes.Clone(h.out), h.err // f of do may run twice
	}
	m, err := c.material(k)
	if err != nil {
		return nil, err
	}
	defer m.wipe()
	return h.work(k, m.key)
}

// wipe clears the result. A nil ahead has none.
func (h *ahead) wipe() {
	if h != nil {
		clear(h.out)
	}
}

// forbidden gives what check, which is of operation op, refuses, and takes back
// what it did: before work that may take seconds for a caller who may not have its
// result. The operation checks again.
func (a *API) forbidden(ctx context.Context, op string, check func(*call) error) error {
	var verdict *kmsclient.Error
	err := a.store.writer.submit(ctx, func(t *tx) error {
		c := &call{tx: t, api: a, op: op}
		if err := c.try(true, func() error { return check(c) }); !errors.As(err, &verdict) {
			return err
		}
		return nil
	})
	if err == nil && verdict.Code != "DryRunOperationException" {
		return verdict
	}
	return err
}

// generate makes a key pair or other material, and the public key of a pair, for
// an operation. It waits for its turn; for RSA keys, which take long, only if check
// refuses nothing.
func (a *API) generate(ctx context.Context, op string, spec keyspec.Spec, check func(*call) error) (private, public []byte, err error) {
	if strings.HasPrefix(string(spec), "RSA_") {
		if err := a.forbidden(ctx, op, check); err != nil {
			return nil, nil, err
		}
	}
	ended := a.store.generating.run(ctx, a.store, func() {
		if private, err = keyspec.Generate(spec); err == nil && spec.Asymmetric() {
			public, err = keyspec.PublicKey(spec, private)
		}
	})
	return private, public, errors.Join(ended, err)
}

// slots bounds how many goroutines compute at once.
type slots struct {
	taken   chan struct{}
	closing sync.Once
}

// newSlots makes one slot per processor for what takes milliseconds, and half as
// many for the generation of keys, which may take seconds and is not to hold up
// the rest.
func newSlots() (computing, generating *slots) {
	n := runtime.GOMAXPROCS(0)
	return &slots{taken: make(chan struct{}, n)}, &slots{taken: make(chan struct{}, max(1, n/2))}
}

// run runs f in a slot. It fails, without f, if ctx or the store ends while it
// waits for one.
func (s *slots) run(ctx context.Context, store *Store, f func()) error {
	select {
	case s.taken <- struct{}{}:
		defer func() { <-s.taken }()
		f()
		return nil
	case <-ctx.Done():
		return kmsclient.Interrupted(ctx.Err())
	case <-store.writer.quit:
		return errClosed
	}
}

// close waits for what runs, and keeps all slots.
func (s *slots) close() {
	s.closing.Do(func() {
		for range cap(s.taken) {
			s.taken <- struct{}{}
		}
	})
}
