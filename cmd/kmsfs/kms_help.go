package main

import (
	"fmt"
	"strings"

	"kmsfs/kmsclient/localkms/shape"
)

// verbHelp is one line for each operation.
var verbHelp = map[string]string{
	"CancelKeyDeletion":                   "Take a scheduled deletion back; the key is disabled then",
	"CreateAlias":                         "Give a key a name",
	"CreateGrant":                         "Let a principal do some operations with a key",
	"CreateKey":                           "Make a key",
	"Decrypt":                             "Open what encrypt or generate-data-key wrapped",
	"DeleteAlias":                         "Remove a name; the key stays",
	"DeleteImportedKeyMaterial":           "Delete imported material; the key waits for it to be imported again",
	"DeriveSharedSecret":                  "Agree on a secret with the owner of another public key (ECDH)",
	"DescribeKey":                         "Tell all about a key",
	"DisableKey":                          "Stop all use of a key",
	"DisableKeyRotation":                  "End the automatic rotation of a key",
	"EnableKey":                           "Let a disabled key be used again",
	"EnableKeyRotation":                   "Make a key rotate by itself",
	"Encrypt":                             "Wrap up to 4096 bytes with a key",
	"GenerateDataKey":                     "Make a random key, in clear and wrapped",
	"GenerateDataKeyPair":                 "Make a key pair, its private key in clear and wrapped",
	"GenerateDataKeyPairWithoutPlaintext": "Make a key pair, its private key wrapped",
	"GenerateDataKeyWithoutPlaintext":     "Make a random key, wrapped",
	"GenerateMac":                         "Make the HMAC of a message",
	"GenerateRandom":                      "Make random bytes",
	"GetKeyLastUsage":                     "Tell when a key was last used, and for what",
	"GetKeyPolicy":                        "Print the policy of a key",
	"GetKeyRotationStatus":                "Tell whether and when a key rotates by itself",
	"GetParametersForImport":              "Get the public key and token that importing material takes",
	"GetPublicKey":                        "Get the public key of an asymmetric key",
	"ImportKeyMaterial":                   "Give a key the material that was made elsewhere",
	"ListAliases":                         "List names of keys",
	"ListGrants":                          "List the grants of a key",
	"ListKeyPolicies":                     "List the names of a key's policies: there is one, default",
	"ListKeyRotations":                    "List rotations or all materials of a key",
	"ListKeys":                            "List all keys",
	"ListResourceTags":                    "List the tags of a key",
	"ListRetirableGrants":                 "List the grants that a principal may retire",
	"PutKeyPolicy":                        "Replace the policy of a key",
	"ReEncrypt":                           "Move a ciphertext to another key or context",
	"ReplicateKey":                        "Make a replica of a multi-Region key in another Region",
	"RetireGrant":                         "Give up a grant, as its grantee or retiring principal",
	"RevokeGrant":                         "Take a grant back",
	"RotateKeyOnDemand":                   "Give a key new material, for what it wraps from now on",
	"ScheduleKeyDeletion":                 "Stop all use of a key, and destroy it some days later",
	"Sign":                                "Sign a message",
	"TagResource":                         "Add tags to a key",
	"UntagResource":                       "Remove tags from a key",
	"UpdateAlias":                         "Make a name stand for another key",
	"UpdateKeyDescription":                "Replace the description of a key",
	"UpdatePrimaryRegion":                 "Make another of a set of multi-Region keys the primary",
	"Verify":                              "Check a signature",
	"VerifyMac":                           "Check the HMAC of a message",

	"AssumeRole":             "Begin a session of a role",
	"CreateAccessKey":        "Make an access key for a user; its secret is shown now and never again",
	"CreateRole":             "Make a role, which may do nothing yet",
	"CreateUser":             "Make a user, who may do nothing yet",
	"DeleteAccessKey":        "Delete an access key",
	"DeleteRole":             "Delete a role, its sessions and the grants to it",
	"DeleteRolePolicy":       "Take a policy from a role",
	"DeleteUser":             "Delete a user and the grants to that user",
	"DeleteUserPolicy":       "Take a policy from a user",
	"GetCallerIdentity":      "Tell who calls",
	"GetRole":                "Tell about a role, and who may assume it",
	"GetRolePolicy":          "Print a policy of a role",
	"GetUser":                "Tell about a user",
	"GetUserPolicy":          "Print a policy of a user",
	"ListAccessKeys":         "List the access keys of a user, without their secrets",
	"ListRolePolicies":       "List the names of a role's policies",
	"ListRoles":              "List all roles",
	"ListUserPolicies":       "List the names of a user's policies",
	"ListUsers":              "List all users",
	"PutRolePolicy":          "Give a role a policy, or replace one",
	"PutUserPolicy":          "Give a user a policy, or replace one",
	"UpdateAccessKey":        "Make an access key inactive, or active again",
	"UpdateAssumeRolePolicy": "Replace the policy that says who may assume a role",
}

