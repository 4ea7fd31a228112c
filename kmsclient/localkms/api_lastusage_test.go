package localkms

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"

	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
)

func lastUsage(t testing.TB, c *Client, key string) KeyLastUsage {
	t.Helper()
	out, err := c.GetKeyLastUsage(bg, GetKeyLastUsageInput{KeyID: key})
	ok(t, err)
	if out.KeyID != idOf(key) || out.TrackingStartDate == nil || !out.TrackingStartDate.Equal(out.KeyCreationDate.Time) {
		t.Errorf("%+v", out)
	}
	return *out.KeyLastUsage
}

func TestLastUsageByOperation(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := s.Client()
	symmetric, other := newKey(t, c), newKey(t, c)
	pair := plant(t, c, keyspec.NISTP256, keyspec.SignVerify)
	agreement := plant(t, c, keyspec.NISTP256, keyspec.KeyAgreement)
	mac := plant(t, c, keyspec.HMAC256, keyspec.GenerateVerifyMAC)
	if use := lastUsage(t, c, symmetric); use != (KeyLastUsage{}) {
		t.Errorf("before any use: %+v", use)
	}
	blob := sealIn(t, c, symmetric, "m")
	signed, err := c.Sign(bg, SignInput{KeyID: pair, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})
	ok(t, err)
	made, err := c.GenerateMac(bg, GenerateMacInput{KeyID: mac, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
	ok(t, err)
	public, err := c.GetPublicKey(bg, GetPublicKeyInput{KeyID: agreement})
	ok(t, err)
	covered := map[string]bool{}
	for _, test := range []struct {
		op, key string
		use     func() error
	}{
		{"Encrypt", symmetric, func() error { return only(c.API.Encrypt(bg, EncryptInput{KeyID: symmetric, Plaintext: []byte("m")})) }},
		{"Decrypt", symmetric, func() error { return only(c.API.Decrypt(bg, DecryptInput{CiphertextBlob: blob})) }},
		{"GenerateDataKey", symmetric, func() error {
			return only(c.API.GenerateDataKey(bg, GenerateDataKeyInput{KeyID: symmetric, KeySpec: "AES_256"}))
		}},
		{"GenerateDataKeyWithoutPlaintext", symmetric, func() error {
			return only(c.GenerateDataKeyWithoutPlaintext(bg, GenerateDataKeyWithoutPlaintextInput{KeyID: symmetric, KeySpec: "AES_256"}))
		}},
		{"GenerateDataKeyPair", symmetric, func() error {
			return only(c.GenerateDataKeyPair(bg, GenerateDataKeyPairInput{KeyID: symmetric, KeyPairSpec: "ECC_NIST_P256"}))
		}},
		{"GenerateDataKeyPairWithoutPlaintext", symmetric, func() error {
			return only(c.GenerateDataKeyPairWithoutPlaintext(bg, GenerateDataKeyPairWithoutPlaintextInput{KeyID: symmetric, KeyPairSpec: "ECC_NIST_P256"}))
		}},
		{"ReEncrypt", symmetric, func() error {
			return only(c.API.ReEncrypt(bg, ReEncryptInput{CiphertextBlob: blob, DestinationKeyID: other}))
		}},
		{"Sign", pair, func() error {
			return only(c.Sign(bg, SignInput{KeyID: pair, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"}))
		}},
		{"Verify", pair, func() error {
			return only(c.Verify(bg, VerifyInput{KeyID: pair, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: signed.Signature}))
		}},
		{"DeriveSharedSecret", agreement, func() error {
			return only(c.DeriveSharedSecret(bg, DeriveSharedSecretInput{KeyID: agreement, KeyAgreementAlgorithm: "ECDH", PublicKey: public.PublicKey}))
		}},
		{"GenerateMac", mac, func() error {
			return only(c.GenerateMac(bg, GenerateMacInput{KeyID: mac, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"}))
		}},
		{"VerifyMac", mac, func() error {
			return only(c.VerifyMac(bg, VerifyMacInput{KeyID: mac, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", Mac: made.Mac}))
		}},
	} {
		clock.add(time.Minute)
		ok(t, test.use())
		use := lastUsage(t, c, test.key)
		var event Event
		for r, err := range s.AuditEvents(bg, AuditFilter{KeyID: test.key, Operation: test.op}) {
			ok(t, err)
			event = r.Event
		}
		if use.Operation != test.op || !use.Timestamp.Equal(clock.Now()) || use.CloudTrailEventID != event.EventID || use.KmsRequestID != event.RequestID {
			t.Errorf("%s: %+v, the record is %+v", test.op, use, event)
		}
		covered[test.op] = true
	}
	if use := lastUsage(t, c, other); use.Operation != "ReEncrypt" {
		t.Errorf("where ReEncrypt wrapped: %+v", use)
	}
	sealIn(t, c, symmetric, "later than ReEncrypt, whose source it was")
	if use := lastUsage(t, c, symmetric); use.Operation != "Encrypt" {
		t.Errorf("%+v", use)
	}
	for _, op := range shape.Enum("KeyLastUsageTrackingOperation") {
		if !covered[op] {
			t.Errorf("%s is not tried", op)
		}
	}
}

// What is refused, a dry run, or no use does not count.
func TestLastUsageIgnores(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := s.Client()
	key := newKey(t, c)
	blob := sealIn(t, c, key, "m")
	want := lastUsage(t, c, key)
	clock.add(time.Hour)
	ok(t, only(c.API.DescribeKey(bg, DescribeKeyInput{KeyID: key})))
	_, err := c.API.Encrypt(bg, EncryptInput{KeyID: key, Plaintext: []byte("m"), DryRun: true})
	refused(t, err, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	refused(t, only(c.API.Decrypt(bg, DecryptInput{CiphertextBlob: flip(blob)})), "InvalidCiphertextException", "")
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: key})))
	refused(t, only(c.API.Decrypt(bg, DecryptInput{CiphertextBlob: blob})), "DisabledException", key+" is disabled.")
	if got := lastUsage(t, c, key); got.CloudTrailEventID != want.CloudTrailEventID || got.Operation != "Encrypt" {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestLastUsageOfMultiRegionKeys(t *testing.T) {
	c := regions(newStore(t, Options{}))
	key := newMRK(t, c, CreateKeyInput{}, away)
	blob := sealIn(t, c[away], key, "m")
	if use := lastUsage(t, c[home], key); use.Operation != "" {
		t.Errorf("of the primary key: %+v", use)
	}
	opensIn(t, c[home], blob, "m")
	for region, op := range map[string]string{home: "Decrypt", away: "Encrypt"} {
		if use := lastUsage(t, c[region], key); use.Operation != op {
			t.Errorf("%s: %+v", region, use)
		}
	}
}

// What is used between the search ahead and the transaction counts.
func TestLastUsageSinceTheSearch(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	blob := sealIn(t, c, key, "m")
	ahead := c.lastUseAhead(bg, key)
	opensIn(t, c, blob, "m")
	found := ahead
	ok(t, s.writer.submit(bg, func(t *tx) error { return found.search(s, t.each) }))
	if ahead.seq == 0 || found.seq <= ahead.seq {
		t.Errorf("found record %d ahead, %d after", ahead.seq, found.seq)
	}
	var searched []string // the search goes on where the one before ended
	ok(t, s.writer.submit(bg, func(t *tx) error {
		return found.search(s, func(query string, args []any, f func(func(...any) error) error) error {
			if args[1] != ahead.searched {
				searched = append(searched, query)
			}
			return t.each(query, args, f)
		})
	}))
	if len(searched) > 0 || ahead.searched == 0 {
		t.Errorf("searched from elsewhere than %d: %q", ahead.searched, searched)
	}
	for _, ref := range []string{"alias/none", newKeyID(false).String(), "::"} {
		if l := c.lastUseAhead(bg, ref); l.seq != 0 {
			t.Errorf("%s: %+v", ref, l)
		}
	}
}

// Both queries go by an index, and need no sorting.
func TestLastUsageQueryPlan(t *testing.T) {
	s := newStore(t, Options{})
	var plans []string
	ok(t, s.writer.submit(bg, func(t *tx) error {
		l := lastUse{region: home}
		return l.search(s, func(query string, args []any, f func(func(...any) error) error) error {
			return t.each("EXPLAIN QUERY PLAN "+query, args, func(scan func(...any) error) error {
				var id, parent, unused int
				var detail string
				err := scan(&id, &parent, &unused, &detail)
				plans = append(plans, detail)
				return err
			})
		})
	}))
	for _, want := range []string{
		"SEARCH audit USING INDEX audit_cmk (cmk=? AND rowid>?)",
		"SEARCH audit USING INDEX audit_source (source=? AND rowid>?)",
	} {
		if !slices.Contains(plans, want) {
			t.Errorf("no %q in %q", want, plans)
		}
	}
	if slices.Contains(plans, "USE TEMP B-TREE FOR ORDER BY") {
		t.Errorf("sorts: %q", plans)
	}
}

// The log of a store of version 1 counts.
func TestLastUsageInStoreVersion1(t *testing.T) {
	var was struct{ Blobs []struct{ Key string } }
	text, err := os.ReadFile("testdata/stores/v1.json")
	ok(t, err)
	ok(t, json.Unmarshal(text, &was))
	now := newClock()
	now.now = now.now.AddDate(0, 10, 15)
	c := openStore(t, unpack(t, "testdata/stores/v1.tar"), Options{Now: now.Now}).Client()
	if use := lastUsage(t, c, was.Blobs[0].Key); use.Operation == "" || use.Timestamp == nil || use.CloudTrailEventID == "" {
		t.Errorf("%+v", use)
	}
}
