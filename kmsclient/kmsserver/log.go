package kmsserver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"kmsfs/kmsclient"
)

// class sorts what goes wrong. What the KMS itself refuses is in its audit log,
// and not here.
type class int

const (
	malformed  class = iota // no request of this protocol
	refused                 // signature, access key or target
	throttled               //
	failed                  // the engine could not
	panicked                //
	connection              // below HTTP: TLS handshakes, failed accepts
	classes
)

var classTexts = [classes]struct {
	level slog.Level
	text  string
}{
	malformed:  {slog.LevelInfo, "malformed request"},
	refused:    {slog.LevelWarn, "request refused"},
	throttled:  {slog.LevelWarn, "request throttled"},
	failed:     {slog.LevelError, "call failed"},
	panicked:   {slog.LevelError, "panic in a call"},
	connection: {slog.LevelInfo, "connection failed"},
}

// logger writes, for each class, the first few lines and then one a second with
// the number of what it stands for: a flood must not fill the disk. It never
// writes bodies, secrets, or access keys that the engine does not know (people
// take the secret for the id).
type logger struct {
	slog   *slog.Logger
	limits [classes]struct {
		sometimes rate.Sometimes
		count     atomic.Int64 // since the last line
	}
}

func newLogger(l *slog.Logger) *logger {
	lg := &logger{slog: l}
	for i := range lg.limits {
		lg.limits[i].sometimes = rate.Sometimes{First: 5, Interval: time.Second}
	}
	return lg
}

func (l *logger) write(ctx context.Context, c class, attrs ...any) {
	limit := &l.limits[c]
	limit.count.Add(1)
	limit.sometimes.Do(func() {
		l.slog.Log(ctx, classTexts[c].level, classTexts[c].text, append(attrs, "count", limit.count.Swap(0))...)
	})
}

// report logs what became of a request.
func (l *logger) report(c class, x *exchange, err *kmsclient.Error, attrs ...any) {
	attrs = append(attrs, "code", err.Code, "request", x.caller.RequestID, "source", x.caller.SourceIP)
	if x.caller.AccessKeyID != "" && err.Code != codeUnrecognized {
		attrs = append(attrs, "access_key", x.caller.AccessKeyID)
	}
	l.write(x.r.Context(), c, attrs...)
}

// panicked logs a panic with its stack. The value is shown where the runtime made
// it; another one may contain anything.
func (l *logger) panicked(x *exchange, p any) {
	what := fmt.Sprintf("%T", p)
	if err, ok := p.(runtime.Error); ok {
		what = err.Error()
	}
	l.report(panicked, x, internal(), "panic", what, "stack", string(debug.Stack()))
}

// Write takes the lines of net/http.
func (l *logger) Write(line []byte) (int, error) {
	l.write(context.Background(), connection, "error", strings.TrimSpace(string(line)))
	return len(line), nil
}
