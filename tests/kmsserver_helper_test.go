package tests

import (
	"bufio"
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
	"runtime/debug"
	"slices"
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

// underRace tells whether this test binary has the race detector.
var underRace = sync.OnceValue(func() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
})

// serverBinary is the kmsfs that serves: under the race detector if the tests are.
var serverBinary = sync.OnceValues(func() (string, error) {
	bin, err := binary()
	if err != nil || !underRace() {
		return bin, err
	}
	bin += ".race"
	cmd := exec.Command("go", "build", "-race", "-buildvcs=false", "-o", bin, "./cmd/kmsfs")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kmsfs: %w\n%s", err, out)
	}
	return bin, nil
})

// kmsServer is `kmsfs kms serve` on one store. It keeps its port over restarts.
type kmsServer struct {
	h     *kmsHouse
	args  []string
	env   []string
	log   string // path of the file it logs to
	addr  string // host:port, "127.0.0.1:0" before the first start
	cmd   *exec.Cmd
	ended chan error
}

// serve starts a server for the store in dir until the test ends; name is for its
// log. What it logs must not speak of panics or races.
func (h *kmsHouse) serve(name, dir string, flags ...string) *kmsServer {
	h.Helper()
	s := &kmsServer{
		h: h, args: append([]string{"kms", "serve", "--kms", "local:" + dir}, flags...),
		env: h.env, log: h.path(name + ".log"), addr: "127.0.0.1:0",
	}
	h.Cleanup(func() {
		s.kill()
		log := s.logged()
		for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
			if strings.Contains(log, bad) {
				h.Errorf("the server logged:\n%s", log)
				return
			}
		}
	})
	s.start()
	return s
}

// start starts the server, which must come up.
func (s *kmsServer) start() {
	s.h.Helper()
	if err := s.tryStart(20 * time.Second); err != nil {
		s.h.Fatalf("%v; its log:\n%s", err, s.logged())
	}
}

// tryStart starts the server and waits for its address.
func (s *kmsServer) tryStart(patience time.Duration) error {
	out, err := s.launch()
	if err != nil {
		return err
	}
	addr := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		out.Close()
		addr <- strings.TrimPrefix(strings.TrimSpace(line), "http://")
	}()
	select {
	case s.addr = <-addr:
		if s.addr == "" {
			return fmt.Errorf("the server ended: %v", <-s.ended)
		}
		return nil
	case <-time.After(patience):
		s.kill()
		return fmt.Errorf("the server has no address after %v", patience)
	}
}

// launch runs the process and gives its standard output.
func (s *kmsServer) launch() (*os.File, error) {
	bin, err := serverBinary()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	s.cmd = exec.Command(bin, append(s.args, "--listen", s.addr)...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.h.dir, s.env, w, log
	if err := s.cmd.Start(); err != nil {
		r.Close()
		return nil, err
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	return r, nil
}

// signal sends a signal and waits for the end, whose error it gives.
func (s *kmsServer) signal(sig unix.Signal) error {
	if s.cmd == nil {
		return nil
	}
	s.cmd.Process.Signal(sig)
	err := <-s.ended
	s.cmd = nil
	return err
}

func (s *kmsServer) kill() { s.signal(unix.SIGKILL) }

// stop ends the server in good order.
func (s *kmsServer) stop() {
	s.h.Helper()
	if err := s.signal(unix.SIGTERM); err != nil {
		s.h.Errorf("the server's end: %v\n%s", err, s.logged())
	}
}

func (s *kmsServer) url() string { return "http://" + s.addr }

// uri is --kms for a client of the server.
func (s *kmsServer) uri() string { return "aws:us-east-1?endpoint=" + s.url() }

func (s *kmsServer) logged() string {
	b, _ := os.ReadFile(s.log)
	return string(b)
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
