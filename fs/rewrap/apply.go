package rewrap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
)

// item is one planned replacement of a header.
type item struct {
	node      backing.Node
	path      string
	id        inode
	fileID    envelope.FileID
	old, next []byte // H bytes each
	done      bool
}

// batch collects replacements, so that many share the syncs.
type batch struct {
	mu      sync.Mutex // guards all below, and is held while a batch is carried out
	items   []item
	records []byte // of the journal
	failed  bool   // a batch failed half way: its journal is needed and kept
}

// add plans a replacement; the batch closes the node. A full batch is carried
// out at once, while other goroutines wait with theirs.
func (w *walker) add(it item) {
	b := &w.batch
	b.mu.Lock()
	defer b.mu.Unlock()
	u := undo{Ino: it.id.ino, FileID: it.fileID, Path: it.path, Header: it.old}
	b.items = append(b.items, it)
	b.records = appendFrame(b.records, u.payload())
	if len(b.items) >= w.o.batch || len(b.records) >= batchJournal {
		w.carryOut()
	}
}

// flush carries out what is planned.
func (w *walker) flush() {
	w.batch.mu.Lock()
	defer w.batch.mu.Unlock()
	w.carryOut()
}

// carryOut replaces the headers of the batch. With batch.mu held.
func (w *walker) carryOut() {
	b := &w.batch
	if len(b.items) > 0 && !b.failed {
		if err := w.replaceAll(b.items, b.records); err != nil {
			b.failed = true
			w.stop(fmt.Errorf("%w: %w", errStop, err))
		}
	}
	for i := range b.items {
		b.items[i].node.Close()
	}
	clear(b.items)
	b.items, b.records = b.items[:0], b.records[:0]
	w.progress(false)
}

// replaceAll is the order of writes that makes a crash harmless, rule R6: the
// undo records are durable before any header changes, and go only when the
// headers are durable. After an error the journal stays as it is.
func (w *walker) replaceAll(items []item, records []byte) error {
	if err := w.journal.append(records); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if err := w.journal.f.Datasync(); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	if err := w.memo.log.f.Datasync(); err != nil {
		return fmt.Errorf("sync the memo: %w", err)
	}
	var wg sync.WaitGroup
	errs := make([]error, w.o.Jobs)
	for j := range w.o.Jobs {
		wg.Go(func() {
			for i := j; i < len(items) && errs[j] == nil; i += w.o.Jobs {
				errs[j] = w.replace(&items[i])
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := w.store.Sync(); err != nil {
		return fmt.Errorf("sync the headers: %w", err)
	}
	if err := w.journal.reset(); err != nil {
		return fmt.Errorf("empty the journal: %w", err)
	}
	return w.settle(items)
}

// settle counts and lists the files whose new header has become durable.
func (w *walker) settle(items []item) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range items {
		if !items[i].done {
			continue
		}
		w.pass.rewrapped++
		w.report.FilesRewrapped++
		if l := w.pass.seen[items[i].id]; l != nil {
			l.changed = true
		}
		if err := w.changed(items[i].path); err != nil {
			return err
		}
	}
	return nil
}

// replace writes one header. An error is one after which the header may be torn;
// a file that cannot be changed at all is noted and left.
func (w *walker) replace(it *item) error {
	f, err := it.node.Open(unix.O_RDWR)
	if err != nil {
		w.fail(it.path, err)
		return nil
	}
	defer f.Close()
	if err := f.Lock(cipherdir.HeaderLock, true); err != nil {
		w.fail(it.path, fmt.Errorf("lock the header: %w", err))
		return nil
	}
	defer f.Unlock(cipherdir.HeaderLock)
	now := make([]byte, len(it.old))
	if _, err := f.ReadAt(now, 0); err != nil && !errors.Is(err, io.EOF) {
		w.fail(it.path, err)
		return nil
	}
	if !bytes.Equal(now, it.old) { // a mount has changed it: the next pass sees to it
		w.mu.Lock()
		w.pass.moved = true
		w.mu.Unlock()
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		w.fail(it.path, err)
		return nil
	}
	if _, err := f.WriteAt(it.next, 0); err != nil {
		// A write that fails may have written a part: put the old bytes back, or
		// leave it to the journal.
		if _, e := f.WriteAt(it.old, 0); e != nil {
			return fmt.Errorf("write the header of %s: %w", it.path, err)
		}
		w.fail(it.path, errors.Join(err, w.keepTime(it.node, st)))
		return nil
	}
	it.done = true
	if err := w.keepTime(it.node, st); err != nil {
		w.mu.Lock()
		w.lasting = append(w.lasting, newFileError(it.path, fmt.Errorf("put the mtime back: %w", err)))
		w.mu.Unlock()
	}
	return nil
}

// keepTime puts an mtime back, unless it may move.
func (w *walker) keepTime(n backing.Node, st backing.Stat) error {
	if w.o.Touch {
		return nil
	}
	return n.Utimens(unix.Timespec{Nsec: unix.UTIME_OMIT}, st.Mtim)
}
