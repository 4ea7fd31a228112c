package unlock

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadRefusesOpenFiles(t *testing.T) {
	for _, name := range []string{"key-file", "passphrase", "kms"} {
		path := file(t, vector(t, name))
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777} {
			ok(t, os.Chmod(path, mode))
			_, err := Read(path)
			want(t, mode.String(), err, ErrPermissions)
			if err != nil && !strings.Contains(err.Error(), "chmod 600 '"+path+"'") {
				t.Errorf("%v: no advice in %v", mode, err)
			}
			want(t, mode.String()+", change", Change(t.Context(), path, root(t), KeyFile{}), ErrPermissions)
		}
		for _, mode := range []os.FileMode{0o600, 0o400, 0o700} {
			ok(t, os.Chmod(path, mode))
			_, err := Read(path)
			ok(t, err)
		}
	}
}

func TestReadRefusesOtherThings(t *testing.T) {
	good := file(t, vector(t, "key-file"))
	for name, make := range map[string]func(path string) error{
		"symbolic link": func(path string) error { return os.Symlink(good, path) },
		"dangling link": func(path string) error { return os.Symlink("nowhere", path) },
		"directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"FIFO":          func(path string) error { return unix.Mkfifo(path, 0o600) }, // must not hang
	} {
		path := filepath.Join(t.TempDir(), "root.key")
		ok(t, make(path))
		_, err := Read(path)
		want(t, name, err, errNotRegular)
		want(t, name+", change", Change(t.Context(), path, root(t), KeyFile{}), errNotRegular)
		_, err = Create(t.Context(), path, KeyFile{})
		want(t, name+", create", err, os.ErrExist)
		opens(t, good, vectorRoot, Secrets{})
	}
}

func TestCreate(t *testing.T) {
	for name, m := range methods() {
		path := filepath.Join(t.TempDir(), "root.key")
		k, err := Create(t.Context(), path, m)
		ok(t, err)
		defer k.Wipe()
		opens(t, path, *k.Bytes(), secrets())
		alone(t, path)
		fi, err := os.Stat(path)
		ok(t, err)
		if fi.Mode() != 0o600 || fi.Sys().(*syscall.Stat_t).Nlink != 1 {
			t.Errorf("%s: mode %v, %d links", name, fi.Mode(), fi.Sys().(*syscall.Stat_t).Nlink)
		}
		_, err = Create(t.Context(), path, m)
		want(t, name+", twice", err, os.ErrExist)
		opens(t, path, *k.Bytes(), secrets())
		other, err := Create(t.Context(), path+"2", m)
		ok(t, err)
		defer other.Wipe()
		if *other.Bytes() == *k.Bytes() {
			t.Errorf("%s: two root keys are equal", name)
		}
	}
	path, asked := file(t, vector(t, "kms")), errors.New("asked in vain")
	_, err := Create(t.Context(), path, Passphrase{Ask: func() ([]byte, error) { return nil, asked }})
	want(t, "existing", err, os.ErrExist)
	_, err = Create(t.Context(), filepath.Join(t.TempDir(), "missing", "root.key"), KeyFile{})
	want(t, "no directory", err, os.ErrNotExist)
}

// A file that appears while a new one is being written is not replaced.
func TestCreateRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	d := disk{func(step string) error {
		if step == "link" {
			return os.WriteFile(path, []byte(vector(t, "key-file")), 0o600)
		}
		return nil
	}}
	_, err := create(t.Context(), d, path, KeyFile{})
	want(t, "create", err, os.ErrExist)
	opens(t, path, vectorRoot, Secrets{})
	alone(t, path)
}

// Root may change the method for another user.
func TestChangeKeepsOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to have a file of another user")
	}
	const nobody = 65534
	path := file(t, vector(t, "key-file"))
	ok(t, os.Chown(path, nobody, -1))
	ok(t, Change(t.Context(), path, root(t), new(fakeKMS).method()))
	fi, err := os.Stat(path)
	ok(t, err)
	if uid := fi.Sys().(*syscall.Stat_t).Uid; uid != nobody || fi.Mode() != 0o600 {
		t.Errorf("belongs to %d, mode %v", uid, fi.Mode())
	}
}

// methods has one of each.
func methods() map[string]Method {
	return map[string]Method{
		"key-file":   KeyFile{},
		"passphrase": Passphrase{say(vectorPassphrase), cheap},
		"kms":        new(fakeKMS).method(),
	}
}

// Every method after every other.
func TestChange(t *testing.T) {
	path := file(t, vector(t, "key-file"))
	for _, to := range []string{"kms", "passphrase", "key-file", "passphrase", "kms", "key-file"} {
		s, err := Read(path)
		ok(t, err)
		k, err := s.Unlock(t.Context(), secrets())
		ok(t, err)
		ok(t, Change(t.Context(), path, k, methods()[to]))
		k.Wipe()
		opens(t, path, vectorRoot, secrets())
		alone(t, path)
		if s, err = Read(path); err != nil || s.Kind != Kind(to) {
			t.Errorf("changed to %s: %+v, %v", to, s, err)
		}
	}
	path = filepath.Join(t.TempDir(), "root.key")
	want(t, "missing", Change(t.Context(), path, root(t), KeyFile{}), os.ErrNotExist)
	path = file(t, "garbage")
	want(t, "damaged", Change(t.Context(), path, root(t), KeyFile{}), ErrDamaged)
}

func TestChangePassphrase(t *testing.T) {
	path := file(t, vector(t, "passphrase"))
	ok(t, Change(t.Context(), path, root(t), Passphrase{say("new"), cheap}))
	opens(t, path, vectorRoot, Secrets{Passphrase: say("new")})
	s, err := Read(path)
	ok(t, err)
	_, err = s.Unlock(t.Context(), secrets())
	want(t, "the old passphrase", err, ErrPassphrase)
	stop := errors.New("no terminal")
	err = Change(t.Context(), path, root(t), Passphrase{func() ([]byte, error) { return nil, stop }, cheap})
	want(t, "nobody there", err, stop)
	opens(t, path, vectorRoot, Secrets{Passphrase: say("new")})
}
