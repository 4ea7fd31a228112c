package awskms

import (
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kmsfs/kmsclient"
)

// listen opens a port of this machine, or the given one.
func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// serve answers requests on l until the function it returns is called, which cuts
// the connections.
func serve(l net.Listener, h http.HandlerFunc) (stop func()) {
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { s.Serve(l); close(done) }()
	return sync.OnceFunc(func() { s.Close(); <-done })
}

func TestNetworkFailures(t *testing.T) {
	isolate(t)
	silent := listen(t, "127.0.0.1:0") // connects, and says nothing
	closed := listen(t, "127.0.0.1:0")
	closed.Close()
	reset := listen(t, "127.0.0.1:0")
	go func() {
		for {
			c, err := reset.Accept()
			if err != nil {
				return
			}
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	}()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(good))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	slow := newFake(t, func(w http.ResponseWriter, r *http.Request) { // begins, and does not end
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "{")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	for name, row := range map[string]struct{ endpoint, want string }{
		"refused":                {"http://" + closed.Addr().String(), "connection refused"},
		"reset":                  {"http://" + reset.Addr().String(), "reset by peer|EOF"},
		"silence":                {"http://" + silent.Addr().String(), "timed out"},
		"silence, TLS":           {"https://" + silent.Addr().String(), "timed out"},
		"half an answer":         {slow.URL, "timed out"},
		"no such host":           {"https://kms.invalid", "lookup kms.invalid"},
		"unknown authority":      {secure.URL, "certificate"},
		"TLS where there is not": {strings.Replace(slow.URL, "http:", "https:", 1), "HTTP response to HTTPS client|TLS"},
		"HTTP where TLS is":      {strings.Replace(secure.URL, "https:", "http:", 1), "HTTP status 400"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Attempts: 2}
			if row.want == "timed out" {
				o.Timeout, o.ConnectTimeout = 200*time.Millisecond, 100*time.Millisecond
			}
			c := open(t, row.endpoint, o)
			start := time.Now()
			e := wantError(t, call(t.Context(), t, c, "Decrypt"), kmsclient.ErrUnavailable)
			found := false
			for want := range strings.SplitSeq(row.want, "|") {
				found = found || strings.Contains(e.Error(), want)
			}
			if !found {
				t.Errorf("error %q, want it to contain %q", e, row.want)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// A KMS that goes away in the middle of an answer and comes back is found again,
// within one call.
func TestServerRestarts(t *testing.T) {
	isolate(t)
	l := listen(t, "127.0.0.1:0")
	addr := l.Addr().String()
	var stop func()
	hit := make(chan struct{}, 1)
	stop = serve(l, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"KeyId":`)
		w.(http.Flusher).Flush()
		hit <- struct{}{}
		<-r.Context().Done()
	})
	c := open(t, "http://"+addr, Options{Attempts: 10})
	result := make(chan error, 1)
	go func() { result <- call(t.Context(), t, c, "Decrypt") }()
	<-hit
	stop()
	// While it is down: a call with few attempts fails, and leaves nothing behind.
	wantError(t, call(t.Context(), t, open(t, "http://"+addr, Options{Attempts: 1}), "Decrypt"), kmsclient.ErrUnavailable)
	select {
	case err := <-result:
		t.Fatalf("gave up before the server was back: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	defer serve(listen(t, addr), good)()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := call(t.Context(), t, c, "DescribeKey"); err != nil {
		t.Error(err)
	}
}

// Connections are kept: many goroutines in several rounds open one each, or few
// more, as the transport may begin to dial before another connection gets free.
func TestConnectionsAreKept(t *testing.T) {
	isolate(t)
	const workers = 64
	var opened, inside atomic.Int32
	full := make(chan struct{}, workers)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inside.Add(1)%workers == 0 { // all are there: let them go
			for range workers {
				full <- struct{}{}
			}
		}
		<-full
		good(w, r)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := open(t, s.URL, Options{Rate: -1})
	for range 5 {
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				if err := call(t.Context(), t, c, "Decrypt"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := opened.Load(); n < workers || n > 2*workers {
		t.Errorf("%d connections for %d goroutines", n, workers)
	}
}

// An answer that comes at once does not cost the connection.
func TestConnectionSurvivesQuickAnswers(t *testing.T) {
	isolate(t)
	fields := goodAnswers()["DescribeKey"]
	fields["KeyMetadata"].(map[string]any)["Description"] = strings.Repeat("long ", 10000)
	answer := ok(fields)
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := open(t, s.URL, Options{Attempts: 1, Rate: -1})
	for range 500 {
		if err := call(t.Context(), t, c, "DescribeKey"); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("500 requests in a row opened %d connections", n)
	}
}

// The CA bundle of the AWS configuration counts for KMS.
func TestCABundle(t *testing.T) {
	isolate(t)
	s := httptest.NewTLSServer(http.HandlerFunc(good))
	defer s.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(bundle, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	if err := call(t.Context(), t, open(t, s.URL, Options{}), "Decrypt"); err != nil {
		t.Error(err)
	}
}
