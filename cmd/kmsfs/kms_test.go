package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

// kmsCLI runs `kmsfs kms` in process, on a store of its own.
type kmsCLI struct {
	*testing.T
	dir string
}

func newKMSCLI(t *testing.T) kmsCLI { return kmsCLI{t, filepath.Join(t.TempDir(), "kms")} }

func (c kmsCLI) try(args ...string) (string, error) {
	cmd := newKMSCommand(func() (*localkms.Client, func(), error) {
		s, err := localkms.Open(c.dir, localkms.Options{Create: true})
		if err != nil {
			return nil, nil, err
		}
		return s.Client(), func() { s.Close() }, nil
	})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(expandLists(append([]string{"kms"}, args...))[1:])
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(c.Context())
	return out.String(), err
}

func (c kmsCLI) run(args ...string) string {
	c.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.Fatalf("%v: %v", args, err)
	}
	return out
}

// field runs a verb and gives one field of the JSON it prints.
func (c kmsCLI) field(path string, args ...string) string {
	c.Helper()
	var v any
	if err := json.Unmarshal([]byte(c.run(args...)), &v); err != nil {
		c.Fatalf("%v: %v", args, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, ok := v.(string)
	if !ok {
		c.Fatalf("%v: no string at %s", args, path)
	}
	return s
}

func (c kmsCLI) file(name string, content []byte) string {
	c.Helper()
	path := filepath.Join(c.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		c.Fatal(err)
	}
	return path
}

func TestKMSCommandEncrypts(t *testing.T) {
	c := newKMSCLI(t)
	arn := c.field("KeyMetadata.Arn", "create-key", "--description", "for tests")
	if out := c.run("create-alias", "--alias-name", "alias/a", "--target-key-id", arn); out != "" {
		t.Errorf("create-alias prints %q", out)
	}
	secret := c.file("secret", []byte("a secret"))
	blob := c.field("CiphertextBlob", "encrypt", "--key-id", "alias/a", "--plaintext", "fileb://"+secret,
		"--encryption-context", "a=1,b=2")
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		t.Fatal(err)
	}
	want := base64.StdEncoding.EncodeToString([]byte("a secret"))
	for _, given := range []string{blob, "fileb://" + c.file("raw", raw), "file://" + c.file("text", []byte(blob+"\n"))} {
		got := c.field("Plaintext", "decrypt", "--ciphertext-blob", given, "--encryption-context", `{"b": "2", "a": "1"}`)
		if got != want {
			t.Errorf("decrypt gives %s, want %s", got, want)
		}
	}
	_, err = c.try("decrypt", "--ciphertext-blob", blob)
	if !errors.Is(err, kmsclient.ErrInvalidCiphertext) ||
		err.Error() != "An error occurred (InvalidCiphertextException) when calling the Decrypt operation: " {
		t.Errorf("without context: %v", err)
	}
	other := c.field("KeyMetadata.Arn", "create-key")
	moved := c.field("CiphertextBlob", "re-encrypt", "--ciphertext-blob", blob, "--destination-key-id", other,
		"--source-encryption-context", "a=1,b=2", "--destination-encryption-context", "c=3")
	if got := c.field("KeyId", "decrypt", "--ciphertext-blob", moved, "--encryption-context", "c=3"); got != other {
		t.Errorf("moved to %s, want %s", got, other)
	}
	if out := c.run("disable-key", "--key-id", arn); out != "" {
		t.Errorf("disable-key prints %q", out)
	}
	_, err = c.try("decrypt", "--ciphertext-blob", blob, "--encryption-context", "a=1,b=2")
	if !errors.Is(err, kmsclient.ErrDisabled) ||
		err.Error() != "An error occurred (DisabledException) when calling the Decrypt operation: "+arn+" is disabled." {
		t.Errorf("disabled: %v", err)
	}
}

// Every verb prints JSON with exactly AWS's fields, or nothing where AWS does.
func TestKMSCommandFields(t *testing.T) {
	c := newKMSCLI(t)
	arn := c.field("KeyMetadata.Arn", "create-key")
	for _, test := range []struct {
		args []string
		want string // sorted fields; "" for no output
	}{
		{[]string{"describe-key", "--key-id", arn}, "KeyMetadata"},
		{[]string{"list-keys"}, "Keys"},
		{[]string{"list-keys", "--limit", "1"}, "Keys Truncated"},
		{[]string{"create-alias", "--alias-name", "alias/x", "--target-key-id", arn}, ""},
		{[]string{"update-alias", "--alias-name", "alias/x", "--target-key-id", arn}, ""},
		{[]string{"list-aliases"}, "Aliases"},
		{[]string{"list-aliases", "--key-id", arn}, "Aliases"},
		{[]string{"delete-alias", "--alias-name", "alias/x"}, ""},
		{[]string{"encrypt", "--key-id", arn, "--plaintext", "eA=="}, "CiphertextBlob EncryptionAlgorithm KeyId"},
		{[]string{"generate-data-key", "--key-id", arn, "--key-spec", "AES_256"}, "CiphertextBlob KeyId KeyMaterialId Plaintext"},
		{[]string{"generate-data-key-without-plaintext", "--key-id", arn, "--number-of-bytes", "64"}, "CiphertextBlob KeyId KeyMaterialId"},
		{[]string{"generate-random", "--number-of-bytes", "8"}, "Plaintext"},
		{[]string{"rotate-key-on-demand", "--key-id", arn}, "KeyId"},
		{[]string{"list-key-rotations", "--key-id", arn}, "Rotations"},
		{[]string{"get-key-rotation-status", "--key-id", arn}, "KeyId KeyRotationEnabled"},
		{[]string{"update-key-description", "--key-id", arn, "--description", ""}, ""},
		{[]string{"disable-key", "--key-id", arn}, ""},
		{[]string{"enable-key", "--key-id", arn}, ""},
		{[]string{"schedule-key-deletion", "--key-id", arn, "--pending-window-in-days", "7"}, "DeletionDate KeyId KeyState PendingWindowInDays"},
		{[]string{"cancel-key-deletion", "--key-id", arn}, "KeyId"},
		{[]string{"audit", "--verify", "--json"}, "Records Verified"},
	} {
		out := c.run(test.args...)
		if test.want == "" {
			if out != "" {
				t.Errorf("%v prints %q", test.args, out)
			}
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(out), &fields); err != nil || !strings.HasPrefix(out, "{\n    \"") {
			t.Errorf("%v: %v in %q", test.args, err, out)
		}
		if got := strings.Join(sorted(fields), " "); got != test.want {
			t.Errorf("%v prints %s, want %s", test.args, got, test.want)
		}
	}
}

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

func TestKMSCommandPagesThrough(t *testing.T) {
	c := newKMSCLI(t)
	arn := c.field("KeyMetadata.Arn", "create-key")
	c.run("rotate-key-on-demand", "--key-id", arn)
	for i := range 3 {
		c.run("create-alias", "--alias-name", "alias/"+string(rune('a'+i)), "--target-key-id", arn)
	}
	if n := strings.Count(c.run("list-aliases"), "AliasName"); n != 3 {
		t.Errorf("%d aliases, want 3", n)
	}
	marker := c.field("NextMarker", "list-aliases", "--limit", "2")
	if out := c.run("list-aliases", "--marker", marker); strings.Count(out, "AliasName") != 1 || !strings.Contains(out, `"alias/c"`) {
		t.Errorf("second part: %s", out)
	}
	if n := strings.Count(c.run("list-key-rotations", "--key-id", arn, "--include-key-material", "ALL_KEY_MATERIAL"), "KeyMaterialState"); n != 2 {
		t.Errorf("%d materials, want 2", n)
	}
}

func TestKMSCommandUsage(t *testing.T) {
	c := newKMSCLI(t)
	secret := "c2VjcmV0IQ" // not padded
	for _, args := range [][]string{
		{}, {"no-such-verb"}, {"describe-key"}, {"describe-key", "x"}, {"list-keys", "--nonsense"},
		{"encrypt", "--key-id", "k", "--plaintext", secret},
		{"encrypt", "--key-id", "k", "--plaintext", "eA==", "--encryption-context", "a=1,a=2"},
		{"decrypt", "--ciphertext-blob", "fileb://" + filepath.Join(c.dir, "missing")},
		{"audit", "x"},
	} {
		_, err := c.try(args...)
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("%v: %v, want a usage error", args, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%v: the error shows plaintext: %v", args, err)
		}
	}
	if _, err := os.Stat(c.dir); err == nil {
		t.Error("a usage error opened the store")
	}
}

func TestKMSCommandAudit(t *testing.T) {
	c := newKMSCLI(t)
	arn := c.field("KeyMetadata.Arn", "create-key")
	c.run("create-key")
	c.run("disable-key", "--key-id", arn)
	c.try("encrypt", "--key-id", arn, "--plaintext", "eA==")
	out := c.run("audit", "--key", arn)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d records of the key, want 3:\n%s", len(lines), out)
	}
	for _, want := range []string{"root", "Encrypt", "DisabledException", arn[len(arn)-36:]} {
		if !strings.Contains(lines[2], want) {
			t.Errorf("%q lacks %s", lines[2], want)
		}
	}
	for line := range strings.Lines(c.run("audit", "--json")) {
		var e localkms.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.EventSource != "kms.amazonaws.com" {
			t.Errorf("%q: %v", line, err)
		}
	}
	if out := c.run("audit", "--verify"); out != "4 records, all as written\n" {
		t.Errorf("verify prints %q", out)
	}
}

func TestParseContext(t *testing.T) {
	for in, want := range map[string]kmsclient.EncryptionContext{
		"a=b":                     {"a": "b"},
		"a=b,c=d=e":               {"a": "b", "c": "d=e"},
		"a=":                      {"a": ""},
		`{}`:                      {},
		`{"a": "b,c=d", "é": ""}`: {"a": "b,c=d", "é": ""},
	} {
		got, err := parseContext(in)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a", "=b", "a=b,", "a=1,a=2", `{"a":"1","a":"2"}`, `{"a":1}`, `{"a":{}}`, `{"a":"b"`, `{"a":"b"}x`, `{"a"}`, "a=\xff"} {
		if got, err := parseContext(in); err == nil {
			t.Errorf("%s: accepted as %v", in, got)
		}
	}
}

func FuzzParseContext(f *testing.F) {
	for _, s := range []string{"a=b,c=d", `{"a":"b"}`, "{", "=", `{"a":"\ud800"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ec, err := parseContext(s)
		if err != nil {
			return
		}
		text, err := json.Marshal(ec)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseContext(string(text))
		if err != nil || !maps.Equal(again, ec) {
			t.Errorf("%q means %v, which comes back as %v, %v", s, ec, again, err)
		}
	})
}
