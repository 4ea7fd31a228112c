package unlock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// newSuffix is added to the name of a root key file while the file is written.
const newSuffix = ".new"

var errNotRegular = errors.New("not a regular file")

// load reads, checks and parses the file at path. All checks are made on the one
// file that was opened, so that nobody can put another in its place meanwhile.
func load(path string) (*Sealed, fs.FileInfo, error) {
	// O_NONBLOCK: opening a FIFO would wait for its other end.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, nil, fmt.Errorf("%s is a symbolic link: %w", path, errNotRegular)
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	switch mode := fi.Mode(); {
	case !mode.IsRegular():
		return nil, nil, fmt.Errorf("%s: %w", path, errNotRegular)
	case mode.Perm()&0o077 != 0:
		return nil, nil, fmt.Errorf("%s has mode %04o: %w; run: chmod 600 '%s'", path, mode.Perm(), ErrPermissions, path)
	}
	b := make([]byte, maxFile+1)
	defer clear(b)
	n, err := io.ReadFull(f, b)
	switch {
	case err == nil:
		return nil, nil, fmt.Errorf("%s: %w: it is longer than %d bytes", path, ErrDamaged, maxFile)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil, err
	}
	s, err := parse(b[:n])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, fi, nil
}

// disk is the directory of a root key file. Tests make its steps fail: fault is
// asked before each, cleaning up included.
type disk struct{ fault func(step string) error }

func (d disk) do(step string, f func() error) error {
	if d.fault != nil {
		if err := d.fault(step); err != nil {
			return err
		}
	}
	return f()
}

// create writes a file that must not exist yet.
func (d disk) create(ctx context.Context, path string, root *[32]byte, m Method) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	s, err := m.seal(ctx, root)
	if err != nil {
		return err
	}
	defer s.Wipe()
	return d.place(path, s, func(tmp string) error {
		if err := d.do("link", func() error { return os.Link(tmp, path) }); err != nil { // unlike rename, fails if path exists
			return err
		}
		return d.clean(path)
	}, nil)
}

// replace writes a file in place of a sound one, which lends it its owner: root
// may change the store of another user, who must be able to read it afterwards.
func (d disk) replace(ctx context.Context, path string, root *[32]byte, m Method) error {
	old, fi, err := load(path)
	if err != nil {
		return err
	}
	old.Wipe()
	s, err := m.seal(ctx, root)
	if err != nil {
		return err
	}
	defer s.Wipe()
	return d.place(path, s, func(tmp string) error {
		return d.do("rename", func() error { return os.Rename(tmp, path) })
	}, fi)
}

// place writes the file beside path, makes it durable, puts it at path by put and
// makes that durable too. It leaves nothing beside path but after a crash.
func (d disk) place(path string, s *Sealed, put func(tmp string) error, owner fs.FileInfo) (err error) {
	tmp := path + newSuffix
	if err := d.clean(path); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.clean(path))
		}
	}()
	var f *os.File
	err = d.do("create", func() (err error) {
		f, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	defer f.Close()
	text := s.text()
	defer clear(text)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"chown", func() error { return chown(f, owner) }},
		{"write", func() error { _, err := f.Write(text); return err }},
		{"sync", f.Sync},
		{"close", f.Close},
	} {
		if err := d.do(step.name, step.do); err != nil {
			return err
		}
	}
	if err := put(tmp); err != nil {
		return err
	}
	return d.do("sync directory", func() error { return syncDir(filepath.Dir(path)) })
}

// clean removes what place left beside path in a crash.
func (d disk) clean(path string) error {
	return d.do("clean", func() error {
		if err := os.Remove(path + newSuffix); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// chown gives f the owner of another file, if it has not; nil is no other file.
func chown(f *os.File, owner fs.FileInfo) error {
	if owner == nil {
		return nil
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	want, have := owner.Sys().(*syscall.Stat_t).Uid, fi.Sys().(*syscall.Stat_t).Uid
	if want == have {
		return nil
	}
	return f.Chown(int(want), -1)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
