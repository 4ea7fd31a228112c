package kmsserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// pair is a certificate and key in files.
type pair struct{ cert, key string }

func newPair(t *testing.T) pair {
	dir := t.TempDir()
	return pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// issue makes a self-signed certificate for 127.0.0.1 with a serial number.
func issue(t *testing.T, serial int64) (cert *x509.Certificate, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}, &x509.Certificate{SerialNumber: big.NewInt(serial)}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// put replaces a file, as tools that renew certificates do.
func put(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// TestTLS runs the SDK over TLS, and replaces the certificate under way.
func TestTLS(t *testing.T) {
	files, log := newPair(t), &logBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	if _, err := TLSConfig(files.cert, files.key, logger); err == nil {
		t.Error("no error without files")
	}
	first, certPEM, keyPEM := issue(t, 1)
	put(t, files.cert, certPEM)
	put(t, files.key, keyPEM)
	config, err := TLSConfig(files.cert, files.key, logger)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var got Caller
	e := &engine{call: func(_ context.Context, c Caller, _ string, _ []byte) ([]byte, error) {
		got = c
		return []byte("{}"), nil
	}}
	r := serve(t, New(e, Options{Log: logger}), l, "https", log)

	roots := x509.NewCertPool()
	roots.AddCert(first)
	client := func(c *tls.Config) *kms.Client {
		c.RootCAs = roots
		return r.client(accessKey, secret, "", func(o *kms.Options) {
			o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
		})
	}
	list := func(c *tls.Config) error {
		_, err := client(c).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("k")})
		return err
	}
	if err := list(&tls.Config{}); err != nil {
		t.Fatal(err)
	}
	if got.TLS == nil || got.TLS.Version != "TLSv1.3" || !strings.HasPrefix(got.TLS.CipherSuite, "TLS_") || got.TLS.ClientProvidedHostHeader != r.addr {
		t.Errorf("TLS %+v", got.TLS)
	}
	if err := list(&tls.Config{MaxVersion: tls.VersionTLS12}); err != nil || got.TLS.Version != "TLSv1.2" {
		t.Errorf("TLS 1.2: %+v, %v", got.TLS, err)
	}
	if err := list(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("TLS 1.1: %v", err)
	}

	// A new certificate whose key is not there yet: the first one stays.
	second, certPEM, keyPEM := issue(t, 2)
	put(t, files.cert, certPEM)
	for range 3 {
		if err := list(&tls.Config{}); err != nil {
			t.Errorf("while the key is missing: %v", err)
		}
	}
	if n := strings.Count(log.String(), "TLS certificate not read again"); n != 1 {
		t.Errorf("told %d times of the files not fitting", n)
	}
	put(t, files.key, keyPEM)
	if err := list(&tls.Config{}); err == nil {
		t.Error("the old certificate is still in use")
	}
	roots = x509.NewCertPool()
	roots.AddCert(second)
	if err := list(&tls.Config{}); err != nil {
		t.Errorf("with the new certificate: %v", err)
	}
	if err := os.Remove(files.cert); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := list(&tls.Config{}); err != nil {
			t.Errorf("without a file: %v", err)
		}
	}
	if n := strings.Count(log.String(), "TLS certificate not read again"); n != 2 {
		t.Errorf("told %d times of trouble: %s", n, log)
	}
	// Plain HTTP on the same port is answered by net/http, and no call.
	got = Caller{}
	resp, _ := r.raw(t, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", false)
	if resp.StatusCode != 400 || got.RequestID != "" {
		t.Errorf("plain HTTP: %d", resp.StatusCode)
	}
}
