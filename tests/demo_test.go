package tests

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// demo is tests/demo.sh in a directory of its own.
func demo(t *testing.T) (cmd *exec.Cmd, dir string) {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs("demo.sh")
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	points.Store(filepath.Join(dir, "demo", "plain"), true)
	cmd = exec.Command("bash", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "KMSFS="+bin, "KMSFS_CONFIG=/none", "LC_ALL=C")
	// A process group, as a terminal gives one: Ctrl-C reaches what the script runs, too.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	return cmd, dir
}

func TestDemo(t *testing.T) {
	cmd, dir := demo(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, out)
	}
	for _, want := range []string{"Dear diary", "all bodies are byte for byte", "reading fails", "no mount is left", "Every claim above"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	if left := mountsBelow(dir); len(left) > 0 {
		t.Errorf("left mounted: %v", left)
	}
}

// TestDemoInterrupted interrupts the demo while it has a mount, at several
// points and with each signal: no mount is left.
func TestDemoInterrupted(t *testing.T) {
	for _, c := range []struct {
		when   string // in its output
		signal unix.Signal
	}{
		{"it is mounted", unix.SIGINT},
		{"# Rewrap, while mounted", unix.SIGTERM},
		{"# Disable the key", unix.SIGINT},
		{"# Enable it", unix.SIGHUP},
	} {
		t.Run(c.signal.String()+" at "+c.when, func(t *testing.T) {
			cmd, dir := demo(t)
			var out watched
			out.want, out.seen = c.when, make(chan struct{})
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- cmd.Wait() }()
			select {
			case <-out.seen:
			case err := <-done:
				t.Fatalf("the demo ended before: %v\n%s", err, out.buf.String())
			case <-time.After(time.Minute):
				unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
				t.Fatal("the demo hangs")
			}
			unix.Kill(-cmd.Process.Pid, c.signal)
			var exit *exec.ExitError
			select {
			case err := <-done:
				if !errors.As(err, &exit) {
					t.Errorf("an interrupted demo ends with %v", err)
				}
			case <-time.After(time.Minute):
				unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
				t.Fatal("the demo does not end")
			}
			if left := mountsBelow(dir); len(left) > 0 {
				t.Errorf("left mounted: %v\n%s", left, out.buf.String())
			}
		})
	}
}

// watched closes seen when want has been written to it.
type watched struct {
	buf  bytes.Buffer
	want string
	seen chan struct{}
	done bool
}

func (w *watched) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if !w.done && strings.Contains(w.buf.String(), w.want) {
		w.done = true
		close(w.seen)
	}
	return len(p), nil
}
