//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
)

const secrets = "user: alice\npassword: hunter2\n"

// sops runs SOPS with an access key in the server's directory.
func (s *server) sops(keys []string, args ...string) (out string, err error) {
	s.Helper()
	b, err := s.client(keys, "sops", args...).CombinedOutput()
	return string(b), err
}

// mustSOPS wants SOPS to print something.
func (s *server) mustSOPS(want string, args ...string) {
	s.Helper()
	if out, err := s.sops(s.alice, args...); err != nil || out != want {
		s.Errorf("sops %q: %v, prints\n%s\nwant\n%s", args, err, out, want)
	}
}

// sopsFails wants SOPS to fail with a text.
func (s *server) sopsFails(keys []string, want string, args ...string) {
	s.Helper()
	out, err := s.sops(keys, args...)
	// It breaks lines where it likes.
	if text := strings.Join(strings.Fields(strings.ReplaceAll(out, "|", "")), " "); err == nil || !strings.Contains(text, want) {
		s.Errorf("sops %q: %v, prints\n%s\nwant %q", args, err, out, want)
	}
}

// file reads or writes a file of the server's directory.
func (s *server) file(name string, text ...string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if len(text) > 0 {
		if err := os.WriteFile(path, []byte(text[0]), 0o600); err != nil {
			s.Fatal(err)
		}
		return text[0]
	}
	b, err := os.ReadFile(path)
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

func TestSOPS(t *testing.T) {
	t.Parallel()
	s := start(t)
	client := s.sdk(s.alice)
	key, other := newKey(t, client, &kms.CreateKeyInput{}), newKey(t, client, &kms.CreateKeyInput{})
	s.kmsfs("create-alias", "--alias-name", "alias/sops", "--target-key-id", key)
	alias := "arn:aws:kms:us-east-1:" + account + ":alias/sops"
	s.file("secrets.yaml", secrets)
	s.mustSOPS("", "encrypt", "--kms", alias+","+other, "--encryption-context", "app:web,stage:test", "--output", "s.yaml", "secrets.yaml")
	first := s.file("s.yaml")
	if strings.Contains(first, "hunter2") {
		t.Error("the secret is in the file")
	}
	s.mustSOPS(secrets, "decrypt", "s.yaml")

	s.mustSOPS("", "set", "s.yaml", `["password"]`, `"correct horse"`)
	s.mustSOPS("correct horse", "decrypt", "--extract", `["password"]`, "s.yaml")
	dataKey := wrapped(s.file("s.yaml"))
	s.mustSOPS("", "rotate", "--in-place", "s.yaml")
	if now := wrapped(s.file("s.yaml")); now == dataKey || now == "" {
		t.Errorf("rotate left the data key %s", now)
	}
	s.kmsfs("rotate-key-on-demand", "--key-id", key)
	s.mustSOPS("correct horse", "decrypt", "--extract", `["password"]`, "s.yaml")

	// Either key opens the file; without both it stays shut.
	s.kmsfs("disable-key", "--key-id", key)
	s.mustSOPS("correct horse", "decrypt", "--extract", `["password"]`, "s.yaml")
	s.mustSOPS("", "rotate", "--in-place", "--rm-kms", alias, "--encryption-context", "app:web,stage:test", "s.yaml")
	if strings.Contains(s.file("s.yaml"), alias) {
		t.Error("the removed key is still in the file")
	}
	s.kmsfs("disable-key", "--key-id", other)
	s.sopsFails(s.alice, "DisabledException: "+other+" is disabled.", "decrypt", "s.yaml")
	s.kmsfs("enable-key", "--key-id", key)
	s.kmsfs("enable-key", "--key-id", other)
}

// wrapped is the first wrapped data key of a SOPS file.
func wrapped(file string) string {
	_, rest, _ := strings.Cut(file, "enc: ")
	key, _, _ := strings.Cut(rest, "\n")
	return key
}

// TestSOPSFormats: what SOPS encrypts besides YAML.
func TestSOPSFormats(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := newKey(t, s.sdk(s.alice), &kms.CreateKeyInput{})
	for name, text := range map[string]string{
		"s.json": "{\n\t\"password\": \"hunter2\"\n}\n",
		"s.env":  "PASSWORD=hunter2\n",
		"s.ini":  "[login]\npassword = hunter2\n",
		"s.bin":  "\x00\xffhunter2",
	} {
		s.file(name, text)
		s.mustSOPS("", "encrypt", "--in-place", "--kms", key, name)
		if strings.Contains(s.file(name), "hunter2") {
			t.Errorf("%s is not encrypted", name)
		}
		s.mustSOPS(text, "decrypt", name)
	}
}

// TestSOPSRefused: altered files, and callers who may not.
func TestSOPSRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := newKey(t, s.sdk(s.alice), &kms.CreateKeyInput{})
	s.file("secrets.yaml", secrets)
	s.mustSOPS("", "encrypt", "--kms", key, "--encryption-context", "app:web", "--output", "s.yaml", "secrets.yaml")
	sealed := s.file("s.yaml")

	s.file("context.yaml", strings.Replace(sealed, "app: web", "app: mail", 1))
	s.sopsFails(s.alice, "InvalidCiphertextException", "decrypt", "context.yaml")
	s.file("key.yaml", strings.Replace(sealed, wrapped(sealed), wrapped(sealed)[:100]+"AAAA"+wrapped(sealed)[104:], 1))
	s.sopsFails(s.alice, "InvalidCiphertextException", "decrypt", "key.yaml")
	user, _, _ := strings.Cut(sealed, "\n")
	s.file("less.yaml", strings.Replace(sealed, user+"\n", "", 1))
	s.sopsFails(s.alice, "MAC mismatch", "decrypt", "less.yaml")

	reader := s.sessionOfRole("reader", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "`+key+`"}]}`)
	if out, err := s.sops(reader, "decrypt", "s.yaml"); err != nil || out != secrets {
		t.Errorf("the role: %v\n%s", err, out)
	}
	s.sopsFails(reader, "assumed-role/reader/test is not authorized to perform: kms:Encrypt", "encrypt", "--kms", key, "secrets.yaml")
	s.sopsFails(s.nobody("bob"), "user/bob is not authorized to perform: kms:Decrypt", "decrypt", "s.yaml")
	s.sopsFails([]string{s.alice[0], "AWS_SECRET_ACCESS_KEY=wrong"}, "InvalidSignatureException", "decrypt", "s.yaml")
	s.sopsFails(s.alice, "NotFoundException", "encrypt", "--kms", strings.Replace(key, ":key/", ":alias/", 1), "secrets.yaml")
}
