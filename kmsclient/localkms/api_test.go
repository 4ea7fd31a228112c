package localkms

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

func TestKeyMetadata(t *testing.T) {
	c := newStore(t, Options{Now: newClock().Now, Region: "eu-west-1", Account: "123456789012"}).Client()
	out, err := c.CreateKey(bg, CreateKeyInput{Description: "a key"})
	ok(t, err)
	got := shape.Encode(out, shape.Wire)
	m := out.KeyMetadata
	want := fmt.Sprintf(`{"KeyMetadata":{"AWSAccountId":"123456789012","KeyId":"%s","Arn":"arn:aws:kms:eu-west-1:123456789012:key/%s",`+
		`"CreationDate":1767323045.678,"Enabled":true,"Description":"a key","KeyUsage":"ENCRYPT_DECRYPT","KeyState":"Enabled",`+
		`"Origin":"AWS_KMS","KeyManager":"CUSTOMER","CustomerMasterKeySpec":"SYMMETRIC_DEFAULT","KeySpec":"SYMMETRIC_DEFAULT",`+
		`"EncryptionAlgorithms":["SYMMETRIC_DEFAULT"],"MultiRegion":false,"CurrentKeyMaterialId":"%s"}}`,
		m.KeyID, m.KeyID, m.CurrentKeyMaterialID)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if len(m.CurrentKeyMaterialID) != 64 {
		t.Errorf("material id %q, want 64 hex digits", m.CurrentKeyMaterialID)
	}
}

