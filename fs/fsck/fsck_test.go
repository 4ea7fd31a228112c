package fsck

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmstest"
)

// A sound directory: nothing is found, and the KMS is asked once per key.
func TestSound(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	for _, o := range []Options{{KMS: w.kms}, {KMS: w.kms, Quick: true}, {}, {Quick: true}} {
		r := w.check(o)
		if r.Bad() || !r.Clean || r.Directories != 4 || r.Files != 7 || r.Symlinks != 2 {
			t.Errorf("%+v", r)
		}
		for _, f := range r.Findings { // "sparse" was extended from a page that was not full
			if f.Class != ShortInterior {
				t.Error(f)
			}
		}
		if o.KMS == nil && (r.Unchecked != 6 || r.NamesKnown) || o.KMS != nil && (r.KMSCalls["Decrypt"] != 3 || r.Unchecked != 0) {
			t.Errorf("%v, %d files unchecked", r.KMSCalls, r.Unchecked)
		}
	}
}

// Bytes all over a file of one page: a flipped bit is found, at the header or at
// the page.
func TestFlippedBits(t *testing.T) {
	w := newWorld(t)
	v := w.mount()
	w.put(v, "small", "hello")
	w.ok(v.Close())
	p := w.find("small")
	sound, err := os.ReadFile(p)
	w.ok(err)
	kms := &caching{KMS: w.kms}
	s := w.store(true)
	f, err := os.OpenFile(p, os.O_RDWR, 0)
	w.ok(err)
	defer f.Close()
	for off := 0; off < len(sound); off++ {
		if off > 600 && off%7 != 0 && off < len(sound)-20 {
			continue // the zeros behind the page's end: some of them
		}
		bit := byte(1) << (off % 8)
		_, err = f.WriteAt([]byte{sound[off] ^ bit}, int64(off))
		w.ok(err)
		r, err := Check(bg, s, Options{KMS: kms, Jobs: 1})
		w.ok(err)
		class, at := BadHeader, int64(0)
		if off >= 512 {
			class, at = BadPage, 512
		}
		if len(r.Findings) != 1 || r.Findings[0].Class != class || r.Findings[0].Offset != at || r.Findings[0].Path != filepath.Base(p) {
			t.Errorf("bit %#x of byte %d: %v", bit, off, r.Findings)
		}
		_, err = f.WriteAt(sound[off:off+1], int64(off))
		w.ok(err)
	}
}

// caching is a KMS that is asked once per blob over many checks.
type caching struct {
	kmsclient.KMS
	m map[string][]byte
}

func (c *caching) Decrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	if p := c.m[string(blob)]; p != nil {
		return slices.Clone(p), kmsclient.Wrapped{Blob: blob}, nil
	}
	p, w, err := c.KMS.Decrypt(ctx, blob, ec)
	if c.m == nil {
		c.m = map[string][]byte{}
	}
	c.m[string(blob)] = slices.Clone(p)
	return p, w, err
}

// A KMS that refuses: information, and one call per key all the same.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	for _, names := range []bool{false, true} {
		var calls atomic.Int64
		kms := kmstest.NewFaulty(w.kms, func(_ context.Context, c kmstest.Call) error {
			if c.After {
				return nil
			}
			if n := calls.Add(1); n == 1 && !names {
				return nil // the names key
			}
			return kmstest.Fail(c, kmsclient.ErrDisabled)
		})
		r := w.check(Options{KMS: kms, Jobs: 1})
		want := 6
		if names {
			want = 7
		}
		if r.Bad() || r.Counts[KeyUnavailable] != want || r.Unchecked != 6 || calls.Load() != 3 || r.NamesKnown == names {
			t.Errorf("names refused %v: %+v, %d calls", names, r, calls.Load())
		}
	}
}

func TestMaxFindings(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"a", "b", "c"} {
		w.ok(os.WriteFile(filepath.Join(w.dir, n), nil, 0o644))
	}
	r := w.check(Options{MaxFindings: 2})
	if r.Counts[BadName] != 3 || r.Errors != 3 || len(r.Findings) != 2 || r.Omitted != 1 {
		t.Errorf("%+v", r)
	}
}

// Beside a mount that writes as fast as it can nothing is taken for damage.
func TestLiveMount(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	v := w.mount()
	stop := make(chan struct{})
	done := make(chan struct{})
	w.put(v, "busy", "x")
	go func() {
		defer close(done)
		n, _, err := v.Root().Lookup("busy")
		if err != nil {
			t.Error(err)
			return
		}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			h, err := n.Open(bg, true, i%50 == 0)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := h.Write(bg, make([]byte, 3000+i%5000), int64(i%50)*2500); err != nil {
				t.Error(err)
			}
			h.Close()
			long, hl, _, err := v.Root().Create(bg, longName+"!", 0o644, cipherdir.Owner{})
			if err != nil {
				t.Error(err)
				return
			}
			hl.Close()
			long.Forget(1)
			if err := v.Root().Unlink(longName + "!"); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 200 {
		if r := w.check(Options{KMS: w.kms}); r.Bad() || r.Clean {
			t.Errorf("%v", r.Findings)
			break
		}
	}
	close(stop)
	<-done
	w.ok(v.Close())
	if r := w.check(Options{KMS: w.kms}); r.Bad() || !r.Clean {
		t.Errorf("after all: %v", r.Findings)
	}
}

func TestNotACipherDirectory(t *testing.T) {
	w := newWorld(t)
	w.ok(os.Remove(filepath.Join(w.dir, "+kmsfs/config.json")))
	if _, err := Check(bg, w.store(true), Options{}); !errors.Is(err, cipherdir.ErrNotCipherDir) {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for _, o := range []Options{{}, {KMS: w.kms}} {
		if _, err := Check(ctx, w.store(true), o); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
