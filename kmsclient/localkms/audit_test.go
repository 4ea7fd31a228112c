package localkms

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

func TestAuditRecord(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now})
	c := as(t, s, "user/alice", "")
	key := newKey(t, c)
	_, w, err := c.GenerateDataKey(bg, key, kmsclient.EncryptionContext{"file": "7"})
	ok(t, err)
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: key})))
	_, _, err = as(t, s, "role/backup", "").Decrypt(bg, w.Blob, kmsclient.EncryptionContext{"file": "7"})
	if !errors.Is(err, kmsclient.ErrDisabled) {
		t.Fatal(err)
	}
	var got []AuditRecord
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		got = append(got, r)
	}
	if len(got) != 4 {
		t.Fatalf("%d records, want 4", len(got))
	}
	gen, dec := got[1].Event, got[3].Event
	if gen.EventName != "GenerateDataKey" || gen.UserIdentity.ARN != "arn:aws:iam::000000000000:user/alice" ||
		!gen.EventTime.Equal(now.Now()) || !gen.ReadOnly || gen.ErrorCode != "" || gen.Resources[0].ARN != key ||
		gen.AdditionalEventData["keyMaterialId"] != hexID(w.Material) {
		t.Errorf("GenerateDataKey: %+v", gen)
	}
	if want := `{"keyId":"` + key + `","encryptionContext":{"file":"7"},"numberOfBytes":32}`; string(gen.RequestParameters) != want {
		t.Errorf("parameters %s, want %s", gen.RequestParameters, want)
	}
	if dec.ErrorCode != "DisabledException" || dec.ErrorMessage != key+" is disabled." ||
		dec.UserIdentity.Type != "AssumedRole" || dec.Resources[0].ARN != key ||
		!strings.Contains(string(dec.RequestParameters), `"encryptionAlgorithm":"SYMMETRIC_DEFAULT"`) {
		t.Errorf("Decrypt: %+v", dec)
	}
	if got[2].Event.ReadOnly {
		t.Error("DisableKey is marked read-only")
	}
}

func TestAuditFilter(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	a, b := newKey(t, c), newKey(t, c)
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/a", TargetKeyID: a})))
	w, err := c.Encrypt(bg, a, []byte("x"), nil)
	ok(t, err)
	_, err = c.ReEncrypt(bg, w.Blob, nil, b)
	ok(t, err)
	names := func(f AuditFilter) string {
		var got []string
		for r, err := range s.AuditEvents(bg, f) {
			ok(t, err)
			got = append(got, r.Event.EventName)
		}
		return strings.Join(got, " ")
	}
	for _, name := range []string{a, "alias/a", a[len(a)-36:]} {
		if got := names(AuditFilter{KeyID: name}); got != "CreateKey CreateAlias Encrypt ReEncrypt" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := names(AuditFilter{KeyID: b}); got != "CreateKey ReEncrypt" {
		t.Errorf("b: %s", got)
	}
	if got := names(AuditFilter{After: 4}); got != "ReEncrypt" {
		t.Errorf("after 4: %s", got)
	}
	for _, err := range s.AuditEvents(bg, AuditFilter{KeyID: "alias/none"}) {
		if !errors.Is(err, kmsclient.ErrNotFound) {
			t.Errorf("unknown alias: %v", err)
		}
	}
	for range s.AuditEvents(bg, AuditFilter{}) {
		break
	}
}

func TestVerifyAudit(t *testing.T) {
	for name, test := range map[string]struct{ sql, want string }{
		"edited":        {"UPDATE audit SET record = replace(record, 'Encrypt', 'Decrypt') WHERE seq = 3", "record 3 was altered"},
		"re-attributed": {"UPDATE audit SET cmk = NULL WHERE seq = 4", "record 4 was altered"},
		"hash":          {"UPDATE audit SET hash = zeroblob(32) WHERE seq = 2", "record 2 was altered"},
		"removed":       {"DELETE FROM audit WHERE seq = 2", "record 2 is missing"},
		"first":         {"DELETE FROM audit WHERE seq = 1", "record 1 is missing"},
		"tail cut":      {"DELETE FROM audit WHERE seq >= 4", "records from 4 to 5 are missing at the end"},
		"all removed":   {"DELETE FROM audit", "records from 1 to 5 are missing at the end"},
		"added":         {"INSERT INTO audit SELECT 6, cmk, source, record, hash FROM audit WHERE seq = 5", "record 6 was altered"},
		"head forged": {
			"DELETE FROM audit WHERE seq = 5; UPDATE audit_head SET seq = 4, hash = (SELECT hash FROM audit WHERE seq = 4)",
			"audit log head was altered",
		},
		"head removed": {"DELETE FROM audit_head", "head is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			c := s.Client()
			key := newKey(t, c)
			for range 4 {
				_, err := c.Encrypt(bg, key, []byte("x"), nil)
				ok(t, err)
			}
			n, err := s.VerifyAudit(bg)
			ok(t, err)
			if n != 5 {
				t.Errorf("%d records, want 5", n)
			}
			_, err = s.db.Exec(test.sql)
			ok(t, err)
			_, err = s.VerifyAudit(bg)
			if !errors.Is(err, ErrAuditBroken) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// To append after a forged head would make the forgery genuine: refused.
func TestForgedHeadStopsOperations(t *testing.T) {
	s := newStore(t, Options{})
	key := newKey(t, s.Client())
	_, err := s.db.Exec("DELETE FROM audit; UPDATE audit_head SET seq = 0, hash = zeroblob(32)")
	ok(t, err)
	_, _, err = s.Client().GenerateDataKey(bg, key, nil)
	if !errors.Is(err, kmsclient.ErrUnavailable) || !strings.Contains(err.Error(), "head was altered") {
		t.Errorf("got %v", err)
	}
	if _, err := openStore(t, s.Dir(), Options{}).VerifyAudit(bg); !errors.Is(err, ErrAuditBroken) {
		t.Errorf("verify after opening anew: %v", err)
	}
}

// One operation that breaks the transaction does not take others with it, and a
// caller that gave up while queued leaves nothing behind.
func TestBatchIsolation(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	release, started := make(chan struct{}), make(chan struct{})
	go s.writer.submit(bg, func(*tx) error { close(started); <-release; return nil })
	<-started // from here on everything queues
	bad, good, gone := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() {
		bad <- s.writer.submit(bg, func(t *tx) error { return t.exec("INSERT INTO cmk SELECT * FROM cmk") })
	}()
	go func() { _, _, err := c.GenerateDataKey(bg, key, nil); good <- err }()
	ctx, cancel := context.WithCancel(bg)
	go func() { _, err := c.Encrypt(ctx, key, []byte("x"), nil); gone <- err }()
	for len(s.writer.queue) < 3 {
		runtime.Gosched()
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) || !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Errorf("cancelled while queued: %v", err)
	}
	close(release)
	if err := <-bad; err == nil {
		t.Error("a broken operation succeeds")
	}
	ok(t, <-good)
	n, err := s.VerifyAudit(bg)
	ok(t, err)
	if n != 2 {
		t.Errorf("%d records, want CreateKey and GenerateDataKey only", n)
	}
}
