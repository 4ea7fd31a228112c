package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackupOfBusyStore backs a store up while workers use it through a server.
// Each backup is a whole store: it restores, its log verifies and goes as far as
// what was answered before, and its keys open what they sealed.
func TestBackupOfBusyStore(t *testing.T) {
	seed, _ := seeded(*killSeed)
	t.Logf("-kms-seed %d", seed)
	h := newKMSHouse(t)
	key := h.createKey()
	keys := h.accessKeys("alice")
	s := h.serve("server", h.kmsDir())
	f := newFleet(t, h.kmsDir())
	f.recruit(seed, 4, keys, s)
	f.start()
	alice := keys[0].at(s)
	for i := range 2 {
		var before sealed
		label := fmt.Sprintf("before backup %d", i)
		alice.get(t, "GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_256"}, &before)
		h.secret("data key "+label, string(before.Plaintext))
		alice.get(t, "UpdateKeyDescription", params{"KeyId": key, "Description": label}, nil)

		backup, restored := h.path(fmt.Sprint("backup", i)), h.path(fmt.Sprint("restored", i))
		h.mustEnd(0, "", "kms", "backup", backup)
		checkModes(t, backup, "kms.db", "root.key")
		flag := "--kms=local:" + restored
		h.mustEnd(0, "", "kms", "restore", backup, flag)
		checkModes(t, restored, "kms.db", "root.key", "lock")
		h.verifyAudit(flag)
		var info keyInfo
		h.decoded(&info, "kms", "describe-key", "--key-id", key, flag)
		if info.KeyMetadata.Description != label {
			t.Errorf("the backup has description %q, want %q", info.KeyMetadata.Description, label)
		}
		blob := h.path("blob")
		if err := os.WriteFile(blob, before.CiphertextBlob, 0o600); err != nil {
			t.Fatal(err)
		}
		var out sealed
		h.json(&out, "kms", "decrypt", "--ciphertext-blob", "fileb://"+blob, flag)
		if string(out.Plaintext) != string(before.Plaintext) {
			t.Error("a ciphertext opens to something else in the restored store")
		}
	}
	f.end()
	if !t.Failed() {
		f.checkAudit()
		f.openAll()
	}
	s.stop()
	h.verifyAudit()

	// Nothing is overwritten.
	h.mustEnd(1, "file exists", "kms", "backup", h.path("backup0"))
	h.mustEnd(1, "file exists", "kms", "restore", h.path("backup0"))
	h.mustEnd(0, "", "kms", "audit", "--verify")
}

// checkModes wants files of a store to be for their owner alone, and no others.
func checkModes(t testing.TB, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, e := range entries {
		found[e.Name()] = true
		if fi, err := e.Info(); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s/%s has mode %v", dir, e.Name(), fi.Mode())
		}
	}
	for _, name := range names {
		if !found[name] {
			t.Errorf("%s has no %s", dir, name)
		}
		delete(found, name)
	}
	if len(found) > 0 {
		t.Errorf("%s has also %v", dir, sortedKeys(found))
	}
}

