package rewrap

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/kmsclient/kmstest"
)

// killer stands for a process that is killed: the at-th operation that changes
// something, and every operation after it, does not happen. With torn, the half
// of a write does.
type killer struct {
	at      int64
	torn    bool
	n       atomic.Int64
	headers atomic.Int64 // writes to files opened by Open: headers, not control files
}

var errKilled = errors.New("killed")

func (k *killer) change() error {
	if k.n.Add(1) >= k.at {
		return errKilled
	}
	return nil
}

func (k *killer) dead() bool { return k.n.Load() >= k.at }

type killStore struct {
	backing.Store
	k *killer
}

func (s killStore) Root() backing.Node { return killNode{s.Store.Root(), s.k} }

func (s killStore) Sync() error {
	if err := s.k.change(); err != nil {
		return err
	}
	return s.Store.Sync()
}

type killNode struct {
	backing.Node
	k *killer
}

func (n killNode) do(f func() error) error {
	if err := n.k.change(); err != nil {
		return err
	}
	return f()
}

func (n killNode) Lookup(name string) (backing.Node, backing.Stat, error) {
	if n.k.dead() {
		return nil, backing.Stat{}, errKilled
	}
	m, st, err := n.Node.Lookup(name)
	if err != nil {
		return nil, st, err
	}
	return killNode{m, n.k}, st, nil
}

func (n killNode) ReadDir() ([]backing.Entry, error) {
	if n.k.dead() {
		return nil, errKilled
	}
	return n.Node.ReadDir()
}

func (n killNode) Open(flags int) (backing.File, error) {
	if n.k.dead() {
		return nil, errKilled
	}
	f, err := n.Node.Open(flags)
	return killFile{f, n.k, true}, err
}

func (n killNode) Create(name string, mode uint32) (backing.Node, backing.File, error) {
	if err := n.k.change(); err != nil {
		return nil, nil, err
	}
	m, f, err := n.Node.Create(name, mode)
	return killNode{m, n.k}, killFile{f, n.k, false}, err
}

func (n killNode) Utimens(a, m unix.Timespec) error {
	return n.do(func() error { return n.Node.Utimens(a, m) })
}
func (n killNode) Mkdir(name string, mode uint32) error {
	return n.do(func() error { return n.Node.Mkdir(name, mode) })
}
func (n killNode) Unlink(name string) error { return n.do(func() error { return n.Node.Unlink(name) }) }
func (n killNode) SyncDir() error           { return n.do(n.Node.SyncDir) }
func (n killNode) Rename(name string, to backing.Node, toName string, flags uint) error {
	return n.do(func() error { return n.Node.Rename(name, to.(killNode).Node, toName, flags) })
}

type killFile struct {
	backing.File
	k      *killer
	header bool
}

func (f killFile) ReadAt(p []byte, off int64) (int, error) {
	if f.k.dead() {
		return 0, errKilled
	}
	return f.File.ReadAt(p, off)
}

