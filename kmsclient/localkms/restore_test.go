package localkms

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A restore that is killed half-way leaves nothing where the store is to be, which
// somebody would take for one.
func TestRestoreIsAllOrNothing(t *testing.T) {
	top := t.TempDir()
	s := newStore(t, Options{})
	newKey(t, s.Client())
	backup, restored := filepath.Join(top, "backup"), filepath.Join(top, "restored")
	ok(t, s.Backup(bg, backup, true))
	rootKey := filepath.Join(top, "root.key")
	ok(t, unix.Mkfifo(rootKey, 0o600))
	done := make(chan error)
	go func() { done <- Restore(bg, backup, rootKey, restored, Options{}) }()
	w, err := os.OpenFile(rootKey, os.O_WRONLY, 0) // waits until it is about to be read
	ok(t, err)
	if _, err := os.Lstat(restored); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half-way there is something: %v", err)
	}
	b, err := os.ReadFile(filepath.Join(s.Dir(), rootName))
	ok(t, err)
	_, err = w.Write(b)
	ok(t, errors.Join(err, w.Close(), <-done))
	if _, err := openStore(t, restored, Options{}).VerifyAudit(bg); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(top, "*")); err != nil || len(left) != 3 {
		t.Errorf("left are %v, %v", left, err)
	}
}
