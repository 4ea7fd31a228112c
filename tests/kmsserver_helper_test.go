package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kmsHouse is a house whose key store is served over HTTP, and what must not be
// found in store, logs and output when the test is over.
type kmsHouse struct {
	*house
	mu      sync.Mutex
	secrets map[string]string // what it is: the bytes; guarded by mu
	printed bytes.Buffer      // what commands by run printed; guarded by mu
}

// newKMSHouse makes a house without credentials of AWS, and looks for the secrets
// at the end of the test, which runs beside others: most of its time it waits.
func newKMSHouse(t *testing.T) *kmsHouse {
	t.Parallel()
	h := &kmsHouse{house: newHouse(t), secrets: map[string]string{}}
	h.env = append(h.env, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE="+h.path("aws.config"),
		"AWS_SHARED_CREDENTIALS_FILE="+h.path("aws.credentials"))
	t.Cleanup(h.seekSecrets)
	return h
}

// secret remembers bytes that no file but root.key may hold.
func (h *kmsHouse) secret(what, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secrets[what] = value
}

// seekSecrets reads every file of the house that a KMS wrote: stores, their
// backups, logs. root.key is what protects the rest, and is left out.
func (h *kmsHouse) seekSecrets() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seek("output of kmsfs", h.printed.Bytes(), h.secrets)
	for _, pattern := range []string{"*.log", "*/kms.db*", "*/*/kms.db*", "*/*/*/kms.db*"} {
		files, err := filepath.Glob(h.path(pattern))
		if err != nil {
			h.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				h.Error(err)
			}
			h.seek(f, b, h.secrets)
		}
	}
}

// allowAll lets a user do everything with every key.
const allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`

// user makes a user with a policy and an access key in the store that the flags
// name. It gives the caller who has that key.
func (h *kmsHouse) user(name, policy string, flags ...string) *caller {
	h.Helper()
	h.kmsfs(append([]string{"kms", "create-user", "--user-name", name}, flags...)...)
	h.kmsfs(append([]string{"kms", "put-user-policy", "--user-name", name, "--policy-name", "p", "--policy-document", policy}, flags...)...)
	return h.accessKey(name, flags...)
}

var exported = regexp.MustCompile(`(?m)^export (AWS_[A-Z_]+)=(.+)$`)

// accessKey makes a further access key for a user, by way of --env.
func (h *kmsHouse) accessKey(name string, flags ...string) *caller {
	h.Helper()
	out := h.kmsfs(append([]string{"kms", "create-access-key", "--env", "--user-name", name}, flags...)...)
	return h.caller(out)
}

// caller reads what --env prints.
func (h *kmsHouse) caller(env string) *caller {
	h.Helper()
	c := &caller{http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	h.Cleanup(c.http.CloseIdleConnections)
	for _, m := range exported.FindAllStringSubmatch(env, -1) {
		switch m[1] {
		case "AWS_ACCESS_KEY_ID":
			c.id = m[2]
		case "AWS_SECRET_ACCESS_KEY":
			c.secret = m[2]
		case "AWS_SESSION_TOKEN":
			c.token = m[2]
		}
	}
	if c.id == "" || c.secret == "" {
		h.Fatalf("no credentials in %q", env)
	}
	h.secret("secret of access key "+c.id, c.secret)
	return c
}

// use lets the house's commands, and so its mounts, call as c. The file is read
// again by a mount whose credentials are refused.
func (h *kmsHouse) use(c *caller) {
	h.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", c.id, c.secret)
	if err := os.WriteFile(h.path("aws.credentials"), []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
}

// run runs kmsfs without a terminal to ask on, and not for ever: a server that
// comes up where it should not is killed, which is exit code -1.
func (h *kmsHouse) run(args ...string) (stdout, stderr string, code int) {
	h.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.bin, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = h.dir, h.env, &out, &errs
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		h.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.printed.Write(append(out.Bytes(), errs.Bytes()...))
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// mustEnd runs kmsfs, which must end with an exit code and a message, and not
// panic.
func (h *kmsHouse) mustEnd(code int, message string, args ...string) {
	h.Helper()
	out, errs, got := h.run(args...)
	if got != code || !regexp.MustCompile(message).MatchString(errs) || strings.Contains(out+errs, "goroutine ") {
		h.Errorf("kmsfs %s: exit code %d, want %d and %q:\n%s%s", strings.Join(args, " "), got, code, message, out, errs)
	}
}

// verifyAudit has the audit log of a store checked, which must be sound.
func (h *kmsHouse) verifyAudit(flags ...string) {
	h.Helper()
	out, errs, _ := h.run(append([]string{"kms", "audit", "--verify", "--json"}, flags...)...)
	var v struct {
		Records  int
		Verified bool
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || !v.Verified || v.Records == 0 {
		h.Errorf("audit --verify: %s%s, %v", out, errs, err)
	}
}