// TestTamperedBackup: a backup in which anything was changed that is sealed or
// logged is not restored, and leaves nothing behind.
func TestTamperedBackup(t *testing.T) {
	h := newKMSHouse(t)
	key := h.createKey()
	h.kmsfs("kms", "rotate-key-on-demand", "--key-id", key)
	h.kmsfs("kms", "disable-key", "--key-id", key)
	h.user("alice", allowAll)
	other := h.path("other")
	h.kmsfs("kms", "create-key", "--kms", "local:"+other)
	good := h.path("backup")
	h.mustEnd(0, "", "kms", "backup", good)
	h.mustEnd(0, "", "kms", "backup", h.path("apart"), "--without-root-key")
	checkModes(t, h.path("apart"), "kms.db")
	sql := func(statement string) func(string) error {
		return func(dir string) error { return modify(dir, statement) }
	}
	const broken = `audit log does not verify(.|\n)*hint: somebody changed the audit log`
	const damaged = `store is damaged(.|\n)*hint: restore the key store from its backup`
	for name, c := range map[string]struct {
		tamper  func(dir string) error
		code    int
		message string
	}{
		"record":      {sql(`UPDATE audit SET record = replace(record, 'DisableKey', 'EnableKey') WHERE record LIKE '%DisableKey%'`), 4, broken},
		"record gone": {sql(`DELETE FROM audit WHERE seq = 2`), 4, broken},
		"record more": {sql(`INSERT INTO audit SELECT seq + 1, cmk, source, record, hash FROM audit ORDER BY seq DESC LIMIT 1`), 4, broken},
		"tail cut":    {sql(`DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)`), 4, broken},
		"no records":  {sql(`DELETE FROM audit`), 4, broken},
		"no head":     {sql(`DELETE FROM audit_head`), 4, broken},
		"old material": {sql(`UPDATE material SET sealed = zeroblob(length(sealed)) WHERE number = 1`), 3,
			`material of key .* does not open(.|\n)*hint: restore`},
		"material swapped": {sql(`UPDATE material SET sealed = (SELECT sealed FROM material WHERE number = 1)`), 3, `material of key .* does not open`},
		"secret":           {sql(`UPDATE access_key SET sealed = zeroblob(length(sealed))`), 3, `secret of access key .* does not open`},
		"secret moved":     {sql(`UPDATE access_key SET user = 'mallory'`), 3, `secret of access key .* does not open`},
		"root key":         {func(d string) error { return alterDigit(d + "/root.key") }, 3, `root key does not belong`},
		"other root key":   {func(d string) error { return copyFile(other+"/root.key", d+"/root.key") }, 3, `root key does not belong`},
		"no root key":      {func(d string) error { return os.Remove(d + "/root.key") }, 1, `root\.key: no such file`},
		"cut": {func(d string) error {
			fi, err := os.Stat(d + "/kms.db")
			return errors.Join(err, os.Truncate(d+"/kms.db", fi.Size()/2))
		}, 3, damaged},
		"open to all": {func(d string) error { return os.Chmod(d+"/kms.db", 0o644) }, 3, `readable by group or others`},
	} {
		t.Run(name, func(t *testing.T) {
			h := &kmsHouse{house: &house{T: t, dir: h.dir, bin: h.bin, env: h.env}, secrets: h.secrets}
			dir := filepath.Join(t.TempDir(), "backup")
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			private(t, dir)
			if err := c.tamper(dir); err != nil {
				t.Fatal(err)
			}
			to := filepath.Join(t.TempDir(), "restored")
			h.mustEnd(c.code, c.message, "kms", "restore", dir, "--kms", "local:"+to)
			if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a store is left behind: %v", err)
			}
		})
	}
	flag := "--kms=local:" + h.path("together")
	h.mustEnd(3, "does not belong", "kms", "restore", h.path("apart"), "--root-key", other+"/root.key", flag)
	h.mustEnd(0, "", "kms", "restore", h.path("apart"), "--root-key", good+"/root.key", flag)
	h.verifyAudit(flag)
}

// TestDamagedStoreIsNotBackedUp: SQLite copies a page whose end is lost without a
// word.
func TestDamagedStoreIsNotBackedUp(t *testing.T) {
	h := newKMSHouse(t)
	h.createKey()
	db := h.kmsDir() + "/kms.db"
	fi, err := os.Stat(db)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(db, fi.Size()-1); err != nil {
		t.Fatal(err)
	}
	h.mustEnd(3, `store is damaged`, "kms", "backup", h.path("backup"))
	if _, err := os.Stat(h.path("backup")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a backup is left behind: %v", err)
	}
}

// TestRollback: whoever replaces the whole store by an older copy of itself is
// found by a checkpoint kept elsewhere, and by nothing else.
func TestRollback(t *testing.T) {
	h := newKMSHouse(t)
	key := h.createKey()
	h.mustEnd(0, "", "kms", "backup", h.path("old"))
	h.kmsfs("kms", "disable-key", "--key-id", key)
	keep := func(name string) string {
		t.Helper()
		out, errs, code := h.run("kms", "audit", "--checkpoint")
		if err := os.WriteFile(h.path(name), []byte(out), 0o600); code != 0 || err != nil {
			t.Fatalf("checkpoint: exit code %d, %s, %v", code, errs, err)
		}
		return h.path(name)
	}
	first := keep("first")
	h.kmsfs("kms", "enable-key", "--key-id", key)
	second := keep("second")
	h.mustEnd(0, "", "kms", "audit", "--verify", "--against", first, "--against", second)

	if err := errors.Join(os.RemoveAll(h.kmsDir()), os.Rename(h.path("old"), h.kmsDir())); err != nil {
		t.Fatal(err)
	}
	h.verifyAudit() // sound, as it was then
	const missing = `records from \d+ are missing at the end; there is a checkpoint of \d+(.|\n)*hint: somebody changed`
	h.mustEnd(4, missing, "kms", "audit", "--verify", "--against", first)
	// Made longer than the checkpoint again, it is another log.
	for range 10 {
		h.kmsfs("kms", "disable-key", "--key-id", key)
	}
	h.mustEnd(4, `is not what checkpoint \d+ says`, "kms", "audit", "--verify", "--against", first+","+second)
	h.verifyAudit()

	text, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	forged := strings.Replace(string(text), `"seq": `, `"seq": 1`, 1)
	if err := os.WriteFile(h.path("forged"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	h.mustEnd(4, `signature of checkpoint`, "kms", "audit", "--verify", "--against", h.path("forged"))
	h.mustEnd(1, `is not a checkpoint`, "kms", "audit", "--verify", "--against", h.kmsDir()+"/root.key")
}
