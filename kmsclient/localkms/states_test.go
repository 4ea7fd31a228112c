package localkms

import (
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

// awsStates is AWS's table, as docs/kms.md has it, for the operations of this
// KMS: Enabled, Disabled, PendingImport, PendingDeletion, Unavailable.
const awsStates = `
Encrypt                             ok 1  5  3  11
Decrypt                             ok 1  5  3  11
ReEncrypt                           ok 1  5  3  11
GenerateDataKey                     ok 1  5  3  11
GenerateDataKeyWithoutPlaintext     ok 1  5  3  11
GenerateDataKeyPair                 ok 1  5  3  11
GenerateDataKeyPairWithoutPlaintext ok 1  5  3  11
GenerateMac                         ok 1  5  3  11
VerifyMac                           ok 1  5  3  11
DeriveSharedSecret                  ok 1  5  3  11
GetPublicKey                        ok 1  5  3  11
Sign                                ok 1  5  3  11
Verify                              ok 1  5  3  11
RotateKeyOnDemand                   ok 1  5  3  11
ReplicateKey                        ok 1  5  3  11
CreateGrant                         ok 1  5  3  11
CancelKeyDeletion                   4  4  4  ok 4
CreateAlias                         ok ok ok 3  ok
UpdateAlias                         ok ok ok 3  ok
UpdateKeyDescription                ok ok ok 3  ok
TagResource                         ok ok ok 3  ok
UntagResource                       ok ok ok 3  ok
ScheduleKeyDeletion                 ok ok ok 3  ok
GetParametersForImport              ok ok ok 3  11
ImportKeyMaterial                   ok ok ok 3  11
DeleteImportedKeyMaterial           ok ok ok ok ok
UpdatePrimaryRegion                 ok ok ok 3  ok
EnableKey                           ok ok 5  3  ok
DisableKey                          ok ok 5  3  ok
EnableKeyRotation                   ok 1  6  3  un
DisableKeyRotation                  ok 1  6  3  un
GetKeyRotationStatus                ok ok ok ok un
DescribeKey                         ok ok ok ok ok
DeleteAlias                         ok ok ok ok ok
ListAliases                         ok ok ok ok ok
ListKeyRotations                    ok ok ok ok ok
GetKeyLastUsage                     ok ok ok ok ok
GetKeyPolicy                        ok ok ok ok ok
PutKeyPolicy                        ok ok ok ok ok
ListKeyPolicies                     ok ok ok ok ok
ListResourceTags                    ok ok ok ok ok
ListGrants                          ok ok ok ok ok
RetireGrant                         ok ok ok ok ok
RevokeGrant                         ok ok ok ok ok
`

// awsAnswers are the answers the numbers stand for; K is the key's ARN.
var awsAnswers = map[string]struct {
	code, message string
	kind          error
}{
	"1":  {"DisabledException", "K is disabled.", kmsclient.ErrDisabled},
	"3":  {"KMSInvalidStateException", "K is pending deletion.", kmsclient.ErrPendingDeletion},
	"4":  {"KMSInvalidStateException", "K is not pending deletion.", kmsclient.ErrInvalidRequest},
	"5":  {"KMSInvalidStateException", "K is pending import.", kmsclient.ErrDisabled},
	"6":  {"UnsupportedOperationException", "K origin is EXTERNAL which is not valid for this operation.", kmsclient.ErrInvalidRequest},
	"11": {"KMSInvalidStateException", "K is unavailable.", kmsclient.ErrUnavailable},
	"un": {"UnsupportedOperationException", "", kmsclient.ErrInvalidRequest},
}

func TestStatesTable(t *testing.T) {
	states := []kmsclient.KeyState{
		kmsclient.StateEnabled, kmsclient.StateDisabled, kmsclient.StatePendingImport,
		kmsclient.StatePendingDeletion, kmsclient.StateUnavailable,
	}
	rows := 0
	for line := range strings.Lines(strings.TrimSpace(awsStates)) {
		f := strings.Fields(line)
		rows++
		for i, state := range states {
			err := stateVerdict(f[0], state).refusal("K")
			want, refusal := awsAnswers[f[i+1]]
			switch {
			case !refusal && err != nil:
				t.Errorf("%s on %s: %v, want ok", f[0], state, err)
			case refusal:
				refused(t, err, want.code, want.message)
				if e, _ := err.(*kmsclient.Error); e == nil || e.Kind != want.kind {
					t.Errorf("%s on %s: %v, want %v", f[0], state, err, want.kind)
				}
			}
		}
	}
	known := map[string]bool{}
	for _, r := range stateRules {
		for _, op := range r.ops {
			if known[op] {
				t.Errorf("%s has two rows", op)
			}
			known[op] = true
		}
	}
	if len(known) != rows {
		t.Errorf("%d operations in the table, %d in AWS's", len(known), rows)
	}
	if err := stateVerdict("Unheard", kmsclient.StateEnabled).refusal("K"); err == nil {
		t.Error("an operation that is not in the table is allowed")
	}
}
