package tests

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMountOverTLS: a cipher directory whose KMS speaks HTTPS, by a certificate
// that the client must be told of and that is renewed under the running server.
func TestMountOverTLS(t *testing.T) {
	h := newKMSHouse(t)
	key := h.createKey()
	h.use(h.user("alice", allowAll))
	h.certify("server.pem", "server.key")
	s := h.serve("server", h.kmsDir(), "--tls-cert", h.path("server.pem"), "--tls-key", h.path("server.key"))
	if s.proto != "https" {
		t.Fatalf("the server prints %s", s.url())
	}
	h.mustEnd(3, `certificate signed by unknown authority(.|\n)*hint: AWS_CA_BUNDLE=FILE`, "init", "--kms", s.uri(), "--key", key, "c")
	h.env = append(h.env, "AWS_CA_BUNDLE="+h.path("server.pem"))
	h.mustEnd(0, "", "init", "--kms", s.uri(), "--key", key, "c")
	h.mount()
	all := h.grow(5)
	h.check(all)
	h.umount()

	h.certify("server.pem", "server.key")
	h.mount()
	h.check(all)
	h.umount()
	if out, _, _ := h.run("kms", "audit", "--json", "--operation", "Decrypt"); !strings.Contains(out, `"tlsVersion":"TLSv1.3"`) {
		t.Errorf("the audit log does not tell of TLS:\n%s", out)
	}
	s.stop()
}

// certify writes a certificate for this machine, signed by itself, and its key.
func (h *kmsHouse) certify(cert, key string) {
	h.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "kmsfs test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		h.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		h.Fatal(err)
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
	}{{key, "PRIVATE KEY", secret}, {cert, "CERTIFICATE", der}} {
		if err := os.WriteFile(h.path(f.name), pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), 0o600); err != nil {
			h.Fatal(err)
		}
	}
}
