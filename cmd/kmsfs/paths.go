package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"

	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
)

// fsType is what mounts of kmsfs are called in /proc/self/mountinfo.
const fsType = "fuse.kmsfs"

// openStore opens a cipher directory as a store. One that is not there, or no
// directory, is not a cipher directory.
func openStore(dir string, readOnly bool) (backing.Store, error) {
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s does not exist", cipherdir.ErrNotCipherDir, dir)
	case err != nil:
		return nil, err
	case !fi.IsDir():
		return nil, fmt.Errorf("%w: %s is no directory", cipherdir.ErrNotCipherDir, dir)
	}
	return backing.OpenOS(dir, readOnly)
}

// inDir says of an error which cipher directory it is about.
func inDir(dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", dir, err)
}

// realPath resolves symlinks as far as the path exists, and is absolute. It does
// not look into a mountpoint, whose daemon may be gone.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	rest := ""
	for dir := abs; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest), nil
		}
		if dir == filepath.Dir(dir) {
			return abs, nil
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// within reports whether path is dir or lies below it; both are real paths.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// errNotMounted is a path where no kmsfs is mounted.
var errNotMounted = errors.New("no kmsfs is mounted here")

// mountAt gives the kmsfs mounted at path: errNotMounted if there is none.
func mountAt(path string) (*mountinfo.Info, error) {
	real, err := realPath(path)
	if err != nil {
		return nil, err
	}
	m, err := topMount(real)
	if err != nil {
		return nil, err
	}
	if m == nil || m.FSType != fsType {
		return nil, withHint(fmt.Errorf("%s: %w", path, errNotMounted), "findmnt -t "+fsType+" lists the mounts")
	}
	return m, nil
}

// topMount gives the mount whose mountpoint is exactly path, nil if there is
// none; of several on top of each other the last.
func topMount(path string) (*mountinfo.Info, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) { return m.Mountpoint != path, false })
	if err != nil || len(mounts) == 0 {
		return nil, err
	}
	return mounts[len(mounts)-1], nil
}

// mountsOf lists the mountpoints of a cipher directory, a real path.
func mountsOf(dir string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != fsType || m.Source != dir, false
	})
	var paths []string
	for _, m := range mounts {
		paths = append(paths, m.Mountpoint)
	}
	return paths, err
}
