package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/unlock"
)

// passphraseStore makes the store of the house, with a key, whose ARN it gives,
// and under a passphrase, at as little work for each guess as there may be. The
// file "passphrase" holds it.
func (h *kmsHouse) passphraseStore(passphrase string) (key string) {
	h.Helper()
	store, err := localkms.Open(h.kmsDir(), localkms.Options{Create: true, Method: unlock.Passphrase{
		Ask:  func() ([]byte, error) { return []byte(passphrase), nil },
		Cost: unlock.Cost{Time: 3, Memory: 64 << 10, Threads: 2},
	}, Secrets: unlock.Secrets{Passphrase: func() ([]byte, error) { return []byte(passphrase), nil }}})
	if err != nil {
		h.Fatal(err)
	}
	defer store.Close()
	out, err := store.Client().CreateKey(h.Context(), localkms.CreateKeyInput{})
	if err != nil {
		h.Fatal(err)
	}
	if err := os.WriteFile(h.path("passphrase"), []byte(passphrase+"\n"), 0o600); err != nil {
		h.Fatal(err)
	}
	return out.KeyMetadata.Arn
}

// TestPassphraseFile: every command, the server and the daemon of a mount take the
// passphrase from a file or a descriptor. Without it the store is locked: its keys
// can be seen and managed, and not used.
func TestPassphraseFile(t *testing.T) {
	const passphrase = "SeCrEt correct horse"
	h := newKMSHouse(t)
	h.secret("passphrase", passphrase)
	key := h.passphraseStore(passphrase)
	file := "--kms-passphrase-file=" + h.path("passphrase")
	encrypt := []string{"kms", "encrypt", "--key-id", key, "--plaintext", "aGk="}
	if err := errors.Join(
		os.WriteFile(h.path("wrong"), []byte("another\n"), 0o600), os.WriteFile(h.path("empty"), nil, 0o600),
		os.WriteFile(h.path("long"), bytes.Repeat([]byte("x"), 2000), 0o600),
	); err != nil {
		t.Fatal(err)
	}

	h.mustEnd(0, "", append(encrypt, file)...)
	pipe := h.command(append(encrypt, "--kms-passphrase-file=/dev/fd/3")...)
	pipe.ExtraFiles = []*os.File{pipeWith(t, passphrase)}
	if out, err := pipe.CombinedOutput(); err != nil {
		t.Errorf("from a descriptor: %v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		code    int
		message string
	}{
		"wrong":   {3, `passphrase does not open the root key(.|\n)*hint: copies of root\.key`},
		"empty":   {1, `unusable passphrase: it is empty(.|\n)*hint: a passphrase is 1 to 1024 bytes`},
		"long":    {1, `unusable passphrase: it is longer(.|\n)*hint: a passphrase is 1 to 1024 bytes`},
		"missing": {3, `passphrase: open .*/missing: no such file or directory\n$`},
	} {
		h.mustEnd(c.code, c.message, append(encrypt, "--kms-passphrase-file", h.path(name))...)
	}

	// Nobody to ask: see and manage.
	var info keyInfo
	h.decoded(&info, "kms", "describe-key", "--key-id", key)
	if info.KeyMetadata.KeyState != "Unavailable" {
		t.Errorf("a key of a locked store is %s", info.KeyMetadata.KeyState)
	}
	const locked = `hint: the key store is locked \(.*nobody to ask for the passphrase\): .*--kms-passphrase-file`
	h.mustEnd(0, "", "kms", "list-keys")
	h.mustEnd(0, "", "kms", "create-alias", "--alias-name", "alias/x", "--target-key-id", key)
	h.mustEnd(0, "", "kms", "disable-key", "--key-id", key)
	h.mustEnd(0, "", "kms", "enable-key", "--key-id", key)
	h.mustEnd(3, `KMSInvalidStateException.*is unavailable(.|\n)*`+locked, encrypt...)
	h.mustEnd(3, `The key store is locked(.|\n)*`+locked, "kms", "create-key")
	h.mustEnd(3, `The key store is locked(.|\n)*`+locked, "kms", "audit", "--verify")
	h.mustEnd(3, `The key store is locked(.|\n)*`+locked, "kms", "audit", "--checkpoint")
	const nobody = `no means to unlock(.|\n)*hint: .*--kms-passphrase-file`
	h.mustEnd(3, nobody, "kms", "serve", "--listen", "127.0.0.1:0")
	h.mustEnd(3, nobody, "kms", "set-unlock", "--method", "key-file")
	h.mustEnd(3, nobody, "init", "c")

	// Unlocked: what was done is in the log, which says that it was sealed later.
	h.verifyAudit(file)
	if out, _, _ := h.run("kms", "audit", file, "--operation", "SealAuditLog"); !strings.Contains(out, "SealAuditLog") {
		t.Error("nothing tells that the log was written to while the store was locked")
	}
	s := h.serve("server", h.kmsDir(), file)
	h.user("alice", allowAll, file).at(s).get(t, "GenerateDataKey", params{"KeyId": "alias/x", "KeySpec": "AES_256"}, nil)

	// The mount's daemon gets it from the command that starts it.
	h.mustEnd(0, "", "init", "c", file)
	h.mustEnd(3, nobody, "mount", "c", "m")
	h.mustEnd(3, `passphrase does not open`, "mount", "--kms-passphrase-file", h.path("wrong"), "c", "m")
	h.mustEnd(3, `no such file`, "mount", "--kms-passphrase-file", h.path("missing"), "c", "m")
	h.mount(file, "--log", "mount.log")
	h.write("file", []byte("content"))
	if st := h.status(); st.Mount == nil {
		t.Error("no mount")
	} else {
		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", st.Mount.PID, name))
			if err != nil || bytes.Contains(b, []byte(passphrase)) {
				t.Errorf("%s of the daemon: %q, %v", name, b, err)
			}
		}
	}
	h.umount()
	h.env = append(h.env, "KMSFS_KMS_PASSPHRASE_FILE="+h.path("passphrase"))
	if got := h.kmsfs("cat", "c", "file"); got != "content" {
		t.Errorf("cat: %q", got)
	}
	s.stop()
	h.verifyAudit()
}