func (f killFile) WriteAt(p []byte, off int64) (int, error) {
	if f.header {
		f.k.headers.Add(1)
	}
	dead := f.k.dead()
	if err := f.k.change(); err != nil {
		if f.k.torn && !dead {
			f.File.WriteAt(p[:len(p)/2], off)
		}
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f killFile) change(do func() error) error {
	if err := f.k.change(); err != nil {
		return err
	}
	return do()
}

func (f killFile) Truncate(size int64) error {
	return f.change(func() error { return f.File.Truncate(size) })
}
func (f killFile) Sync() error     { return f.change(f.File.Sync) }
func (f killFile) Datasync() error { return f.change(f.File.Datasync) }

// A walker killed at any operation, of the store or of the KMS, leaves every
// file readable (once a torn header is put back), and the next run does the
// rest without asking the KMS twice for a data key.
func TestKilledAnywhere(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	keyB := w.newKey()
	for _, torn := range []bool{false, true} {
		kills, recovered := 0, 0
		for at := int64(1); ; at++ {
			c := w.clone()
			before := c.bodies()
			k := &killer{at: at, torn: torn}
			kms := kmstest.NewFaulty(w.kms, func(_ context.Context, call kmstest.Call) error { return k.change() })
			first, err := Run(t.Context(), killStore{c.store(), k}, kms, Options{To: keyB, Jobs: 1, batch: 3})
			if !k.dead() {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			kills++
			if err == nil && at < k.n.Load() {
				t.Errorf("kill %d: no error", at)
			}
			if !torn {
				c.readable()
			}
			second := c.run(w.kms, Options{To: keyB})
			recovered += second.Recovered
			c.readable()
			c.keptBodies(before)
			if n := first.KMSCalls["ReEncrypt"] + second.KMSCalls["ReEncrypt"]; n > zooKeys+1+1 {
				t.Errorf("kill %d: %d calls", at, n)
			}
			if s := c.status(w.keyA); s.StillNeeds(w.keyA) || s.JournalPending != 0 {
				t.Errorf("kill %d: %+v", at, s)
			}
			w.ok(os.RemoveAll(c.dir))
			if t.Failed() {
				t.Fatalf("kill at operation %d, torn %v", at, torn)
			}
		}
		t.Logf("torn %v: killed at each of %d operations, %d journal records recovered", torn, kills, recovered)
		if recovered == 0 {
			t.Error("no kill left a journal")
		}
	}
}

// keptBodies is sameBodies, but for the mtime of the one file whose header was
// being written when the walker was killed.
func (w *world) keptBodies(before map[string]string) {
	w.Helper()
	after := w.bodies()
	moved := map[string]bool{}
	for path, sum := range before {
		if len(after[path]) < 64 || after[path][:64] != sum[:64] {
			w.Errorf("%s: body changed", path)
		}
		if after[path] != sum {
			moved[sum[:64]] = true
		}
	}
	if len(moved) > 1 {
		w.Errorf("%d files have another mtime", len(moved))
	}
}

// A header torn by a power cut is put back, also when its file was renamed
// meanwhile; what is whole is left alone.
func TestRecovery(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	keyB := w.newKey()
	for name, prepare := range map[string]func(w *world, path string){
		"torn":    tear,
		"sound":   func(*world, string) {},
		"deleted": func(w *world, path string) { w.ok(os.Remove(path)); delete(w.files, "small") },
		"moved to another directory": func(w *world, path string) {
			tear(w, path)
			w.ok(os.Mkdir(filepath.Join(w.dir, "elsewhere"), 0o755))
			w.ok(os.Rename(path, filepath.Join(w.dir, "elsewhere", filepath.Base(path))))
			delete(w.files, "small") // its name is of another directory now
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.clone()
			w.TB, w.files = t, maps.Clone(w.files)
			small := w.find("small")
			w.journal(small)
			prepare(w, small)
			if s := w.status(); s.JournalPending != 1 {
				t.Errorf("%+v", s)
			}
			if r := w.run(w.kms, Options{To: keyB}); r.Recovered != 1 {
				t.Errorf("%+v", r)
			}
			w.readable()
		})
	}
}

// journal leaves the journal of a walker that was about to rewrap one file.
func (w *world) journal(path string) {
	w.Helper()
	old, err := os.ReadFile(path)
	w.ok(err)
	var st unix.Stat_t
	w.ok(unix.Stat(path, &st))
	rel, err := filepath.Rel(w.dir, path)
	w.ok(err)
	u := undo{Ino: st.Ino, Path: rel, FileID: envelope.FileID(old[32:64]), Header: old[:512]}
	dir := filepath.Join(w.dir, "+kmsfs/rewrap")
	w.ok(os.MkdirAll(dir, 0o700))
	w.ok(os.WriteFile(filepath.Join(dir, journalName), append(appendFrame(nil, u.payload()), "torn tail"...), 0o600))
}

// tear damages the envelope of a header, as half a write does.
func tear(w *world, path string) {
	w.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	w.ok(err)
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 100), 300)
	w.ok(err)
}
