package kmsserver

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// TLSConfig is the TLS configuration of a server with a certificate (a chain) and
// key in PEM files: TLS 1.2 or later, Go's choice of ciphers and curves. The files
// are read again when one of them has changed, on the next handshake; while they
// do not fit together, the certificate before stays, and log is told.
func TLSConfig(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{files: [2]string{certFile, keyFile}, log: log}
	if err := c.reload(); err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: c.get,
	}, nil
}

// certificate is one that follows its files.
type certificate struct {
	files [2]string // certificate, key
	log   *slog.Logger

	mu   sync.Mutex // guards what follows
	seen [2]os.FileInfo
	cert *tls.Certificate
}

// get implements tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.reload(); err != nil {
		c.log.Warn("TLS certificate not read again", "error", err)
	}
	return c.cert, nil
}

// reload reads the files if one is not as it was last time, in which case an
// error is given once.
func (c *certificate) reload() error {
	var now [2]os.FileInfo
	changed := false
	for i, name := range c.files {
		info, err := os.Stat(name)
		if err != nil {
			if c.seen[i] == nil && c.cert != nil {
				return nil // told before
			}
			c.seen[i] = nil
			return err
		}
		old := c.seen[i]
		now[i] = info
		changed = changed || old == nil || !os.SameFile(old, info) || old.Size() != info.Size() || !old.ModTime().Equal(info.ModTime())
	}
	if !changed {
		return nil
	}
	c.seen = now
	cert, err := tls.LoadX509KeyPair(c.files[0], c.files[1])
	if err != nil {
		return err
	}
	c.cert = &cert
	return nil
}
