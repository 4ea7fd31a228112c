package kmsserver

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"kmsfs/kmsclient"
)

const (
	// maxBody bounds a request. AWS's longest parameter, the policy of PutKeyPolicy,
	// has up to 131,072 characters; escaped as JSON it stays well below.
	maxBody = 256 << 10
	// maxPooled is the largest buffer that is kept for the next request.
	maxPooled    = 16 << 10
	maxUserAgent = 1024
	maxHost      = 253 + len(":65535") // of a name in DNS, RFC 1035
)

// readBody reads a whole body, for recycle. The buffer grows as bytes arrive, so
// that a claimed length takes no memory, and what it grew out of is wiped.
func (s *Server) readBody(r *http.Request) ([]byte, *kmsclient.Error) {
	var b []byte
	if pooled, ok := s.bodies.Get().(*[]byte); ok {
		b = *pooled
	} else {
		b = make([]byte, 0, 2048)
	}
	for {
		if len(b) == cap(b) {
			old := b
			b = append(make([]byte, 0, 2*cap(old)), old...)
			clear(old)
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case len(b) > maxBody:
			s.recycle(b)
			return nil, malformedRequest(codeTooLarge, "")
		case err == io.EOF:
			return b, nil
		case err != nil:
			s.recycle(b)
			return nil, bodyError(err)
		}
	}
}

func bodyError(err error) *kmsclient.Error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return malformedRequest(codeTimeout, "The body did not arrive in time.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malformedRequest(codeAborted, "The body ended early.")
	}
	return malformedRequest(codeMalformed, "The body cannot be read.")
}

// recycle wipes a body, which may have held a plaintext, and keeps its buffer.
func (s *Server) recycle(b []byte) {
	clear(b)
	if cap(b) <= maxPooled {
		b = b[:0]
		s.bodies.Put(&b)
	}
}

// Values of headers that are the same in every answer; net/http only reads them.
var (
	contentTypes = []string{contentType}
	noStore      = []string{"no-cache, no-store, must-revalidate, private"}
)

// send writes an answer. The keys are set as AWS spells them, past Header.Set.
func send(w http.ResponseWriter, requestID string, status int, body []byte) {
	h := w.Header()
	h["x-amzn-RequestId"] = []string{requestID}
	h["Content-Type"] = contentTypes
	h["Cache-Control"] = noStore
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	w.Write(body) // an error means that the client is gone
}

// newCaller notes what is known of a client before its signature is.
func newCaller(r *http.Request) Caller {
	c := Caller{SourceIP: r.RemoteAddr, UserAgent: r.UserAgent(), RequestID: newRequestID()}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.SourceIP = a.Addr().Unmap().String()
	}
	if len(c.UserAgent) > maxUserAgent {
		c.UserAgent = strings.ToValidUTF8(c.UserAgent[:maxUserAgent], "")
	}
	if r.TLS != nil {
		c.TLS = &TLS{
			Version:                  strings.ReplaceAll(tls.VersionName(r.TLS.Version), "TLS ", "TLSv"),
			CipherSuite:              tls.CipherSuiteName(r.TLS.CipherSuite),
			ClientProvidedHostHeader: r.Host[:min(len(r.Host), maxHost)],
		}
	}
	return c
}

// newRequestID makes a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:8], u[:4])
	hex.Encode(text[9:13], u[4:6])
	hex.Encode(text[14:18], u[6:8])
	hex.Encode(text[19:23], u[8:10])
	hex.Encode(text[24:], u[10:])
	for _, dash := range []int{8, 13, 18, 23} {
		text[dash] = '-'
	}
	return string(text[:])
}
