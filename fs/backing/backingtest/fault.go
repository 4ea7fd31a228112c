package backingtest

import (
	"sync"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// Op is one call of a method of a store, a node or a file.
type Op struct {
	N    int64  // counts the calls from 1
	Name string // of the method
	File bool   // a method of File: Stat, Sync, Close and others have several owners
	// Path leads from the root, "/" itself, to what the call is on, by the names
	// under which it was found or made; a method with a name adds that. The path of
	// a CreateTemp ends with "#temp".
	Path  string
	Off   int64 // of a byte; the new size, for Truncate
	Len   int64 // in bytes, also of an attribute
	Flags int   // of Open, Rename, Flock, Setxattr; the mode of Fallocate
}

// Action is what becomes of a call; the zero Action lets it pass.
type Action struct {
	// Err is the error that the caller gets; the call is not done. A Close is done
	// in any case.
	Err unix.Errno
	// Short is the number of bytes that ReadAt or WriteAt does before Err.
	Short int
	// After does the call first, and gives Err only if it succeeded: a change that
	// was made, though the caller hears that it was not.
	After bool
	// Drop answers that a call was done without doing it, if the call gives only an
	// error, or is a WriteAt: a lost write, a sync that lies.
	Drop bool
	// Flip inverts these bits of the data that ReadAt gives, where it gives so many:
	// bit i is bit i%8 of byte i/8.
	Flip []int
}

// Decide says what becomes of an operation; nil lets it pass. It is called for one
// operation at a time, and must not use the store.
type Decide func(Op) *Action

// FailNth fails the nth operation it is asked about, from 1, and no other.
func FailNth(n int64, err unix.Errno) Decide {
	var seen int64
	return func(Op) *Action {
		if seen++; seen == n {
			return &Action{Err: err}
		}
		return nil
	}
}

// FailAfter lets n operations pass and fails every further one.
func FailAfter(n int64, err unix.Errno) Decide {
	var seen int64
	return func(Op) *Action {
		if seen++; seen > n {
			return &Action{Err: err}
		}
		return nil
	}
}

// NoSpaceAfter is a disk with room for so many bytes of WriteAt and Fallocate;
// overwriting needs room, too, and nothing gives room back. A write past it is
// short, with ENOSPC; once there is no room left, nothing new can be made either.
func NoSpaceAfter(bytes int64) Decide {
	full := &Action{Err: unix.ENOSPC}
	return func(op Op) *Action {
		switch op.Name {
		case "WriteAt":
			room := bytes
			if bytes -= min(op.Len, room); op.Len > room {
				return &Action{Err: unix.ENOSPC, Short: int(room)}
			}
		case "Fallocate":
			if op.Flags&unix.FALLOC_FL_PUNCH_HOLE != 0 {
				return nil
			}
			if op.Len > bytes {
				return full
			}
			bytes -= max(op.Len, 0)
		case "Create", "CreateTemp", "Mkdir", "Mknod", "Symlink", "Link", "Setxattr":
			if bytes == 0 {
				return full
			}
		}
		return nil
	}
}

// Only asks decide about the operations that match.
func Only(match func(Op) bool, decide Decide) Decide {
	return func(op Op) *Action {
		if match(op) {
			return decide(op)
		}
		return nil
	}
}

// Fault is a store that passes calls to another, or does with them what a function
// decides. Close of the store always passes.
type Fault struct {
	inner backing.Store
	root  *faultNode

	mu       sync.Mutex // guards what follows, and calls of decide
	decide   Decide
	ops      int64
	injected int64
}

var _ backing.Store = (*Fault)(nil)

// NewFault wraps inner, which Close closes. A nil decide lets everything pass.
func NewFault(inner backing.Store, decide Decide) *Fault {
	s := &Fault{inner: inner, decide: decide}
	s.root = &faultNode{s: s, inner: inner.Root(), path: "/"}
	return s
}

// Inject replaces the function that decides, from the next operation on.
func (s *Fault) Inject(decide Decide) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decide = decide
}

// Ops counts the operations so far.
func (s *Fault) Ops() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops
}

// Injected counts the operations that did not simply pass.
func (s *Fault) Injected() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.injected
}

func (s *Fault) ask(op Op) Action {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ops++
	op.N = s.ops
	if s.decide == nil {
		return Action{}
	}
	a := s.decide(op)
	if a == nil {
		return Action{}
	}
	if a.Err != 0 || a.Drop || len(a.Flip) > 0 {
		s.injected++
	}
	return *a
}

// do makes a call that gives only an error.
func (s *Fault) do(op Op, call func() error) error {
	a := s.ask(op)
	if a.Drop {
		return nil
	}
	if a.Err != 0 && !a.After {
		return a.Err
	}
	if err := call(); err != nil {
		return err
	}
	return a.fault()
}

// get makes a call that gives a value.
func get[T any](s *Fault, op Op, call func() (T, error)) (T, error) {
	var zero T
	a := s.ask(op)
	if a.Err != 0 && !a.After {
		return zero, a.Err
	}
	v, err := call()
	if err != nil {
		return zero, err
	}
	if a.Err != 0 {
		switch h := any(v).(type) { // which the caller never sees
		case *faultNode:
			h.inner.Close()
		case *faultFile:
			h.inner.Close()
		}
		return zero, a.Err
	}
	return v, nil
}

// close makes a call of Close.
func (s *Fault) close(op Op, call func() error) error {
	a := s.ask(op)
	if err := call(); err != nil {
		return err
	}
	return a.fault()
}

// fault is Err as an error, nil if there is none.
func (a Action) fault() error {
	if a.Err == 0 {
		return nil
	}
	return a.Err
}

func (s *Fault) Root() backing.Node { return s.root }

func (s *Fault) Statfs() (unix.Statfs_t, error) {
	return get(s, Op{Name: "Statfs", Path: "/"}, s.inner.Statfs)
}

func (s *Fault) Sync() error { return s.do(Op{Name: "Sync", Path: "/"}, s.inner.Sync) }

func (s *Fault) Close() error { return s.inner.Close() }
