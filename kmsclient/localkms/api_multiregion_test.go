package localkms

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
)

// Regions of the tests: the store's own first.
const home, away, third = "us-east-1", "eu-west-1", "ap-south-1"

// regions gives clients in all Regions.
func regions(s *Store) map[string]*Client {
	m := map[string]*Client{}
	for _, r := range []string{home, away, third} {
		m[r] = s.ClientFor(Caller{Principal: LocalUser(), Region: r})
	}
	return m
}

func moved(arn, region string) string { return strings.Replace(arn, home, region, 1) }

// newMRK makes a multi-Region key at home and its replicas, and gives its id.
func newMRK(t testing.TB, c map[string]*Client, in CreateKeyInput, replicas ...string) string {
	t.Helper()
	in.MultiRegion = true
	made, err := c[home].CreateKey(bg, in)
	ok(t, err)
	for _, r := range replicas {
		ok(t, only(c[home].ReplicateKey(bg, ReplicateKeyInput{KeyID: made.KeyMetadata.KeyID, ReplicaRegion: r})))
	}
	return made.KeyMetadata.KeyID
}

func metadataOf(t testing.TB, c *Client, key string) *KeyMetadata {
	t.Helper()
	out, err := c.API.DescribeKey(bg, DescribeKeyInput{KeyID: key})
	ok(t, err)
	return out.KeyMetadata
}

func sealIn(t testing.TB, c *Client, key, text string) []byte {
	t.Helper()
	out, err := c.API.Encrypt(bg, EncryptInput{KeyID: key, Plaintext: []byte(text)})
	ok(t, err)
	return out.CiphertextBlob
}

func opensIn(t testing.TB, c *Client, blob []byte, text string) {
	t.Helper()
	out, err := c.API.Decrypt(bg, DecryptInput{CiphertextBlob: blob})
	ok(t, err)
	if string(out.Plaintext) != text || !strings.Contains(out.KeyID, ":"+c.region()+":") {
		t.Errorf("%q under %s, want %q", out.Plaintext, out.KeyID, text)
	}
}

func TestReplica(t *testing.T) {
	s := newStore(t, Options{})
	c := regions(s)
	key := newMRK(t, c, CreateKeyInput{Description: "primary", Tags: []Tag{{"a", "b"}}})
	arn := s.keyARN(home, parseID(t, key))
	if m := metadataOf(t, c[home], key).MultiRegionConfiguration; fmt.Sprintf("%+v", *m) != fmt.Sprintf("{MultiRegionKeyType:PRIMARY PrimaryKey:%p ReplicaKeys:[]}", m.PrimaryKey) ||
		*m.PrimaryKey != (MultiRegionKey{arn, home}) || m.ReplicaKeys == nil {
		t.Errorf("%+v", m)
	}
	if metadataOf(t, c[home], newKey(t, c[home])).MultiRegionConfiguration != nil {
		t.Error("a key of one Region has a MultiRegionConfiguration")
	}
	before := sealIn(t, c[home], key, "before the replica")
	rotate := func(c *Client) error { return only(c.RotateKeyOnDemand(bg, RotateKeyOnDemandInput{KeyID: key})) }
	ok(t, rotate(c[home]))
	_, err := c[away].API.Decrypt(bg, DecryptInput{CiphertextBlob: before})
	refused(t, err, "InvalidCiphertextException", "")

	out, err := c[home].ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: away, Description: "replica", Tags: []Tag{{"c", "d"}}})
	ok(t, err)
	replica := moved(arn, away)
	policy, err := c[away].GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: key})
	ok(t, err)
	if m := out.ReplicaKeyMetadata; m.Arn != replica || m.KeyID != key || m.KeyState != kmsclient.StateEnabled || m.Description != "replica" ||
		!m.MultiRegion || m.CurrentKeyMaterialID != metadataOf(t, c[home], key).CurrentKeyMaterialID || out.ReplicaPolicy != policy.Policy ||
		!slices.Equal(out.ReplicaTags, []Tag{{"c", "d"}}) {
		t.Errorf("%+v, %+v", out, m)
	}
	ok(t, only(c[home].ReplicateKey(bg, ReplicateKeyInput{KeyID: arn, ReplicaRegion: third})))
	for region, kind := range map[string]string{home: "PRIMARY", away: "REPLICA", third: "REPLICA"} {
		m := metadataOf(t, c[region], key).MultiRegionConfiguration
		if m.MultiRegionKeyType != kind || *m.PrimaryKey != (MultiRegionKey{arn, home}) ||
			!slices.Equal(m.ReplicaKeys, []MultiRegionKey{{moved(arn, third), third}, {replica, away}}) {
			t.Errorf("%s: %+v", region, m)
		}
	}
	if m := metadataOf(t, c[home], key); m.Description != "primary" {
		t.Errorf("%+v", m)
	}
	tags, err := c[away].ListResourceTags(bg, ListResourceTagsInput{KeyID: key})
	ok(t, err)
	if !slices.Equal(tags.Tags, []Tag{{"c", "d"}}) {
		t.Errorf("tags of the replica: %v", tags.Tags)
	}

	// What one seals the others open, whenever it was sealed.
	blobs := map[string][]byte{"before the replica": before}
	ok(t, rotate(c[home]))
	for _, from := range []string{home, away, third} {
		blobs["sealed in "+from] = sealIn(t, c[from], key, "sealed in "+from)
	}
	for text, blob := range blobs {
		for _, in := range []string{home, away, third} {
			opensIn(t, c[in], blob, text)
		}
	}
	refused(t, rotate(c[away]), "UnsupportedOperationException", replica+" is a replica key, which is rotated with its primary key.")

	// States are their own.
	ok(t, only(c[away].DisableKey(bg, DisableKeyInput{KeyID: key})))
	opensIn(t, c[home], before, "before the replica")
	refused(t, only(c[away].API.Decrypt(bg, DecryptInput{CiphertextBlob: before})), "DisabledException", replica+" is disabled.")

	// Each Region has a record of what was made there.
	var events []string
	for r, err := range s.AuditEvents(bg, AuditFilter{KeyID: key}) {
		ok(t, err)
		if n := r.Event.EventName; n == "ReplicateKey" || n == "CreateKey" {
			events = append(events, n+" "+r.Event.AWSRegion+" "+r.Event.UserIdentity.UserName)
		}
	}
	who := LocalUser().name
	if want := []string{"CreateKey " + home + " " + who, "CreateKey " + away + " " + who, "ReplicateKey " + home + " " + who,
		"CreateKey " + third + " " + who, "ReplicateKey " + home + " " + who}; !slices.Equal(events, want) {
		t.Errorf("records: %q, want %q", events, want)
	}
}

