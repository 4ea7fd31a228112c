package kmsserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const maxHead = 32 << 10 // session tokens take a few KiB

// timeouts are those of a connection. A client that sends its request slowly is
// cut off; one that keeps a connection open may, for longer than SDKs do (90s).
type timeouts struct {
	head  time.Duration // from the first byte to the end of the head
	read  time.Duration // to the end of the body
	write time.Duration // from the end of the head to the end of the answer
	idle  time.Duration // between two requests
}

var defaultTimeouts = timeouts{head: 5 * time.Second, read: 10 * time.Second, write: time.Minute, idle: 2 * time.Minute}

// Serve answers requests on l until ctx ends. Then it stops accepting, closes idle
// connections, and lets calls under way finish, for Options.Drain at most; what is
// still going on after that is cut off, which is the error context.DeadlineExceeded.
// The end of ctx does not cancel calls. Serve closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var http1 http.Protocols
	http1.SetHTTP1(true) // as AWS; HTTP/2 would be more to defend for nothing
	h := &http.Server{
		Handler:           s,
		Protocols:         &http1,
		ReadHeaderTimeout: s.timeouts.head,
		ReadTimeout:       s.timeouts.read,
		WriteTimeout:      s.timeouts.write,
		IdleTimeout:       s.timeouts.idle,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          log.New(s.log, "", 0),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	drained := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.drain)
		defer cancel()
		err := h.Shutdown(deadline)
		if err != nil {
			h.Close()
		}
		drained <- err
	})
	if err := h.Serve(l); stop() { // ctx has not ended: the listener failed
		h.Close()
		return fmt.Errorf("serve KMS on %s: %w", l.Addr(), err)
	}
	if err := <-drained; err != nil {
		return fmt.Errorf("stop KMS on %s: calls cut off: %w", l.Addr(), err)
	}
	return nil
}

// Listen opens a TCP address for Serve, under the rule of CheckListen. config nil
// is plain HTTP.
func Listen(ctx context.Context, addr string, config *tls.Config) (net.Listener, error) {
	if err := CheckListen(addr, config != nil); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if config != nil {
		return tls.NewListener(l, config), nil
	}
	// What "localhost" means is for the system to say: look at what came of it.
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %s: %w", addr, l.Addr(), ErrNeedsTLS)
	}
	return l, nil
}

// ErrNeedsTLS says that plaintext keys would cross a network in the clear.
var ErrNeedsTLS = errors.New("an address other than loopback needs TLS")

// CheckListen refuses an address ("host:port") that cannot be listened on safely:
// without TLS it must be a loopback address or "localhost".
func CheckListen(addr string, tls bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return fmt.Errorf("listen on %q: not host:port", addr)
	}
	ip, err := netip.ParseAddr(host)
	if tls || host == "localhost" || err == nil && ip.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen on %s: %w", addr, ErrNeedsTLS)
}
