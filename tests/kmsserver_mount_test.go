package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// keyInfo is the part of KeyMetadata that tests look at.
type keyInfo struct {
	KeyMetadata struct {
		KeyID       string `json:"KeyId"`
		Arn         string
		KeyState    string
		Description string
	}
}

// servedHouse is a house with a server on its key store, alice who may do
// everything, and her key alias/x. Its cipher directory c is not made yet.
func servedHouse(t *testing.T) (h *kmsHouse, s *kmsServer, alice *caller, key string) {
	t.Helper()
	h = newKMSHouse(t)
	key = h.createKey()
	h.kmsfs("kms", "create-alias", "--alias-name", "alias/x", "--target-key-id", key)
	alice = h.user("alice", allowAll)
	s = h.serve("server", h.kmsDir())
	h.use(alice)
	return h, s, alice.at(s), key
}

// TestMountOverHTTP is the life of a cipher directory whose KMS is a server:
// from init over a rotation to a further mount, with every verb that needs keys.
func TestMountOverHTTP(t *testing.T) {
	h, s, alice, key := servedHouse(t)
	h.kmsfs("init", "--kms", s.uri(), "--key", "alias/x", "c")
	h.mount("--files-per-data-key", "5", "--log", "mount.log")
	all := h.grow(30)
	h.check(all)

	before := h.status()
	if before.KeyID != key || before.files(key) != len(all) || len(before.Keys) != 1 || !before.Keys[0].Current {
		t.Errorf("status before the rotation: %+v", before)
	}
	bodies := h.bodies()
	alice.get(t, "RotateKeyOnDemand", params{"KeyId": key}, nil)
	old := h.status()
	if n := old.files(key); n != len(all) || len(old.Keys) != 1 || old.Keys[0].Current {
		t.Errorf("status after the rotation: %+v", old)
	}
	h.kmsfs("rewrap", "c")
	now := h.status()
	if len(now.Keys) != 1 || !now.Keys[0].Current || now.Keys[0].Material == before.Keys[0].Material || now.files(key) != len(all) {
		t.Errorf("status after the rewrap: %+v", now)
	}
	h.sameBodies(bodies)
	h.kmsfs("lock", "m")
	h.check(all)
	h.write("late", []byte("written after the rotation"))
	h.umount()

	h.kmsfs("fsck", "c")
	if got := h.kmsfs("cat", "c", "late"); got != "written after the rotation" {
		t.Errorf("cat: %q", got)
	}
	h.eachCipherFile(func(path string, _ []byte) {
		if strings.HasSuffix(path, "+dir") {
			return
		}
		var header struct {
			Recipients []struct {
				Provider, KeyID, Material string
			}
		}
		out := h.kmsfs("inspect", "--json", path)
		if err := json.Unmarshal([]byte(out), &header); err != nil || !strings.Contains(out, key) || !strings.Contains(out, `"aws"`) {
			t.Errorf("inspect: %v in %s", err, out)
		}
	})
	h.mount()
	h.check(all)
	h.umount()

	// Who asked, for what, with which access key.
	var opened int
	for line := range strings.Lines(h.kmsfs("kms", "audit", "--json", "--operation", "Decrypt")) {
		var e auditEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if e.UserIdentity.AccessKeyID != alice.id || !strings.HasSuffix(e.UserIdentity.ARN, ":user/alice") ||
			e.SourceIPAddress != "127.0.0.1" || len(e.RequestParameters.EncryptionContext) == 0 || e.RequestID == "" {
			t.Errorf("a record of Decrypt: %s", line)
		}
		opened++
	}
	if opened == 0 {
		t.Error("no record of Decrypt")
	}
	h.verifyAudit()
	s.stop()
}

// auditEvent is the part of an audit record that tests look at.
type auditEvent struct {
	EventName       string
	ErrorCode       string
	RequestID       string
	SourceIPAddress string
	UserIdentity    struct {
		ARN         string `json:"arn"`
		AccessKeyID string `json:"accessKeyId"`
	}
	RequestParameters struct {
		EncryptionContext map[string]string `json:"encryptionContext"`
	}
}

// patience is how long the outside world may take: a retried call, a mount that
// finds its KMS again, on a machine that is busy with other tests.
const patience = 30 * time.Second

