package localkms

import (
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

// CreateAliasInput is the request of CreateAlias.
type CreateAliasInput struct {
	AliasName   string `kms:"required,len=1:256" pattern:"^[a-zA-Z0-9:/_-]+$"`
	TargetKeyID string `json:"TargetKeyId" kms:"required,len=1:2048"`
}

// UpdateAliasInput is the request of UpdateAlias.
type UpdateAliasInput struct {
	AliasName   string `kms:"required,len=1:256" pattern:"^[a-zA-Z0-9:/_-]+$"`
	TargetKeyID string `json:"TargetKeyId" kms:"required,len=1:2048"`
}

// DeleteAliasInput is the request of DeleteAlias.
type DeleteAliasInput struct {
	AliasName string `kms:"required,len=1:256" pattern:"^[a-zA-Z0-9:/_-]+$"`
}

// ListAliasesInput is the request of ListAliases.
type ListAliasesInput struct {
	KeyID string `json:"KeyId" kms:"len=1:2048"`
	Page
}

// ListAliasesOutput is the answer of ListAliases.
type ListAliasesOutput struct {
	Aliases []AliasEntry
	More
}

// GetKeyPolicyInput is the request of GetKeyPolicy.
type GetKeyPolicyInput struct {
	KeyID      string `json:"KeyId" kms:"required,len=1:2048"`
	PolicyName string `kms:"len=1:128" pattern:"[\\w]+"`
}

// GetKeyPolicyOutput is the answer of GetKeyPolicy.
type GetKeyPolicyOutput struct {
	Policy     string `json:",omitempty"`
	PolicyName string `json:",omitempty"`
}

// PutKeyPolicyInput is the request of PutKeyPolicy.
type PutKeyPolicyInput struct {
	KeyID                          string `json:"KeyId" kms:"required,len=1:2048"`
	PolicyName                     string `kms:"len=1:128" pattern:"[\\w]+"`
	Policy                         string `kms:"required,len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	BypassPolicyLockoutSafetyCheck bool
}

// ListKeyPoliciesInput is the request of ListKeyPolicies.
type ListKeyPoliciesInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
	Page
}

// ListKeyPoliciesOutput is the answer of ListKeyPolicies.
type ListKeyPoliciesOutput struct {
	PolicyNames []string
	More
}

// CreateGrantInput is the request of CreateGrant.
type CreateGrantInput struct {
	KeyID             string   `json:"KeyId" kms:"required,len=1:2048"`
	GranteePrincipal  string   `kms:"required,len=1:256" pattern:"^[\\w+=,.@:/-]+$"`
	RetiringPrincipal string   `kms:"len=1:256" pattern:"^[\\w+=,.@:/-]+$"`
	Operations        []string `kms:"required,item.enum=GrantOperation"`
	Constraints       *GrantConstraints
	GrantTokens       []string `kms:"len=0:10,item.len=1:8192,secret"`
	Name              string   `kms:"len=1:256" pattern:"^[a-zA-Z0-9:/_-]+$"`
	DryRun            bool
}

// CreateGrantOutput is the answer of CreateGrant.
type CreateGrantOutput struct {
	GrantToken string `json:",omitempty" kms:"secret"`
	GrantID    string `json:"GrantId,omitempty"`
}

// ListGrantsInput is the request of ListGrants.
type ListGrantsInput struct {
	KeyID            string `json:"KeyId" kms:"required,len=1:2048"`
	GrantID          string `json:"GrantId" kms:"len=1:128"`
	GranteePrincipal string `kms:"len=1:256" pattern:"^[\\w+=,.@:/-]+$"`
	Page
}

// ListGrantsOutput is the answer of ListGrants.
type ListGrantsOutput struct {
	Grants []Grant
	More
}

// ListRetirableGrantsInput is the request of ListRetirableGrants.
type ListRetirableGrantsInput struct {
	RetiringPrincipal string `kms:"required,len=1:256" pattern:"^[\\w+=,.@:/-]+$"`
	Page
}

// ListRetirableGrantsOutput is the answer of ListRetirableGrants.
type ListRetirableGrantsOutput struct {
	Grants []Grant
	More
}

// RetireGrantInput is the request of RetireGrant.
type RetireGrantInput struct {
	GrantToken string `kms:"len=1:8192,secret"`
	KeyID      string `json:"KeyId" kms:"len=1:2048"`
	GrantID    string `json:"GrantId" kms:"len=1:128"`
	DryRun     bool
}

// RevokeGrantInput is the request of RevokeGrant.
type RevokeGrantInput struct {
	KeyID   string `json:"KeyId" kms:"required,len=1:2048"`
	GrantID string `json:"GrantId" kms:"required,len=1:128"`
	DryRun  bool
}

// AliasEntry is an alias in a list.
type AliasEntry struct {
	AliasName       string      `json:",omitempty"`
	AliasArn        string      `json:",omitempty"`
	TargetKeyID     string      `json:"TargetKeyId,omitempty"`
	CreationDate    *shape.Time `json:",omitempty"`
	LastUpdatedDate *shape.Time `json:",omitempty"`
}

// Grant is a grant in a list.
type Grant struct {
	KeyID             string            `json:"KeyId,omitempty"`
	GrantID           string            `json:"GrantId,omitempty"`
	Name              string            `json:",omitempty"`
	CreationDate      *shape.Time       `json:",omitempty"`
	GranteePrincipal  string            `json:",omitempty"`
	RetiringPrincipal string            `json:",omitempty"`
	IssuingAccount    string            `json:",omitempty"`
	Operations        []string          `json:",omitempty"`
	Constraints       *GrantConstraints `json:",omitempty"`
}

// GrantConstraints limits a grant to operations under an encryption context: one
// that equals, or one that contains, the given pairs.
type GrantConstraints struct {
	EncryptionContextSubset kmsclient.EncryptionContext `json:",omitempty"`
	EncryptionContextEquals kmsclient.EncryptionContext `json:",omitempty"`
}
