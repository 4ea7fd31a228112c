package localkms

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"kmsfs/kmsclient"
)

// unpack makes a directory of an archive of a store and gives it.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir := t.TempDir()
	f, err := os.Open(archive)
	ok(t, err)
	defer f.Close()
	ok(t, os.Mkdir(filepath.Join(dir, "kms"), 0o700))
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "kms")
		}
		ok(t, err)
		b, err := io.ReadAll(r)
		ok(t, err)
		ok(t, os.WriteFile(filepath.Join(dir, h.Name), b, 0o600))
	}
}

// A store of version 1 opens for ever: its keys are what they were, its
// ciphertexts open, its log verifies and goes on.
func TestStoreVersion1(t *testing.T) {
	var was struct {
		Rotated, Disabled, Pending string
		Materials                  []string
		Records                    uint64
		Blobs                      []struct {
			Key, Plaintext string
			Context        kmsclient.EncryptionContext
			Blob           []byte
		}
	}
	text, err := os.ReadFile("testdata/stores/v1.json")
	ok(t, err)
	ok(t, json.Unmarshal(text, &was))
	now := newClock()
	now.now = now.now.AddDate(0, 10, 15) // before the pending key's date, 2026-11-30
	dir := unpack(t, "testdata/stores/v1.tar")
	for range 2 { // converted, and then as it is
		s := openStore(t, dir, Options{Now: now.Now})
		c := s.Client()
		n, err := s.VerifyAudit(bg)
		ok(t, err)
		if n < was.Records {
			t.Errorf("%d audit records, were %d", n, was.Records)
		}
		first := true
		for r, err := range s.AuditEvents(bg, AuditFilter{}) {
			ok(t, err)
			if first && (r.Event.EventName != "CreateKey" || r.Event.UserIdentity.ARN == "" || r.Event.EventVersion != "1.11") {
				t.Errorf("first record: %+v", r.Event)
			}
			first = false
		}
		for _, b := range was.Blobs {
			got, w, err := c.Decrypt(bg, b.Blob, b.Context)
			if b.Key == was.Disabled {
				refused(t, err, "DisabledException", "arn:aws:kms:us-east-1:000000000000:key/"+b.Key+" is disabled.")
				continue
			}
			ok(t, err)
			if string(got) != b.Plaintext || w.KeyID[len(w.KeyID)-36:] != b.Key {
				t.Errorf("%s opens to %q under %s", b.Key, got, w.KeyID)
			}
		}
		out, err := c.ListKeyRotations(bg, ListKeyRotationsInput{KeyID: was.Rotated, IncludeKeyMaterial: "ALL_KEY_MATERIAL"})
		ok(t, err)
		for i, r := range out.Rotations {
			if r.KeyMaterialID != was.Materials[i] || (r.RotationDate == nil) != (i == 0) {
				t.Errorf("material %d is %+v, was %s", i, r, was.Materials[i])
			}
		}
		for alias, id := range map[string]string{"alias/first": was.Rotated, "alias/going": was.Pending} {
			info, err := c.DescribeKey(bg, alias)
			ok(t, err)
			if info.KeyID != "arn:aws:kms:us-east-1:000000000000:key/"+id {
				t.Errorf("%s is %s", alias, info.KeyID)
			}
		}
		if info, err := c.DescribeKey(bg, was.Pending); err != nil || info.State != kmsclient.StatePendingDeletion {
			t.Errorf("pending key: %+v, %v", info, err)
		}
		ok(t, s.Close())
	}
	now.now = now.now.AddDate(0, 2, 0)
	s := openStore(t, dir, Options{Now: now.Now})
	if _, err := s.Client().DescribeKey(bg, was.Pending); !errors.Is(err, kmsclient.ErrNotFound) {
		t.Errorf("a key that was due in version 1: %v", err)
	}
}
