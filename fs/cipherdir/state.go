package cipherdir

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/kmsclient"
)

// ReadState reads the state record. A missing or damaged one means unclean
// (rule C5), which is not an error.
func ReadState(store backing.Store, nk *envelope.NameKeys) (envelope.State, error) {
	dir, err := ControlDir(store)
	if err != nil {
		return envelope.State{}, err
	}
	defer dir.Close()
	b, err := readSmall(dir, stateName)
	if errors.Is(err, unix.ENOENT) {
		return envelope.State{}, nil
	}
	if err != nil {
		return envelope.State{}, err
	}
	s, err := envelope.ParseState(b, nk)
	if err != nil {
		return envelope.State{}, nil
	}
	return s, nil
}

// writeState replaces the state record. On a full disk, where files must still be
// deleted and the directory unmounted, it is overwritten instead: half a record
// means unclean, which is never wrong.
func writeState(store backing.Store, s envelope.State, nk *envelope.NameKeys) error {
	dir, err := ControlDir(store)
	if err != nil {
		return err
	}
	defer dir.Close()
	b := s.Marshal(nk)
	err = replaceSmall(dir, stateName, b)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		if overwriteSmall(dir, stateName, b) == nil {
			return nil
		}
	}
	return err
}

func overwriteSmall(dir backing.Node, name string, b []byte) error {
	n, _, err := dir.Lookup(name)
	if err != nil {
		return err
	}
	defer n.Close()
	f, err := n.Open(unix.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(b))); err != nil {
		return err
	}
	return f.Sync()
}

// MarkClean ends the unclean state of a directory that a full check has found
// sound: from then on a hole in a dense file counts as damage again. It takes the
// lock of the single mount (ErrLocked).
func MarkClean(ctx context.Context, store backing.Store, kms kmsclient.KMS) error {
	cfg, err := ReadConfig(store)
	if err != nil {
		return err
	}
	lock, err := lockControl(store)
	if err != nil {
		return err
	}
	defer lock.Close()
	names, _, err := UnlockNames(ctx, cfg, kms)
	if err != nil {
		return err
	}
	s, err := ReadState(store, names)
	if err != nil || s.Clean {
		return err
	}
	s.Clean = true
	if err := store.Sync(); err != nil {
		return err
	}
	return writeState(store, s, names)
}
