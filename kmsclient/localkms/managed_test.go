package localkms

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kmsfs/kmsclient/localkms/policy"
)

func TestManagedKeys(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := regions(s)
	for _, service := range awsServices {
		alias := "alias/aws/" + service.alias
		m := metadataOf(t, c[home], alias)
		if m.KeyManager != "AWS" || !m.Enabled || m.KeySpec != specSymmetric || m.Origin != originKMS || m.MultiRegion ||
			m.Description != "Default key that protects my "+service.protects+" when no other key is defined" {
			t.Errorf("%s: %+v", alias, m)
		}
		if again := metadataOf(t, c[home], s.arn(home, alias)); again.KeyID != m.KeyID {
			t.Errorf("%s: another key at the second use", alias)
		}
		if there := metadataOf(t, c[away], alias); there.KeyID == m.KeyID || !strings.Contains(there.Arn, away) {
			t.Errorf("%s: in another Region %+v", alias, there)
		}
		status, err := c[home].GetKeyRotationStatus(bg, GetKeyRotationStatusInput{KeyID: m.KeyID})
		ok(t, err)
		if !status.KeyRotationEnabled || status.RotationPeriodInDays != 365 || !status.NextRotationDate.Equal(clock.Now().Add(365*24*time.Hour)) {
			t.Errorf("%s: %+v", alias, status)
		}
		if _, err := policy.Parse([]byte(service.policy(s.account, home)), policy.KeyPolicy); err != nil {
			t.Errorf("%s: %v", alias, err)
		}
	}
	_, err := c[home].API.DescribeKey(bg, DescribeKeyInput{KeyID: "alias/aws/none"})
	refused(t, err, "NotFoundException", "Alias "+s.arn(home, "alias/aws/none")+" is not found.")

	records := 0
	for r, err := range s.AuditEvents(bg, AuditFilter{Operation: "CreateKey"}) {
		ok(t, err)
		records++
		if r.Event.EventType != "AwsServiceEvent" || len(r.Event.Resources) != 1 {
			t.Errorf("%+v", r.Event)
		}
	}
	if records != 2*len(awsServices) {
		t.Errorf("%d records of CreateKey, want %d", records, 2*len(awsServices))
	}

	before := metadataOf(t, c[home], "alias/aws/ebs").CurrentKeyMaterialID
	clock.add(365 * 24 * time.Hour)
	if metadataOf(t, c[home], "alias/aws/ebs").CurrentKeyMaterialID == before {
		t.Error("not rotated after a year")
	}
}

func TestManagedKeysServeTheirServiceOnly(t *testing.T) {
	s := newStore(t, Options{})
	user := as(t, s, "user/u", "").caller.Principal
	via := func(service string) *Client { return s.ClientFor(Caller{Principal: user, ViaService: service}) }
	ebs := via("ec2." + home + ".amazonaws.com")
	made, err := ebs.API.GenerateDataKey(bg, GenerateDataKeyInput{KeyID: "alias/aws/ebs", KeySpec: "AES_256"})
	ok(t, err)
	ok(t, only(ebs.API.Decrypt(bg, DecryptInput{CiphertextBlob: made.CiphertextBlob})))
	for _, service := range []string{"", "s3." + home + ".amazonaws.com", "ec2." + away + ".amazonaws.com"} {
		_, err := via(service).API.Decrypt(bg, DecryptInput{CiphertextBlob: made.CiphertextBlob})
		refused(t, err, "AccessDeniedException", fmt.Sprintf(
			"User: %s is not authorized to perform: kms:Decrypt on resource: %s because no resource-based policy allows the kms:Decrypt action",
			user.arn(s.account), made.KeyID))
	}
	c := via("")
	ok(t, only(c.API.DescribeKey(bg, DescribeKeyInput{KeyID: made.KeyID})))
	ok(t, only(c.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: made.KeyID})))

	// Nobody changes it, the account itself neither.
	root := s.ClientFor(Caller{Principal: Root})
	for op, call := range map[string]func() error{
		"DisableKey":          func() error { return only(root.DisableKey(bg, DisableKeyInput{KeyID: made.KeyID})) },
		"ScheduleKeyDeletion": func() error { return only(root.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: made.KeyID})) },
		"DisableKeyRotation":  func() error { return only(root.DisableKeyRotation(bg, DisableKeyRotationInput{KeyID: made.KeyID})) },
		"PutKeyPolicy": func() error {
			return only(root.PutKeyPolicy(bg, PutKeyPolicyInput{KeyID: made.KeyID, Policy: string(policy.Default(s.account))}))
		},
		"ReplicateKey": func() error {
			return only(root.ReplicateKey(bg, ReplicateKeyInput{KeyID: made.KeyID, ReplicaRegion: away}))
		},
		"DeleteImportedKeyMaterial": func() error {
			return only(root.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: made.KeyID}))
		},
		"CreateAlias": func() error {
			return only(root.CreateAlias(bg, CreateAliasInput{AliasName: "alias/mine", TargetKeyID: made.KeyID}))
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
			t.Errorf("%s: %v", op, err)
		}
	}
	refused(t, only(root.DeleteAlias(bg, DeleteAliasInput{AliasName: "alias/aws/ebs"})), "NotAuthorizedException", "")
}

// The first use makes the key, and makes it whole; a refusal or a dry run leaves
// nothing, neither in the database nor in the log or the caches.
func TestManagedKeyAfterRefusalAndDryRun(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	ebs := s.ClientFor(Caller{Principal: LocalUser(), ViaService: "ec2." + home + ".amazonaws.com"})
	_, err := ebs.API.Encrypt(bg, EncryptInput{KeyID: "alias/aws/ebs", Plaintext: []byte("m"), DryRun: true})
	refused(t, err, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	_, err = c.API.Encrypt(bg, EncryptInput{KeyID: "alias/aws/ebs", Plaintext: []byte("m")}) // not through the service
	wantCode(t, "direct use", err, denied)
	nobody := s.ClientFor(Caller{Principal: as(t, s, "user/nobody", noKMS).caller.Principal, Region: "xx-1"})
	wantCode(t, "use by nobody", only(nobody.API.DescribeKey(bg, DescribeKeyInput{KeyID: "alias/aws/ebs"})), denied)
	for _, err := range s.AuditEvents(bg, AuditFilter{KeyID: "alias/aws/ebs"}) { // to look for it is no use
		t.Error(err)
	}
	var left int
	ok(t, s.db.QueryRow("SELECT count(*) FROM cmk").Scan(&left))
	if left != 0 {
		t.Errorf("a dry run and refusals left %d keys", left)
	}
	// The row of its policy goes to this one, which lets the account do more.
	own, err := c.CreateKey(bg, CreateKeyInput{Policy: strings.Replace(string(policy.Default(s.account)), "key-default-1", "own", 1)})
	ok(t, err)
	ok(t, only(c.API.Encrypt(bg, EncryptInput{KeyID: own.KeyMetadata.Arn, Plaintext: []byte("m")})))
	ok(t, only(ebs.API.Encrypt(bg, EncryptInput{KeyID: "alias/aws/ebs", Plaintext: []byte("m")})))
	var log []string
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		log = append(log, strings.TrimSpace(r.Event.EventName+" "+r.Event.ErrorCode))
	}
	if want := "[Encrypt DryRunOperationException Encrypt AccessDeniedException DescribeKey AccessDeniedException CreateKey Encrypt CreateKey Encrypt]"; fmt.Sprint(log) != want {
		t.Errorf("log: %v, want %s", log, want)
	}
	if _, err := s.VerifyAudit(bg); err != nil {
		t.Error(err)
	}
}
