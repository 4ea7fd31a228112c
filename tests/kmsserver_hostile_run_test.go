package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHostileRequests sends a thousand bad requests, signed and not, to a server.
// Each is answered as AWS answers, with an error of the client; the server lives,
// needs no more memory than it may, and has kept nothing of them.
func TestHostileRequests(t *testing.T) {
	seed, _ := seeded(*killSeed)
	t.Logf("-kms-seed %d", seed)
	h, s, alice, key := servedHouse(t)
	foreign := "--kms=local:" + h.path("foreign")
	var other sealed
	h.json(&other, "kms", "encrypt", "--key-id", h.createKeyAt(foreign), "--plaintext", "eA==", "--encryption-context", "a=b", foreign)
	var own sealed
	alice.get(t, "Encrypt", params{"KeyId": key, "Plaintext": []byte("x"), "EncryptionContext": params{"a": "b"}}, &own)
	before := h.keyAsItIs(alice, key)

	const each = 1000
	var wg sync.WaitGroup
	for worker := range 4 {
		x := &hostile{rand.New(rand.NewPCG(seed, uint64(worker+1))), alice, key, own.CiphertextBlob, other.CiphertextBlob}
		wg.Go(func() {
			names := sortedKeys(attacks)
			for i := worker; i < each; i += 4 {
				name := names[(i/4)%len(names)]
				if err := x.attack(name); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	for _, text := range notHTTP {
		if err := s.raw(text); err != nil {
			t.Errorf("%.60q: %v", text, err)
		}
	}

	if resp, err := http.Get(s.url() + "/ping"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the server is gone: %v", err)
	}
	alice.get(t, "Decrypt", params{"CiphertextBlob": own.CiphertextBlob, "EncryptionContext": params{"a": "b"}}, nil)
	if after := h.keyAsItIs(alice, key); after != before {
		t.Errorf("the key was\n%s\nand is now\n%s", before, after)
	}
	if peak := s.peakMemory(t); !underRace() && peak > 400<<20 {
		t.Errorf("the server has needed %d MiB", peak>>20)
	}
	s.stop()
	h.verifyAudit()
}

// attack sends a bad request, one in four with something wrong in its head too, and
// checks the answer.
func (h *hostile) attack(name string) error {
	op, body := attacks[name](h)
	req, err := h.alice.request(op, body)
	if err != nil {
		return err
	}
	if h.rnd.IntN(4) == 0 {
		h.spoil(req)
	}
	a, err := h.alice.send(req)
	if err != nil {
		return fmt.Errorf("%s %.80q: %w", op, body, err)
	}
	return checkRefusal(a, fmt.Sprintf("%s %.200q", op, body))
}

// spoil makes something of a signed request wrong.
func (h *hostile) spoil(req *http.Request) {
	authorization := req.Header.Get("Authorization")
	switch h.rnd.IntN(8) {
	case 0:
		req.Header.Del("Authorization")
	case 1:
		req.Header.Set("Authorization", authorization[:h.rnd.IntN(len(authorization))])
	case 2:
		req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+string(h.letters(50)))
	case 3:
		req.Header.Set("X-Amz-Date", "20200101T000000Z")
	case 4:
		req.Header.Set("Content-Type", "text/xml")
	case 5:
		req.Header.Set("Authorization", strings.Replace(authorization, "us-east-1", "mars-"+string(h.letters(5)), 1))
	case 6:
		req.Header.Set("X-Amz-Security-Token", string(h.letters(2000)))
	case 7:
		req.Method = h.one("GET", "PUT", "DELETE", "OPTIONS")
	}
}

var (
	errorName = regexp.MustCompile(`^[A-Za-z]+(Exception|AccessDenied)?$`)
	uuid      = regexp.MustCompile(`^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`)
)

// checkRefusal wants an answer to be an error of the client in AWS's form.
func checkRefusal(a answer, what string) error {
	var e map[string]string
	if err := json.Unmarshal(a.body, &e); err != nil || a.status/100 != 4 || !errorName.MatchString(e["__type"]) {
		return fmt.Errorf("%s: %v, %v", what, a, err)
	}
	delete(e, "__type")
	delete(e, "message")
	if len(e) > 0 || !uuid.MatchString(a.id) || a.header.Get("Content-Type") != "application/x-amz-json-1.1" || len(a.body) > 64<<10 {
		return fmt.Errorf("%s: %v, %v", what, a, a.header)
	}
	return nil
}

// notHTTP is what a server on the network gets besides HTTP. It ends the
// connection, after an answer or none.
var notHTTP = []string{
	"", "\x00", "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 100_000) + "\r\n\r\n",
	"POST / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 20_000) + "\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

// raw sends bytes, and wants an error of the client or nothing back, and then the
// end of the connection.
func (s *kmsServer) raw(text string) error {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, text) // the server may have closed it before the end
	conn.(*net.TCPConn).CloseWrite()
	back, err := io.ReadAll(conn)
	if reset := err != nil && strings.Contains(err.Error(), "reset"); err != nil && !reset {
		return err
	}
	if len(back) > 0 && !strings.HasPrefix(string(back), "HTTP/1.1 4") && !strings.HasPrefix(string(back), "HTTP/1.1 5") {
		return fmt.Errorf("answered %q", back)
	}
	return nil
}

// keyAsItIs prints all there is of a key.
func (h *kmsHouse) keyAsItIs(c *caller, key string) string {
	h.Helper()
	var all strings.Builder
	for _, op := range []string{"DescribeKey", "GetKeyPolicy", "ListResourceTags", "ListAliases", "ListGrants", "ListKeyRotations"} {
		all.Write(c.get(h, op, params{"KeyId": key}, nil).body)
	}
	return all.String()
}

// peakMemory is the most memory the server's process has had, in bytes.
func (s *kmsServer) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the server has needed %d MiB", kib>>10)
	return kib << 10
}
