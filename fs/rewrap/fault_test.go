package rewrap

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing/backingtest"
)

// A store that fails one operation: the file is left as it was and reported, or
// the run stops; either way every file opens, and a run on a sound store does the
// rest.
func TestStoreErrors(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	keyB := w.newKey()
	small := w.rel(w.find("small"))
	for _, c := range []struct {
		name     string
		match    func(backingtest.Op) bool
		action   backingtest.Action
		reported bool // else the run stops
	}{
		{"open for writing", func(o backingtest.Op) bool { return o.Name == "Open" && o.Flags == unix.O_RDWR && o.Path == "/"+small },
			backingtest.Action{Err: unix.EACCES}, true},
		{"open for reading", func(o backingtest.Op) bool {
			return o.Name == "Open" && o.Flags == unix.O_RDONLY && o.Path == "/"+small
		},
			backingtest.Action{Err: unix.EACCES}, true},
		{"half a header", func(o backingtest.Op) bool { return o.Name == "WriteAt" && o.Path == "/"+small },
			backingtest.Action{Err: unix.EIO, Short: 250}, true},
		{"utimens", func(o backingtest.Op) bool { return o.Name == "Utimens" && o.Path == "/"+small },
			backingtest.Action{Err: unix.EPERM}, true},
		{"sync", func(o backingtest.Op) bool { return o.Name == "Sync" && !o.File },
			backingtest.Action{Err: unix.EIO}, false},
		{"journal", func(o backingtest.Op) bool { return o.Name == "WriteAt" && filepath.Base(o.Path) == journalName },
			backingtest.Action{Err: unix.ENOSPC, Short: 100}, false},
		{"memo", func(o backingtest.Op) bool { return o.Name == "WriteAt" && filepath.Base(o.Path) == memoName },
			backingtest.Action{Err: unix.ENOSPC, Short: 30}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.clone()
			w.TB = t
			before := w.bodies()
			hits := 0
			store := backingtest.NewFault(w.store(), backingtest.Only(c.match, func(backingtest.Op) *backingtest.Action {
				if hits++; c.name == "half a header" && hits%2 == 0 {
					return nil // the old bytes can be put back
				}
				return &c.action
			}))
			r, err := Run(t.Context(), store, w.kms, Options{To: keyB, Jobs: 1, batch: 2})
			if hits == 0 {
				t.Fatal("no operation failed")
			}
			if c.reported {
				if err != nil || len(r.Errors) != 1 || r.Errors[0].Path != small || !errors.Is(r.Errors[0], c.action.Err) {
					t.Errorf("%v, %+v", err, r)
				}
			} else if !errors.Is(err, c.action.Err) || !r.Interrupted {
				t.Errorf("%v, %+v", err, r)
			}
			w.readable()
			w.run(w.kms, Options{To: keyB})
			w.readable()
			if c.name == "utimens" {
				w.keptBodies(before)
			} else {
				w.sameBodies(before)
			}
			if s := w.status(w.keyA); s.StillNeeds(w.keyA) || s.JournalPending != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func (w *world) rel(path string) string {
	w.Helper()
	r, err := filepath.Rel(w.dir, path)
	w.ok(err)
	return r
}

// A memo for another target, or one that somebody else wrote, is of no use and
// does no harm.
func TestStaleMemo(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	dir := filepath.Join(w.dir, "+kmsfs/rewrap")
	w.ok(os.MkdirAll(dir, 0o700))
	stale := targetRecord{KeyTag: [16]byte{1}}
	for _, b := range [][]byte{appendFrame(nil, stale.payload()), []byte("rubbish, longer than the header of a record")} {
		w.ok(os.WriteFile(filepath.Join(dir, memoName), b, 0o600))
		w.rotate()
		if r := w.run(w.kms, Options{}); r.KMSCalls["ReEncrypt"] != zooKeys+1 {
			t.Errorf("%+v", r)
		}
		w.readable()
	}
}
