package awskms

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"

	"kmsfs/kmsclient"
)

func TestRetryCounts(t *testing.T) {
	isolate(t)
	throttled := refuse(400, "ThrottlingException", "")
	f := newFake(t, good)
	for _, row := range []struct {
		name     string
		env      string // AWS_MAX_ATTEMPTS
		attempts int    // option
		answers  []answer
		kind     error
		want     int
	}{
		{name: "success", answers: []answer{good}, want: 1},
		{name: "throttled, then success", answers: []answer{throttled, throttled, good}, want: 3},
		{name: "outage, then success", answers: []answer{text(503, "<html>"), hangUp("{"), refuse(500, "KMSInternalException", ""), good}, want: 4},
		{name: "broken answer, then success", answers: []answer{text(200, "{"), good}, want: 2},
		{name: "outage, then refused", answers: []answer{text(500, ""), refuse(400, "DisabledException", "x"), good}, kind: kmsclient.ErrDisabled, want: 2},
		{name: "throttled for good", attempts: 3, answers: []answer{throttled}, kind: kmsclient.ErrThrottled, want: 3},
		{name: "five by default", answers: []answer{text(500, "")}, kind: kmsclient.ErrUnavailable, want: 5},
		{name: "as the environment says", env: "2", answers: []answer{text(500, "")}, kind: kmsclient.ErrUnavailable, want: 2},
		{name: "the option before the environment", env: "2", attempts: 1, answers: []answer{text(500, "")}, kind: kmsclient.ErrUnavailable, want: 1},
		{name: "refused", answers: []answer{refuse(400, "AccessDeniedException", ""), good}, kind: kmsclient.ErrDenied, want: 1},
		{name: "invalid ciphertext", answers: []answer{refuse(400, "InvalidCiphertextException", ""), good}, kind: kmsclient.ErrInvalidCiphertext, want: 1},
		{name: "invalid request", answers: []answer{refuse(400, "ValidationException", ""), good}, kind: kmsclient.ErrInvalidRequest, want: 1},
		{name: "quota of keys", answers: []answer{refuse(400, "LimitExceededException", ""), good}, kind: kmsclient.ErrInvalidRequest, want: 1},
		{name: "bad credentials", answers: []answer{refuse(400, "UnrecognizedClientException", ""), good}, kind: kmsclient.ErrDenied, want: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("AWS_MAX_ATTEMPTS", row.env)
			f.script(row.answers...)
			err := call(t.Context(), t, open(t, f.URL, Options{Attempts: row.attempts}), "Decrypt")
			if row.kind == nil && err != nil {
				t.Error(err)
			} else if row.kind != nil {
				wantError(t, err, row.kind)
			}
			if n := len(f.seen()); n != row.want {
				t.Errorf("%d requests, want %d", n, row.want)
			}
		})
	}
}

// recorder is a transport that notes when it was called.
type recorder struct {
	mu     sync.Mutex // guards times
	times  []time.Time
	answer func(n int) (status int, body string)
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times = append(r.times, time.Now())
	status, body := r.answer(len(r.times))
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	io.WriteString(w, body)
	return w.Result(), q.Context().Err()
}

// pauses are the times between the calls.
func (r *recorder) pauses() (p []time.Duration) {
	for i := 1; i < len(r.times); i++ {
		p = append(p, r.times[i].Sub(r.times[i-1]))
	}
	return p
}

// bubble makes a client without a network, for tests with a clock of their own.
// It sends no random request ids: in FIPS mode Go's random generator draws entropy
// from the clock, which stands still there.
func bubble(o Options, r *recorder) *Client {
	noIDs := func(s *middleware.Stack) error {
		_, err := s.Build.Remove((*awsmiddleware.ClientRequestID)(nil).ID())
		return err
	}
	cfg := aws.Config{Region: "eu-central-1", APIOptions: []func(*middleware.Stack) error{noIDs}}
	return newClient(cfg, staticChain(), &http.Client{Transport: r}, o)
}

