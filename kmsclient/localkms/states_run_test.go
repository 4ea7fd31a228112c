package localkms

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

// fixture is a store with one key of each sort, and what the operations need.
type fixture struct {
	*Client
	s                          *Store
	symmetric, rsa, mac, agree string // ARNs
	external, multi            string
	blob, signature, tag, peer []byte
	grant                      CreateGrantOutput
}

func newFixture(t *testing.T) *fixture {
	s := newStore(t, Options{})
	f := &fixture{Client: s.Client(), s: s}
	make := func(in CreateKeyInput) string {
		out, err := f.CreateKey(bg, in)
		ok(t, err)
		return out.KeyMetadata.Arn
	}
	f.symmetric = make(CreateKeyInput{})
	f.rsa = make(CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"})
	f.mac = make(CreateKeyInput{KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"})
	f.agree = make(CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "KEY_AGREEMENT"})
	f.external = make(CreateKeyInput{Origin: "EXTERNAL"})
	f.multi = make(CreateKeyInput{MultiRegion: true})
	w, err := f.Encrypt(bg, f.symmetric, []byte("x"), nil)
	ok(t, err)
	f.blob = w.Blob
	sig, err := f.Sign(bg, SignInput{KeyID: f.rsa, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})
	ok(t, err)
	f.signature = sig.Signature
	m, err := f.GenerateMac(bg, GenerateMacInput{KeyID: f.mac, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
	ok(t, err)
	f.tag = m.Mac
	p, err := f.GetPublicKey(bg, GetPublicKeyInput{KeyID: f.agree})
	ok(t, err)
	f.peer = p.PublicKey
	f.grant, err = f.CreateGrant(bg, CreateGrantInput{
		KeyID: f.symmetric, GranteePrincipal: rootARN(s.account), RetiringPrincipal: rootARN(s.account), Operations: []string{"Decrypt"},
	})
	ok(t, err)
	ok(t, only(f.CreateAlias(bg, CreateAliasInput{AliasName: "alias/old", TargetKeyID: f.symmetric})))
	return f
}

// stateCalls runs each operation of the table on the key of the fixture that it
// is for, whose ARN it gives.
var stateCalls = map[string]func(f *fixture) (key string, err error){
	"Encrypt": func(f *fixture) (string, error) {
		_, err := f.Encrypt(bg, f.symmetric, []byte("x"), nil)
		return f.symmetric, err
	},
	"Decrypt": func(f *fixture) (string, error) {
		_, _, err := f.Decrypt(bg, f.blob, nil)
		return f.symmetric, err
	},
	"ReEncrypt": func(f *fixture) (string, error) {
		_, err := f.ReEncrypt(bg, f.blob, nil, f.multi)
		return f.symmetric, err
	},
	"GenerateDataKey": func(f *fixture) (string, error) {
		_, _, err := f.GenerateDataKey(bg, f.symmetric, nil)
		return f.symmetric, err
	},
	"GenerateDataKeyWithoutPlaintext": func(f *fixture) (string, error) {
		return f.symmetric, only(f.GenerateDataKeyWithoutPlaintext(bg, GenerateDataKeyWithoutPlaintextInput{KeyID: f.symmetric, KeySpec: "AES_256"}))
	},
	"GenerateDataKeyPair": func(f *fixture) (string, error) {
		return f.symmetric, only(f.GenerateDataKeyPair(bg, GenerateDataKeyPairInput{KeyID: f.symmetric, KeyPairSpec: "ECC_NIST_P256"}))
	},
	"GenerateDataKeyPairWithoutPlaintext": func(f *fixture) (string, error) {
		return f.symmetric, only(f.GenerateDataKeyPairWithoutPlaintext(bg, GenerateDataKeyPairWithoutPlaintextInput{KeyID: f.symmetric, KeyPairSpec: "ECC_NIST_P256"}))
	},
	"GenerateMac": func(f *fixture) (string, error) {
		return f.mac, only(f.GenerateMac(bg, GenerateMacInput{KeyID: f.mac, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"}))
	},
	"VerifyMac": func(f *fixture) (string, error) {
		return f.mac, only(f.VerifyMac(bg, VerifyMacInput{KeyID: f.mac, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", Mac: f.tag}))
	},
	"DeriveSharedSecret": func(f *fixture) (string, error) {
		return f.agree, only(f.DeriveSharedSecret(bg, DeriveSharedSecretInput{KeyID: f.agree, KeyAgreementAlgorithm: "ECDH", PublicKey: f.peer}))
	},
	"GetPublicKey": func(f *fixture) (string, error) {
		return f.rsa, only(f.GetPublicKey(bg, GetPublicKeyInput{KeyID: f.rsa}))
	},
	"Sign": func(f *fixture) (string, error) {
		return f.rsa, only(f.Sign(bg, SignInput{KeyID: f.rsa, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"}))
	},
	"Verify": func(f *fixture) (string, error) {
		return f.rsa, only(f.Verify(bg, VerifyInput{KeyID: f.rsa, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: f.signature}))
	},
	"RotateKeyOnDemand": func(f *fixture) (string, error) {
		return f.symmetric, only(f.RotateKeyOnDemand(bg, RotateKeyOnDemandInput{KeyID: f.symmetric}))
	},
	"ReplicateKey": func(f *fixture) (string, error) {
		return f.multi, only(f.ReplicateKey(bg, ReplicateKeyInput{KeyID: f.multi, ReplicaRegion: "eu-west-1"}))
	},
	"CreateGrant": func(f *fixture) (string, error) {
		return f.symmetric, only(f.CreateGrant(bg, CreateGrantInput{KeyID: f.symmetric, GranteePrincipal: rootARN(f.s.account), Operations: []string{"Encrypt"}}))
	},
	"CancelKeyDeletion": func(f *fixture) (string, error) {
		return f.symmetric, only(f.CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: f.symmetric}))
	},
	"CreateAlias": func(f *fixture) (string, error) {
		return f.symmetric, only(f.CreateAlias(bg, CreateAliasInput{AliasName: "alias/new", TargetKeyID: f.symmetric}))
	},
	"UpdateAlias": func(f *fixture) (string, error) {
		return f.symmetric, only(f.UpdateAlias(bg, UpdateAliasInput{AliasName: "alias/old", TargetKeyID: f.symmetric}))
	},
	"UpdateKeyDescription": func(f *fixture) (string, error) {
		return f.symmetric, only(f.UpdateKeyDescription(bg, UpdateKeyDescriptionInput{KeyID: f.symmetric, Description: "d"}))
	},
	"TagResource": func(f *fixture) (string, error) {
		return f.symmetric, only(f.TagResource(bg, TagResourceInput{KeyID: f.symmetric, Tags: []Tag{{"k", "v"}}}))
	},
	"UntagResource": func(f *fixture) (string, error) {
		return f.symmetric, only(f.UntagResource(bg, UntagResourceInput{KeyID: f.symmetric, TagKeys: []string{"k"}}))
	},
	"ScheduleKeyDeletion": func(f *fixture) (string, error) {
		return f.symmetric, only(f.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: f.symmetric}))
	},
	"GetParametersForImport": func(f *fixture) (string, error) {
		return f.external, only(f.GetParametersForImport(bg, GetParametersForImportInput{KeyID: f.external, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048"}))
	},
	"ImportKeyMaterial": func(f *fixture) (string, error) {
		return f.external, only(f.ImportKeyMaterial(bg, ImportKeyMaterialInput{KeyID: f.external, ImportToken: []byte("x"), EncryptedKeyMaterial: []byte("x"), ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE"}))
	},
	"DeleteImportedKeyMaterial": func(f *fixture) (string, error) {
		return f.external, only(f.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: f.external}))
	},
	"UpdatePrimaryRegion": func(f *fixture) (string, error) {
		return f.multi, only(f.UpdatePrimaryRegion(bg, UpdatePrimaryRegionInput{KeyID: f.multi, PrimaryRegion: "eu-west-1"}))
	},
	"EnableKey": func(f *fixture) (string, error) {
		return f.symmetric, only(f.EnableKey(bg, EnableKeyInput{KeyID: f.symmetric}))
	},
	"DisableKey": func(f *fixture) (string, error) {
		return f.symmetric, only(f.DisableKey(bg, DisableKeyInput{KeyID: f.symmetric}))
	},
	"EnableKeyRotation": func(f *fixture) (string, error) {
		return f.symmetric, only(f.EnableKeyRotation(bg, EnableKeyRotationInput{KeyID: f.symmetric}))
	},
	"DisableKeyRotation": func(f *fixture) (string, error) {
		return f.symmetric, only(f.DisableKeyRotation(bg, DisableKeyRotationInput{KeyID: f.symmetric}))
	},
	"GetKeyRotationStatus": func(f *fixture) (string, error) {
		return f.symmetric, only(f.GetKeyRotationStatus(bg, GetKeyRotationStatusInput{KeyID: f.symmetric}))
	},
	"DescribeKey": func(f *fixture) (string, error) {
		return f.symmetric, only(f.API.DescribeKey(bg, DescribeKeyInput{KeyID: f.symmetric}))
	},
	"DeleteAlias": func(f *fixture) (string, error) {
		return f.symmetric, only(f.DeleteAlias(bg, DeleteAliasInput{AliasName: "alias/old"}))
	},
	"ListAliases": func(f *fixture) (string, error) {
		return f.symmetric, only(f.ListAliases(bg, ListAliasesInput{KeyID: f.symmetric}))
	},
	"ListKeyRotations": func(f *fixture) (string, error) {
		return f.symmetric, only(f.ListKeyRotations(bg, ListKeyRotationsInput{KeyID: f.symmetric}))
	},
	"GetKeyLastUsage": func(f *fixture) (string, error) {
		return f.symmetric, only(f.GetKeyLastUsage(bg, GetKeyLastUsageInput{KeyID: f.symmetric}))
	},
	"GetKeyPolicy": func(f *fixture) (string, error) {
		return f.symmetric, only(f.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: f.symmetric}))
	},
	"PutKeyPolicy": func(f *fixture) (string, error) {
		out, err := f.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: f.symmetric})
		if err != nil {
			return f.symmetric, err
		}
		return f.symmetric, only(f.PutKeyPolicy(bg, PutKeyPolicyInput{KeyID: f.symmetric, Policy: out.Policy}))
	},
	"ListKeyPolicies": func(f *fixture) (string, error) {
		return f.symmetric, only(f.ListKeyPolicies(bg, ListKeyPoliciesInput{KeyID: f.symmetric}))
	},
	"ListResourceTags": func(f *fixture) (string, error) {
		return f.symmetric, only(f.ListResourceTags(bg, ListResourceTagsInput{KeyID: f.symmetric}))
	},
	"ListGrants": func(f *fixture) (string, error) {
		return f.symmetric, only(f.ListGrants(bg, ListGrantsInput{KeyID: f.symmetric}))
	},
	"RetireGrant": func(f *fixture) (string, error) {
		return f.symmetric, only(f.RetireGrant(bg, RetireGrantInput{KeyID: f.symmetric, GrantID: f.grant.GrantID}))
	},
	"RevokeGrant": func(f *fixture) (string, error) {
		return f.symmetric, only(f.RevokeGrant(bg, RevokeGrantInput{KeyID: f.symmetric, GrantID: f.grant.GrantID}))
	},
}

// TestStatesOfOperations runs every operation on a key in every state, and holds
// its answer against AWS's table.
func TestStatesOfOperations(t *testing.T) {
	f := newFixture(t)
	states := []kmsclient.KeyState{
		kmsclient.StateEnabled, kmsclient.StateDisabled, kmsclient.StatePendingImport,
		kmsclient.StatePendingDeletion, kmsclient.StateUnavailable,
	}
	rows := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(awsStates)) {
		row := strings.Fields(line)
		rows[row[0]] = row[1:]
	}
	keep(t, f.s)
	for op, row := range rows {
		run, known := stateCalls[op]
		if !known {
			t.Errorf("%s is not tried", op)
			continue
		}
		for i, state := range states {
			restore(t, f.s)
			force(t, f.s, state)
			key, err := run(f)
			answer := awsAnswers[row[i]]
			var e *kmsclient.Error
			switch {
			case answer.code != "":
				refused(t, err, answer.code, strings.Replace(answer.message, "K", key, 1))
				if !errors.As(err, &e) || e.Op != op {
					t.Errorf("%s on %s: %v", op, state, err)
				}
			case errors.As(err, &e) && stateCodes[e.Code] && !strings.Contains(e.Message, "No "):
				t.Errorf("%s on %s: %v, want no objection to the state", op, state, err)
			case err != nil && !errors.As(err, &e):
				t.Errorf("%s on %s: %v", op, state, err)
			}
			if t.Failed() {
				t.Fatalf("%s on %s", op, state)
			}
		}
	}
	if len(rows) < len(stateCalls) {
		t.Errorf("%d operations tried, %d in the table", len(stateCalls), len(rows))
	}
}

// stateCodes are the errors by which an operation objects to a state.
var stateCodes = map[string]bool{"DisabledException": true, "KMSInvalidStateException": true}

// force puts all keys into a state, past the operations that lead there.
func force(t *testing.T, s *Store, state kmsclient.KeyState) {
	t.Helper()
	ok(t, s.writer.submit(bg, func(t *tx) error {
		was := s.locked
		if s.locked = state == kmsclient.StateUnavailable; s.locked {
			state = kmsclient.StateEnabled
		}
		if was && !s.locked {
			if err := t.loadHead(); err != nil {
				return err
			}
		}
		return t.exec("UPDATE cmk SET state = ?, deletion = iif(? = 'PendingDeletion', 9e15, NULL)", string(state), string(state))
	}))
}

// keptTables are what operations change, but for the log.
var keptTables = []string{"alias", "key_grant", "tag", "material", "cmk"}

// keep makes copies of the tables, and restore goes back to them.
func keep(t *testing.T, s *Store) {
	t.Helper()
	ok(t, s.writer.submit(bg, func(t *tx) error {
		for _, table := range keptTables {
			if err := t.exec("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table); err != nil {
				return err
			}
		}
		return nil
	}))
}

func restore(t *testing.T, s *Store) {
	t.Helper()
	ok(t, s.writer.submit(bg, func(t *tx) error {
		for _, table := range keptTables {
			if err := t.exec("DELETE FROM " + table); err != nil {
				return err
			}
		}
		for _, table := range slices.Backward(keptTables) {
			if table == "cmk" { // without the column that is computed
				columns := strings.Join(cmkColumns, ", ")
				if err := t.exec("INSERT INTO cmk (" + columns + ") SELECT " + columns + " FROM kept_cmk"); err != nil {
					return err
				}
				continue
			}
			if err := t.exec("INSERT INTO " + table + " SELECT * FROM kept_" + table); err != nil {
				return err
			}
		}
		return nil
	}))
}

var cmkColumns = strings.Fields(`region id state spec usage origin manager description policy created prime current
	public window deletion period rotation expiry`)
