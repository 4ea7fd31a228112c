package localkms

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/unlock"
)

// A whole store replaced by an older copy of itself verifies, but not against a
// checkpoint kept elsewhere.
func TestCheckpointFindsRollback(t *testing.T) {
	s := newStore(t, Options{})
	newKey(t, s.Client())
	backup := filepath.Join(t.TempDir(), "old")
	ok(t, s.Backup(bg, backup, false))
	key := newKey(t, s.Client())
	kept, err := s.Checkpoint(bg)
	ok(t, err)
	_, err = s.Client().Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	_, err = s.VerifyAudit(bg, kept)
	ok(t, err)

	old := openStore(t, backup, Options{})
	_, err = old.VerifyAudit(bg)
	ok(t, err)
	newKey(t, old.Client()) // as long as the original was, with another past
	newKey(t, old.Client())
	if _, err = old.VerifyAudit(bg, kept); !errors.Is(err, ErrAuditBroken) {
		t.Errorf("rolled back and gone on: %v", err)
	}
	late := kept
	late.Seq += 1000
	for name, c := range map[string]Checkpoint{
		"another number": late, "another store": {Store: strings.Repeat("0", 32), Seq: 1, Hash: kept.Hash}, "nonsense": {Hash: "x"},
		"another time": {kept.Store, kept.Seq, kept.Time.Add(time.Second), kept.Hash, kept.Signature, kept.PublicKey},
	} {
		if _, err := s.VerifyAudit(bg, c); !errors.Is(err, ErrAuditBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	again := Checkpoint{}
	text, err := json.Marshal(kept)
	ok(t, err)
	ok(t, json.Unmarshal(text, &again))
	_, err = s.VerifyAudit(bg, again)
	ok(t, err)
}

// The log signs itself as it grows, and a forged signature is found.
func TestCheckpointsOfTheLog(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	for range checkpointEvery + 1 {
		_, err := c.GenerateRandom(bg, GenerateRandomInput{NumberOfBytes: new(1)})
		ok(t, err)
	}
	var n int
	ok(t, s.db.QueryRow("SELECT count(*) FROM audit_checkpoint").Scan(&n))
	if n != 1 {
		t.Errorf("%d checkpoints after %d records", n, checkpointEvery+1)
	}
	_, err := s.VerifyAudit(bg)
	ok(t, err)
	_, err = s.db.Exec("UPDATE audit_checkpoint SET signature = zeroblob(64)")
	ok(t, err)
	if _, err := s.VerifyAudit(bg); !errors.Is(err, ErrAuditBroken) {
		t.Errorf("forged checkpoint: %v", err)
	}
}

func passphrase(p string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(p), nil }
}

// cheap is a passphrase at the least cost that the format allows.
func cheap(p string) unlock.Passphrase {
	return unlock.Passphrase{Ask: passphrase(p), Cost: unlock.Cost{Time: 3, Memory: 64 << 10, Threads: 1}}
}

// Without its passphrase a store can be seen and managed, not used; what is done
// then is in the log, which says that it could not be sealed at the time.
func TestLockedStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms")
	secrets := unlock.Secrets{Passphrase: passphrase("correct horse")}
	s := openStore(t, dir, Options{Create: true, Method: cheap("correct horse"), Secrets: secrets})
	key := newKey(t, s.Client())
	w, err := s.Client().Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	ok(t, s.Close())

	if _, err := Open(dir, Options{}); !errors.Is(err, unlock.ErrNoSecret) {
		t.Errorf("no passphrase: %v", err)
	}
	if _, err := Open(dir, Options{AllowLocked: true, Secrets: unlock.Secrets{Passphrase: passphrase("wrong")}}); !errors.Is(err, unlock.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	s = openStore(t, dir, Options{AllowLocked: true})
	c := s.Client()
	info, err := c.DescribeKey(bg, key)
	ok(t, err)
	if !s.Locked() || info.State != kmsclient.StateUnavailable {
		t.Errorf("a key of a locked store is %s", info.State)
	}
	_, _, err = c.Decrypt(bg, w.Blob, nil)
	refused(t, err, "KMSInvalidStateException", key+" is unavailable.")
	_, err = c.Encrypt(bg, key, []byte("x"), nil)
	refused(t, err, "KMSInvalidStateException", key+" is unavailable.")
	_, err = c.CreateKey(bg, CreateKeyInput{})
	if !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Errorf("CreateKey in a locked store: %v", err)
	}
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/locked", TargetKeyID: key})))
	ok(t, only(c.UpdateKeyDescription(bg, UpdateKeyDescriptionInput{KeyID: key, Description: "seen"})))
	if _, err := s.VerifyAudit(bg); err == nil {
		t.Error("a locked store verifies")
	}
	ok(t, s.Close())

	s = openStore(t, dir, Options{Secrets: secrets})
	_, err = s.VerifyAudit(bg)
	ok(t, err)
	got, _, err := s.Client().Decrypt(bg, w.Blob, nil)
	ok(t, err)
	if string(got) != "x" {
		t.Errorf("opens to %q", got)
	}
	var names []string
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		names = append(names, r.Event.EventName)
		if r.Event.EventName == "SealAuditLog" && string(r.Event.RequestParameters) != `{"writtenWhileLocked":{"first":3,"last":8}}` {
			t.Errorf("SealAuditLog: %s", r.Event.RequestParameters)
		}
	}
	want := "CreateKey Encrypt DescribeKey Decrypt Encrypt CreateKey CreateAlias UpdateKeyDescription SealAuditLog Decrypt"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("log: %s\nwant %s", got, want)
	}
}

