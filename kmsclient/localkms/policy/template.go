package policy

import "encoding/json"

// document and rule print a policy, with the members in AWS's order.
type document struct {
	Version   string
	ID        string `json:"Id"`
	Statement []rule
}

type rule struct {
	Sid       string
	Effect    string
	Principal struct{ AWS stringOrList }
	Action    stringOrList
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// stringOrList prints a list of one as a string, as AWS does.
type stringOrList []string

func (l stringOrList) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]string(l))
}

func allow(sid string, principals, actions []string) rule {
	r := rule{Sid: sid, Effect: "Allow", Action: actions, Resource: "*"}
	r.Principal.AWS = principals
	return r
}

func (d document) print() []byte {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic(err) // strings alone cannot fail
	}
	return b
}

// delegation lets the identity policies of the account decide.
func delegation(account string) rule {
	return allow("Enable IAM User Permissions", []string{rootARN(account)}, []string{"kms:*"})
}

// Default returns the key policy that a key gets if none is given, which leaves
// everything to the identity policies of the account of 12 digits ("Default key
// policy", KMS Developer Guide).
func Default(account string) []byte {
	return document{"2012-10-17", "key-default-1", []rule{delegation(account)}}.print()
}

// administration is what key administrators may do. AWS's console lists most of
// it with wildcards, such as kms:Create*. Those let an administrator use the key
// after all, so they are not here:
//
//   - CreateGrant: an administrator could grant himself Decrypt.
//   - ImportKeyMaterial: who brings the material can keep a copy.
//   - ReplicateKey: the replica has the same material, and a policy of the
//     administrator's choice.
//
// PutKeyPolicy stays, for without it nobody could change the policy. So an
// administrator can still make himself a user, but in one way only, which the
// policy then shows and the audit log keeps. Where identity policies of the
// account depend on tags or aliases, the actions on those decide about use too.
var administration = []string{
	"kms:CreateAlias", "kms:UpdateAlias", "kms:DeleteAlias",
	"kms:DescribeKey", "kms:UpdateKeyDescription",
	"kms:EnableKey", "kms:DisableKey", "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion",
	"kms:EnableKeyRotation", "kms:DisableKeyRotation", "kms:RotateKeyOnDemand",
	"kms:GetKeyRotationStatus", "kms:ListKeyRotations", "kms:GetKeyLastUsage",
	"kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:ListKeyPolicies",
	"kms:ListGrants", "kms:RevokeGrant",
	"kms:TagResource", "kms:UntagResource", "kms:ListResourceTags",
	"kms:GetPublicKey", "kms:GetParametersForImport", "kms:DeleteImportedKeyMaterial",
	"kms:UpdatePrimaryRegion",
}

// use is what key users may do, for keys of every usage: a key has one, and
// refuses the operations of the others.
var use = []string{
	"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*",
	"kms:Sign", "kms:Verify", "kms:GenerateMac", "kms:VerifyMac", "kms:DeriveSharedSecret",
	"kms:DescribeKey", "kms:GetPublicKey",
}

// Build returns a key policy that keeps key administrators and key users apart:
// only DescribeKey and GetPublicKey are given to both. As with AWS's console,
// users may also manage grants that an AWS service makes for its own use. The
// arguments are the account, of 12 digits, and ARNs of users, roles or sessions.
//
// With delegate, the first statement is that of Default, and identity policies
// can then give anything to anybody, administrators included. Without it and
// without administrators nobody can manage the key. With nobody at all the
// document has no statement, and Parse refuses it.
func Build(account string, administrators, users []string, delegate bool) []byte {
	d := document{Version: "2012-10-17", ID: "key-consolepolicy-3"}
	if delegate {
		d.Statement = append(d.Statement, delegation(account))
	}
	if len(administrators) > 0 {
		d.Statement = append(d.Statement, allow("Allow access for Key Administrators", administrators, administration))
	}
	if len(users) > 0 {
		grants := allow("Allow attachment of persistent resources", users,
			[]string{"kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"})
		grants.Condition = map[string]map[string]string{"Bool": {"kms:GrantIsForAWSResource": "true"}}
		d.Statement = append(d.Statement, allow("Allow use of the key", users, use), grants)
	}
	return d.print()
}
