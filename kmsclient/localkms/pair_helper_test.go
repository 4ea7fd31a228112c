package localkms

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
)

// generated gives one material per spec to all tests: RSA keys take long.
var generated = func() map[keyspec.Spec]func() ([]byte, error) {
	m := map[keyspec.Spec]func() ([]byte, error){}
	for _, s := range keyspec.Specs() {
		m[s] = sync.OnceValues(func() ([]byte, error) { return keyspec.Generate(s) })
	}
	return m
}()

// shared is a copy of the one material of a spec.
func shared(t testing.TB, spec keyspec.Spec) []byte {
	t.Helper()
	b, err := generated[spec]()
	ok(t, err)
	return slices.Clone(b)
}

// plant makes a key of the shared material and returns its ARN.
func plant(t testing.TB, c *Client, spec keyspec.Spec, usage keyspec.Usage) string {
	t.Helper()
	k := &cmk{
		region: c.region(), id: newKeyID(false), state: kmsclient.StateEnabled, spec: string(spec), usage: string(usage),
		origin: originKMS, manager: managerCustomer, policy: 1,
	}
	material := shared(t, spec)
	if spec.Asymmetric() {
		var err error
		k.public, err = keyspec.PublicKey(spec, material)
		ok(t, err)
	}
	ok(t, c.store.writer.submit(bg, func(tx *tx) error {
		k.created = tx.now.UnixMilli()
		return (&call{tx: tx, api: c.API}).insertWithMaterial(k, material)
	}))
	return c.store.keyARN(k.region, k.id)
}

// openssl runs the real one, in a directory that files are written to first, and
// returns what it prints. It fails the test if there is none.
func openssl(t testing.TB, files map[string][]byte, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		ok(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out
}

// flip returns b with one bit of its last byte changed.
func flip(b []byte) []byte {
	c := bytes.Clone(b)
	c[len(c)-1] ^= 1
	return c
}
