//go:build clients

// Package clients runs the clients of AWS KMS that people use against `kmsfs kms
// serve`: aws, boto3, aws-sdk-go-v2, SOPS, the AWS Encryption SDK for JavaScript.
// They are as their makers ship them; `make clients` installs what is missing, and
// is the way to run these tests, which a build tag keeps out of `make test`.
package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root leads to the top of the repository; tools is what prepare.sh has made.
const (
	root  = "../.."
	tools = root + "/bin/clients"
)

// account is the account of a new key store.
const account = "000000000000"

// bin is a directory with the kmsfs that is tested.
var bin string

// TestMain builds kmsfs.
func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if _, err := os.Stat(filepath.Join(tools, "ready")); err != nil {
		return 0, errors.New("the clients are not installed: run make clients")
	}
	if bin, err = os.MkdirTemp("", "kmsfs-clients-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(bin)
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(bin, "kmsfs"), "./cmd/kmsfs")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build kmsfs: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// environment is the environment of a client that is to work in dir: of AWS, it
// knows nothing but what set says.
func environment(t *testing.T, dir string, set ...string) []string {
	t.Helper()
	top, err := filepath.Abs(tools)
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_") && !strings.HasPrefix(e, "KMSFS_") && !strings.HasPrefix(e, "SOPS_") {
			env = append(env, e)
		}
	}
	path := []string{bin, filepath.Join(top, "venv", "bin"), top, os.Getenv("PATH")}
	env = append(env, "LC_ALL=C", "NODE_NO_WARNINGS=1", "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir,
		"AWS_CONFIG_FILE="+dir+"/none", "AWS_SHARED_CREDENTIALS_FILE="+dir+"/none", "AWS_EC2_METADATA_DISABLED=true",
		"PATH="+strings.Join(path, string(filepath.ListSeparator)))
	return append(env, set...)
}

// server is a running `kmsfs kms serve` with a key store of its own, and a user
// alice who may do everything.
type server struct {
	*testing.T
	dir, store, url string
	alice           []string // her access key, as environment variables
}

// start makes a key store and starts a server with the flags.
func start(t *testing.T, flags ...string) *server {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &server{T: t, dir: dir, store: "local:" + filepath.Join(dir, "kms")}
	s.kmsfs("create-key", "--description", "first")
	s.user("alice", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}`)
	s.alice = s.accessKey("alice")

	url, err := os.Create(filepath.Join(dir, "url"))
	if err != nil {
		t.Fatal(err)
	}
	defer url.Close()
	var log bytes.Buffer
	cmd := s.command(append([]string{"serve", "--listen", "127.0.0.1:0"}, flags...)...)
	cmd.Stdout, cmd.Stderr = url, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-exited:
			if err != nil || strings.Contains(log.String(), "panic") {
				t.Errorf("kmsfs kms serve: %v\n%s", err, &log)
			}
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			t.Error("the server does not stop")
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(url.Name())
		if line, whole := strings.CutSuffix(string(text), "\n"); whole && err == nil {
			s.url = line
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not say that it listens")
		}
	}
}

// command is `kmsfs kms` with arguments, for the server's key store.
func (s *server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, "kmsfs"), append([]string{"kms", "--kms", s.store}, args...)...)
	cmd.Env = environment(s.T, s.dir)
	return cmd
}

// kmsfs runs `kmsfs kms` beside the server, and returns what it prints.
func (s *server) kmsfs(args ...string) string {
	s.Helper()
	out, err := s.command(args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		s.Fatalf("kmsfs kms %s: %v\n%s", args, err, exit.Stderr)
	}
	if err != nil {
		s.Fatal(err)
	}
	return string(out)
}

// user makes a user with a policy.
func (s *server) user(name, policy string) {
	s.Helper()
	s.kmsfs("create-user", "--user-name", name)
	s.kmsfs("put-user-policy", "--user-name", name, "--policy-name", "policy", "--policy-document", policy)
}

// accessKey makes an access key for a user.
func (s *server) accessKey(user string) []string {
	s.Helper()
	return exported(s.kmsfs("create-access-key", "--user-name", user, "--env"))
}

// exported reads the variables that a verb with --env exports.
func exported(commands string) (env []string) {
	for line := range strings.Lines(commands) {
		if set, ok := strings.CutPrefix(strings.TrimSpace(line), "export "); ok {
			env = append(env, set)
		}
	}
	return env
}

// client is a command of a client, in the directory of the server, with
// credentials and further variables.
func (s *server) client(set []string, name string, args ...string) *exec.Cmd {
	s.Helper()
	env := environment(s.T, s.dir, append(set, "AWS_ENDPOINT_URL_KMS="+s.url, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1")...)
	return inGroup(s.T, s.dir, env, name, args...)
}

// inGroup is a command in a process group of its own, which dies with the test
// and after 10 minutes. name is looked up in the PATH of env.
func inGroup(t *testing.T, dir string, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	// env, because exec.Command would look name up in the PATH of this process.
	cmd := exec.CommandContext(ctx, "env", append([]string{name}, args...)...)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}