func TestReplicasOfKeyPairs(t *testing.T) {
	c := regions(newStore(t, Options{}))
	key := newMRK(t, c, CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"}, away)
	signed, err := c[home].Sign(bg, SignInput{KeyID: key, Message: []byte("m"), SigningAlgorithm: string(keyspec.ECDSASHA256)})
	ok(t, err)
	ok(t, only(c[away].Verify(bg, VerifyInput{KeyID: key, Message: []byte("m"), SigningAlgorithm: string(keyspec.ECDSASHA256), Signature: signed.Signature})))
	key = newMRK(t, c, CreateKeyInput{KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"}, away)
	mac, err := c[away].GenerateMac(bg, GenerateMacInput{KeyID: key, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
	ok(t, err)
	again, err := c[home].GenerateMac(bg, GenerateMacInput{KeyID: key, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
	ok(t, err)
	if !bytes.Equal(mac.Mac, again.Mac) {
		t.Error("the replica makes another MAC")
	}
}

func TestReplicateKeyRefusals(t *testing.T) {
	s := newStore(t, Options{})
	c := regions(s)
	key := newMRK(t, c, CreateKeyInput{}, away)
	arn := s.keyARN(home, parseID(t, key))
	single := newKey(t, c[home])
	for name, test := range map[string]struct {
		c             *Client
		key, to       string
		code, message string
	}{
		"one Region":     {c[home], single, away, "UnsupportedOperationException", single + " is not a multi-Region primary key."},
		"of a replica":   {c[away], key, third, "UnsupportedOperationException", moved(arn, away) + " is not a multi-Region primary key."},
		"there already":  {c[home], key, away, "AlreadyExistsException", moved(arn, away) + " already exists"},
		"its own Region": {c[home], key, home, "AlreadyExistsException", arn + " already exists"},
		"no such key":    {c[third], key, away, "NotFoundException", "Key '" + moved(arn, third) + "' does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, only(test.c.ReplicateKey(bg, ReplicateKeyInput{KeyID: test.key, ReplicaRegion: test.to})), test.code, test.message)
		})
	}
	allow := func(n int, conditions string) *Client {
		return as(t, s, fmt.Sprintf("user/u%d", n), `{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":"kms:ReplicateKey","Resource":"*"},
			{"Effect":"Allow","Action":["kms:CreateKey","kms:TagResource","kms:PutKeyPolicy"],"Resource":"*","Condition":{"StringEquals":{`+conditions+`}}}]}`)
	}
	for n, test := range []struct {
		conditions, to string
		allowed        bool
	}{
		{`"aws:RequestedRegion":"` + home + `"`, third, false},
		{`"aws:RequestedRegion":"` + third + `"`, third, true},
		{`"kms:MultiRegionKeyType":"PRIMARY"`, "ca-west-1", false},
		{`"kms:MultiRegionKeyType":"REPLICA"`, "ca-west-1", true},
	} {
		_, err := allow(n, test.conditions).ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: test.to})
		if denied := err != nil && strings.Contains(err.Error(), "not authorized to perform: kms:CreateKey"); denied == test.allowed || !denied && err != nil {
			t.Errorf("%s: %v", test.conditions, err)
		}
	}
	elsewhere := as(t, s, "user/elsewhere", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEqualsIfExists":{"kms:ReplicaRegion":"sa-east-1"}}}}`)
	if _, err := elsewhere.ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: "sa-east-2"}); err == nil || !strings.Contains(err.Error(), "kms:ReplicateKey") {
		t.Errorf("got %v", err)
	}
	ok(t, only(elsewhere.ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: "sa-east-1"})))
	ok(t, only(c[home].DisableKey(bg, DisableKeyInput{KeyID: key})))
	refused(t, only(c[home].ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: "sa-east-3"})), "DisabledException", arn+" is disabled.")
}

