package cipherdir

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/kmsclient"
)

// file is what a regular file's inode keeps, shared by all its handles.
//
// mu makes a write one step for readers, as POSIX wants: reads share it, writes
// and truncates exclude. It guards every field but the atomics. While handles are
// open the plaintext size is kept here and the store is not asked for it.
type file struct {
	n *Inode

	mu      sync.RWMutex
	f       backing.File // nil when no handle is open
	writing bool         // f is open for writing
	handles int
	closing sync.RWMutex // held for reading by a sync of f under way, to close f for writing

	extent      // valid while handles > 0
	sparse bool // the header has the SPARSE flag, valid while keys are there

	keys    *envelope.FileKeys
	blob    []byte // of the recipient that opened, to renew it
	context kmsclient.EncryptionContext
	epoch   *envelope.PageCipher // seals
	seals   int                  // pages sealed in that epoch
	ciphers map[uint16]*envelope.PageCipher
	cmu     sync.Mutex   // guards ciphers, which readers fill
	until   atomic.Int64 // unix ns: when the keys lapse; 0 = there are none
	tracks  atomic.Bool  // reads move the atime
	lost    atomic.Bool  // the keys lapsed, could not be had again, and Sweep has not told

	peekMu sync.Mutex // guards peek
	peek   peeked
}

// Open opens a regular file. The data key is unwrapped now, so that a refused key
// refuses the open (a file without a header needs none yet) and leaves the file as
// it is. With trunc the file is cut to nothing, also one whose header is damaged.
func (n *Inode) Open(ctx context.Context, write, trunc bool) (*Handle, error) {
	if n.kind == unix.S_IFDIR {
		return nil, unix.EISDIR
	}
	if n.kind != unix.S_IFREG {
		return nil, unix.EOPNOTSUPP
	}
	if write || trunc {
		if err := n.fs.beginWrite(); err != nil {
			return nil, err
		}
	}
	f := &n.file
	f.mu.Lock()
	err := f.acquire(write || trunc)
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = f.warm(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
	case trunc:
		err = f.truncate(ctx, 0)
	default:
		err = f.ready(ctx)
	}
	if err != nil {
		f.releaseHandle()
		return nil, err
	}
	return &Handle{n: n, writable: write}, nil
}

// adopt makes the first handle of a file just created from its open descriptor,
// which it takes over.
func (n *Inode) adopt(b backing.File) (*Handle, error) {
	f := &n.file
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.handles == 0:
		if err := f.measure(b); err != nil {
			b.Close()
			return nil, err
		}
		f.f, f.writing = b, true
	case f.writing: // somebody looked it up and opened it before us
		b.Close()
	default:
		f.replace(b)
	}
	f.handles++
	n.opened()
	return &Handle{n: n, writable: true}, nil
}

func (n *Inode) opened() {
	n.hold()
	n.fs.openMu.Lock()
	n.fs.open[n] = struct{}{}
	n.fs.openMu.Unlock()
}

// acquire counts one more handle, opening the store's file or widening it to
// writing where needed. f.mu is held.
func (f *file) acquire(write bool) error {
	if f.f == nil || write && !f.writing {
		flags := unix.O_RDONLY
		if write {
			flags = unix.O_RDWR
		}
		b, err := f.n.node.Open(flags)
		if err != nil {
			return err
		}
		if f.f != nil {
			f.replace(b)
		} else if err := f.measure(b); err != nil {
			b.Close()
			return err
		} else {
			f.f, f.writing = b, write
		}
	}
	f.handles++
	f.n.opened()
	return nil
}

// replace puts a descriptor open for writing in the place of one that is not.
func (f *file) replace(b backing.File) {
	f.closing.Lock()
	defer f.closing.Unlock()
	f.f.Close()
	f.f, f.writing = b, true
	f.tracks.Store(false)
}

// measure learns the extent of a file that was closed. Damage is no error here:
// it shows where it is read.
func (f *file) measure(b backing.File) error {
	st, err := b.Stat()
	if err != nil {
		return err
	}
	e, err := f.n.fs.extentOf(b, st.Size)
	if err != nil {
		f.n.fs.log.Error("last page is damaged", "ino", st.Ino, "err", err)
		if !damaged(err) {
			return err
		}
	}
	f.extent = e
	return nil
}

// trackAtime lets reads move the atime from the first one a program makes: what
// we read ourselves, to stat, open or overwrite a file, does not.
func (f *file) trackAtime() {
	if f.tracks.CompareAndSwap(false, true) {
		if err := f.f.TrackAtime(); err != nil {
			f.n.fs.log.Warn("reads do not move the atime", "ino", f.n.key.ino, "err", err)
		}
	}
}

// releaseHandle gives one handle back; the last one closes the file and wipes its
// keys. f.mu is held.
func (f *file) releaseHandle() error {
	var err error
	f.handles--
	if f.handles == 0 {
		if f.writing {
			f.notePeek()
		}
		f.closing.Lock()
		err = f.f.Close()
		f.closing.Unlock()
		f.f, f.writing = nil, false
		f.dropKeys()
		f.lost.Store(false)
		f.tracks.Store(false)
		fs := f.n.fs
		fs.openMu.Lock()
		delete(fs.open, f.n)
		fs.openMu.Unlock()
	}
	f.n.unhold()
	return err
}

// sync makes the file's data durable, and its attributes unless dataOnly. Reads
// and writes go on meanwhile.
func (f *file) sync(dataOnly bool) error {
	f.mu.RLock()
	b := f.f
	f.closing.RLock()
	defer f.closing.RUnlock()
	f.mu.RUnlock()
	if b == nil {
		return unix.EBADF
	}
	if dataOnly {
		return b.Datasync()
	}
	return b.Sync()
}
