package localkms

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
)

// countingWork is work that counts how often it is done.
func countingWork(n *int) work {
	return func(*cmk, []byte) ([]byte, error) {
		*n++
		return []byte("done"), nil
	}
}

// finish runs an operation that takes what was done ahead.
func finish(c *Client, h *ahead, key string) ([]byte, error) {
	in := SignInput{KeyID: key, Message: []byte("m"), MessageType: "RAW", SigningAlgorithm: string(keyspec.ECDSASHA256)}
	return do(bg, c.API, "Sign", &in, func(c *call) ([]byte, error) {
		k, err := c.signingKey(in.KeyID, in.SigningAlgorithm, in.MessageType)
		if err != nil {
			return nil, err
		}
		return h.result(c, k)
	})
}

func TestAheadIsUsedForTheSameMaterialOnly(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := plant(t, c, keyspec.NISTP256, keyspec.SignVerify)
	other := plant(t, c, keyspec.NISTP256, keyspec.SignVerify)
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/pair", TargetKeyID: idOf(key)})))
	elsewhere := &API{store: c.store, caller: Caller{Principal: LocalUser(), Region: "eu-west-1"}}
	for name, test := range map[string]struct {
		api   *API
		ref   string
		ahead int // how often the work is done before the transaction
		total int
	}{
		"id":             {c.API, idOf(key), 1, 1},
		"ARN":            {c.API, key, 1, 1},
		"alias":          {c.API, "alias/pair", 1, 1},
		"alias ARN":      {c.API, strings.TrimSuffix(key, "key/"+idOf(key)) + "alias/pair", 1, 1},
		"another key":    {c.API, other, 1, 2},
		"another Region": {elsewhere, key, 0, 1},
		"no such key":    {c.API, newKeyID(false).String(), 0, 1},
		"nonsense":       {c.API, "::", 0, 1},
	} {
		n := 0
		h := test.api.ahead(bg, test.ref, countingWork(&n))
		if n != test.ahead {
			t.Errorf("%s: done %d times ahead, want %d", name, n, test.ahead)
		}
		out, err := finish(c, h, key)
		ok(t, err)
		if n != test.total || string(out) != "done" {
			t.Errorf("%s: done %d times, want %d; result %q", name, n, test.total, out)
		}
		if h.wipe(); string(out) != "done" || n == 1 && string(h.out) == "done" {
			t.Errorf("%s: after wipe the answer is %q and the result kept %q", name, out, h.out)
		}
	}
}

func TestAheadIsNotUsedForOtherMaterial(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := plant(t, c, keyspec.NISTP256, keyspec.SignVerify)
	n := 0
	h := c.ahead(bg, key, countingWork(&n))
	h.material[0] ^= 1
	ok(t, only(finish(c, h, key)))
	if n != 2 {
		t.Errorf("done %d times, want 2", n)
	}
}

func TestAheadDoesNothingForKeysThatCannotBeUsed(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := plant(t, c, keyspec.NISTP256, keyspec.SignVerify)
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: key})))
	ended, cancel := context.WithCancel(bg)
	cancel()
	n := 0
	c.ahead(bg, key, countingWork(&n))          // disabled
	c.ahead(bg, newKey(t, c), countingWork(&n)) // not a pair
	ok(t, only(c.EnableKey(bg, EnableKeyInput{KeyID: key})))
	c.ahead(ended, key, countingWork(&n))
	if n != 0 {
		t.Errorf("done %d times", n)
	}
}

// What was made ahead does not leave once the key is disabled, nor does anybody
// learn what went wrong who may not use the key.
func TestAheadWaitsForTheChecks(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := plant(t, c, keyspec.NISTP256, keyspec.SignVerify)
	n := 0
	h := c.ahead(bg, key, countingWork(&n))
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: key})))
	_, err := finish(c, h, key)
	refused(t, err, "DisabledException", key+" is disabled.")
	if n != 1 {
		t.Errorf("done %d times", n)
	}
	ok(t, only(c.EnableKey(bg, EnableKeyInput{KeyID: key})))

	stranger := as(t, s, "user/stranger", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:Sign","Resource":"*"}}`)
	_, err = stranger.Verify(bg, VerifyInput{KeyID: key, Message: []byte("m"), Signature: []byte("bad"), SigningAlgorithm: string(keyspec.ECDSASHA256)})
	if e := (*kmsclient.Error)(nil); !errors.As(err, &e) || e.Code != "AccessDeniedException" {
		t.Errorf("got %v", err)
	}
}

