package policy

import (
	"maps"
	"slices"
	"strings"
)

// actions are the permissions that exist, by service. They are the operations
// of the services, except that kms:ReEncrypt needs ReEncryptFrom on one key and
// ReEncryptTo on the other, and that some permissions have no operation (Service
// Authorization Reference; the operations are those of the AWS SDK's models).
var actions = map[string]string{
	"kms": `
		CancelKeyDeletion ConnectCustomKeyStore CreateAlias CreateCustomKeyStore CreateGrant CreateKey Decrypt
		DeleteAlias DeleteCustomKeyStore DeleteImportedKeyMaterial DeriveSharedSecret DescribeCustomKeyStores
		DescribeKey DisableKey DisableKeyRotation DisconnectCustomKeyStore EnableKey EnableKeyRotation Encrypt
		GenerateDataKey GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext
		GenerateMac GenerateRandom GetKeyLastUsage GetKeyPolicy GetKeyRotationStatus GetParametersForImport
		GetPublicKey ImportKeyMaterial ListAliases ListGrants ListKeyPolicies ListKeyRotations ListKeys
		ListResourceTags ListRetirableGrants PutKeyPolicy ReEncryptFrom ReEncryptTo ReplicateKey RetireGrant
		RevokeGrant RotateKeyOnDemand ScheduleKeyDeletion Sign SynchronizeMultiRegionKey TagResource UntagResource
		UpdateAlias UpdateCustomKeyStore UpdateKeyDescription UpdatePrimaryRegion Verify VerifyMac`,
	"iam": `
		AcceptDelegationRequest AddClientIDToOpenIDConnectProvider AddRoleToInstanceProfile AddUserToGroup
		AssociateDelegationRequest AttachGroupPolicy AttachRolePolicy AttachUserPolicy ChangePassword
		CreateAccessKey CreateAccountAlias CreateDelegationRequest CreateGroup CreateInstanceProfile
		CreateLoginProfile CreateOpenIDConnectProvider CreatePolicy CreatePolicyVersion CreateRole
		CreateSAMLProvider CreateServiceLinkedRole CreateServiceSpecificCredential CreateUser CreateVirtualMFADevice
		DeactivateMFADevice DeleteAccessKey DeleteAccountAlias DeleteAccountPasswordPolicy DeleteGroup
		DeleteGroupPolicy DeleteInstanceProfile DeleteLoginProfile DeleteOpenIDConnectProvider DeletePolicy
		DeletePolicyVersion DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DeleteSAMLProvider
		DeleteSSHPublicKey DeleteServerCertificate DeleteServiceLinkedRole DeleteServiceSpecificCredential
		DeleteSigningCertificate DeleteUser DeleteUserPermissionsBoundary DeleteUserPolicy DeleteVirtualMFADevice
		DetachGroupPolicy DetachRolePolicy DetachUserPolicy DisableOrganizationsRootCredentialsManagement
		DisableOrganizationsRootSessions DisableOutboundWebIdentityFederation EnableMFADevice
		EnableOrganizationsRootCredentialsManagement EnableOrganizationsRootSessions
		EnableOutboundWebIdentityFederation GenerateCredentialReport GenerateOrganizationsAccessReport
		GenerateServiceLastAccessedDetails GetAccessKeyLastUsed GetAccountAuthorizationDetails
		GetAccountPasswordPolicy GetAccountSummary GetContextKeysForCustomPolicy GetContextKeysForPrincipalPolicy
		GetCredentialReport GetDelegationRequest GetGroup GetGroupPolicy GetHumanReadableSummary GetInstanceProfile
		GetLoginProfile GetMFADevice GetOpenIDConnectProvider GetOrganizationsAccessReport
		GetOutboundWebIdentityFederationInfo GetPolicy GetPolicyVersion GetRole GetRolePolicy GetSAMLProvider
		GetSSHPublicKey GetServerCertificate GetServiceLastAccessedDetails GetServiceLastAccessedDetailsWithEntities
		GetServiceLinkedRoleDeletionStatus GetUser GetUserPolicy ListAccessKeys ListAccountAliases
		ListAttachedGroupPolicies ListAttachedRolePolicies ListAttachedUserPolicies ListDelegationRequests
		ListEntitiesForPolicy ListGroupPolicies ListGroups ListGroupsForUser ListInstanceProfileTags
		ListInstanceProfiles ListInstanceProfilesForRole ListMFADeviceTags ListMFADevices
		ListOpenIDConnectProviderTags ListOpenIDConnectProviders ListOrganizationsFeatures ListPolicies
		ListPoliciesGrantingServiceAccess ListPolicyTags ListPolicyVersions ListRolePolicies ListRoleTags ListRoles
		ListSAMLProviderTags ListSAMLProviders ListSSHPublicKeys ListServerCertificateTags ListServerCertificates
		ListServiceSpecificCredentials ListSigningCertificates ListUserPolicies ListUserTags ListUsers
		ListVirtualMFADevices PassRole PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy
		PutUserPermissionsBoundary PutUserPolicy RejectDelegationRequest RemoveClientIDFromOpenIDConnectProvider
		RemoveRoleFromInstanceProfile RemoveUserFromGroup ResetServiceSpecificCredential ResyncMFADevice
		SendDelegationToken SetDefaultPolicyVersion SetSecurityTokenServicePreferences SimulateCustomPolicy
		SimulatePrincipalPolicy TagInstanceProfile TagMFADevice TagOpenIDConnectProvider TagPolicy TagRole
		TagSAMLProvider TagServerCertificate TagUser UntagInstanceProfile UntagMFADevice UntagOpenIDConnectProvider
		UntagPolicy UntagRole UntagSAMLProvider UntagServerCertificate UntagUser UpdateAccessKey
		UpdateAccountPasswordPolicy UpdateAssumeRolePolicy UpdateDelegationRequest UpdateGroup UpdateLoginProfile
		UpdateOpenIDConnectProviderThumbprint UpdateRole UpdateRoleDescription UpdateSAMLProvider UpdateSSHPublicKey
		UpdateServerCertificate UpdateServiceSpecificCredential UpdateSigningCertificate UpdateUser
		UploadSSHPublicKey UploadServerCertificate UploadSigningCertificate`,
	"sts": `
		AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot DecodeAuthorizationMessage
		GetAccessKeyInfo GetCallerIdentity GetDelegatedAccessToken GetFederationToken GetSessionToken
		GetWebIdentityToken SetSourceIdentity TagSession`,
}