// decoded is json by way of run, without a terminal.
func (h *kmsHouse) decoded(v any, args ...string) {
	h.Helper()
	out, errs, code := h.run(args...)
	if err := json.Unmarshal([]byte(out), v); code != 0 || err != nil {
		h.Fatalf("kmsfs %v: exit code %d, %v, %s", args, code, err, errs)
	}
}

// pipeWith is a pipe from which text can be read.
func pipeWith(t testing.TB, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { r.Close() })
	return r
}

// TestSetUnlock changes how the root key is kept under a running server, which
// does not mind. The root key is nowhere but in a
// key file.
func TestSetUnlock(t *testing.T) {
	const passphrase = "SeCrEt battery staple"
	h := newKMSHouse(t)
	h.secret("passphrase", passphrase)
	if err := os.WriteFile(h.path("passphrase"), []byte(passphrase), 0o600); err != nil {
		t.Fatal(err)
	}
	key := h.createKey()
	rootKey, err := os.ReadFile(h.kmsDir() + "/root.key")
	if err != nil {
		t.Fatal(err)
	}
	digits := strings.Fields(string(rootKey))[4]
	h.secret("root key", string(unhex(t, digits)))
	alice := h.user("alice", allowAll)
	s := h.serve("server", h.kmsDir())
	use := func() { alice.at(s).get(t, "GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_256"}, nil) }
	keeper, _, _ := h.keeper()

	file := "--kms-passphrase-file=" + h.path("passphrase")
	ways := map[string][]string{
		"key-file":   {"--method", "key-file"},
		"passphrase": {"--method", "passphrase", "--new-passphrase-file", h.path("passphrase")},
		"kms":        {"--method", "kms", "--unlock-kms", keeper.uri(), "--unlock-key", "alias/root"},
	}
	for _, way := range []string{"kms", "kms", "passphrase", "key-file"} {
		h.mustEnd(0, "", append([]string{"kms", "set-unlock", file}, ways[way]...)...)
		use()
		if got := strings.TrimSpace(h.kmsfs("kms", "set-unlock")); got != way {
			t.Errorf("unlocked by %s, want %s", got, way)
		}
		text, err := os.ReadFile(h.kmsDir() + "/root.key")
		if err != nil || strings.Contains(string(text), digits) != (way == "key-file") {
			t.Errorf("kept by %s: %q, %v", way, text, err)
		}
	}
	s.stop()
	s.start()
	use()
	h.verifyAudit()
	for _, args := range [][]string{
		{"--method", "magic"}, {"--method", "kms"}, {"--method", "kms", "--unlock-kms", "aws:us-east-1"},
	} {
		h.mustEnd(2, "--method", append([]string{"kms", "set-unlock"}, args...)...)
	}
	h.mustEnd(1, `unusable passphrase`, "kms", "set-unlock", "--method", "passphrase", "--new-passphrase-file", "/dev/null")
	h.mustEnd(3, `key not found`, "kms", "set-unlock", "--method", "kms", "--unlock-kms", keeper.uri(), "--unlock-key", "alias/none")
	h.mustEnd(3, `connection refused`, "kms", "set-unlock", "--method", "kms",
		"--unlock-kms", "aws:us-east-1?endpoint=http://"+freeAddress(t), "--unlock-key", "alias/root")
	if got := strings.TrimSpace(h.kmsfs("kms", "set-unlock")); got != "key-file" {
		t.Errorf("after failures unlocked by %s", got)
	}
	use()
}

