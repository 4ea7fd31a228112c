package localkms

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func refusedEvents(t *testing.T, s *Store) (events []Event) {
	t.Helper()
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		events = append(events, r.Event)
	}
	return events
}

func TestRefusedRequest(t *testing.T) {
	s := newStore(t, Options{})
	long := strings.Repeat("x", 10_000)
	refusal := refuse("InvalidSignatureException", "%s", long)
	ok(t, s.RefusedRequest(bg, Caller{
		Principal: Root, AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SourceIP: "192.0.2.7", UserAgent: long, RequestID: "r-1", Region: "eu-west-1",
		ViaService: "ec2.amazonaws.com", TLS: &TLSDetails{"TLSv1.3", "TLS_AES_128_GCM_SHA256", long},
	}, "Decrypt", refusal))
	ok(t, s.RefusedRequest(bg, Caller{AccessKeyID: long, Region: "\x00", UserAgent: "\xff"}, long, refuse("UnrecognizedClientException", "no")))
	ok(t, s.RefusedRequest(bg, Caller{}, "CreateUser", refusal)) // cannot be called from outside
	events := refusedEvents(t, s)
	if len(events) != 3 {
		t.Fatalf("%d records", len(events))
	}
	first, second := events[0], events[1]
	if first.UserIdentity != (Identity{Type: "Unknown", AccessKeyID: "AKIAIOSFODNN7EXAMPLE"}) || first.EventName != "Decrypt" ||
		first.EventSource != "kms.amazonaws.com" || first.SourceIPAddress != "192.0.2.7" || first.UserAgent != long[:256] || first.RequestID != "r-1" ||
		first.AWSRegion != "eu-west-1" || first.ErrorCode != "InvalidSignatureException" || first.ErrorMessage != long[:256] ||
		first.TLSDetails.ClientProvidedHostHeader != long[:256] || first.RequestParameters != nil {
		t.Errorf("%+v", first)
	}
	if second.UserIdentity != (Identity{Type: "Unknown"}) || second.EventName != "UnknownOperation" || second.SourceIPAddress != "unknown" ||
		second.AWSRegion != "us-east-1" || second.UserAgent != "\ufffd" {
		t.Errorf("%+v", second)
	}
	if events[2].EventName != "UnknownOperation" {
		t.Errorf("%+v", events[2])
	}
	for _, e := range events {
		if text, _ := json.Marshal(e); len(text) > 4096 {
			t.Errorf("a record of %d bytes", len(text))
		}
	}
	if refusal.Message != long {
		t.Error("the refusal that the sender gets was shortened too")
	}
}

// Strangers cannot fill the log; how much of them is missing is in it.
func TestRefusedFlood(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now})
	flood := func(n int) {
		t.Helper()
		for range n {
			ok(t, s.RefusedRequest(bg, Caller{SourceIP: "192.0.2.7"}, "Decrypt", refuse("UnrecognizedClientException", "no")))
		}
	}
	unrecorded := func(records int, want string) {
		t.Helper()
		events := refusedEvents(t, s)
		if got := string(events[len(events)-1].RequestParameters); len(events) != records || got != want {
			t.Errorf("%d records, the last with %s; want %d, %s", len(events), got, records, want)
		}
	}
	flood(1000)
	unrecorded(100, "")
	now.add(999 * time.Millisecond)
	flood(1)
	unrecorded(100, "")
	now.add(time.Millisecond)
	flood(2)
	unrecorded(101, `{"unrecorded":901}`)
	now.add(-time.Hour) // set back
	flood(1)
	unrecorded(101, `{"unrecorded":901}`)
	now.add(3 * time.Second)
	flood(1)
	unrecorded(102, `{"unrecorded":2}`)
	now.add(24 * time.Hour)
	flood(1000)
	unrecorded(202, "")
	_, err := s.VerifyAudit(bg)
	ok(t, err)
}

// A record that could not be written is counted among those that are missing.
func TestRefusedUnwritten(t *testing.T) {
	now := newClock()
	var r refusals
	for range refusedBurst {
		r.admit(now.Now())
	}
	if _, ok := r.admit(now.Now()); ok {
		t.Fatal("the burst has no end")
	}
	now.add(2 * time.Second)
	n, admitted := r.admit(now.Now())
	if n != 1 || !admitted {
		t.Fatalf("%d left out, admitted %v", n, admitted)
	}
	r.failed(n)
	if n, _ := r.admit(now.Now()); n != 2 {
		t.Errorf("%d left out, want 2", n)
	}
}
