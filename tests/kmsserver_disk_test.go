package tests

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a tmpfs of a size at a directory of the house until the end of
// the test.
func (h *kmsHouse) smallDisk(name, size string) string {
	h.Helper()
	if os.Geteuid() != 0 {
		h.Skip("needs root, to mount a small disk")
	}
	dir := h.path(name)
	if err := errors.Join(os.Mkdir(dir, 0o700), unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700,size="+size)); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill takes up a disk to its last page.
func (h *kmsHouse) fill(path string) {
	h.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		h.Fatal(err)
	}
}

// TestFullDisk: on a full disk a server answers calls with KMSInternalException,
// because none may go without its audit record, and does nothing by halves; when
// there is room again it goes on by itself.
func TestFullDisk(t *testing.T) {
	h := newKMSHouse(t)
	disk := h.smallDisk("disk", "8m")
	dir, flag := disk+"/kms", "--kms=local:"+disk+"/kms"
	h.kmsfs("kms", "create-key", flag)
	alice := h.user("alice", allowAll, flag)
	s := h.serve("server", dir)
	seed, _ := seeded(*killSeed)
	t.Logf("-kms-seed %d", seed)
	f := newFleet(t, dir)
	f.recruit(seed, 1, []*caller{alice}, s)
	w := f.workers[0]
	if err := w.populate(); err != nil {
		t.Fatal(err)
	}
	walk := func() {
		t.Helper()
		for range 60 {
			if err := w.step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	walk()
	for round := range 3 {
		h.fill(disk + "/fill")
		// The log of the database may have room for some more.
		h.eventually("full", func() error {
			if a, err := w.callers[0].call("CreateKey", params{}); err != nil || a.status != http.StatusInternalServerError {
				return fmt.Errorf("%v, %v", a, err)
			}
			return nil
		})
		h.fill(disk + "/fill")
		refusedAll(t, w)
		if round == 0 {
			if _, errs, code := h.try("kms", "create-key", flag); code != 3 || !strings.Contains(errs, "full") {
				t.Errorf("create-key on a full disk: exit code %d, %s", code, errs)
			}
		}
		if err := os.Remove(disk + "/fill"); err != nil {
			t.Fatal(err)
		}
		if err := w.settle(); err != nil { // nothing of what failed is there
			t.Fatal(err)
		}
		walk()
	}
	newCensus(h, w.callers[0]).take()
	if err := w.openAll(); err != nil {
		t.Fatal(err)
	}
	f.checkAudit()
	if log := s.logged(); !strings.Contains(log, "call failed") || !strings.Contains(log, "database or disk is full") {
		t.Errorf("the server does not say why:\n%s", log)
	}
	s.stop()
	h.verifyAudit(flag)
}

// refusedAll tries the operations that change keys or use them, and those that
// only tell of them.
func refusedAll(t *testing.T, w *worker) {
	t.Helper()
	arn, _ := w.pick()
	key := params{"KeyId": arn}
	for op, in := range map[string]params{
		"CreateKey": {"Description": w.named()}, "CreateAlias": {"AliasName": "alias/full", "TargetKeyId": arn},
		"TagResource": {"KeyId": arn, "Tags": []params{{"TagKey": "full", "TagValue": "x"}}}, "DisableKey": key,
		"EnableKey": key, "RotateKeyOnDemand": key, "ScheduleKeyDeletion": key, "UpdateKeyDescription": {"KeyId": arn, "Description": "full"},
		"GenerateDataKey": {"KeyId": arn, "KeySpec": "AES_256"}, "Encrypt": {"KeyId": arn, "Plaintext": []byte("x")},
		"Decrypt": {"CiphertextBlob": w.texts[0].blob, "EncryptionContext": w.texts[0].context}, "GenerateRandom": {"NumberOfBytes": 8},
		"DescribeKey": key, "ListKeys": {},
	} {
		a, err := w.callers[0].call(op, in)
		if err != nil || a.status != http.StatusInternalServerError || a.code() != "KMSInternalException" || strings.Contains(string(a.body), "Plaintext") {
			t.Errorf("%s on a full disk: %v, %v", op, a, err)
		}
	}
}

// TestFullDiskUnderLoad fills the disk while many clients are at work: for each of
// them a call that failed is a call that never was.
func TestFullDiskUnderLoad(t *testing.T) {
	h := newKMSHouse(t)
	disk := h.smallDisk("disk", "16m")
	dir, flag := disk+"/kms", "--kms=local:"+disk+"/kms"
	h.kmsfs("kms", "create-key", flag)
	alice := h.user("alice", allowAll, flag)
	s := h.serve("server", dir)
	seed, rnd := seeded(*killSeed)
	t.Logf("-kms-seed %d", seed)
	f := newFleet(t, dir)
	f.recruit(seed, 4, []*caller{alice}, s)
	f.mayFail = true
	f.start()
	for range 3 {
		time.Sleep(time.Duration(100+rnd.IntN(300)) * time.Millisecond)
		h.fill(disk + "/fill")
		f.await()
		if err := os.Remove(disk + "/fill"); err != nil {
			t.Fatal(err)
		}
		f.resume()
	}
	f.end()
	if t.Failed() {
		return
	}
	f.checkAudit()
	f.openAll()
	f.checkAudit()
	newCensus(h, alice.at(s)).take()
	s.stop()
	h.verifyAudit(flag)
}