// What was appended while the store was locked cannot be edited afterwards.
func TestTailIsChecked(t *testing.T) {
	for name, sql := range map[string]string{
		"edited": "UPDATE audit SET record = replace(record, 'ListKeys', 'ListKey_') WHERE seq = 2",
		"cut":    "DELETE FROM audit WHERE seq = 3",
	} {
		dir := filepath.Join(t.TempDir(), "kms")
		secrets := unlock.Secrets{Passphrase: passphrase("p")}
		s := openStore(t, dir, Options{Create: true, Method: cheap("p"), Secrets: secrets})
		newKey(t, s.Client())
		ok(t, s.Close())
		s = openStore(t, dir, Options{AllowLocked: true})
		for range 2 {
			_, err := s.Client().ListKeys(bg, ListKeysInput{})
			ok(t, err)
		}
		_, err := s.db.Exec(sql)
		ok(t, err)
		ok(t, s.Close())
		s = openStore(t, dir, Options{Secrets: secrets})
		if _, err := s.Client().ListKeys(bg, ListKeysInput{}); err == nil {
			t.Errorf("%s: the store goes on", name)
		}
	}
}

func TestChangeUnlock(t *testing.T) {
	s := newStore(t, Options{})
	key := newKey(t, s.Client())
	dir := s.Dir()
	ok(t, s.ChangeUnlock(bg, cheap("first")))
	_, err := s.Client().Encrypt(bg, key, []byte("x"), nil) // goes on as before
	ok(t, err)
	ok(t, s.Close())
	if _, err := Open(dir, Options{}); !errors.Is(err, unlock.ErrNoSecret) {
		t.Errorf("after the change: %v", err)
	}
	other := newStore(t, Options{})
	otherKey := newKey(t, other.Client())
	s = openStore(t, dir, Options{Secrets: unlock.Secrets{Passphrase: passphrase("first")}})
	viaKMS := openKMSOf(other)
	ok(t, s.ChangeUnlock(bg, unlock.KMS{URI: "local:other", Key: otherKey, Open: viaKMS}))
	ok(t, s.Close())
	s = openStore(t, dir, Options{Secrets: unlock.Secrets{KMS: viaKMS}})
	ok(t, s.Close())
	ok(t, only(other.Client().DisableKey(bg, DisableKeyInput{KeyID: otherKey})))
	if _, err := Open(dir, Options{Secrets: unlock.Secrets{KMS: viaKMS}}); !errors.Is(err, kmsclient.ErrDisabled) {
		t.Errorf("the other KMS refuses: %v", err)
	}
	s = openStore(t, dir, Options{AllowLocked: true, Secrets: unlock.Secrets{KMS: viaKMS}})
	if !s.Locked() {
		t.Error("unlocked by a disabled key")
	}
}

// openKMSOf opens a store as the KMS that a root key is wrapped by.
func openKMSOf(s *Store) func(context.Context, string) (kmsclient.KMS, error) {
	return func(context.Context, string) (kmsclient.KMS, error) { return s.Client(), nil }
}

func TestBackupAndRestore(t *testing.T) {
	s := newStore(t, Options{})
	key := newKey(t, s.Client())
	w, err := s.Client().Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	stop := make(chan struct{})
	busy := make(chan error, 1)
	go func() { // in use meanwhile
		for {
			select {
			case <-stop:
				busy <- nil
				return
			default:
			}
			if _, err := s.Client().Encrypt(bg, key, []byte("y"), nil); err != nil {
				busy <- err
				return
			}
		}
	}()
	top := t.TempDir()
	backup := filepath.Join(top, "backup")
	ok(t, s.Backup(bg, backup, true))
	close(stop)
	ok(t, <-busy)
	if err := s.Backup(bg, backup, true); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a backup: %v", err)
	}
	rootKey := filepath.Join(s.Dir(), rootName)
	restored := filepath.Join(top, "restored")
	if err := Restore(bg, backup, "", restored, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a root key: %v", err)
	}
	ok(t, Restore(bg, backup, rootKey, restored, Options{}))
	if err := Restore(bg, backup, rootKey, restored, Options{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("over a store: %v", err)
	}
	r := openStore(t, restored, Options{})
	got, _, err := r.Client().Decrypt(bg, w.Blob, nil)
	ok(t, err)
	if string(got) != "x" {
		t.Errorf("opens to %q", got)
	}
	_, err = r.VerifyAudit(bg)
	ok(t, err)

	path := filepath.Join(backup, dbName)
	b, err := os.ReadFile(path)
	ok(t, err)
	ok(t, os.WriteFile(path, b[:len(b)/2], 0o600))
	half := filepath.Join(top, "half")
	if err := Restore(bg, backup, rootKey, half, Options{}); err == nil {
		t.Error("half a backup was restored")
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is left of it: %v", err)
	}
}