func TestSignAndDisableAtOnce(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := plant(t, c, keyspec.RSA2048, keyspec.SignVerify)
	in := SignInput{KeyID: key, Message: []byte("m"), SigningAlgorithm: string(keyspec.PSSSHA256)}
	var disabled atomic.Bool
	var signed, late atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				began := disabled.Load()
				_, err := c.Sign(bg, in)
				if err == nil && began {
					late.Add(1)
				}
				if err != nil {
					refused(t, err, "DisabledException", key+" is disabled.")
					return
				}
				signed.Add(1)
			}
		})
	}
	for signed.Load() < 8 {
		time.Sleep(time.Millisecond)
	}
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: key})))
	disabled.Store(true)
	wg.Wait()
	if late.Load() != 0 {
		t.Errorf("%d signatures by calls that began after DisableKey had returned", late.Load())
	}
	off := false
	for r, err := range s.AuditEvents(bg, AuditFilter{KeyID: key}) {
		ok(t, err)
		off = off || r.Event.EventName == "DisableKey"
		if off && r.Event.EventName == "Sign" && r.Event.ErrorCode == "" {
			t.Errorf("record %d: signed after DisableKey", r.Seq)
		}
	}
	if !off {
		t.Error("no record of DisableKey")
	}
}

func TestSlots(t *testing.T) {
	s := newStore(t, Options{})
	limited := &slots{taken: make(chan struct{}, 2)}
	var running, most atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := limited.run(bg, s, func() {
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(2 * time.Millisecond)
				running.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() != 2 {
		t.Errorf("%d ran at once, want 2", most.Load())
	}
	ended, cancel := context.WithCancel(bg)
	cancel()
	limited.close()
	limited.close() // does not wait for itself
	if err := limited.run(ended, s, func() { t.Error("ran") }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ok(t, s.Close())
	if err := limited.run(bg, s, func() { t.Error("ran") }); !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Close waits for work under way, and what comes later fails.
func TestCloseDuringWork(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := plant(t, c, keyspec.RSA2048, keyspec.SignVerify)
	var wg sync.WaitGroup
	var signed atomic.Int32
	for range 4 {
		wg.Go(func() {
			for {
				_, err := c.Sign(bg, SignInput{KeyID: key, Message: []byte("m"), SigningAlgorithm: string(keyspec.PSSSHA256)})
				if err != nil {
					if !errors.Is(err, kmsclient.ErrUnavailable) {
						t.Error(err)
					}
					return
				}
				signed.Add(1)
			}
		})
	}
	for signed.Load() < 4 {
		time.Sleep(time.Millisecond)
	}
	ok(t, s.Close())
	wg.Wait()
}

// idOf is the key id in a key ARN.
func idOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// Who may not have the result does not wait for it, nor keep others waiting.
func TestWorkIsNotDoneForTheDenied(t *testing.T) {
	s := newStore(t, Options{})
	user := as(t, s, "user/u", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}}`)
	key := newKey(t, s.Client())
	external := newImporter(t, s.Client(), CreateKeyInput{}).key
	for _, busy := range []*slots{s.computing, s.generating} {
		for range cap(busy.taken) {
			busy.taken <- struct{}{}
		}
		defer func() {
			for range cap(busy.taken) {
				<-busy.taken
			}
		}()
	}
	ctx, cancel := context.WithTimeout(bg, 10*time.Second)
	defer cancel()
	for op, err := range map[string]error{
		"CreateKey":           only(user.CreateKey(ctx, CreateKeyInput{KeySpec: "RSA_4096", KeyUsage: "SIGN_VERIFY"})),
		"GenerateDataKeyPair": only(user.GenerateDataKeyPair(ctx, GenerateDataKeyPairInput{KeyID: key, KeyPairSpec: "RSA_4096"})),
		"GenerateDataKeyPairWithoutPlaintext": only(user.GenerateDataKeyPairWithoutPlaintext(ctx,
			GenerateDataKeyPairWithoutPlaintextInput{KeyID: key, KeyPairSpec: "RSA_4096"})),
		"GetParametersForImport": only(user.GetParametersForImport(ctx,
			GetParametersForImportInput{KeyID: external, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_4096"})),
		"GetKeyLastUsage": only(user.GetKeyLastUsage(ctx, GetKeyLastUsageInput{KeyID: key})),
	} {
		wantCode(t, op, err, denied)
	}
	records := 0
	for r, err := range s.AuditEvents(bg, AuditFilter{Principal: "user/u"}) {
		ok(t, err)
		records++
		if e := r.Event; e.EventName != "CreateKey" && len(e.Resources) != 1 {
			t.Errorf("%s: the record names %v", e.EventName, e.Resources)
		}
	}
	if records != 5 {
		t.Errorf("%d records, want 5", records)
	}
}
