package rewrap

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmstest"
	"kmsfs/kmsclient/localkms"
)

// Both ways of rotating: new material of the same CMK, and another CMK.
func TestRewrap(t *testing.T) {
	for _, other := range []bool{false, true} {
		w := newWorld(t)
		w.zoo()
		before := w.bodies()
		var o Options
		key := w.keyA
		if other {
			key = w.newKey()
			o.To = key
		} else {
			w.rotate()
		}
		r := w.run(w.kms, o)
		if r.FilesScanned != zooFiles || r.FilesRewrapped != zooKeyed || r.FilesEmpty != 1 || r.FilesCurrent != 0 ||
			r.DataKeys != zooKeys || !r.NamesKeyRewrapped || r.KeyID != key || r.Interrupted {
			t.Errorf("%+v", r)
		}
		want := map[string]uint64{"DescribeKey": 1, "ReEncrypt": zooKeys + 1}
		if !other { // which key is in use is asked of the KMS
			want["Decrypt"] = 1
		}
		if !maps.Equal(r.KMSCalls, want) {
			t.Errorf("KMS calls %v, want %v", r.KMSCalls, want)
		}
		w.sameBodies(before)
		w.readable()
		if left, err := os.ReadDir(filepath.Join(w.dir, "+kmsfs/rewrap")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}

		// Nothing is left to do: nothing is written, and the KMS is asked what is
		// current, no more.
		writes := &killer{at: 1 << 60}
		r, err := Run(t.Context(), killStore{w.store(), writes}, w.kms, o)
		w.ok(err)
		if r.FilesCurrent != zooKeyed || r.FilesRewrapped != 0 || r.NamesKeyRewrapped || r.Passes != 1 {
			t.Errorf("second run: %+v", r)
		}
		delete(want, "ReEncrypt")
		if !maps.Equal(r.KMSCalls, want) {
			t.Errorf("second run: KMS calls %v", r.KMSCalls)
		}
		if n := writes.headers.Load(); n != 0 {
			t.Errorf("second run wrote to %d files", n)
		}
		if other {
			w.ok(only(w.kms.DisableKey(t.Context(), localkms.DisableKeyInput{KeyID: w.keyA})))
			w.readable()
		}
	}
}

