package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/fs"
)

// readyMessage is what a daemon tells the kmsfs that started it, as JSON on a
// pipe: that the mount is usable, or why it is not.
type readyMessage struct {
	Ready bool `json:"ready"`
	daemonError
}

// startDaemon runs this command again as a daemon, in a session of its own, and
// waits until the mount is usable. An error of the daemon before that is
// returned as if it had happened here, exit code included. The daemon has no
// terminal: a passphrase, if it needs one, goes to it through a pipe, and is wiped.
func startDaemon(ctx context.Context, passphrase []byte) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	// The image that runs now, whatever became of its file, under its own name.
	cmd := exec.Command("/proc/self/exe", append(os.Args[1:len(os.Args):len(os.Args)], "--ready-fd=3")...)
	cmd.Args[0] = os.Args[0]
	cmd.ExtraFiles = []*os.File{w} // becomes descriptor 3
	if passphrase != nil {
		in, err := filledPipe(passphrase)
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, in)
		cmd.Args = append(cmd.Args, "--kms-passphrase-file=/dev/fd/4")
	}
	cmd.Stderr = os.Stderr // until it is ready
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	// Interrupted: the daemon gives up, and says so by ending.
	defer context.AfterFunc(ctx, func() { cmd.Process.Signal(unix.SIGTERM) })()
	var m readyMessage
	err = json.NewDecoder(r).Decode(&m)
	switch {
	case err != nil: // it died, or was killed, without a word
		werr := cmd.Wait()
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return fmt.Errorf("the daemon ended before the mount was usable: %v", werr)
	case m.Ready && ctx.Err() == nil:
		return cmd.Process.Release()
	case m.Ready:
		cmd.Wait()
		return errors.New("interrupted")
	}
	cmd.Wait()
	return m.daemonError
}

// runDaemon is the other side: run, with readiness and errors told through the
// pipe, and then no tie to the terminal.
func (m *mounting) runDaemon(ctx context.Context, dir, point string) error {
	unix.CloseOnExec(m.flags.readyFD)
	pipe := os.NewFile(uintptr(m.flags.readyFD), "ready")
	log, err := openLog(m.flags.logFile)
	if err == nil {
		defer log.Close()
		m.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: m.settings.LogLevel}))
		err = m.run(ctx, dir, point, func() error { return detach(pipe, log) })
	}
	if err != nil {
		m.log.Error("mount failed", "err", err)
		// After readiness the pipe is closed, and nobody listens.
		json.NewEncoder(pipe).Encode(readyMessage{daemonError: daemonError{err.Error(), hintFor(err), exitCode(err)}})
		return errors.Join(errReported, err)
	}
	return nil
}

// openLog opens the log of a daemon; with no name it goes nowhere.
func openLog(name string) (*os.File, error) {
	if name == "" {
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return f, nil
}

// detach lets go of the terminal and the working directory, and says "ready".
// What Go's run time prints when it crashes goes to the log.
func detach(pipe, log *os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd, f := range []*os.File{null, log, log} {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return err
		}
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	defer pipe.Close()
	return json.NewEncoder(pipe).Encode(readyMessage{Ready: true})
}

// notify has the signals that end a mount sent to c. SIGHUP means nothing to a
// daemon without a terminal.
func notify(c chan os.Signal) { signal.Notify(c, os.Interrupt, unix.SIGTERM) }

// busyPatience is how long a signal waits for files in use to be closed.
const busyPatience = 5 * time.Second

// endOnSignal unmounts when a signal comes. If files are in use it tries again
// for a while; then, or at a second signal, the mount vanishes from the tree and
// its end comes with the last file.
func endOnSignal(signals <-chan os.Signal, server *fs.Server, point string, log *slog.Logger) {
	s := <-signals
	log.Info("ending", "signal", s.String())
	deadline := time.After(busyPatience)
	for {
		err := server.Unmount()
		if err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
			continue
		case <-signals:
		case <-deadline:
		}
		log.Warn("files are in use: detaching", "err", err)
		if err := unmount(point, true); err != nil {
			log.Error("detach", "err", err)
		}
		return
	}
}