// TestServerKilledUnderMount: files whose data keys are in memory go on being read
// and written while the KMS is away, others fail with EAGAIN before long, and when
// it is back everything is.
func TestServerKilledUnderMount(t *testing.T) {
	h, s, _, _ := servedHouse(t)
	h.kmsfs("init", "--kms", s.uri(), "--key", "alias/x", "c")
	h.mount("--files-per-data-key", "1")
	all := tree{"warm": pattern("warm", 3<<20), "cold": pattern("cold", 5000), "sub/cold": pattern("sub", 100)}
	for _, name := range sortedKeys(all) {
		h.write(name, all[name])
	}
	h.umount()

	h.mount("--files-per-data-key", "1", "--log", "mount.log")
	pid := h.status().Mount.PID
	warm, err := os.OpenFile(h.path("m", "warm"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer warm.Close()
	if _, err := warm.ReadAt(make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	s.kill()

	// From the disk, by the key in memory: only its first page had been read.
	h.check(tree{"warm": all["warm"]})
	for i := range 3 {
		copy(all["warm"][i<<20:], "changed while the KMS was away")
		if _, err := warm.WriteAt(all["warm"][i<<20:i<<20+30], int64(i)<<20); err != nil {
			t.Errorf("write while the KMS is away: %v", err)
		}
	}
	if err := warm.Sync(); err != nil {
		t.Errorf("sync while the KMS is away: %v", err)
	}
	if _, err := os.ReadDir(h.path("m")); err != nil {
		t.Errorf("list while the KMS is away: %v", err)
	}
	for _, name := range []string{"cold", "sub/cold", "cold"} {
		start := time.Now()
		_, err := os.ReadFile(h.path("m", name))
		if took := time.Since(start); !errors.Is(err, unix.EAGAIN) || took > patience/2 {
			t.Errorf("%s while the KMS is away: %v after %v, want EAGAIN", name, err, took)
		}
	}
	h.eventually("EAGAIN for new files", func() error { // once the key for new files is used up
		if err := h.create("new"); !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("a new file while the KMS is away: %w", err)
		}
		return nil
	})
	// Programs in Go poll after EAGAIN.
	if err := os.WriteFile(h.path("m", "new"), []byte("x"), 0o644); !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("a new file with O_NONBLOCK while the KMS is away: %v, want ETIMEDOUT", err)
	}
	if out, errs, code := h.try("cat", "c", "cold"); code != 3 || out != "" || !strings.Contains(errs, "connection refused") || !strings.Contains(errs, "hint: is the endpoint right") {
		t.Errorf("cat while the KMS is away: exit code %d\n%s%s", code, out, errs)
	}

	s.start()
	h.eventually("read again", func() error {
		_, err := os.ReadFile(h.path("m", "cold"))
		return err
	})
	h.check(all)
	h.write("new", []byte("after the outage"))
	if now := h.status().Mount.PID; now != pid {
		t.Errorf("another mount: process %d, was %d", now, pid)
	}
	warm.Close()
	h.umount()
	h.kmsfs("fsck", "c")
	h.verifyAudit()
	if log := h.mountLog(); !strings.Contains(log, "the KMS did not answer") || !strings.Contains(log, "hint=") {
		t.Errorf("the log of the mount does not tell:\n%s", log)
	}
}

// create writes a file of one byte as a program in C does, without O_NONBLOCK.
func (h *kmsHouse) create(name string) error {
	fd, err := unix.Open(h.path("m", name), unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("x"))
	return errors.Join(err, unix.Close(fd))
}

// eventually repeats f until it succeeds.
func (h *kmsHouse) eventually(what string, f func() error) {
	h.Helper()
	start := time.Now()
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Since(start) > patience {
			h.Fatalf("%s: %v after %v", what, err, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (h *kmsHouse) mountLog() string {
	h.Helper()
	b, err := os.ReadFile(h.path("mount.log"))
	if err != nil {
		h.Error(err)
	}
	return string(b)
}

// TestRevokedUnderMount: a disabled key and a deleted access key end the access
// of a mount within the key's TTL, files that are open included; enabling the key
// and another access key in the AWS configuration bring it back.
func TestRevokedUnderMount(t *testing.T) {
	const ttl = 500 * time.Millisecond
	h, s, alice, key := servedHouse(t)
	h.kmsfs("init", "--kms", s.uri(), "--key", "alias/x", "c")
	h.mount("--key-ttl", ttl.String(), "--log", "mount.log")
	h.write("file", []byte("content"))
	open, err := os.Open(h.path("m", "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	read := func() error {
		b, err := os.ReadFile(h.path("m", "file"))
		if err == nil && !bytes.Equal(b, []byte("content")) {
			t.Errorf("read %q", b)
		}
		return err
	}
	// ends waits for the end of access, and looks for what the log must say of it.
	ends := func(why, logged string) {
		t.Helper()
		start := time.Now()
		h.eventually(why, func() error {
			switch err := read(); {
			case errors.Is(err, unix.EACCES):
				return nil
			case err != nil:
				t.Fatalf("%s: %v, want EACCES", why, err)
			}
			return errors.New("still readable")
		})
		// Later than that only if the machine is that slow.
		if took := time.Since(start); took > ttl+10*time.Second {
			t.Errorf("%s: readable for %v, the TTL is %v", why, took, ttl)
		}
		if _, err := open.ReadAt(make([]byte, 1), 0); !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: an open file: %v, want EACCES", why, err)
		}
		if err := os.WriteFile(h.path("m", "another"), []byte("x"), 0o644); !errors.Is(err, unix.EACCES) {
			t.Errorf("%s: a new file: %v, want EACCES", why, err)
		}
		h.eventually(why+": log", func() error {
			if log := h.mountLog(); !strings.Contains(log, "the KMS refused a key") || !strings.Contains(log, logged) {
				return errors.New(log)
			}
			return nil
		})
	}
	alice.get(t, "DisableKey", params{"KeyId": key}, nil)
	ends("disabled", key+": key is disabled (DisabledException: "+key+" is disabled.)")
	alice.get(t, "EnableKey", params{"KeyId": key}, nil)
	h.eventually("enabled", read)

	second := h.accessKey("alice")
	h.kmsfs("kms", "delete-access-key", "--user-name", "alice", "--access-key-id", alice.id)
	ends("access key deleted", "the credentials are not accepted: The security token included in the request is invalid.")
	if out := h.kmsfs("kms", "audit", "--errors", "--principal", alice.id); !strings.Contains(out, "UnrecognizedClientException") {
		t.Errorf("the audit log does not tell of the deleted access key:\n%s", out)
	}
	h.use(second)
	h.eventually("another access key", read)
	open.Close()
	h.umount()
	h.verifyAudit()
}
