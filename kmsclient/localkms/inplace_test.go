package localkms

import (
	"errors"
	"os"
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

// A store whose database is removed, or replaced by another, while it is open does
// nothing any more: nobody would find it again. Back in its place, it goes on.
func TestInPlace(t *testing.T) {
	dir, other := t.TempDir()+"/kms", t.TempDir()+"/kms"
	s := openStore(t, dir, Options{Create: true})
	key := newKey(t, s.Client())
	openStore(t, other, Options{Create: true})
	use := func(want string) {
		t.Helper()
		_, w, err := s.Client().GenerateDataKey(bg, key, nil)
		switch {
		case want == "" && err != nil:
			t.Error(err)
		case want != "" && (!errors.Is(err, kmsclient.ErrUnavailable) || !strings.Contains(err.Error(), want) || w.Blob != nil):
			t.Errorf("got %v, want %q", err, want)
		}
	}
	use("")
	ok(t, os.Rename(dir, dir+".moved"))
	use("removed or replaced")
	ok(t, os.Rename(other, dir))
	use("another file is there")
	ok(t, os.RemoveAll(dir))
	ok(t, os.Rename(dir+".moved", dir))
	use("")
	_, err := s.VerifyAudit(bg)
	ok(t, err)
}
