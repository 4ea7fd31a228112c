package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
)

// The control channel of a mount: an abstract Unix socket named by the cipher
// directory, on which the verbs lock, status, rewrap and umount reach the daemon.
// Requests and answers are one line of JSON each. Both sides ask the kernel who
// the other is and talk to root and to their own user only; root also to the
// owner of the cipher directory.

// controlRequest is one request.
type controlRequest struct {
	Op string `json:"op"` // "status", "lock" or "reload"
}

// controlAnswer is the answer to it.
type controlAnswer struct {
	Error  string     `json:"error,omitempty"`
	Exit   int        `json:"exit,omitempty"` // code that belongs to the error
	Status *liveState `json:"status,omitempty"`
}

// liveState is what a mount says of itself.
type liveState struct {
	Mountpoint string    `json:"mountpoint"`
	PID        int       `json:"pid"`
	Since      time.Time `json:"since"`
	Version    string    `json:"version"`
	cipherdir.Stats
}

// errNoMount is a cipher directory that no daemon answers for.
var errNoMount = errors.New("not mounted")

// daemonError is an error that a daemon reported, with its exit code.
type daemonError struct {
	Text string `json:"error"`
	Hint string `json:"hint,omitempty"`
	Exit int    `json:"exit"`
}

// Error gives the daemon's words.
func (e daemonError) Error() string { return e.Text }

// controlAddr is the abstract socket of the cipher directory dir, and the
// directory's owner.
func controlAddr(dir string) (addr *net.UnixAddr, owner uint32, err error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", dir, err)
	}
	return &net.UnixAddr{Name: fmt.Sprintf("@kmsfs/%d:%d", uint64(st.Dev), st.Ino), Net: "unix"}, st.Uid, nil
}

// trusted refuses, with EPERM, a process at the other end of c that is neither
// root's nor ours nor, where we are root, of the user owner.
func trusted(c *net.UnixConn, owner uint32) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); cerr != nil {
		return cerr
	}
	if err != nil {
		return err
	}
	us := uint32(os.Geteuid())
	if cred.Uid == 0 || cred.Uid == us || us == 0 && cred.Uid == owner {
		return nil
	}
	return fmt.Errorf("the control channel is user %d's: %w", cred.Uid, unix.EPERM)
}

// controlServer answers on the channel of one mount.
type controlServer struct {
	listener *net.UnixListener
	handle   map[string]func(context.Context) controlAnswer // by Op
	log      *slog.Logger
	ending   atomic.Bool
}

// listenControl opens the channel for the cipher directory dir.
func listenControl(dir string, handle map[string]func(context.Context) controlAnswer, log *slog.Logger) (*controlServer, error) {
	addr, _, err := controlAddr(dir)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", addr)
	if err != nil {
		return nil, err
	}
	s := &controlServer{listener: l, handle: handle, log: log}
	go s.accept()
	return s, nil
}

// Bounds of a request, the longest of which has 15 bytes, and of an answer.
const (
	maxControlLine   = 4096
	maxControlAnswer = 1 << 20
)

func (s *controlServer) accept() {
	for {
		c, err := s.listener.AcceptUnix()
		if err != nil {
			return // closed
		}
		if err := trusted(c, 0); err != nil {
			s.log.Warn("refused a control connection", "err", err)
			c.Close()
			continue
		}
		go s.serve(c)
	}
}

func (s *controlServer) serve(c *net.UnixConn) {
	defer c.Close()
	in := bufio.NewScanner(c)
	in.Buffer(make([]byte, 0, 512), maxControlLine)
	for in.Scan() {
		var r controlRequest
		answer := controlAnswer{Error: "request is not understood", Exit: exitFailed}
		if json.Unmarshal(in.Bytes(), &r) == nil {
			switch f := s.handle[r.Op]; {
			case s.ending.Load():
				answer.Error = "the mount is ending"
			case f != nil:
				answer = f(context.Background())
			}
		}
		if json.NewEncoder(c).Encode(answer) != nil {
			return
		}
	}
}

// End has further requests refused. The socket stays until the process ends,
// because umount waits at it for that: closing it would let umount go early.
func (s *controlServer) End() { s.ending.Store(true) }

// dialControl connects to the mount of the cipher directory dir: errNoMount if
// nobody answers.
func dialControl(dir string) (*net.UnixConn, error) {
	addr, owner, err := controlAddr(dir)
	if err != nil {
		return nil, err
	}
	c, err := net.DialUnix("unix", nil, addr)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) {
		return nil, errNoMount
	}
	if err != nil {
		return nil, err
	}
	if err := trusted(c, owner); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// ask sends one request to the mount of dir and gives its answer.
func ask(ctx context.Context, dir, op string) (*controlAnswer, error) {
	c, err := dialControl(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if err := json.NewEncoder(c).Encode(controlRequest{Op: op}); err != nil {
		return nil, fmt.Errorf("ask the mount: %w", err)
	}
	var a controlAnswer
	if err := json.NewDecoder(io.LimitReader(c, maxControlAnswer)).Decode(&a); err != nil {
		return nil, fmt.Errorf("answer of the mount: %w", err)
	}
	if a.Error != "" {
		return nil, daemonError{Text: a.Error, Exit: a.Exit}
	}
	return &a, nil
}

// waitGone waits until the daemon at the other end has ended.
func waitGone(ctx context.Context, c net.Conn) error {
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	_, err := io.Copy(io.Discard, c)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, unix.ECONNRESET) {
		return nil
	}
	return err
}
