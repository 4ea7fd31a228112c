package tests

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"
)

// modify runs an SQL statement on the database of a store that nothing uses.
func modify(store, statement string) error {
	db, err := sql.Open("sqlite", filepath.Join(store, "kms.db"))
	if err != nil {
		return err
	}
	_, err = db.Exec(statement)
	return errors.Join(err, db.Close())
}

// TestBrokenStore breaks a store in one way after another. Every verb that needs
// it says what is wrong and ends with code 3; the server does not come up; nothing
// is made worse: the store works again with the broken file put back.
func TestBrokenStore(t *testing.T) {
	h := newKMSHouse(t)
	key := h.createKey()
	good := h.kmsDir()
	rootKey, err := os.ReadFile(filepath.Join(good, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	h.secret("root key", strings.Fields(string(rootKey))[4])
	other := h.path("other")
	h.kmsfs("kms", "create-key", "--kms", "local:"+other)
	db := func(dir string) string { return filepath.Join(dir, "kms.db") }
	root := func(dir string) string { return filepath.Join(dir, "root.key") }
	truncate := func(size func(whole int64) int64) func(string) error {
		return func(dir string) error {
			fi, err := os.Stat(db(dir))
			if err != nil {
				return err
			}
			return os.Truncate(db(dir), size(fi.Size()))
		}
	}
	at := func(n int64) func(int64) int64 { return func(int64) int64 { return n } }
	verbs := [][]string{ // one of them for each damage
		{"kms", "audit", "--verify"}, {"kms", "encrypt", "--key-id", key, "--plaintext", "aGk="},
		{"kms", "backup", h.path("backup")}, {"kms", "set-unlock", "--method", "key-file"},
	}
	const damaged = `store is damaged(.|\n)*hint: restore the key store from its backup`
	for name, c := range map[string]struct {
		damage  func(dir string) error
		message string
	}{
		"no directory":   {os.RemoveAll, `no key store here(.|\n)*hint: --kms local:DIR names the directory`},
		"a file":         {func(d string) error { return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o600)) }, `not a directory`},
		"open directory": {func(d string) error { return os.Chmod(d, 0o750) }, `mode 0750: readable by group or others; run: chmod 700`},

		"no root key":          {func(d string) error { return os.Remove(root(d)) }, `root key is not; put .*root\.key back`},
		"root key of group":    {func(d string) error { return os.Chmod(root(d), 0o640) }, `mode 0640: readable by group or others; run: chmod 600`},
		"root key of all":      {func(d string) error { return os.Chmod(root(d), 0o604) }, `mode 0604: readable by group or others; run: chmod 600`},
		"root key empty":       {func(d string) error { return os.Truncate(root(d), 0) }, `root key file is damaged(.|\n)*hint: restore root\.key`},
		"root key cut":         {func(d string) error { return os.Truncate(root(d), 40) }, `root key file is damaged(.|\n)*hint: restore root\.key`},
		"root key altered":     {func(d string) error { return alterDigit(root(d)) }, `root key does not belong to this store(.|\n)*hint: root\.key and kms\.db`},
		"root key of another":  {func(d string) error { return copyFile(root(other), root(d)) }, `root key does not belong to this store(.|\n)*hint: root\.key and kms\.db`},
		"root key of a newer":  {func(d string) error { return os.WriteFile(root(d), []byte("kmsfs root key 3\n"), 0o600) }, `newer kmsfs(.|\n)*hint: use the newer kmsfs`},
		"root key a directory": {func(d string) error { return errors.Join(os.Remove(root(d)), os.Mkdir(root(d), 0o700)) }, `not a regular file`},

		"no database":         {func(d string) error { return os.Remove(db(d)) }, `no key store here`},
		"database of group":   {func(d string) error { return os.Chmod(db(d), 0o660) }, `mode 0660: readable by group or others; run: chmod 600`},
		"database of a newer": {func(d string) error { return modify(d, "PRAGMA user_version = 99") }, `newer kmsfs: schema 99(.|\n)*hint: use the newer kmsfs`},
		"cut to nothing":      {truncate(at(0)), `no key store here`},
		"cut to 100 bytes":    {truncate(at(100)), damaged},
		"cut to a page":       {truncate(at(4096)), damaged},
		"cut to half":         {truncate(func(n int64) int64 { return n / 2 }), damaged},
		"a page less":         {truncate(func(n int64) int64 { return n - 4096 }), damaged},
		"garbage":             {func(d string) error { return os.WriteFile(db(d), bytes.Repeat([]byte("garbage "), 9999), 0o600) }, damaged},
		"another database": {func(d string) error {
			return errors.Join(os.WriteFile(db(d), nil, 0o600), modify(d, "CREATE TABLE meta (a, b); PRAGMA user_version = 2"))
		}, damaged},
		"forged head": {func(d string) error { return modify(d, "UPDATE audit_head SET seq = 7") }, `audit log`},
	} {
		t.Run(name, func(t *testing.T) {
			h := &kmsHouse{house: &house{T: t, dir: h.dir, bin: h.bin, env: h.env}, secrets: h.secrets}
			dir := filepath.Join(t.TempDir(), "kms")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			private(t, dir)
			if err := c.damage(dir); err != nil {
				t.Fatal(err)
			}
			flag := "--kms=local:" + dir
			if name == "forged head" { // opens, for audit --verify to say it
				h.mustEnd(4, `audit log does not verify(.|\n)*hint: somebody changed the audit log`, "kms", "audit", "--verify", flag)
				h.mustEnd(3, c.message, "kms", "generate-random", "--number-of-bytes", "8", flag)
				h.mustEnd(3, c.message, "kms", "disable-key", "--key-id", key, flag)
				return
			}
			verb := verbs[name[0]%uint8(len(verbs))]
			for _, args := range [][]string{{"kms", "list-keys"}, {"kms", "serve", "--listen", "127.0.0.1:0"}, verb} {
				h.mustEnd(3, c.message, append(args[:len(args):len(args)], flag)...)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		})
	}
	h.kmsfs("kms", "encrypt", "--key-id", key, "--plaintext", "aGk=")
	h.verifyAudit()
}

// private takes all rights of others from the files of a copied store.
func private(t testing.TB, dir string) {
	t.Helper()
	err := os.Chmod(dir, 0o700)
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		err = errors.Join(err, os.Chmod(f, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// alterDigit changes the last digit of a key file to another one.
func alterDigit(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	last := &b[len(b)-2]
	if *last == '0' {
		*last = '1'
	} else {
		*last = '0'
	}
	return os.WriteFile(path, b, 0o600)
}

// TestReadOnlyStore: a store that cannot be written to cannot log, and so does
// nothing; a backup of it can be made into a store elsewhere.
func TestReadOnlyStore(t *testing.T) {
	h := newKMSHouse(t)
	disk := h.smallDisk("disk", "8m")
	flag := "--kms=local:" + disk + "/kms"
	key := h.createKeyAt(flag)
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"kms", "list-keys"}, {"kms", "encrypt", "--key-id", key, "--plaintext", "aGk="}, {"kms", "create-key"},
		{"kms", "serve", "--listen", "127.0.0.1:0"}, {"kms", "set-unlock", "--method", "key-file"},
	} {
		h.mustEnd(3, `read-only file system`, append(args, flag)...)
	}
	h.kmsfs("kms", "restore", disk+"/kms", "--kms", "local:"+h.path("copy"))
	h.kmsfs("kms", "encrypt", "--key-id", key, "--plaintext", "aGk=", "--kms", "local:"+h.path("copy"))
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	h.kmsfs("kms", "encrypt", "--key-id", key, "--plaintext", "aGk=", flag)
}

// createKeyAt makes a CMK in the store of a flag, and gives its ARN.
func (h *kmsHouse) createKeyAt(flag string) string {
	h.Helper()
	var out keyInfo
	h.json(&out, "kms", "create-key", flag)
	return out.KeyMetadata.Arn
}

// TestStoreTakenAway removes the store under a running server, puts another in its
// place, and puts it back. The server never answers a call whose effect would be
// lost, lives, and goes on where the store is its own again.
func TestStoreTakenAway(t *testing.T) {
	h, s, alice, key := servedHouse(t)
	use := params{"KeyId": key, "KeySpec": "AES_256"}
	refused := func(when, logged string) {
		t.Helper()
		for op, in := range map[string]params{"GenerateDataKey": use, "CreateKey": {}, "DescribeKey": {"KeyId": key}} {
			if a, err := alice.call(op, in); err != nil || a.status != http.StatusInternalServerError || a.code() != "KMSInternalException" {
				t.Errorf("%s: %s: %v, %v", when, op, a, err)
			}
		}
		if log := s.logged(); !strings.Contains(log, logged) {
			t.Errorf("%s: the server does not say why:\n%s", when, log)
		}
	}
	alice.get(t, "GenerateDataKey", use, nil)
	away := h.path("away")
	if err := os.Rename(h.kmsDir(), away); err != nil {
		t.Fatal(err)
	}
	refused("moved away", "removed or replaced")
	h.kmsfs("kms", "create-key")
	refused("another store", "another file is there")
	if err := errors.Join(os.RemoveAll(h.kmsDir()), os.Rename(away, h.kmsDir())); err != nil {
		t.Fatal(err)
	}
	alice.get(t, "GenerateDataKey", use, nil)
	h.verifyAudit()
	if err := os.RemoveAll(h.kmsDir()); err != nil {
		t.Fatal(err)
	}
	refused("removed", fmt.Sprint("stat ", h.kmsDir()))
	if resp, err := http.Get(s.url() + "/ping"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the server is gone: %v", err)
	}
	s.stop()
}
