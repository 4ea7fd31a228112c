package localkms

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// rootKey is the secret everything in a store is sealed or authenticated under.
type rootKey [32]byte

// rootHeader is the first line of a root key file; 64 hex digits follow.
const rootHeader = "kmsfs root key 1\n"

func readRootKey(path string) (k rootKey, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	defer clear(b)
	body, ok := bytes.CutPrefix(b, []byte(rootHeader))
	body = bytes.TrimSuffix(body, []byte("\n"))
	if !ok || hex.DecodedLen(len(body)) != len(k) {
		return k, fmt.Errorf("%s is not a root key file", path)
	}
	if _, err := hex.Decode(k[:], body); err != nil {
		return rootKey{}, fmt.Errorf("%s is not a root key file", path)
	}
	return k, nil
}

// createRootKey makes a new root key. The file appears complete and durable or
// not at all, and an existing one is never replaced.
func createRootKey(path string) (err error) {
	var k rootKey
	rand.Read(k[:])
	text := fmt.Appendf(nil, "%s%x\n", rootHeader, k[:])
	defer clear(k[:])
	defer clear(text)
	tmp := path + ".new" // left behind by a crash, if it exists: the lock is ours
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	_, werr := f.Write(text)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp, path); err != nil { // unlike rename, fails if path exists
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lockDir serialises opening and creating a store between processes. Without
// create, and with no lock file there, there is nothing to serialise.
func lockDir(dir string, create bool) (unlock func(), err error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), flags, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}
