package tests

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var (
	killFor     = flag.Duration("kms-kill", 8*time.Second, "how long TestServerKilled goes on killing")
	killWorkers = flag.Int("kms-clients", 8, "clients of TestServerKilled")
	killSeed    = flag.Uint64("kms-seed", 0, "seed of the tests of the server with workers; 0 = drawn")
)

// TestServerKilled kills the server at random moments while many clients use and
// change their keys. After each kill: every answered call has its audit record,
// the log verifies, every key there is is whole, and each client finds its keys as
// the answers have left them, a call without an answer done or not done. At the end
// every ciphertext opens. `make kms-kill` runs it for long.
func TestServerKilled(t *testing.T) {
	seed, rnd := seeded(*killSeed)
	t.Logf("go test ./tests -run TestServerKilled -kms-kill %v -kms-clients %d -kms-seed %d", *killFor, *killWorkers, seed)
	h := newKMSHouse(t)
	h.createKey() // and the store
	keys := h.accessKeys("alice", "bob")
	s := h.serve("server", h.kmsDir())
	f := newFleet(t, h.kmsDir())
	f.recruit(seed, *killWorkers, keys, s)
	census := newCensus(h, keys[0].at(s))

	f.start()
	kills, verify, start, told := 0, 0, time.Now(), time.Now()
	for time.Since(start) < *killFor && !f.stopping() {
		time.Sleep(spell(rnd, *killFor))
		f.expectLoss()
		s.kill()
		kills++
		f.await()
		// The log is read by who recovers the database, or beside a server that did.
		reader := rnd.IntN(2)
		if reader == 0 {
			f.checkAudit()
		}
		for rnd.IntN(4) == 0 { // killed while it starts
			if _, err := s.launch(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rnd.IntN(150)) * time.Millisecond)
			s.kill()
			kills++
		}
		s.start()
		if reader == 1 {
			f.checkAudit()
		}
		if kills >= verify { // it reads the whole log, so more and more seldom
			h.verifyAudit()
			verify = kills + max(5, kills/4)
		}
		census.take()
		if time.Since(told) > time.Minute {
			told = time.Now()
			t.Logf("after %v: %d kills, %d calls answered", time.Since(start).Round(time.Second), kills, f.total)
		}
		f.resume()
	}
	f.end()
	if t.Failed() {
		return
	}
	f.checkAudit()
	census.takeAll(f)
	f.openAll()
	f.checkAudit()
	s.stop()
	h.verifyAudit()
	t.Logf("%d kills, %d calls answered, %d not, %d keys, %d ciphertexts opened, %d audit records",
		kills, f.total, f.lostN, len(census.known), f.opened.Load(), f.last)
	if kills < 2 || f.total < 100 || f.lostN == 0 || f.opened.Load() == 0 {
		t.Error("nothing was tried")
	}
}

// spell is how long the server lives: mostly shorter in a short run.
func spell(rnd *rand.Rand, whole time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(min(max(whole/8, 100*time.Millisecond), 5*time.Second))))
}

// accessKeys makes users with two access keys each.
func (h *kmsHouse) accessKeys(users ...string) (keys []*caller) {
	h.Helper()
	for _, u := range users {
		keys = append(keys, h.user(u, allowAll), h.accessKey(u))
	}
	return keys
}

// census knows every key of a store.
type census struct {
	h      *kmsHouse
	caller *caller
	known  map[string]bool // by ARN
}

func newCensus(h *kmsHouse, c *caller) *census { return &census{h, c, map[string]bool{}} }

// take checks the keys that are new since the last time.
func (c *census) take() {
	c.h.Helper()
	c.list(func(arn string) {
		if !c.known[arn] {
			c.known[arn] = true
			c.check(arn)
		}
	})
}

// takeAll checks every key again; the workers' retired ones must be about to go.
func (c *census) takeAll(f *fleet) {
	c.h.Helper()
	states := map[string]string{}
	c.list(func(arn string) {
		c.known[arn] = true
		states[arn] = c.check(arn)
	})
	for _, w := range f.workers {
		for arn, certain := range w.retired {
			if s := states[arn]; s != pending && (certain || s != enabled) {
				c.h.Errorf("key %s, given up by %s (answered: %v), is %q", arn, w.name, certain, s)
			}
		}
		for arn := range w.now.keys {
			if states[arn] == "" {
				c.h.Errorf("key %s of %s is not in the list", arn, w.name)
			}
		}
	}
}

// list calls f for every key in the list, page by page.
func (c *census) list(f func(arn string)) {
	c.h.Helper()
	in := params{"Limit": 500}
	for {
		var page struct {
			Keys       []struct{ KeyArn string }
			NextMarker string
		}
		c.caller.get(c.h, "ListKeys", in, &page)
		for _, k := range page.Keys {
			f(k.KeyArn)
		}
		if page.NextMarker == "" {
			return
		}
		in["Marker"] = page.NextMarker
	}
}

// check looks whether a key is whole: described, labelled, with a policy, and of
// use if it is enabled. It gives the state.
func (c *census) check(arn string) string {
	c.h.Helper()
	key := params{"KeyId": arn}
	var info struct {
		KeyMetadata struct{ KeyState, KeySpec, Description string }
	}
	c.caller.get(c.h, "DescribeKey", key, &info)
	m := info.KeyMetadata
	var tags struct {
		Tags []struct{ TagKey, TagValue string }
	}
	c.caller.get(c.h, "ListResourceTags", key, &tags)
	labelled := m.Description == "" // not made by a worker
	for _, tag := range tags.Tags {
		labelled = labelled || tag.TagKey == "label" && tag.TagValue == m.Description
	}
	var policy struct{ Policy string }
	c.caller.get(c.h, "GetKeyPolicy", key, &policy)
	if !labelled || policy.Policy == "" {
		c.h.Errorf("half a key: %+v, tags %+v, policy %q", m, tags, policy.Policy)
	}
	op, in := "GenerateDataKey", params{"KeyId": arn, "KeySpec": "AES_256"}
	switch m.KeySpec {
	case "SYMMETRIC_DEFAULT":
	case "ECC_NIST_P256":
		op, in = "Sign", params{"KeyId": arn, "Message": []byte("m"), "SigningAlgorithm": "ECDSA_SHA_256"}
	case "HMAC_256":
		op, in = "GenerateMac", params{"KeyId": arn, "Message": []byte("m"), "MacAlgorithm": "HMAC_SHA_256"}
	default:
		c.h.Errorf("a key of spec %q", m.KeySpec)
	}
	if a, err := c.caller.call(op, in); err != nil || a.code() != refusals[m.KeyState] {
		c.h.Errorf("%s with %s, which is %s: %v, %v", op, arn, m.KeyState, fmt.Sprint(a.status, " ", a.code()), err)
	}
	return m.KeyState
}
