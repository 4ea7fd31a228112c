package rewrap

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
)

// Names of the walker's own files, docs/format.md, "Control directory".
const (
	dirName     = "rewrap" // in envelope.ControlName
	journalName = "journal"
	memoName    = "memo"
)

// lockDir opens +kmsfs/rewrap, making it if need be, and locks it against other
// walkers: ErrBusy if there is one. Closing the node gives the lock back.
func lockDir(store backing.Store) (backing.Node, error) {
	control, err := cipherdir.ControlDir(store)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	if err := control.Mkdir(dirName, 0o700); err == nil {
		err = control.SyncDir()
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make %s/%s: %w", envelope.ControlName, dirName, err)
	}
	dir, _, err := control.Lookup(dirName)
	if err != nil {
		return nil, err
	}
	if err := dir.Flock(unix.LOCK_EX | unix.LOCK_NB); err != nil {
		dir.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrBusy
		}
		return nil, fmt.Errorf("lock %s/%s: %w", envelope.ControlName, dirName, err)
	}
	return dir, nil
}

// logFile is the journal or the memo: records behind each other.
type logFile struct {
	f   backing.File
	end int64 // where the next record goes
}

// openLog opens a log, or makes an empty one whose name is durable.
func openLog(dir backing.Node, name string) (*logFile, error) {
	n, _, err := dir.Lookup(name)
	if err == nil {
		defer n.Close()
		f, err := n.Open(unix.O_RDWR)
		return &logFile{f: f}, err
	}
	if !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	n, f, err := dir.Create(name, 0o600)
	if err != nil {
		return nil, err
	}
	n.Close()
	if err := dir.SyncDir(); err != nil {
		f.Close()
		return nil, err
	}
	return &logFile{f: f}, nil
}

// readAll reads the whole log.
func (l *logFile) readAll() ([]byte, error) {
	st, err := l.f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(l.f, 0, st.Size))
}

// append writes records behind the others; they are durable after f.Datasync.
func (l *logFile) append(records []byte) error {
	if _, err := l.f.WriteAt(records, l.end); err != nil {
		return err
	}
	l.end += int64(len(records))
	return nil
}

// reset empties the log.
func (l *logFile) reset() error {
	l.end = 0
	return l.f.Truncate(0)
}

func (l *logFile) Close() error { return l.f.Close() }

// readJournal reads the undo records of a journal for headers of h bytes; it
// passes over records that are none of this version.
func readJournal(l *logFile, h int) ([]*undo, error) {
	b, err := l.readAll()
	if err != nil {
		return nil, err
	}
	var us []*undo
	for _, p := range frames(b) {
		if u, err := parseUndo(p, h); err == nil {
			us = append(us, u)
		}
	}
	return us, nil
}

// Pending is how many undo records the journal holds: more than zero while a
// walker runs, or after one that was cut short. It takes no lock and changes
// nothing.
func Pending(store backing.Store) (int, error) {
	c, err := cipherdir.ReadConfig(store)
	if err != nil {
		return 0, err
	}
	control, err := cipherdir.ControlDir(store)
	if err != nil {
		return 0, err
	}
	defer control.Close()
	dir, _, err := control.Lookup(dirName)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	n, _, err := dir.Lookup(journalName)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer n.Close()
	f, err := n.Open(unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	us, err := readJournal(&logFile{f: f}, c.HeaderSize)
	return len(us), err
}