func staticChain() *chain {
	return &chain{source: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")}
}

const (
	describe  = `{"KeyMetadata":{"Arn":"` + testKey + `","KeyState":"Enabled"}}`
	throttled = `{"__type":"ThrottlingException"}`
)

func TestPauses(t *testing.T) {
	for name, row := range map[string]struct {
		status  int
		body    string
		longest []time.Duration
	}{
		"outage":    {503, "", []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}},
		"throttled": {400, throttled, []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{answer: func(int) (int, string) { return row.status, row.body }}
				_, err := bubble(Options{Attempts: len(row.longest) + 1}, r).DescribeKey(t.Context(), "K")
				if !kmsclient.Retryable(err) {
					t.Fatal(err)
				}
				got := r.pauses()
				if len(got) != len(row.longest) {
					t.Fatalf("%d pauses, want %d", len(got), len(row.longest))
				}
				for i, longest := range row.longest {
					if got[i] < longest/2 || got[i] > longest {
						t.Errorf("pause %d is %v, want %v to %v", i, got[i], longest/2, longest)
					}
				}
			})
		})
	}
}

// An outage does not multiply the load: the budget of retries is shared, and runs
// out; successes fill it.
func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		r := &recorder{}
		r.answer = func(int) (int, string) {
			if down {
				return 500, ""
			}
			return 200, describe
		}
		c := bubble(Options{Rate: -1}, r)
		const calls = 200
		for range calls {
			if _, err := c.DescribeKey(t.Context(), "K"); !errors.Is(err, kmsclient.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if n := len(r.times); n < calls+50 || n > calls+150 {
			t.Errorf("%d requests for %d calls, want 100 retries or so in all", n, calls)
		}
		before := len(r.times)
		c.DescribeKey(t.Context(), "K")
		if n := len(r.times) - before; n != 1 {
			t.Errorf("with no budget left %d attempts, want 1", n)
		}
		down = false
		for range 10 {
			if _, err := c.DescribeKey(t.Context(), "K"); err != nil {
				t.Fatal(err)
			}
		}
		down, before = true, len(r.times)
		c.DescribeKey(t.Context(), "K")
		if n := len(r.times) - before; n < 2 {
			t.Errorf("after ten successes %d attempts, want a retry", n)
		}
	})
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{answer: func(int) (int, string) { return 200, describe }}
		c := bubble(Options{Rate: 10, Burst: 5}, r)
		start := time.Now()
		var wg sync.WaitGroup
		for range 25 {
			wg.Go(func() {
				if _, err := c.DescribeKey(t.Context(), "K"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start).Round(time.Millisecond); d != 2*time.Second {
			t.Errorf("25 requests took %v, want 5 at once and 10 a second", d)
		}

		// Who cannot have a turn in time is told at once, and sends nothing.
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		sent, start := len(r.times), time.Now()
		_, err := c.DescribeKey(ctx, "K")
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kmsclient.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if len(r.times) != sent || time.Since(start) != 0 {
			t.Errorf("%d requests after %v", len(r.times)-sent, time.Since(start))
		}

		// And who gives up in the queue.
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, stop)
		if _, err = c.DescribeKey(ctx, "K"); !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || len(r.times) != sent {
			t.Errorf("got %v after %d requests", err, len(r.times)-sent)
		}
	})
}

// Retries count, too: they are requests like others.
func TestRateLimitOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{answer: func(n int) (int, string) {
			if n < 4 {
				return 500, ""
			}
			return 200, describe
		}}
		start := time.Now()
		if _, err := bubble(Options{Rate: 1, Burst: 1}, r).DescribeKey(t.Context(), "K"); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start).Round(time.Millisecond); d != 3*time.Second {
			t.Errorf("four attempts took %v, want 3s at one a second", d)
		}
	})
}

func TestContextEndsInPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{answer: func(int) (int, string) { return 400, throttled }}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := bubble(Options{}, r).DescribeKey(ctx, "K")
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, kmsclient.ErrUnavailable) || errors.Is(err, kmsclient.ErrThrottled) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("took %v", d)
		}
	})
}

func TestContextEnds(t *testing.T) {
	isolate(t)
	arrived := make(chan struct{}, 1)
	f := newFake(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	c := open(t, f.URL, Options{})
	for _, op := range operations {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-arrived; cancel() }()
		err := call(ctx, t, c, op) // ends while KMS thinks
		wantError(t, err, kmsclient.ErrUnavailable)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), op) {
			t.Errorf("%s: got %v", op, err)
		}
		sent := len(f.seen())
		err = call(ctx, t, c, op) // has ended before
		wantError(t, err, kmsclient.ErrUnavailable)
		if !errors.Is(err, context.Canceled) || len(f.seen()) != sent {
			t.Errorf("%s: got %v after %d requests", op, err, len(f.seen())-sent)
		}
	}
}
