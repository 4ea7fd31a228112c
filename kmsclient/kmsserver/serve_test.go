package kmsserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// busy starts a server with one call under way, which waits for leave.
func busy(t *testing.T, o Options) (r *running, answer <-chan int, call context.Context, leave chan struct{}) {
	t.Helper()
	entered := make(chan context.Context)
	leave = make(chan struct{})
	r = start(t, &engine{call: func(ctx context.Context, _ Caller, _ string, _ []byte) ([]byte, error) {
		entered <- ctx
		select {
		case <-leave:
			return []byte(`{"ok":true}`), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, o)
	answers := make(chan int, 1)
	req := r.request(t, "{}")
	go func() {
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			answers <- 0
			return
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		answers <- resp.StatusCode
	}()
	return r, answers, <-entered, leave
}

func TestShutdownLetsCallsFinish(t *testing.T) {
	r, answer, call, leave := busy(t, Options{})
	r.stop()
	// The port is closed while the call goes on.
	for deadline := time.Now().Add(5 * time.Second); ; {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			break
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("still accepting")
		}
	}
	if call.Err() != nil {
		t.Errorf("the call was cancelled: %v", call.Err())
	}
	select {
	case err := <-r.done:
		t.Fatalf("Serve returned before the call was done: %v", err)
	default:
	}
	close(leave)
	if status := <-answer; status != 200 {
		t.Errorf("status %d", status)
	}
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
}

func TestShutdownEnds(t *testing.T) {
	r, answer, call, _ := busy(t, Options{Drain: 20 * time.Millisecond})
	r.stop()
	if err := <-r.done; !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "calls cut off") {
		t.Errorf("Serve: %v", err)
	}
	r.done <- nil
	if status := <-answer; status != 0 {
		t.Errorf("status %d", status)
	}
	<-call.Done()
}

// TestClientGoesAway: its call is cancelled, and that is no failure to log.
func TestClientGoesAway(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	r := start(t, &engine{call: func(ctx context.Context, _ Caller, _ string, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		defer close(left)
		return nil, ctx.Err()
	}}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	req := r.request(t, "{}").WithContext(ctx)
	go func() {
		<-entered
		cancel()
	}()
	if _, err := http.DefaultTransport.RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("round trip: %v", err)
	}
	<-left
	r.stop()
	<-r.done
	r.done <- nil
	if log := r.log.String(); strings.Contains(log, "call failed") {
		t.Errorf("log: %s", log)
	}
}

func TestServeTellsOfItsListener(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := New(&engine{}, Options{}).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	// A context that has ended: nothing to serve, and the listener is closed.
	l, err = Listen(t.Context(), "localhost:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := New(&engine{}, Options{}).Serve(ctx, l); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
}

func TestCheckListen(t *testing.T) {
	for _, c := range []struct {
		addr       string
		plain, tls bool
	}{
		{"127.0.0.1:8080", true, true},
		{"127.8.0.1:0", true, true},
		{"[::1]:8080", true, true},
		{"[::ffff:127.0.0.1]:1", true, true},
		{"localhost:8080", true, true},
		{":8080", false, true},
		{"0.0.0.0:8080", false, true},
		{"[::]:8080", false, true},
		{"192.168.1.1:8080", false, true},
		{"[fe80::1%lo]:8080", false, true},
		{"kms.example.com:8080", false, true},
		{"localhost.example.com:8080", false, true},
		{"127.0.0.1.example.com:80", false, true},
		{"2130706433:80", false, true}, // 127.0.0.1 to some parsers
		{"127.0.0.1", false, false},
		{"127.0.0.1:", false, false},
		{"::1:8080", false, false},
		{"", false, false},
	} {
		if err := CheckListen(c.addr, false); (err == nil) != c.plain {
			t.Errorf("%q without TLS: %v", c.addr, err)
		} else if err != nil && c.tls != errors.Is(err, ErrNeedsTLS) {
			t.Errorf("%q without TLS: %v", c.addr, err)
		}
		if err := CheckListen(c.addr, true); (err == nil) != c.tls {
			t.Errorf("%q with TLS: %v", c.addr, err)
		}
	}
	if l, err := Listen(t.Context(), "0.0.0.0:0", nil); !errors.Is(err, ErrNeedsTLS) {
		t.Errorf("listening on %v, %v", l, err)
	}
}

// TestIdleConnection: a connection without a request is closed in time.
func TestIdleConnection(t *testing.T) {
	r := start(t, &engine{}, Options{}, func(s *Server) {
		s.timeouts.head, s.timeouts.read, s.timeouts.idle = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	})
	for _, sent := range []string{"", "POST / HTTP/1.1\r\nHost: a\r\n", "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"} {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, sent)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("after %q: %v", sent, err)
		}
		conn.Close()
	}
}
