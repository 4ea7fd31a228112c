package tests

import (
	"fmt"
	"os"
	"testing"
)

// TestKMSCalls: 10,000 files created in a row cost at most 11 KMS calls, and
// status tells how many it were.
func TestKMSCalls(t *testing.T) {
	h := newHouse(t)
	h.kmsfs("init", "c")
	h.mount()
	m := h.path("m")
	for i := range 10000 {
		if err := os.WriteFile(fmt.Sprintf("%s/f%05d", m, i), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var s keyStatus
	h.json(&s, "status", "--json", "m")
	if s.Mount == nil || s.Mount.KMSCallsTotal > 11 || s.Mount.KMSCallsTotal < 2 {
		t.Errorf("status: %+v, want at most 11 KMS calls", s.Mount)
	}
	if s.FilesScanned != 10000 || s.files(s.KeyID) != 10000 {
		t.Errorf("status counts %d files, %d of them under the key", s.FilesScanned, s.files(s.KeyID))
	}
	h.umount()
}
