package rewrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/rewrap/scan"
)

// coreSize is the part of a header that no rewrap changes.
const coreSize = 128

// recover undoes what an interrupted walker left half written, rule R5: a header
// whose CRC is bad and whose core is that of its undo record becomes the old
// header again. Headers that are whole, old or new, stay. It empties the journal
// once all that is durable.
func (w *walker) recover(ctx context.Context) error {
	undos, err := readJournal(w.journal, w.cfg.HeaderSize)
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	if len(undos) == 0 {
		return nil
	}
	w.report.Recovered = len(undos)
	w.log.Info("recovering from an interrupted rewrap", "headers", len(undos))
	lost := map[uint64]*undo{} // by inode: those not found under their path
	for _, u := range undos {
		n, err := lookupPath(w.store, u.Path)
		if gone(err) {
			lost[u.Ino] = u
			continue
		}
		if err != nil {
			return fmt.Errorf("recover %s: %w", u.Path, err)
		}
		found, err := w.undo(n, u)
		n.Close()
		if err != nil {
			return fmt.Errorf("recover %s: %w", u.Path, err)
		}
		if !found {
			lost[u.Ino] = u
		}
	}
	if err := w.recoverRenamed(ctx, lost); err != nil {
		return err
	}
	if err := w.store.Sync(); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	return w.journal.reset()
}

// recoverRenamed looks for the files of undo records everywhere.
func (w *walker) recoverRenamed(ctx context.Context, lost map[uint64]*undo) error {
	if len(lost) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return w.walk(ctx, func(d *scan.Dir[none], e backing.Entry) {
		u := lost[e.Ino]
		if u == nil || e.Type != unix.S_IFREG {
			return
		}
		n, _, err := d.Node.Lookup(e.Name)
		if err == nil {
			_, err = w.undo(n, u)
			n.Close()
		}
		if err != nil && !gone(err) {
			cancel(fmt.Errorf("recover %s: %w", d.Join(e.Name), err))
		}
	}, func(string, error) {})
}

// undo restores the header of n if it is torn. It tells whether n is the file of
// the record, whatever state it is in.
func (w *walker) undo(n backing.Node, u *undo) (found bool, err error) {
	st, err := n.Stat()
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false, err
	}
	f, err := n.Open(unix.O_RDWR)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := f.Lock(cipherdir.HeaderLock, true); err != nil {
		return false, err
	}
	defer f.Unlock(cipherdir.HeaderLock)
	now := make([]byte, len(u.Header))
	if _, err := f.ReadAt(now, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	if !bytes.Equal(now[:coreSize], u.Header[:coreSize]) {
		return false, nil
	}
	if _, err := envelope.ParseHeader(now, len(now)); err == nil {
		return true, nil
	}
	if _, err := envelope.ParseHeader(u.Header, len(u.Header)); err != nil {
		return true, nil // the journal is no better
	}
	w.log.Warn("restoring a torn header", "path", u.Path)
	if _, err := f.WriteAt(u.Header, 0); err != nil {
		return true, err
	}
	return true, w.keepTime(n, st)
}

// lookupPath opens a path of the store component by component, never through a
// symlink. The caller closes the node.
func lookupPath(store backing.Store, path string) (backing.Node, error) {
	n := store.Root()
	for i, name := range strings.Split(path, "/") {
		next, _, err := n.Lookup(name)
		if i > 0 {
			n.Close()
		}
		if err != nil {
			return nil, err
		}
		n = next
	}
	return n, nil
}

// gone reports whether an error says that a name has vanished.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ESTALE)
}
