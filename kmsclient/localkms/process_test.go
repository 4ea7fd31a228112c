package localkms

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

// The test binary runs itself as other processes that use the same store.
const (
	helperEnv   = "LOCALKMS_TEST_STORE"
	helperCalls = 40
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		if err := helper(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// helper opens (or creates) the store, makes a key and uses it; then, for every
// line "ARN" on stdin, answers with how a GenerateDataKey under that key went.
func helper(dir string) error {
	s, err := Open(dir, Options{Create: true})
	if err != nil {
		return err
	}
	defer s.Close()
	c := s.Client()
	out, err := c.CreateKey(bg, CreateKeyInput{})
	if err != nil {
		return err
	}
	for range helperCalls {
		ec := kmsclient.EncryptionContext{"pid": strconv.Itoa(os.Getpid())}
		key, w, err := c.GenerateDataKey(bg, out.KeyMetadata.Arn, ec)
		if err != nil {
			return err
		}
		again, _, err := c.Decrypt(bg, w.Blob, ec)
		if err != nil || !bytes.Equal(again, key) {
			return fmt.Errorf("decrypt: %w", err)
		}
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		_, _, err := c.GenerateDataKey(bg, in.Text(), nil)
		var e *kmsclient.Error
		switch {
		case err == nil:
			fmt.Println("ok")
		case errors.As(err, &e):
			fmt.Println(e.Code)
		default:
			fmt.Println(err)
		}
	}
	return nil
}

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startHelper(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), helperEnv+"="+dir), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	ok(t, err)
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	return &process{cmd, in, bufio.NewScanner(out)}
}

func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("helper ended: %v", p.out.Err())
	}
	return p.out.Text()
}

func (p *process) end(t *testing.T) {
	t.Helper()
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// Several processes create one store together, hammer it, and see at once what
// another of them does to a key.
func TestProcesses(t *testing.T) {
	dir := t.TempDir() + "/kms"
	const n = 4
	var helpers []*process
	for range n {
		helpers = append(helpers, startHelper(t, dir))
	}
	for _, p := range helpers {
		if got := p.line(t); got != "ready" {
			t.Fatal(got)
		}
	}
	s := openStore(t, dir, Options{})
	c := s.Client()
	key := newKey(t, c)
	ask := func(want string) {
		t.Helper()
		for _, p := range helpers {
			fmt.Fprintln(p.in, key)
		}
		for _, p := range helpers {
			if got := p.line(t); got != want {
				t.Errorf("helper: %s, want %s", got, want)
			}
		}
	}
	ask("ok")
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: key})))
	ask("DisabledException")
	ok(t, only(c.EnableKey(bg, EnableKeyInput{KeyID: key})))
	ask("ok")
	for _, p := range helpers {
		p.end(t)
	}
	records, err := s.VerifyAudit(bg)
	ok(t, err)
	if want := uint64(n*(1+2*helperCalls+3) + 3); records != want {
		t.Errorf("%d audit records, want %d", records, want)
	}
}

// All cryptography works, and is approved, in Go's FIPS 140-3 modes.
func TestFIPS(t *testing.T) {
	for _, mode := range []string{"on", "only"} {
		dir := t.TempDir() + "/kms"
		p := startHelper(t, dir, "GODEBUG=fips140="+mode)
		if got := p.line(t); !strings.Contains(got, "ready") {
			t.Errorf("fips140=%s: %s", mode, got)
		}
		p.end(t)
	}
}

// A process killed while it works leaves a sound store.
func TestKilledProcess(t *testing.T) {
	dir := t.TempDir() + "/kms"
	for i := range 3 {
		p := startHelper(t, dir)
		if i > 0 { // the first creates the store
			ok(t, p.cmd.Process.Kill())
		} else {
			p.line(t)
			ok(t, p.cmd.Process.Kill())
		}
		p.cmd.Wait()
	}
	s := openStore(t, dir, Options{})
	newKey(t, s.Client())
	_, err := s.VerifyAudit(bg)
	ok(t, err)
}
