package rewrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/rewrap/scan"
)

// none is the value that this package gives to directories.
type none = struct{}

// inode names an inode of the store.
type inode struct{ dev, ino uint64 }

// links are the names of an inode that has several.
type links struct {
	changed bool
	others  []string // all names but the one under which it was visited
}

// pass is one scan of the tree. walker.mu guards it.
type pass struct {
	n                       int
	scanned, current, empty int
	rewrapped               int
	moved                   bool // something vanished or changed under our hands
	errors                  []FileError
	seen                    map[inode]*links
}

// onePass scans the whole tree and rewraps what needs it. What has been planned
// when the run is stopped is still carried out.
func (w *walker) onePass(ctx context.Context, n int) (*pass, error) {
	p := &pass{n: n, errors: []FileError{}, seen: map[inode]*links{}}
	w.pass = p
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.stop = cancel
	err := w.walk(ctx, func(d *scan.Dir[none], e backing.Entry) { w.visit(ctx, d, e) }, w.fail)
	w.flush()
	w.progress(true)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return p, err
	}
	return p, w.listLinks(p)
}

// walk visits every entry of the tree that may be a regular file of the format:
// all but the control directory, and its sidecars.
func (w *walker) walk(ctx context.Context, visit func(*scan.Dir[none], backing.Entry), fail func(string, error)) error {
	return walkFiles(ctx, w.store, w.o.Jobs, visit, fail)
}

func walkFiles(ctx context.Context, store backing.Store, jobs int, visit func(*scan.Dir[none], backing.Entry), fail func(string, error)) error {
	t := &scan.Tree[none]{
		Jobs: jobs, Visit: visit, Fail: fail,
		Enter: func(_, d *scan.Dir[none]) bool { return d.Path != envelope.ControlName },
	}
	if err := t.Walk(ctx, store.Root(), ""); err != nil {
		return err
	}
	control, err := cipherdir.ControlDir(store)
	if err != nil {
		return err
	}
	defer control.Close()
	sidecars, _, err := control.Lookup(envelope.LinksDir)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer sidecars.Close()
	return t.Walk(ctx, sidecars, envelope.ControlName+"/"+envelope.LinksDir)
}

// fail notes what could not be dealt with.
func (w *walker) fail(path string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if gone(err) {
		w.pass.moved = true
		return
	}
	w.pass.errors = append(w.pass.errors, newFileError(path, err))
}

// visit plans the rewrapping of one directory entry.
func (w *walker) visit(ctx context.Context, d *scan.Dir[none], e backing.Entry) {
	if e.Type != unix.S_IFREG {
		return
	}
	path := d.Join(e.Name)
	n, st, err := d.Node.Lookup(e.Name)
	if err != nil {
		w.fail(path, err)
		return
	}
	kept := false
	defer func() {
		if !kept {
			n.Close()
		}
	}()
	if st.Mode&unix.S_IFMT != unix.S_IFREG || !w.first(path, st) {
		return
	}
	old, h, err := readHeader(n, w.layout, w.cfg.FSID)
	if err != nil {
		w.fail(path, err)
		return
	}
	var idx []int
	if h != nil {
		idx = w.choice.header(h)
	}
	if len(idx) == 0 {
		w.count(h == nil)
		return
	}
	if err := w.rewrapHeader(ctx, h, idx); err != nil {
		if errors.Is(err, errStop) {
			w.stop(err)
			return
		}
		w.fail(path, err)
		return
	}
	if w.o.DryRun {
		w.mu.Lock()
		w.report.FilesRewrapped++
		w.mu.Unlock()
		return
	}
	next, err := h.Marshal(make([]byte, h.Size))
	if err != nil {
		w.fail(path, fmt.Errorf("%w: %w", ErrFit, err))
		return
	}
	kept = true
	w.add(item{node: n, path: path, id: inode{st.Dev, st.Ino}, fileID: h.FileID, old: old, next: next})
}

// first counts an inode, and tells whether this is the first name of it in this
// pass.
func (w *walker) first(path string, st backing.Stat) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if st.Nlink > 1 {
		id := inode{st.Dev, st.Ino}
		if l := w.pass.seen[id]; l != nil {
			l.others = append(l.others, path)
			return false
		}
		w.pass.seen[id] = &links{}
	}
	w.pass.scanned++
	return true
}

func (w *walker) count(empty bool) {
	w.mu.Lock()
	if empty {
		w.pass.empty++
	} else {
		w.pass.current++
	}
	w.mu.Unlock()
	w.progress(false)
}

// rewrapHeader replaces recipients of h by their wrapping under the target.
func (w *walker) rewrapHeader(ctx context.Context, h *envelope.Header, idx []int) error {
	for _, i := range idx {
		r, err := w.memo.rewrap(ctx, h.DataKeyID, &h.Recipients[i])
		if err != nil {
			return err
		}
		h.Recipients[i] = r
	}
	h.Sequence++
	h.RewrapTime = time.Now().Unix()
	return nil
}

// readHeader reads the header of a regular file: its bytes and what they say,
// both nil where the file has none yet.
func readHeader(n backing.Node, l envelope.Layout, fsid envelope.FSID) ([]byte, *envelope.Header, error) {
	f, err := n.Open(unix.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	raw := make([]byte, l.H)
	if _, err := f.ReadAt(raw, 0); errors.Is(err, io.EOF) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	h, err := envelope.ParseHeader(raw, l.H)
	if err != nil {
		// Perhaps a read beside a write: a writer holds the lock.
		if raw, err = readLocked(f, l.H); err != nil {
			return nil, nil, err
		}
		if h, err = envelope.ParseHeader(raw, l.H); err != nil {
			return nil, nil, err
		}
	}
	return raw, h, h.CheckFSID(fsid)
}

func readLocked(f backing.File, size int) ([]byte, error) {
	if err := f.Lock(cipherdir.HeaderLock, false); err != nil {
		return nil, err
	}
	defer f.Unlock(cipherdir.HeaderLock)
	raw := make([]byte, size)
	_, err := f.ReadAt(raw, 0)
	return raw, err
}

// listLinks adds the further names of changed inodes to the list.
func (w *walker) listLinks(p *pass) error {
	for _, l := range p.seen {
		if !l.changed {
			continue
		}
		slices.Sort(l.others)
		for _, path := range l.others {
			if err := w.changed(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// progress tells how far the run is, now and then, or at once.
func (w *walker) progress(now bool) {
	if w.o.Progress == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := time.Now(); now || t.Sub(w.said) >= 100*time.Millisecond {
		w.said = t
		w.o.Progress(Progress{w.pass.n, w.pass.scanned, w.report.FilesRewrapped})
	}
}
