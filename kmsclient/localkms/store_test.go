package localkms

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kmsfs/kmsclient"
)

func TestOpenMissing(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	ok(t, os.Mkdir(empty, 0o700))
	for _, dir := range []string{empty, filepath.Join(empty, "missing")} {
		if _, err := Open(dir, Options{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want one that matches fs.ErrNotExist", dir, err)
		}
	}
	if entries, _ := os.ReadDir(empty); len(entries) != 0 {
		t.Errorf("a failed Open left %v", entries)
	}
}

func TestFilesArePrivate(t *testing.T) {
	s := newStore(t, Options{})
	newKey(t, s.Client())
	entries, err := os.ReadDir(s.Dir())
	ok(t, err)
	if len(entries) < 4 {
		t.Errorf("only %d files", len(entries))
	}
	for _, e := range entries {
		fi, err := e.Info()
		ok(t, err)
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", e.Name(), fi.Mode().Perm())
		}
	}
	if fi, _ := os.Stat(s.Dir()); fi.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %04o", fi.Mode().Perm())
	}
}

func TestOpenRefusesReadable(t *testing.T) {
	for name, mode := range map[string]os.FileMode{
		".": 0o750, rootName: 0o640, dbName: 0o604, dbName + "-wal": 0o660,
	} {
		s := newStore(t, Options{})
		newKey(t, s.Client()) // so that a log exists
		path := filepath.Join(s.Dir(), name)
		ok(t, os.Chmod(path, mode))
		_, err := Open(s.Dir(), Options{Create: true})
		if !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s with mode %o: %v", name, mode, err)
		}
	}
}

func TestRootKey(t *testing.T) {
	s := newStore(t, Options{})
	dir, path := s.Dir(), filepath.Join(s.Dir(), rootName)
	ok(t, s.Close())
	good, err := os.ReadFile(path)
	ok(t, err)
	other := newStore(t, Options{})
	foreign, err := os.ReadFile(filepath.Join(other.Dir(), rootName))
	ok(t, err)

	ok(t, os.WriteFile(path, foreign, 0o600))
	if _, err := Open(dir, Options{Create: true}); !errors.Is(err, ErrRootKey) {
		t.Errorf("foreign root key: %v", err)
	}
	for _, bad := range []string{"", rootHeader, string(good[:len(good)-3]), rootHeader + strings.Repeat("x", 64)} {
		ok(t, os.WriteFile(path, []byte(bad), 0o600))
		if _, err := Open(dir, Options{}); err == nil || strings.Contains(err.Error(), string(good[20:40])) {
			t.Errorf("root key file %q: %v", bad, err)
		}
	}
	ok(t, os.Remove(path))
	if _, err := Open(dir, Options{Create: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("root key missing: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a new root key was made for an old database")
	}
	ok(t, os.WriteFile(path, good, 0o600))
	openStore(t, dir, Options{})
}

func TestOpenRefusesDamagedAndNewer(t *testing.T) {
	s := newStore(t, Options{})
	dir, path := s.Dir(), filepath.Join(s.Dir(), dbName)
	_, err := s.db.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion+1))
	ok(t, err)
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrNewer) {
		t.Errorf("newer schema: %v", err)
	}
	ok(t, s.Close())
	ok(t, os.WriteFile(path, bytes.Repeat([]byte("garbage!"), 4096), 0o600))
	if _, err := Open(dir, Options{Create: true}); !errors.Is(err, ErrDamaged) {
		t.Errorf("garbage: %v", err)
	}
}

// A key whose sealed material was swapped for another's does not open.
func TestMaterialIsBoundToItsKey(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	keys := []string{newKey(t, c), newKey(t, c)}
	_, err := s.db.Exec("UPDATE material SET sealed = (SELECT sealed FROM material ORDER BY cmk LIMIT 1)")
	ok(t, err)
	damaged := 0
	for _, key := range keys {
		_, _, err := c.GenerateDataKey(bg, key, nil)
		if errors.Is(err, ErrDamaged) && errors.Is(err, kmsclient.ErrUnavailable) {
			damaged++
		}
	}
	if damaged != 1 {
		t.Errorf("%d keys are found damaged, want 1", damaged)
	}
}

func TestCreateRace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "kms")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := Open(dir, Options{Create: true})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Client().CreateKey(bg, CreateKeyInput{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	out, err := openStore(t, dir, Options{}).Client().ListKeys(bg, ListKeysInput{Page{}})
	ok(t, err)
	if len(out.Keys) != 8 {
		t.Errorf("%d keys, want 8", len(out.Keys))
	}
}

// A creation that was cut short after any of its steps is completed later.
func TestCreateResumes(t *testing.T) {
	for _, files := range [][]string{{rootName}, {rootName, dbName}, {rootName + ".new"}} {
		dir := filepath.Join(t.TempDir(), "kms")
		ok(t, os.Mkdir(dir, 0o700))
		for _, f := range files {
			text := ""
			if f == rootName {
				text = rootHeader + strings.Repeat("ab", 32) + "\n"
			}
			ok(t, os.WriteFile(filepath.Join(dir, f), []byte(text), 0o600))
		}
		if _, err := Open(dir, Options{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: open without create: %v", files, err)
		}
		newKey(t, openStore(t, dir, Options{Create: true}).Client())
	}
}

func TestNoMaterialInClear(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	id, _ := parseKeyID(newKey(t, c)[len("arn:aws:kms:us-east-1:000000000000:key/"):])
	key, w, err := c.GenerateDataKey(bg, id.String(), kmsclient.EncryptionContext{"a": "b"})
	ok(t, err)
	_, _, err = c.Decrypt(bg, w.Blob, kmsclient.EncryptionContext{"a": "b"})
	ok(t, err)
	_, err = c.Encrypt(bg, id.String(), []byte("a plaintext to look for"), nil)
	ok(t, err)
	var m *material
	ok(t, s.writer.submit(bg, func(t *tx) error {
		k, err := t.loadAny("us-east-1", id)
		if err != nil {
			return err
		}
		m, err = t.material(k)
		return err
	}))
	entries, err := os.ReadDir(s.Dir())
	ok(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(s.Dir(), e.Name()))
		ok(t, err)
		for what, secret := range map[string][]byte{
			"material": m.key, "data key": key, "plaintext": []byte("a plaintext to look for"), "root key": s.root[:],
			"blob": w.Blob,
		} {
			if bytes.Contains(b, secret) {
				t.Errorf("%s contains the %s", e.Name(), what)
			}
		}
	}
}

// When the disk is full, operations fail cleanly, and go on when it is not.
func TestFullDisk(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	limit := func(pages string) {
		ok(t, s.writer.submit(bg, func(t *tx) error {
			_, err := t.w.conn.ExecContext(bg, "PRAGMA max_page_count = "+pages)
			return err
		}))
	}
	limit("1") // no more than there are
	var err error
	for range 100 {
		if _, _, err = c.GenerateDataKey(bg, key, nil); err != nil {
			break
		}
	}
	if !errors.Is(err, kmsclient.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Errorf("full disk: %v", err)
	}
	limit("1000000")
	_, _, err = c.GenerateDataKey(bg, key, nil)
	ok(t, err)
	_, err = s.VerifyAudit(bg)
	ok(t, err)
}

func TestClosed(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	ok(t, s.Close())
	ok(t, s.Close())
	if _, err := c.DescribeKey(bg, "alias/x"); !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}