// verbLong is what else there is to say about a verb.
var verbLong = map[string]string{
	"CreateUser": "Make a user, who may do nothing yet: see put-user-policy, put-key-policy, create-grant\n" +
		"and create-access-key. A user of your own name takes your rights on the key store\n" +
		"away, until a policy gives them back. --as root has them still.",
	"DeleteUser": "Delete a user without policies and access keys, and the grants to that user. Key\n" +
		"policies that name the user stay: they are for who gets the name next.",
	"DeleteRole": "Delete a role without policies, its sessions and the grants to it. Key policies that\n" +
		"name it stay: they are for what gets the name next.",
}

// flagHelp is one line for each member, whatever the operation.
var flagHelp = map[string]string{
	"AccessKeyId":                    "`ID` of the access key, AKIA...",
	"AliasName":                      "`alias/NAME`",
	"AssumeRolePolicyDocument":       "`JSON` or file://FILE: who may assume the role (default: whom their own policies let)",
	"BypassPolicyLockoutSafetyCheck": "accept a policy that lets nobody change it any more",
	"CiphertextBlob":                 "`BYTES`: fileb://FILE, or base64 text or file://FILE of it",
	"Constraints":                    "`JSON`, or EncryptionContextSubset={K=V} or EncryptionContextEquals={K=V}",
	"Description":                    "`TEXT` shown with the key",
	"DestinationKeyId":               "`KEY`: key id, ARN or alias/NAME",
	"DryRun":                         "only tell whether the request would have succeeded",
	"DurationSeconds":                "`SECONDS` the session lasts, 900 to what the role allows (default 3600)",
	"GrantId":                        "`ID` of the grant",
	"GrantToken":                     "`TOKEN` of the grant",
	"GrantTokens":                    "`TOKEN`s of grants just made",
	"GranteePrincipal":               "`ARN` of the user or role that may",
	"KeyId":                          "`KEY`: key id or ARN; where a key is used or described also alias/NAME",
	"KeyMaterialId":                  "`ID` of the material, 64 hex digits",
	"Limit":                          "return one part, of at most `N` entries, instead of all",
	"Marker":                         "`MARKER` that the part before ended with",
	"MaxItems":                       "return one part, of at most `N` entries, instead of all",
	"MaxSessionDuration":             "longest session in `SECONDS`, 3600 to 43200 (default 3600)",
	"Message":                        "`BYTES`: fileb://FILE, or base64 text or file://FILE of it",
	"MultiRegion":                    "make the primary of a set of multi-Region keys",
	"Name":                           "`NAME` of the grant: the same request twice makes one",
	"NumberOfBytes":                  "how many, 1 to 1024",
	"Operations":                     "`OPERATION`s that the grant allows",
	"PendingWindowInDays":            "`DAYS` until then, 7 to 30 (default 30)",
	"Plaintext":                      "`BYTES`: fileb://FILE, or base64 text or file://FILE of it",
	"Policy":                         "`JSON` of the policy, or file://FILE",
	"PolicyDocument":                 "`JSON` of the policy, or file://FILE",
	"PolicyName":                     "`NAME` of the policy; a key's is default",
	"ReplicaRegion":                  "`REGION` of the replica",
	"RetiringPrincipal":              "`ARN` of the user or role that may retire the grant",
	"RoleArn":                        "`ROLE`: ARN or name",
	"RoleName":                       "`NAME` of the role",
	"RoleSessionName":                "`NAME` of the session, for the audit log",
	"RotationPeriodInDays":           "`DAYS` between rotations, 90 to 2560 (default 365)",
	"SourceKeyId":                    "`KEY` the ciphertext must be under",
	"TagKeys":                        "`KEY`s of the tags",
	"Tags":                           "TagKey=`K`,TagValue=V, or JSON",
	"TargetKeyId":                    "`KEY`: key id or ARN",
	"UserName":                       "`NAME` of the user; where it may be left out, the caller's",
	"ValidTo":                        "`DATE` the material expires",
}

// memberHelp is the help of a member's flag.
func memberHelp(m shape.Member) string {
	help := flagHelp[m.Name]
	switch {
	case help != "":
	case len(m.Enum) > 0:
		help = "`" + strings.ToUpper(m.Kind.String()) + "`"
	case m.Kind == shape.Blob:
		help = "`BYTES`: fileb://FILE, or base64 text or file://FILE of it"
	case m.Kind == shape.Map:
		help = "`CONTEXT`: K=V,K2=V2 or a JSON object"
	default:
		help = "`" + strings.ToUpper(m.Kind.String()) + "`"
	}
	if len(m.Enum) > 0 {
		help += fmt.Sprintf(": %s", strings.Join(m.Enum, ", "))
	}
	return help
}