// keeper starts another KMS, by whose key alias/root the house's store can be
// unlocked, and lets the house's commands call it. It gives the server, its key
// and its store's flag.
func (h *kmsHouse) keeper() (s *kmsServer, key, flag string) {
	h.Helper()
	flag = "--kms=local:" + h.path("keeper")
	key = h.createKeyAt(flag)
	h.kmsfs("kms", "create-alias", "--alias-name", "alias/root", "--target-key-id", key, flag)
	h.use(h.user("store", allowAll, flag))
	s = h.serve("keeper", h.path("keeper"))
	return s, key, flag
}

// TestUnlockedByKMS: a store whose root key another kmsfs server has opens as
// long as that one lets it, and says why not otherwise.
func TestUnlockedByKMS(t *testing.T) {
	h := newKMSHouse(t)
	key := h.createKey()
	s, wrapping, flag := h.keeper()
	h.mustEnd(0, "", "kms", "set-unlock", "--method", "kms", "--unlock-kms", s.uri(), "--unlock-key", "alias/root")
	encrypt := []string{"kms", "encrypt", "--key-id", key, "--plaintext", "aGk="}
	serve := []string{"kms", "serve", "--listen", "127.0.0.1:0"}
	h.mustEnd(0, "", encrypt...)
	// closed: what needs the root key is refused, for this reason.
	closed := func(reason, hint string) {
		t.Helper()
		h.mustEnd(3, `is unavailable(.|\n)*hint: the key store is locked \(.*`+reason+`(.|\n)*`+hint, encrypt...)
		h.mustEnd(3, reason+`(.|\n)*hint: `+hint, serve...)
		var info keyInfo
		h.decoded(&info, "kms", "describe-key", "--key-id", key)
		if info.KeyMetadata.KeyState != "Unavailable" {
			t.Errorf("%s: the key is %s", reason, info.KeyMetadata.KeyState)
		}
	}
	s.kill()
	closed("connection refused", "is the endpoint right")
	s.start()
	h.kmsfs("kms", "disable-key", "--key-id", wrapping, flag)
	closed("key is disabled", "aws kms enable-key --key-id "+wrapping)
	h.kmsfs("kms", "enable-key", "--key-id", wrapping, flag)
	h.kmsfs("kms", "put-user-policy", "--user-name", "store", "--policy-name", "p", "--policy-document",
		strings.Replace(allowAll, "kms:*", "kms:Encrypt", 1), flag)
	closed("access denied", "the key policy, an IAM policy or a grant must allow kms:Decrypt")
	h.kmsfs("kms", "put-user-policy", "--user-name", "store", "--policy-name", "p", "--policy-document", allowAll, flag)
	h.kmsfs("kms", "rotate-key-on-demand", "--key-id", wrapping, flag)
	h.mustEnd(0, "", encrypt...)
	h.verifyAudit()
	h.verifyAudit(flag)

	// What the other KMS logged tells which store was opened.
	if out := h.kmsfs("kms", "audit", "--operation", "Decrypt", flag); !strings.Contains(out, "kmsfs:kms-store=") {
		t.Errorf("the log of the other KMS:\n%s", out)
	}
}