// knownActions numbers all actions, written service:Name and folded. Since they
// are known, wildcards are resolved when a policy is parsed, and a decision
// looks at one bit per statement.
var knownActions = func() (all []struct{ name, folded string }) {
	for _, service := range slices.Sorted(maps.Keys(actions)) {
		for name := range strings.FieldsSeq(actions[service]) {
			name = service + ":" + name
			all = append(all, struct{ name, folded string }{name, fold(name)})
		}
	}
	return all
}()

// actionBits is the number of each action by its name.
var actionBits = func() map[string]int {
	bits := map[string]int{}
	for i, a := range knownActions {
		bits[a.name] = i
	}
	return bits
}()

type actionSet [4]uint64

func (s *actionSet) add(bit int)      { s[bit/64] |= 1 << (bit % 64) }
func (s *actionSet) has(bit int) bool { return s[bit/64]&(1<<(bit%64)) != 0 }

// actions compiles Action or NotAction. Each entry must stand for at least one
// action that a policy of this kind can be about; names do not depend on case.
func (p *parser) actions(element string, n node) (set actionSet, err error) {
	values, ok := n.texts(jsonText)
	if !ok {
		return set, p.fail(element, "must be a string or a list of strings")
	}
	for _, v := range values {
		service, _, named := strings.Cut(fold(v), ":")
		glob, err := (&parser{}).pattern(fold(v), true)
		if err != nil {
			return set, p.fail(element, "%q %v", v, err)
		}
		found := false
		if v == "*" || named && actions[service] != "" {
			for bit, a := range knownActions {
				if p.offers(a.name) && glob.match(a.folded) {
					set.add(bit)
					found = true
				}
			}
		}
		if !found {
			return set, p.fail(element, "%q is no action that a %s can be about", v, p.kind)
		}
	}
	if element == "NotAction" {
		for i := range set {
			set[i] = ^set[i]
		}
	}
	return set, nil
}

// offers says whether a policy of this kind can be about an action.
func (p *parser) offers(name string) bool {
	switch p.kind {
	case KeyPolicy:
		return strings.HasPrefix(name, "kms:")
	case TrustPolicy:
		return name == "sts:AssumeRole"
	}
	return true
}
