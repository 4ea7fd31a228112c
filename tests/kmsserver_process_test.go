package tests

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

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
	proto string // http or https
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
		addr <- strings.TrimSpace(line)
	}()
	select {
	case url := <-addr:
		var ok bool
		if s.proto, s.addr, ok = strings.Cut(url, "://"); !ok {
			return fmt.Errorf("the server printed %q and ended: %v", url, s.signal(unix.SIGKILL))
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

func (s *kmsServer) url() string { return s.proto + "://" + s.addr }

// uri is --kms for a client of the server.
func (s *kmsServer) uri() string { return "aws:us-east-1?endpoint=" + s.url() }

func (s *kmsServer) logged() string {
	b, _ := os.ReadFile(s.log)
	return string(b)
}
