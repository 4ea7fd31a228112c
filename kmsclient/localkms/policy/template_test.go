package policy

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestDefault(t *testing.T) {
	const want = `{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions","Effect":"Allow",` +
		`"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}`
	var got bytes.Buffer
	if err := json.Compact(&got, Default(account)); err != nil || got.String() != want {
		t.Errorf("%s, %v", got.String(), err)
	}
	p := parse(t, KeyPolicy, string(Default(account)))
	if got := p.Principals(); !slices.Equal(got, []string{root}) {
		t.Errorf("names %q", got)
	}
}

// duties sorts every KMS action: what the administrators of a key may do, what
// its users may, and what Build gives to neither.
var duties = map[string]string{
	"administer": `CancelKeyDeletion CreateAlias DeleteAlias DeleteImportedKeyMaterial DisableKey DisableKeyRotation
		EnableKey EnableKeyRotation GetKeyLastUsage GetKeyPolicy GetKeyRotationStatus GetParametersForImport ListGrants
		ListKeyPolicies ListKeyRotations ListResourceTags PutKeyPolicy RevokeGrant RotateKeyOnDemand ScheduleKeyDeletion
		TagResource UntagResource UpdateAlias UpdateKeyDescription UpdatePrimaryRegion`,
	"use": `Decrypt DeriveSharedSecret Encrypt GenerateDataKey GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext
		GenerateDataKeyWithoutPlaintext GenerateMac ReEncryptFrom ReEncryptTo Sign Verify VerifyMac`,
	"both": `DescribeKey GetPublicKey`,
	"neither": `CreateGrant ImportKeyMaterial ReplicateKey RetireGrant SynchronizeMultiRegionKey
		ConnectCustomKeyStore CreateCustomKeyStore CreateKey DeleteCustomKeyStore DescribeCustomKeyStores
		DisconnectCustomKeyStore GenerateRandom ListAliases ListKeys ListRetirableGrants UpdateCustomKeyStore`,
}

func TestBuildSeparatesDuties(t *testing.T) {
	p := parse(t, KeyPolicy, string(Build(account, []string{alice, role}, []string{bob}, false)))
	var sorted []string
	for duty, names := range duties {
		for name := range strings.FieldsSeq(names) {
			sorted = append(sorted, name)
			for arn, want := range map[string]bool{
				alice:   duty == "administer" || duty == "both",
				session: duty == "administer" || duty == "both",
				bob:     duty == "use" || duty == "both",
				root:    false,
			} {
				r := &Request{Action: "kms:" + name, Resource: keyARN, Caller: caller(arn)}
				if got := Decide(r, p, nil).Allowed; got != want {
					t.Errorf("%s by %s: %v", name, arn, got)
				}
				// Own policies change nothing without the delegation.
				everything := identityPolicy(t, `"Effect": "Allow", "Action": "*"`)
				if got := Decide(r, p, []*Policy{everything}).Allowed; got != want {
					t.Errorf("%s by %s with an own policy: %v", name, arn, got)
				}
				r.Context = contextOf(map[string][]string{"kms:grantisforawsresource": {"true"}})
				service := arn == bob && (name == "CreateGrant" || name == "ListGrants" || name == "RevokeGrant")
				if got := Decide(r, p, nil).Allowed; got != (want || service) {
					t.Errorf("%s by %s for a service: %v", name, arn, got)
				}
			}
		}
	}
	all := strings.Fields(actions["kms"])
	slices.Sort(sorted)
	if slices.Sort(all); !slices.Equal(sorted, all) {
		t.Errorf("the actions of KMS are %v, sorted were %v", all, sorted)
	}
}

func TestBuildParts(t *testing.T) {
	own := identityPolicy(t, `"Effect": "Allow", "Action": "kms:*"`)
	for _, c := range []struct {
		administrators, users []string
		delegate              bool
		statements            int
	}{
		{nil, nil, true, 1},
		{[]string{alice}, nil, false, 1},
		{nil, []string{alice}, false, 2},
		{[]string{alice}, []string{bob, role}, true, 4},
	} {
		doc := Build(account, c.administrators, c.users, c.delegate)
		p := parse(t, KeyPolicy, string(doc))
		if len(p.statements) != c.statements {
			t.Errorf("%d statements, want %d: %s", len(p.statements), c.statements, doc)
		}
		carol := decrypt("arn:aws:iam::111122223333:user/carol")
		if got := Decide(carol, p, []*Policy{own}).Allowed; got != c.delegate {
			t.Errorf("an identity policy decides: %v, want %v", got, c.delegate)
		}
		want := slices.Concat(c.administrators, c.users)
		if c.delegate {
			want = append(want, root)
		}
		slices.Sort(want)
		if got := p.Principals(); !slices.Equal(got, want) {
			t.Errorf("names %q, want %q", got, want)
		}
	}
	refused(t, KeyPolicy, string(Build(account, nil, nil, false)), "Statement")
	refused(t, KeyPolicy, string(Build(account, []string{`x"]}, "Resource": "*`}, nil, false)), "is no principal")
}
