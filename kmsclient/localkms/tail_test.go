package localkms

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kmsfs/kmsclient/localkms/unlock"
)

// A process that works on the locked store stops none that has the root key: what
// it appends to the log is sealed at the other's next call, and that is recorded.
func TestLockedBesideUnlocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms")
	secrets := unlock.Secrets{Passphrase: passphrase("p")}
	s := openStore(t, dir, Options{Create: true, Method: cheap("p"), Secrets: secrets})
	key := newKey(t, s.Client())
	locked := openStore(t, dir, Options{AllowLocked: true})
	for range 2 {
		ok(t, only(locked.Client().ListKeys(bg, ListKeysInput{})))
		ok(t, only(locked.Client().ListAliases(bg, ListAliasesInput{})))
		ok(t, only(s.Client().Encrypt(bg, key, []byte("x"), nil)))
	}
	ok(t, only(locked.Client().ListKeys(bg, ListKeysInput{})))
	records, err := s.VerifyAudit(bg)
	ok(t, err)
	var names []string
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		name := r.Event.EventName
		if name == "SealAuditLog" {
			name += string(r.Event.RequestParameters)
		}
		names = append(names, name)
	}
	want := `CreateKey ListKeys ListAliases SealAuditLog{"writtenWhileLocked":{"first":2,"last":3}} Encrypt` +
		` ListKeys ListAliases SealAuditLog{"writtenWhileLocked":{"first":6,"last":7}} Encrypt` +
		` ListKeys SealAuditLog{"writtenWhileLocked":{"first":10,"last":10}}`
	if got := strings.Join(names, " "); got != want || records != uint64(len(names)) {
		t.Errorf("%d records verify: %s\nwant %s", records, got, want)
	}
}

// A tail that does not go on from the sealed head stops the process that has the
// root key too, and VerifyAudit says so.
func TestForgedTailBesideUnlocked(t *testing.T) {
	s := newStore(t, Options{})
	newKey(t, s.Client())
	_, err := s.db.Exec("INSERT INTO audit_tail VALUES (1, 9, zeroblob(32))")
	ok(t, err)
	if _, err := s.Client().ListKeys(bg, ListKeysInput{}); err == nil || !strings.Contains(err.Error(), errHead.Error()) {
		t.Errorf("ListKeys: %v", err)
	}
	if _, err := s.VerifyAudit(bg); !errors.Is(err, ErrAuditBroken) {
		t.Errorf("VerifyAudit: %v", err)
	}
}

// Without its root key no store is made: the database would belong to none.
func TestLockedCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms")
	secrets := unlock.Secrets{Passphrase: passphrase("p")}
	s := openStore(t, dir, Options{Create: true, Method: cheap("p"), Secrets: secrets})
	ok(t, s.Close())
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, dbName+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, Options{Create: true, AllowLocked: true}); !errors.Is(err, unlock.ErrNoSecret) {
		t.Errorf("created while locked: %v", err)
	}
	s = openStore(t, dir, Options{Create: true, Secrets: secrets})
	newKey(t, s.Client())
}
