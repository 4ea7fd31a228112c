//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestJavaScriptEncryptionSDK runs js/keyring.mjs.
func TestJavaScriptEncryptionSDK(t *testing.T) {
	t.Parallel()
	s := start(t)
	program, err := os.ReadFile("js/keyring.mjs")
	if err != nil {
		t.Fatal(err)
	}
	s.file("keyring.mjs", string(program))
	modules, err := filepath.Abs(filepath.Join(tools, "js", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(s.dir, "node_modules")); err != nil { // import looks there
		t.Fatal(err)
	}
	out, err := s.client(s.alice, "node", "keyring.mjs").CombinedOutput()
	if want := strings.Count(string(program), "\n  async '"); err != nil || strings.Count(string(out), "\n") != want || want == 0 {
		t.Errorf("want %d tests: %v\n%s", want, err, out)
	}
	// The context that the SDK adds is in the audit log, like the rest of it.
	if log := s.kmsfs("audit", "--operation", "Decrypt"); !strings.Contains(log, "aws-crypto-public-key=") {
		t.Errorf("the audit log has no aws-crypto-public-key:\n%s", log)
	}
}