func TestDryRun(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	w.rotate()
	k := &killer{at: 1} // nothing may be written
	r, err := Run(t.Context(), killStore{w.store(), k}, w.kms, Options{DryRun: true})
	w.ok(err)
	if r.FilesRewrapped != zooKeyed || r.DataKeys != zooKeys || !r.NamesKeyRewrapped || !r.DryRun || r.KMSCalls["ReEncrypt"] != 0 {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "+kmsfs/rewrap")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestFrom(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	keyB, keyC := w.newKey(), w.newKey()
	r := w.run(w.kms, Options{From: keyB, To: keyC})
	if r.FilesRewrapped != 0 || r.FilesCurrent != zooKeyed || r.NamesKeyRewrapped {
		t.Errorf("%+v", r)
	}
	r = w.run(w.kms, Options{From: w.keyA, To: keyC})
	if r.FilesRewrapped != zooKeyed || !r.NamesKeyRewrapped {
		t.Errorf("%+v", r)
	}
	w.readable()
}

func TestChangedListAndTouch(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	before := w.bodies()
	w.rotate()
	var list bytes.Buffer
	w.run(w.kms, Options{ChangedList: &list, Touch: true})
	got := strings.Split(strings.TrimSuffix(list.String(), "\x00"), "\x00")
	slices.Sort(got)
	want := []string{"+kmsfs/config.json"}
	after := w.bodies()
	for path := range w.regular() { // with Touch, what changed has another mtime
		if rel, _ := filepath.Rel(w.dir, path); before[path] != after[path] {
			want = append(want, rel)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) || len(got) != 1+zooKeyed+1 { // one inode has two names
		t.Errorf("list:\n%q, want\n%q", got, want)
	}
}

func TestTwoWalkers(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	w.rotate()
	var second error
	w.run(w.kms, Options{OnConfig: func() {
		_, second = Run(context.Background(), w.store(), w.kms, Options{})
	}})
	if !errors.Is(second, ErrBusy) {
		t.Errorf("second walker: %v", second)
	}
	w.run(w.kms, Options{}) // the lock is free again
}

// A damaged header, a foreign file and one that cannot be opened are reported,
// the others done.
func TestErrors(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	damaged, foreign := w.find("small"), filepath.Join(w.dir, "README")
	f, err := os.OpenFile(damaged, os.O_RDWR, 0)
	w.ok(err)
	_, err = f.WriteAt([]byte("x"), 200)
	w.ok(err)
	w.ok(f.Close())
	w.ok(os.WriteFile(foreign, bytes.Repeat([]byte("not ours"), 100), 0o644))
	w.rotate()
	r, err := Run(t.Context(), w.store(), w.kms, Options{})
	w.ok(err)
	if r.FilesRewrapped != zooKeyed-1 || len(r.Errors) != 2 || r.Interrupted {
		t.Errorf("%+v", r)
	}
	for _, e := range r.Errors {
		switch filepath.Join(w.dir, e.Path) {
		case damaged:
			if !errors.Is(e, envelope.ErrHeader) {
				t.Error(e)
			}
		case foreign:
			if !errors.Is(e, envelope.ErrMagic) {
				t.Error(e)
			}
		default:
			t.Error(e)
		}
	}
	if s := w.status(); !s.StillNeeds(w.keyA) || len(s.Errors) != 2 {
		t.Errorf("status: %+v", s)
	}
}

// A key that KMS refuses ends the run; what it allowed is done and kept.
func TestRefusal(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	keyB := w.newKey()
	for _, kind := range []error{kmsclient.ErrDisabled, kmsclient.ErrThrottled} {
		c := w.clone()
		var calls atomic.Int64
		kms := kmstest.NewFaulty(w.kms, func(_ context.Context, call kmstest.Call) error {
			if call.Op == "ReEncrypt" && !call.After && calls.Add(1) > 3 {
				return kmstest.Fail(call, kind)
			}
			return nil
		})
		r, err := Run(t.Context(), c.store(), kms, Options{To: keyB, Jobs: 1})
		if !errors.Is(err, kind) || !r.Interrupted || r.FilesRewrapped == 0 || r.FilesRewrapped == zooKeyed {
			t.Errorf("%v: %+v", err, r)
		}
		c.readable()
		if r := c.run(w.kms, Options{To: keyB}); r.KMSCalls["ReEncrypt"] != zooKeys+1-3 {
			t.Errorf("the rest took %v", r.KMSCalls)
		}
		c.readable()
	}
	w.ok(only(w.kms.DisableKey(t.Context(), localkms.DisableKeyInput{KeyID: keyB})))
	if _, err := Run(t.Context(), w.store(), w.kms, Options{To: keyB}); !errors.Is(err, kmsclient.ErrDisabled) {
		t.Errorf("disabled target: %v", err)
	}
	w.readable()
}

// liar is a KMS whose ReEncrypt answers are changed.
type liar struct {
	kmsclient.KMS
	lie func(*kmsclient.Wrapped)
}

func (l liar) ReEncrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext, to string) (kmsclient.Wrapped, error) {
	w, err := l.KMS.ReEncrypt(ctx, blob, ec, to)
	if ec["kmsfs:use"] == "data" {
		l.lie(&w)
	}
	return w, err
}

func TestAnswersAreChecked(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	w.rotate()
	for _, c := range []struct {
		name    string
		lie     func(*kmsclient.Wrapped)
		want    error // of the run
		perFile error
	}{
		{"another key", func(a *kmsclient.Wrapped) { a.KeyID += "x" }, errStop, nil},
		{"no blob", func(a *kmsclient.Wrapped) { a.Blob = nil }, errStop, nil},
		{"huge blob", func(a *kmsclient.Wrapped) { a.Blob = make([]byte, 7000) }, errStop, nil},
		{"rotated meanwhile", func(a *kmsclient.Wrapped) { a.Material[0]++ }, ErrRotated, nil},
		{"does not fit", func(a *kmsclient.Wrapped) { a.Blob = make([]byte, 400) }, nil, ErrFit},
	} {
		d := w.clone()
		before := d.bodies()
		r, err := Run(t.Context(), d.store(), liar{w.kms, c.lie}, Options{})
		if !errors.Is(err, c.want) || r.FilesRewrapped != 0 {
			t.Errorf("%s: %v, %+v", c.name, err, r)
		}
		if c.perFile != nil && (len(r.Errors) != zooKeyed || !errors.Is(r.Errors[0], c.perFile)) {
			t.Errorf("%s: %+v", c.name, r.Errors)
		}
		d.sameBodies(before)
		d.readable()
	}
}

func TestNotACipherDirectory(t *testing.T) {
	w := newWorld(t)
	w.ok(os.RemoveAll(filepath.Join(w.dir, "+kmsfs")))
	if _, err := Run(t.Context(), w.store(), w.kms, Options{}); !errors.Is(err, cipherdir.ErrNotCipherDir) {
		t.Error(err)
	}
	if _, err := Status(t.Context(), w.store(), StatusOptions{}); !errors.Is(err, cipherdir.ErrNotCipherDir) {
		t.Error(err)
	}
}

func TestCancelled(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	w.rotate()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Run(ctx, w.store(), w.kms, Options{OnConfig: cancel})
	if !errors.Is(err, context.Canceled) || !r.Interrupted {
		t.Errorf("%v, %+v", err, r)
	}
	w.readable()
	w.run(w.kms, Options{})
	w.readable()
}
