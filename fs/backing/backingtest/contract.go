// Package backingtest has the contract suite that every backing.Store passes, and
// stores for tests: one that injects faults into another.
package backingtest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// Run tests a store against the contract that package backing states.
//
// Open opens the store of a test: called again with the same t it opens the same
// tree once more, as a second mount does; with another t it opens a new, empty one
// (see PerTest). Run closes what it opens. Open need not be safe for concurrent use.
//
// Run wants a store that has holes, extended attributes of the user's, the flags of
// renameat2, names of 255 bytes and times to the nanosecond; it wants CreateTemp and
// Fallocate only where they do not give EOPNOTSUPP. It changes owners and makes
// device nodes only as root.
func Run(t *testing.T, open func(t *testing.T) backing.Store) {
	for _, group := range [][]contractCase{storeCases, nameCases, renameCases, attrCases, fileCases, lockCases, raceCases} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				x := &contract{T: t, open: open}
				x.store = x.reopen()
				x.root = x.store.Root()
				c.test(x)
			})
		}
	}
}

type contractCase struct {
	name string
	test func(x *contract)
}

// PerTest gives a function that answers the same test with the same value, for Run:
//
//	dir := backingtest.PerTest((*testing.T).TempDir)
//	backingtest.Run(t, func(t *testing.T) backing.Store { ... OpenOS(dir(t), false) })
func PerTest[T any](make func(t *testing.T) T) func(t *testing.T) T {
	var mu sync.Mutex // guards values
	values := map[*testing.T]T{}
	return func(t *testing.T) T {
		mu.Lock()
		defer mu.Unlock()
		v, ok := values[t]
		if !ok {
			v = make(t)
			values[t] = v
			t.Cleanup(func() {
				mu.Lock()
				defer mu.Unlock()
				delete(values, t)
			})
		}
		return v
	}
}

// contract is one test of the suite. Handles that its helpers give are closed at
// the end of the test.
type contract struct {
	*testing.T
	open  func(t *testing.T) backing.Store
	store backing.Store
	root  backing.Node
}

// reopen opens the tree of this test once more.
func (x *contract) reopen() backing.Store {
	x.Helper()
	s := x.open(x.T)
	x.Cleanup(func() {
		if err := s.Close(); err != nil {
			x.Errorf("close the store: %v", err)
		}
	})
	return s
}

func (x *contract) ok(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// want requires err to be errno.
func (x *contract) want(what string, err error, errno unix.Errno) {
	x.Helper()
	if !errors.Is(err, errno) {
		x.Errorf("%s: got error %v, want %v", what, err, errno)
	}
}

func equal[T comparable](x *contract, what string, got, want T) {
	x.Helper()
	if got != want {
		x.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// closing closes a handle with the test.
func closing[T io.Closer](x *contract, handle T) T {
	x.Cleanup(func() { handle.Close() })
	return handle
}

// create makes a file of mode 0600 with the data.
func (x *contract) create(dir backing.Node, name, data string) (backing.Node, backing.File) {
	x.Helper()
	n, f, err := dir.Create(name, 0o600)
	if err != nil {
		x.Fatalf("create %s: %v", name, err)
	}
	closing(x, n)
	closing(x, f)
	x.write(f, data, 0)
	return n, f
}

func (x *contract) mkdir(dir backing.Node, name string) backing.Node {
	x.Helper()
	if err := dir.Mkdir(name, 0o700); err != nil {
		x.Fatalf("mkdir %s: %v", name, err)
	}
	return x.lookup(dir, name)
}

// symlink makes a symlink and gives its own node.
func (x *contract) symlink(dir backing.Node, target, name string) backing.Node {
	x.Helper()
	if err := dir.Symlink(target, name); err != nil {
		x.Fatalf("symlink %s: %v", name, err)
	}
	return x.lookup(dir, name)
}

func (x *contract) lookup(dir backing.Node, name string) backing.Node {
	x.Helper()
	n, _, err := dir.Lookup(name)
	if err != nil {
		x.Fatalf("lookup %s: %v", name, err)
	}
	return closing(x, n)
}

func (x *contract) file(n backing.Node, flags int) backing.File {
	x.Helper()
	f, err := n.Open(flags)
	if err != nil {
		x.Fatalf("open: %v", err)
	}
	return closing(x, f)
}

func (x *contract) stat(n interface{ Stat() (backing.Stat, error) }) backing.Stat {
	x.Helper()
	st, err := n.Stat()
	x.ok(err)
	return st
}

func (x *contract) write(f backing.File, data string, off int64) {
	x.Helper()
	if n, err := f.WriteAt([]byte(data), off); n != len(data) || err != nil {
		x.Fatalf("write %d bytes at %d: got %d, %v", len(data), off, n, err)
	}
}

// content requires the bytes of f to be want, by Stat and by reading one more.
func (x *contract) content(f backing.File, want string) {
	x.Helper()
	equal(x, "size", x.stat(f).Size, int64(len(want)))
	buf := bytes.Repeat([]byte{'?'}, len(want)+1)
	n, err := f.ReadAt(buf, 0)
	if err != io.EOF {
		x.Errorf("read past the end: got error %v, want io.EOF", err)
	}
	if got := string(buf[:n]); got != want {
		x.Errorf("content: got %.80q (%d bytes), want %.80q (%d bytes)", got, len(got), want, len(want))
	}
}

// names gives the entries of dir by name.
func (x *contract) names(dir backing.Node) map[string]backing.Entry {
	x.Helper()
	list, err := dir.ReadDir()
	x.ok(err)
	m := make(map[string]backing.Entry, len(list))
	for _, e := range list {
		if _, twice := m[e.Name]; twice {
			x.Errorf("read directory: %q twice", e.Name)
		}
		m[e.Name] = e
	}
	return m
}

func (x *contract) gone(dir backing.Node, name string) {
	x.Helper()
	_, err := dir.StatAt(name)
	x.want("stat "+name, err, unix.ENOENT)
}

// long is the longest name a store takes.
var long = strings.Repeat("n", 255)

var storeCases = []contractCase{
	{"Store/Root", func(x *contract) {
		st := x.stat(x.root)
		equal(x, "type of the root", st.Mode&unix.S_IFMT, unix.S_IFDIR)
		equal(x, "entries", len(x.names(x.root)), 0)
		if x.store.Root() != x.store.Root() {
			x.Error("the root is not one handle")
		}
	}},
	{"Store/Statfs", func(x *contract) {
		fs, err := x.store.Statfs()
		x.ok(err)
		if fs.Bsize <= 0 || fs.Namelen < 255 {
			x.Errorf("block size %d, longest name %d", fs.Bsize, fs.Namelen)
		}
	}},
	{"Store/Sync", func(x *contract) {
		x.create(x.root, "f", "data")
		x.ok(x.store.Sync())
	}},
	{"Store/TwoOpens", func(x *contract) {
		other := x.reopen().Root()
		n, f := x.create(x.root, "f", "here")
		m := x.lookup(other, "f")
		equal(x, "inode", x.stat(m).Ino, x.stat(n).Ino)
		x.write(x.file(m, unix.O_RDWR), "there", 0)
		x.content(f, "there")
		x.ok(other.Unlink("f"))
		x.gone(x.root, "f")
	}},
}
