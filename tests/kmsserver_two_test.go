package tests

import (
	"sync"
	"testing"
	"time"

	"kmsfs/kmsclient/localkms"
)

// TestTwoServers runs two servers, the command line and this process on one store
// at the same time. What an answer of one has told, the next call at any other
// finds.
func TestTwoServers(t *testing.T) {
	seed, _ := seeded(*killSeed)
	t.Logf("-kms-seed %d", seed)
	h := newKMSHouse(t)
	key := h.createKey()
	keys := h.accessKeys("alice", "bob")
	a, b := h.serve("a", h.kmsDir()), h.serve("b", h.kmsDir())
	f := newFleet(t, h.kmsDir())
	f.recruit(seed, 6, keys, a, b) // each call of a worker goes to the one or the other
	f.start()

	atA, atB := keys[0].at(a), keys[1].at(b)
	use := params{"KeyId": key, "KeySpec": "AES_256"}
	store, err := localkms.Open(h.kmsDir(), localkms.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	beside := store.Client()
	rounds := 0
	for start := time.Now(); time.Since(start) < 2*time.Second; rounds++ {
		atA.get(t, "DisableKey", params{"KeyId": key}, nil)
		atB.refused(t, "GenerateDataKey", use, "DisabledException")
		if _, _, err := beside.GenerateDataKey(t.Context(), key, nil); err == nil {
			t.Error("a key disabled at a server works in process")
		}
		if rounds%10 == 0 {
			if _, errs, code := h.try("kms", "encrypt", "--key-id", key, "--plaintext", "aGk="); code != 3 {
				t.Errorf("a key disabled at a server works on the command line: exit code %d, %s", code, errs)
			}
			h.kmsfs("kms", "enable-key", "--key-id", key)
		} else {
			atB.get(t, "EnableKey", params{"KeyId": key}, nil)
		}
		atA.get(t, "GenerateDataKey", use, nil)
		var made keyInfo
		atA.get(t, "CreateKey", params{}, &made)
		atB.get(t, "RotateKeyOnDemand", params{"KeyId": made.KeyMetadata.Arn}, nil)
	}
	if rounds < 2 {
		t.Errorf("%d rounds in all that time", rounds)
	}

	t.Run("access key", func(t *testing.T) { h.deletedKeyIsRefused(t, a, b) })
	t.Run("session", func(t *testing.T) { h.sessionEnds(t, a, b) })
	f.end()
	if !t.Failed() {
		f.checkAudit()
		f.openAll()
	}
	a.stop()
	b.stop()
	h.verifyAudit()
	t.Logf("%d rounds beside %d calls of workers", rounds, f.total)
}

// deletedKeyIsRefused: a deactivated or deleted access key is refused by both
// servers, which had it in memory, from when the command returns; its calls before
// that are in the log as done, those after it as refused.
func (h *kmsHouse) deletedKeyIsRefused(t *testing.T, servers ...*kmsServer) {
	carol := h.user("carol", allowAll)
	random := params{"NumberOfBytes": 8}
	check := func(code string) {
		t.Helper()
		for _, s := range servers {
			if code == "" {
				carol.at(s).get(t, "GenerateRandom", random, nil)
			} else {
				carol.at(s).refused(t, "GenerateRandom", random, code)
			}
		}
	}
	const gone = "UnrecognizedClientException"
	check("")
	h.kmsfs("kms", "update-access-key", "--user-name", "carol", "--access-key-id", carol.id, "--status", "Inactive")
	check(gone)
	h.kmsfs("kms", "update-access-key", "--user-name", "carol", "--access-key-id", carol.id, "--status", "Active")
	check("")

	// Under load: no call that began after the command had returned may pass.
	var mu sync.Mutex
	deleted := false
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		c := carol.at(servers[i%len(servers)])
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				late := deleted
				mu.Unlock()
				a, err := c.call("GenerateRandom", random)
				if err != nil || a.status == 200 && late || a.status != 200 && a.code() != gone {
					t.Errorf("after the deletion %v: %v, %v", late, a, err)
					return
				}
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	h.kmsfs("kms", "delete-access-key", "--user-name", "carol", "--access-key-id", carol.id)
	mu.Lock()
	deleted = true
	mu.Unlock()
	check(gone)
	time.Sleep(200 * time.Millisecond)
	close(stop)
	wg.Wait()
	if out := h.kmsfs("kms", "audit", "--errors", "--principal", carol.id); len(out) == 0 {
		t.Error("no refusal of the deleted key in the audit log")
	}
}

// sessionEnds: a session of a role may what the role may, at both servers, and
// nothing any more when the role is gone.
func (h *kmsHouse) sessionEnds(t *testing.T, servers ...*kmsServer) {
	const trust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}}`
	h.kmsfs("kms", "create-role", "--role-name", "backup", "--assume-role-policy-document", trust)
	h.kmsfs("kms", "put-role-policy", "--role-name", "backup", "--policy-name", "p", "--policy-document",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:GenerateRandom","Resource":"*"}}`)
	session := h.caller(h.kmsfs("kms", "assume-role", "--env", "--role-arn", "arn:aws:iam::000000000000:role/backup", "--role-session-name", "nightly"))
	if session.token == "" {
		t.Fatal("a session without a token")
	}
	h.secret("session token", session.token)
	for _, s := range servers {
		c := session.at(s)
		c.get(t, "GenerateRandom", params{"NumberOfBytes": 8}, nil)
		c.refused(t, "ListKeys", params{}, "AccessDeniedException")
		c.token += "A"
		c.refused(t, "GenerateRandom", params{"NumberOfBytes": 8}, "UnrecognizedClientException")
	}
	h.kmsfs("kms", "delete-role-policy", "--role-name", "backup", "--policy-name", "p")
	for _, s := range servers {
		session.at(s).refused(t, "GenerateRandom", params{"NumberOfBytes": 8}, "AccessDeniedException")
	}
	h.kmsfs("kms", "delete-role", "--role-name", "backup")
	for _, s := range servers {
		session.at(s).refused(t, "GenerateRandom", params{"NumberOfBytes": 8}, "UnrecognizedClientException")
	}
}