// What each operation says to a bad request, in AWS's words.
func TestRefusals(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := newKey(t, c)
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/taken", TargetKeyID: key})))
	w, err := c.Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	const nobody = "11111111-1111-4111-8111-111111111111"
	arn := "arn:aws:kms:us-east-1:000000000000:"
	validation := "1 validation error detected: Value "
	for name, test := range map[string]struct {
		call          func() error
		code, message string
	}{
		"unknown id":    {describe(c, nobody), "NotFoundException", "Key '" + arn + "key/" + nobody + "' does not exist"},
		"unknown alias": {describe(c, "alias/none"), "NotFoundException", "Alias " + arn + "alias/none is not found."},
		"not an id":     {describe(c, "foo"), "NotFoundException", "Invalid keyId 'foo'"},
		"other region":  {describe(c, strings.Replace(key, "us-east-1", "eu-west-1", 1)), "NotFoundException", "Invalid arn eu-west-1"},
		"other service": {describe(c, "arn:aws:s3:::x"), "InvalidArnException", "arn:aws:s3:::x is not a KMS ARN"},
		"no key":        {describe(c, ""), "ValidationException", "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"},
		"manage alias":  {func() error { return only(c.DisableKey(bg, DisableKeyInput{KeyID: "alias/taken"})) }, "InvalidArnException", "Key Aliases are not supported for this operation."},
		"alias taken": {func() error {
			return only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/taken", TargetKeyID: key}))
		}, "AlreadyExistsException", "An alias with the name " + arn + "alias/taken already exists"},
		"alias no name": {func() error { return only(c.CreateAlias(bg, CreateAliasInput{AliasName: "taken", TargetKeyID: key})) }, "ValidationException",
			`Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		"alias of AWS": {func() error {
			return only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/aws/ebs", TargetKeyID: key}))
		}, "NotAuthorizedException", ""},
		"alias update": {func() error {
			return only(c.UpdateAlias(bg, UpdateAliasInput{AliasName: "alias/none", TargetKeyID: key}))
		}, "NotFoundException", "Alias " + arn + "alias/none is not found."},
		"alias delete": {func() error { return only(c.DeleteAlias(bg, DeleteAliasInput{AliasName: "alias/none"})) }, "NotFoundException", "Alias " + arn + "alias/none is not found."},
		"cancel":       {func() error { _, err := c.CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: key}); return err }, "KMSInvalidStateException", key + " is not pending deletion."},
		"window": {func() error {
			_, err := c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key, PendingWindowInDays: new(6)})
			return err
		}, "ValidationException", validation + "at 'pendingWindowInDays' failed to satisfy constraint: Member must have value greater than or equal to 7"},
		"random": {func() error {
			_, err := c.GenerateRandom(bg, GenerateRandomInput{NumberOfBytes: new(1025)})
			return err
		}, "ValidationException", validation + "'1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		"spec and size":  {func() error { _, err := c.API.GenerateDataKey(bg, GenerateDataKeyInput{KeyID: key}); return err }, "ValidationException", "Please specify either number of bytes or key spec."},
		"asymmetric":     {func() error { _, err := c.CreateKey(bg, CreateKeyInput{KeySpec: "RSA_2048"}); return err }, "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		"marker":         {func() error { _, err := c.ListKeys(bg, ListKeysInput{Page{Marker: "x"}}); return err }, "InvalidMarkerException", ""},
		"limit":          {func() error { _, err := c.ListKeys(bg, ListKeysInput{Page{Limit: new(1001)}}); return err }, "ValidationException", validation + "'1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		"bad ciphertext": {func() error { _, _, err := c.Decrypt(bg, []byte("x"), nil); return err }, "InvalidCiphertextException", ""},
		"other key": {
			func() error {
				_, err := c.API.Decrypt(bg, DecryptInput{CiphertextBlob: w.Blob, KeyID: newKey(t, c)})
				return err
			},
			"IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.",
		},
		"context too long": {
			func() error {
				_, err := c.Encrypt(bg, key, []byte("x"), kmsclient.EncryptionContext{"k": strings.Repeat("v", 8192)})
				return err
			},
			"ValidationException", "encryption context is longer than 8192 bytes",
		},
		"context not text": {
			func() error {
				_, err := c.Encrypt(bg, key, []byte("x"), kmsclient.EncryptionContext{"k": "\xff"})
				return err
			},
			"ValidationException", validation + "at 'encryptionContext' failed to satisfy constraint: Member must be valid UTF-8",
		},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.call(), test.code, test.message) })
	}
}

func describe(c *Client, key string) func() error {
	return func() error { _, err := c.DescribeKey(bg, key); return err }
}

func TestReEncryptContexts(t *testing.T) {
	c := newStore(t, Options{}).Client()
	from, to := newKey(t, c), newKey(t, c)
	a, b := kmsclient.EncryptionContext{"a": "1"}, kmsclient.EncryptionContext{"b": "2"}
	w, err := c.Encrypt(bg, from, []byte("x"), a)
	ok(t, err)
	out, err := c.API.ReEncrypt(bg, ReEncryptInput{
		CiphertextBlob: w.Blob, SourceEncryptionContext: a, SourceKeyID: from,
		DestinationKeyID: to, DestinationEncryptionContext: b,
	})
	ok(t, err)
	if out.SourceKeyID != from || out.KeyID != to || out.SourceKeyMaterialID != hexID(w.Material) ||
		out.SourceKeyMaterialID == out.DestinationKeyMaterialID {
		t.Errorf("%+v", out)
	}
	dec, err := c.API.Decrypt(bg, DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: b, KeyID: to})
	ok(t, err)
	if string(dec.Plaintext) != "x" || dec.KeyMaterialID != out.DestinationKeyMaterialID {
		t.Errorf("decrypts under material %s, want %s", dec.KeyMaterialID, out.DestinationKeyMaterialID)
	}
}

func TestGenerateDataKeySizes(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := newKey(t, c)
	for _, test := range []struct {
		in   GenerateDataKeyInput
		want int
	}{
		{GenerateDataKeyInput{KeySpec: "AES_256"}, 32}, {GenerateDataKeyInput{KeySpec: "AES_128"}, 16},
		{GenerateDataKeyInput{NumberOfBytes: new(1024)}, 1024},
	} {
		test.in.KeyID = key
		d, err := c.API.GenerateDataKey(bg, test.in)
		ok(t, err)
		if len(d.Plaintext) != test.want {
			t.Errorf("%+v gives %d bytes", test.in, len(d.Plaintext))
		}
		bare, err := c.GenerateDataKeyWithoutPlaintext(bg, GenerateDataKeyWithoutPlaintextInput{
			KeyID: key, KeySpec: test.in.KeySpec, NumberOfBytes: test.in.NumberOfBytes,
		})
		ok(t, err)
		if len(bare.CiphertextBlob) != blobOverhead+test.want {
			t.Errorf("%+v without plaintext: %d bytes", test.in, len(bare.CiphertextBlob))
		}
	}
}

func TestPaging(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := newKey(t, c)
	for i := range 4 {
		newKey(t, c)
		ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: fmt.Sprintf("alias/%d", i), TargetKeyID: key})))
		_, err := c.RotateKeyOnDemand(bg, RotateKeyOnDemandInput{KeyID: key})
		ok(t, err)
	}
	count := func(name string, want int, part func(Page) (int, More, error)) {
		t.Helper()
		p, n := Page{Limit: new(2)}, 0
		for {
			k, more, err := part(p)
			ok(t, err)
			n += k
			if k > 2 || more.Truncated != (more.NextMarker != "") {
				t.Errorf("%s: a part of %d, %+v", name, k, more)
			}
			if p.Marker = more.NextMarker; !more.Truncated {
				break
			}
		}
		if n != want {
			t.Errorf("%s: %d in all, want %d", name, n, want)
		}
	}
	count("keys", 5, func(p Page) (int, More, error) {
		out, err := c.ListKeys(bg, ListKeysInput{p})
		return len(out.Keys), out.More, err
	})
	count("aliases", 4, func(p Page) (int, More, error) {
		out, err := c.ListAliases(bg, ListAliasesInput{Page: p, KeyID: key})
		return len(out.Aliases), out.More, err
	})
	for include, want := range map[string]int{"": 4, "ALL_KEY_MATERIAL": 5} {
		count("rotations", want, func(p Page) (int, More, error) {
			out, err := c.ListKeyRotations(bg, ListKeyRotationsInput{KeyID: key, Page: p, IncludeKeyMaterial: include})
			return len(out.Rotations), out.More, err
		})
	}
}

func TestAliases(t *testing.T) {
	c := newStore(t, Options{}).Client()
	a, b := newKey(t, c), newKey(t, c)
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/x", TargetKeyID: a})))
	_, err := c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: a, PendingWindowInDays: new(7)})
	ok(t, err)
	ok(t, only(c.UpdateAlias(bg, UpdateAliasInput{AliasName: "alias/x", TargetKeyID: b}))) // only the old target is pending
	refused(t, only(c.UpdateAlias(bg, UpdateAliasInput{AliasName: "alias/x", TargetKeyID: a})), "KMSInvalidStateException", a+" is pending deletion.")
	if info, err := c.DescribeKey(bg, "alias/x"); err != nil || info.KeyID != b {
		t.Errorf("alias/x is %s, %v; want %s", info.KeyID, err, b)
	}
	ok(t, only(c.DeleteAlias(bg, DeleteAliasInput{AliasName: "alias/x"})))
	for i := range maxAliases {
		ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: fmt.Sprintf("alias/%d", i), TargetKeyID: b})))
	}
	err = only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/more", TargetKeyID: b}))
	var e *kmsclient.Error
	if !errors.As(err, &e) || e.Code != "LimitExceededException" {
		t.Errorf("alias %d: %v", maxAliases+1, err)
	}
}

func TestRotationLimit(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := newKey(t, c)
	w, err := c.Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	for range maxOnDemand {
		_, err := c.RotateKeyOnDemand(bg, RotateKeyOnDemandInput{KeyID: key})
		ok(t, err)
	}
	_, err = c.RotateKeyOnDemand(bg, RotateKeyOnDemandInput{KeyID: key})
	var e *kmsclient.Error
	if !errors.As(err, &e) || e.Code != "LimitExceededException" {
		t.Errorf("rotation %d: %v", maxOnDemand+1, err)
	}
	_, _, err = c.Decrypt(bg, w.Blob, nil)
	ok(t, err)
	out, err := c.ListKeyRotations(bg, ListKeyRotationsInput{KeyID: key, IncludeKeyMaterial: "ALL_KEY_MATERIAL"})
	ok(t, err)
	first, last := out.Rotations[0], out.Rotations[maxOnDemand]
	if first.RotationDate != nil || first.RotationType != "" || first.KeyMaterialID != hexID(w.Material) ||
		first.KeyMaterialState != "NON_CURRENT" || last.RotationType != "ON_DEMAND" || last.KeyMaterialState != "CURRENT" {
		t.Errorf("first %+v, last %+v", first, last)
	}
}

func TestDeletion(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now})
	c := s.Client()
	key := newKey(t, c)
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/doomed", TargetKeyID: key})))
	w, err := c.Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	out, err := c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key, PendingWindowInDays: new(7)})
	ok(t, err)
	if !out.DeletionDate.Equal(now.Now().Add(7*24*time.Hour)) || out.KeyState != kmsclient.StatePendingDeletion {
		t.Errorf("%+v", out)
	}
	_, err = c.CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: key})
	ok(t, err)
	if info, _ := c.DescribeKey(bg, key); info.State != kmsclient.StateDisabled {
		t.Errorf("a saved key is %s, want Disabled", info.State)
	}
	_, err = c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key})
	ok(t, err)
	now.add(30*24*time.Hour - time.Millisecond)
	refused(t, only(c.EnableKey(bg, EnableKeyInput{KeyID: key})), "KMSInvalidStateException", key+" is pending deletion.")
	now.add(time.Millisecond)

	gone := "Key '" + key + "' does not exist"
	_, _, err = c.Decrypt(bg, w.Blob, nil)
	refused(t, err, "NotFoundException", gone)
	refused(t, describe(c, key)(), "NotFoundException", gone)
	_, err = c.CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: key})
	refused(t, err, "NotFoundException", gone)
	if out, _ := c.ListKeys(bg, ListKeysInput{Page{}}); len(out.Keys) != 0 {
		t.Errorf("deleted key is listed: %v", out.Keys)
	}
	if out, _ := c.ListAliases(bg, ListAliasesInput{}); len(out.Aliases) != 0 {
		t.Errorf("alias of a deleted key is listed: %v", out.Aliases)
	}
	var sealed int
	ok(t, s.db.QueryRow("SELECT count(sealed) FROM material").Scan(&sealed))
	if sealed != 0 {
		t.Error("sealed material outlives its key")
	}
	var names []string
	for r, err := range s.AuditEvents(bg, AuditFilter{KeyID: key}) {
		ok(t, err)
		names = append(names, r.Event.EventName)
	}
	if got := strings.Join(names, " "); !strings.Contains(got, "EnableKey DeleteKey Decrypt") {
		t.Errorf("audit log of the key: %s", got)
	}
	_, err = s.VerifyAudit(bg)
	ok(t, err)
}

func TestDeletionWhileClosed(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now})
	_, err := s.Client().ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: newKey(t, s.Client()), PendingWindowInDays: new(7)})
	ok(t, err)
	ok(t, s.Close())
	now.add(8 * 24 * time.Hour)
	s = openStore(t, s.Dir(), Options{Now: now.Now})
	var sealed int
	ok(t, s.db.QueryRow("SELECT count(sealed) FROM material").Scan(&sealed))
	if sealed != 0 {
		t.Error("Open leaves the material of a key that is overdue")
	}
}