func TestUpdatePrimaryRegion(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := regions(s)
	key := newMRK(t, c, CreateKeyInput{}, away, third)
	arn := s.keyARN(home, parseID(t, key))
	ok(t, only(c[home].EnableKeyRotation(bg, EnableKeyRotationInput{KeyID: key, RotationPeriodInDays: new(100)})))
	update := func(from, to string) error {
		return only(c[from].UpdatePrimaryRegion(bg, UpdatePrimaryRegionInput{KeyID: key, PrimaryRegion: to}))
	}
	refused(t, update(away, home), "UnsupportedOperationException", moved(arn, away)+" is not a multi-Region primary key.")
	refused(t, update(home, home), "UnsupportedOperationException", arn+" is the primary key already.")
	refused(t, update(home, "sa-east-1"), "NotFoundException", "Key '"+moved(arn, "sa-east-1")+"' does not exist")
	ok(t, update(home, away))
	for region, kind := range map[string]string{home: "REPLICA", away: "PRIMARY", third: "REPLICA"} {
		m := metadataOf(t, c[region], key).MultiRegionConfiguration
		if m.MultiRegionKeyType != kind || m.PrimaryKey.Region != away || !slices.Equal(m.ReplicaKeys, []MultiRegionKey{{moved(arn, third), third}, {arn, home}}) {
			t.Errorf("%s: %+v", region, m)
		}
	}
	// Rotation goes on from the new primary key, once for all.
	rotations := func(region string) int {
		out, err := c[region].ListKeyRotations(bg, ListKeyRotationsInput{KeyID: key})
		ok(t, err)
		return len(out.Rotations)
	}
	status, err := c[home].GetKeyRotationStatus(bg, GetKeyRotationStatusInput{KeyID: key})
	ok(t, err)
	if !status.KeyRotationEnabled || status.RotationPeriodInDays != 100 || !status.NextRotationDate.Equal(clock.Now().Add(100*24*time.Hour)) {
		t.Errorf("%+v", status)
	}
	clock.add(100 * 24 * time.Hour)
	for _, region := range []string{home, away, third} {
		if n := rotations(region); n != 1 {
			t.Errorf("%s: rotated %d times, want 1", region, n)
		}
	}
	opensIn(t, c[third], sealIn(t, c[home], key, "rotated"), "rotated")
	refused(t, only(c[home].DisableKeyRotation(bg, DisableKeyRotationInput{KeyID: key})),
		"UnsupportedOperationException", arn+" is a replica key, which is rotated with its primary key.")

	where := map[string]int{}
	for r, err := range s.AuditEvents(bg, AuditFilter{Operation: "UpdatePrimaryRegion"}) {
		ok(t, err)
		if r.Event.ErrorCode == "" {
			where[r.Event.AWSRegion]++
		}
	}
	if where[home] != 1 || where[away] != 1 {
		t.Errorf("records: %v", where)
	}
	ok(t, only(c[third].DisableKey(bg, DisableKeyInput{KeyID: key})))
	ok(t, update(away, third)) // in any state but those of deletion
	if m := metadataOf(t, c[third], key); m.KeyState != kmsclient.StateDisabled || m.MultiRegionConfiguration.MultiRegionKeyType != "PRIMARY" {
		t.Errorf("%+v", m)
	}
	ok(t, only(c[home].ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key})))
	refused(t, update(third, home), "KMSInvalidStateException", arn+" is pending deletion.")

	denied := as(t, s, "user/u", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"`+moved(arn, third)+`"}}`)
	denied.caller.Region = third
	_, err = denied.UpdatePrimaryRegion(bg, UpdatePrimaryRegionInput{KeyID: key, PrimaryRegion: away})
	if err == nil || !strings.Contains(err.Error(), "kms:UpdatePrimaryRegion on resource: "+moved(arn, away)) {
		t.Errorf("got %v", err)
	}
}

func TestDeletionOfMultiRegionKeys(t *testing.T) {
	const day = 24 * time.Hour
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := regions(s)
	key := newMRK(t, c, CreateKeyInput{}, away, third)
	arn := s.keyARN(home, parseID(t, key))
	blob := sealIn(t, c[home], key, "kept")
	schedule := func(region string, days int) ScheduleKeyDeletionOutput {
		out, err := c[region].ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key, PendingWindowInDays: &days})
		ok(t, err)
		return out
	}
	if out := schedule(home, 10); out.KeyState != statePendingReplicaDeletion || out.DeletionDate != nil || out.PendingWindowInDays != 10 {
		t.Errorf("%+v", out)
	}
	if m := metadataOf(t, c[home], key); m.PendingDeletionWindowInDays != 10 || m.DeletionDate != nil {
		t.Errorf("%+v", m)
	}
	opensIn(t, c[away], blob, "kept")
	if out := schedule(away, 7); out.KeyState != kmsclient.StatePendingDeletion || !out.DeletionDate.Equal(clock.Now().Add(7*day)) {
		t.Errorf("%+v", out)
	}
	clock.add(8 * day)
	if m := metadataOf(t, c[home], key); m.KeyState != statePendingReplicaDeletion || len(m.MultiRegionConfiguration.ReplicaKeys) != 1 {
		t.Errorf("%+v", m)
	}
	// A replica that is gone can be made again, once the primary key stays.
	ok(t, only(c[home].CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: key})))
	ok(t, only(c[home].EnableKey(bg, EnableKeyInput{KeyID: key})))
	ok(t, only(c[home].ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: away})))
	opensIn(t, c[away], blob, "kept")

	// With the last replica gone, the days of the primary key begin.
	schedule(home, 10)
	schedule(away, 7)
	schedule(third, 8)
	clock.add(9 * day)
	m := metadataOf(t, c[home], key)
	if m.KeyState != kmsclient.StatePendingDeletion || !m.DeletionDate.Equal(clock.Now().Add(10*day)) || len(m.MultiRegionConfiguration.ReplicaKeys) != 0 {
		t.Errorf("%+v", m)
	}
	clock.add(10 * day)
	_, err := c[home].API.DescribeKey(bg, DescribeKeyInput{KeyID: key})
	refused(t, err, "NotFoundException", "Key '"+arn+"' does not exist")
}

// When the last replica goes in the same moment in which material of the primary
// key expires, neither is lost.
func TestReplicaGoesAsPrimaryExpires(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := regions(s)
	i := newImporter(t, c[home], CreateKeyInput{MultiRegion: true})
	key := idOf(i.key)
	ok(t, only(i.give(m32(1), func(in *ImportKeyMaterialInput) {
		in.ExpirationModel, in.ValidTo = "", &shape.Time{Time: clock.Now().Add(8 * 24 * time.Hour)}
	})))
	ok(t, only(c[home].ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: away})))
	ok(t, only(c[home].ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key})))
	ok(t, only(c[away].ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key, PendingWindowInDays: new(7)})))
	clock.add(9 * 24 * time.Hour)
	i.state(kmsclient.StatePendingDeletion)
	i.has("CURRENT PENDING_IMPORT \n")
}

func TestImportedMultiRegionKey(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := regions(s)
	at := map[string]importer{home: newImporter(t, c[home], CreateKeyInput{MultiRegion: true})}
	arn := at[home].key
	key := idOf(arn)
	replicate := func() error {
		return only(c[home].ReplicateKey(bg, ReplicateKeyInput{KeyID: key, ReplicaRegion: away}))
	}
	refused(t, replicate(), "KMSInvalidStateException", at[home].pending())
	ok(t, only(at[home].give(m32(1), nil)))
	ok(t, replicate())
	at[away] = importerOf(t, c[away], moved(arn, away))
	at[away].state(kmsclient.StatePendingImport)
	fresh := func(in *ImportKeyMaterialInput) { in.ImportType = importNew }

	// The replica takes the same material, and its own token, only.
	refused(t, only(at[away].give(m32(2), nil)), "IncorrectKeyMaterialException", at[away].incorrect())
	isReplica := "New key material cannot be imported into " + at[away].key + ", which is a replica key."
	refused(t, only(at[away].give(m32(1), fresh)), "UnsupportedOperationException", isReplica)
	_, err := at[away].give(m32(1), func(in *ImportKeyMaterialInput) { in.ImportToken = at[home].params.ImportToken })
	refused(t, err, "InvalidImportTokenException", "The import token is not valid for "+at[away].key+".")
	ok(t, only(at[away].give(m32(1), nil)))
	at[away].state(kmsclient.StateEnabled)
	old := at[home].seal("first")
	at[away].opens(old, "first")

	// New material comes by the primary key, and is for all to have before it is current.
	ok(t, only(at[home].give(m32(2), fresh)))
	at[away].state(kmsclient.StateEnabled)
	at[home].has("CURRENT IMPORTED \nPENDING_MULTI_REGION_IMPORT_AND_ROTATION IMPORTED \n")
	at[away].has("CURRENT IMPORTED \nPENDING_MULTI_REGION_IMPORT_AND_ROTATION PENDING_IMPORT \n")
	rotate := func() error { return only(c[home].RotateKeyOnDemand(bg, RotateKeyOnDemandInput{KeyID: key})) }
	refused(t, rotate(), "KMSInvalidStateException", "No available key material pending rotation for the key: "+arn+".")
	ok(t, only(at[away].give(m32(2), nil)))
	at[home].has("CURRENT IMPORTED \nPENDING_ROTATION IMPORTED \n")
	ok(t, rotate())
	at[home].has("NON_CURRENT IMPORTED \nCURRENT IMPORTED \n")
	at[away].has("NON_CURRENT IMPORTED \nCURRENT IMPORTED \n")
	at[home].opens(at[away].seal("second"), "second")
	at[away].opens(old, "first")

	// Deletion is each key's own, but for material that waits.
	ok(t, only(c[away].DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: key})))
	at[away].state(kmsclient.StatePendingImport)
	at[home].state(kmsclient.StateEnabled)
	ok(t, only(at[away].give(m32(2), nil)))
	at[away].opens(old, "first")
	waiting, err := at[home].give(m32(3), fresh)
	ok(t, err)
	ok(t, only(at[away].give(m32(3), nil)))
	ok(t, only(c[away].DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: key, KeyMaterialID: waiting.KeyMaterialID})))
	at[home].has("NON_CURRENT IMPORTED \nCURRENT IMPORTED \nPENDING_MULTI_REGION_IMPORT_AND_ROTATION IMPORTED \n")
	ok(t, only(at[away].give(m32(3), func(in *ImportKeyMaterialInput) {
		in.ExpirationModel, in.ValidTo = "", &shape.Time{Time: clock.Now().Add(time.Hour)}
	})))
	ok(t, only(c[home].DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: key, KeyMaterialID: waiting.KeyMaterialID})))
	at[home].has("NON_CURRENT IMPORTED \nCURRENT IMPORTED \n")
	at[away].has("NON_CURRENT IMPORTED \nCURRENT IMPORTED \n")

	clock.add(2 * time.Hour)
	at[away].state(kmsclient.StateEnabled)
	for r, err := range s.AuditEvents(bg, AuditFilter{Operation: "DeleteExpiredKeyMaterial"}) {
		ok(t, err)
		t.Errorf("record %d: something expired that was gone", r.Seq)
	}

	// A replica that is about to go holds nobody up.
	ok(t, only(at[home].give(m32(4), fresh)))
	ok(t, only(c[away].ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key})))
	ok(t, rotate())
	ok(t, only(c[away].CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: key})))
	at[away].state(kmsclient.StatePendingImport)
	ok(t, only(at[away].give(m32(4), nil)))
	at[away].opens(at[home].seal("fourth"), "fourth")
}
