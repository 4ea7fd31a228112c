package localkms

import (
	"kmsfs/kmsclient"
)

// verdict is what the state of a key means for an operation. The numbers in
// comments are those of AWS's table.
type verdict int

const (
	allow                 verdict = iota
	refuseDisabled                // [1] DisabledException
	refusePendingDeletion         // [3] KMSInvalidStateException
	refuseNotPending              // [4] KMSInvalidStateException
	refusePendingImport           // [5] KMSInvalidStateException
	refuseExternal                // [6] UnsupportedOperationException
	refuseUnavailable             // [11] KMSInvalidStateException
	refuseUnsupported             // UnsupportedOperationException
)

// stateRules is the one place that says what a key can be used for in which
// state. Every operation that names a key has exactly one row.
//
// Source: https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html;
// the rows of rotation on demand are by analogy, see docs/kms.md.
var stateRules = []struct {
	ops                                                            []string
	enabled, disabled, pendingImport, pendingDeletion, unavailable verdict
}{
	{
		[]string{
			"Decrypt", "Encrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext",
			"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext", "DeriveSharedSecret", "GenerateMac", "VerifyMac",
			"GetPublicKey", "Sign", "Verify", "RotateKeyOnDemand",
		},
		allow, refuseDisabled, refusePendingImport, refusePendingDeletion, refuseUnavailable,
	},
	{ // AWS allows it on an unavailable key; here a grant's token needs the root key
		[]string{"CreateGrant"},
		allow, refuseDisabled, refusePendingImport, refusePendingDeletion, refuseUnavailable,
	},
	{
		[]string{"CancelKeyDeletion"},
		refuseNotPending, refuseNotPending, refuseNotPending, allow, refuseNotPending,
	},
	{
		[]string{
			"CreateAlias", "UpdateAlias", "UpdateKeyDescription", "TagResource", "UntagResource", "ScheduleKeyDeletion",
			"UpdatePrimaryRegion",
		},
		allow, allow, allow, refusePendingDeletion, allow,
	},
	{
		[]string{"GetParametersForImport", "ImportKeyMaterial"},
		allow, allow, allow, refusePendingDeletion, refuseUnavailable,
	},
	{
		[]string{"EnableKey", "DisableKey"},
		allow, allow, refusePendingImport, refusePendingDeletion, allow,
	},
	{
		[]string{"EnableKeyRotation", "DisableKeyRotation"},
		allow, refuseDisabled, refuseExternal, refusePendingDeletion, refuseUnsupported,
	},
	{
		[]string{"GetKeyRotationStatus"},
		allow, allow, allow, allow, refuseUnsupported,
	},
	{
		[]string{"ReplicateKey"},
		allow, refuseDisabled, refusePendingImport, refusePendingDeletion, refuseUnavailable,
	},
	{
		[]string{
			"DescribeKey", "DeleteAlias", "ListAliases", "ListKeyRotations", "GetKeyLastUsage", "GetKeyPolicy", "PutKeyPolicy",
			"ListKeyPolicies", "ListResourceTags", "ListGrants", "RetireGrant", "RevokeGrant", "DeleteImportedKeyMaterial",
		},
		allow, allow, allow, allow, allow,
	},
}

// stateVerdict looks an operation and a state up. What is not in the table is
// refused.
func stateVerdict(op string, state kmsclient.KeyState) verdict {
	for _, r := range stateRules {
		for _, o := range r.ops {
			if o != op {
				continue
			}
			switch state {
			case kmsclient.StateEnabled:
				return r.enabled
			case kmsclient.StateDisabled:
				return r.disabled
			case kmsclient.StatePendingImport:
				return r.pendingImport
			case kmsclient.StatePendingDeletion, statePendingReplicaDeletion:
				return r.pendingDeletion
			case kmsclient.StateUnavailable:
				return r.unavailable
			}
		}
	}
	return refuseUnsupported
}

// refusal is the error a verdict stands for; nil for allow.
func (v verdict) refusal(arn string) error {
	switch v {
	case allow:
		return nil
	case refuseDisabled:
		return refuse("DisabledException", "%s is disabled.", arn)
	case refusePendingDeletion:
		e := refuse("KMSInvalidStateException", "%s is pending deletion.", arn)
		e.Kind = kmsclient.ErrPendingDeletion
		return e
	case refuseNotPending:
		return refuse("KMSInvalidStateException", "%s is not pending deletion.", arn)
	case refusePendingImport:
		e := refuse("KMSInvalidStateException", "%s is pending import.", arn)
		e.Kind = kmsclient.ErrDisabled // cached data keys go, as they do when it is disabled
		return e
	case refuseExternal:
		return refuse("UnsupportedOperationException", "%s origin is EXTERNAL which is not valid for this operation.", arn)
	case refuseUnavailable:
		e := refuse("KMSInvalidStateException", "%s is unavailable.", arn)
		e.Kind = kmsclient.ErrUnavailable
		return e
	}
	return refuse("UnsupportedOperationException", "")
}
