package localkms

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
	"time"

	"kmsfs/kmsclient"
)

// How many requests of strangers the audit log takes: so many at once, and so
// many per second in the long run.
const (
	refusedBurst     = 100
	refusedPerSecond = 1
)

// refusals bounds what strangers can write into the audit log, by a token bucket.
// The zero value is full.
type refusals struct {
	mu      sync.Mutex
	spent   float64   // tokens; guarded by mu, like the rest
	at      time.Time // when spent was right
	leftOut int       // requests without a record since the last one with
}

// admit tells whether a request gets a record, and if so, how many before it got
// none.
func (r *refusals) admit(now time.Time) (leftOut int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	earned := max(0, now.Sub(r.at).Seconds()) * refusedPerSecond
	r.spent, r.at = max(0, r.spent-earned), now
	if r.spent+1 > refusedBurst {
		r.leftOut++
		return 0, false
	}
	r.spent++
	leftOut, r.leftOut = r.leftOut, 0
	return leftOut, true
}

// failed takes back that a record was made.
func (r *refusals) failed(leftOut int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leftOut += leftOut + 1
}

// RefusedRequest records a request that never became a call, because its sender
// is unknown: by a key that is none, or with a wrong signature. refusal is what
// the sender was told. The record names the operation if there is such a one,
// shortens what the sender could choose freely, and does not believe it: the
// identity is Unknown, whatever c.Principal says.
//
// Since anybody can send such requests, a flood of them is recorded in part. The
// next record then says in requestParameters how many are "unrecorded".
func (s *Store) RefusedRequest(ctx context.Context, c Caller, op string, refusal *kmsclient.Error) error {
	leftOut, ok := s.refusals.admit(s.now())
	if !ok {
		return nil
	}
	if _, known := operations[op]; !known && !unsupported[op] {
		op = "UnknownOperation"
	}
	told := &kmsclient.Error{Code: refusal.Code, Message: clip(refusal.Message)}
	var request json.RawMessage
	if leftOut > 0 {
		request = fmt.Appendf(nil, `{"unrecorded":%d}`, leftOut)
	}
	err := s.writer.submit(ctx, func(t *tx) error {
		return (&call{tx: t, api: &API{store: s, caller: stranger(c)}, op: op}).record(request, nil, told)
	})
	if err != nil {
		s.refusals.failed(leftOut)
	}
	return err
}

var regionPattern = regexp.MustCompile(`^([a-z]+-){2,3}[0-9]+$`)

// ValidRegion tells whether a text has the form of a Region, as "eu-central-1".
// Source: the type RegionType of AWS's service model.
func ValidRegion(s string) bool { return len(s) <= 32 && regionPattern.MatchString(s) }

// stranger is a caller of whom nothing is known, with what it says of itself as
// far as it has a form.
func stranger(c Caller) Caller {
	out := Caller{SourceIP: cmp.Or(c.SourceIP, "unknown"), UserAgent: clip(c.UserAgent), RequestID: c.RequestID}
	if accessKeyPattern.MatchString(c.AccessKeyID) {
		out.AccessKeyID = c.AccessKeyID
	}
	if ValidRegion(c.Region) {
		out.Region = c.Region
	}
	if c.TLS != nil {
		tls := *c.TLS
		tls.ClientProvidedHostHeader = clip(tls.ClientProvidedHostHeader)
		out.TLS = &tls
	}
	return out
}

// clip shortens a text to 256 bytes.
func clip(s string) string { return s[:min(len(s), 256)] }
