package localkms

import "kmsfs/kmsclient/localkms/shape"

// Requests and answers of IAM about access keys, and those of STS.

// CreateAccessKeyInput is the request of CreateAccessKey. Without a name it is
// about the caller, like the others here.
type CreateAccessKeyInput struct {
	UserName string `kms:"len=1:128" pattern:"[\\w+=,.@-]+"`
}

// CreateAccessKeyOutput is the answer of CreateAccessKey.
type CreateAccessKeyOutput struct{ AccessKey AccessKey }

// AccessKey is a new access key. The secret is never shown again.
type AccessKey struct {
	UserName        string
	AccessKeyID     string `json:"AccessKeyId"`
	Status          string
	SecretAccessKey string `kms:"secret"`
	CreateDate      shape.Time
}

// ListAccessKeysInput is the request of ListAccessKeys.
type ListAccessKeysInput struct {
	UserName string `kms:"len=1:128" pattern:"[\\w+=,.@-]+"`
	IAMPage
}

// ListAccessKeysOutput is the answer of ListAccessKeys.
type ListAccessKeysOutput struct {
	AccessKeyMetadata []AccessKeyMetadata
	IAMMore
}

// AccessKeyMetadata is an access key in a list.
type AccessKeyMetadata struct {
	UserName    string
	AccessKeyID string `json:"AccessKeyId"`
	Status      string
	CreateDate  shape.Time
}

// UpdateAccessKeyInput is the request of UpdateAccessKey.
type UpdateAccessKeyInput struct {
	UserName    string `kms:"len=1:128" pattern:"[\\w+=,.@-]+"`
	AccessKeyID string `json:"AccessKeyId" kms:"required,len=16:128" pattern:"[\\w]+"`
	Status      string `kms:"required,enum=Active|Inactive"`
}

// DeleteAccessKeyInput is the request of DeleteAccessKey.
type DeleteAccessKeyInput struct {
	UserName    string `kms:"len=1:128" pattern:"[\\w+=,.@-]+"`
	AccessKeyID string `json:"AccessKeyId" kms:"required,len=16:128" pattern:"[\\w]+"`
}

// AssumeRoleInput is the request of AssumeRole. Unlike AWS's, it also takes the
// bare name of the role.
type AssumeRoleInput struct {
	RoleArn           string   `kms:"required,len=1:2048" pattern:"[\\u0021-\\u007E]+"`
	RoleSessionName   string   `kms:"required,len=2:64" pattern:"[\\w+=,.@-]*"`
	DurationSeconds   *int     `kms:"range=900:43200"`
	ExternalID        string   `json:"ExternalId" kms:"unsupported"`
	Policy            string   `kms:"unsupported"`
	PolicyArns        any      `kms:"unsupported"`
	ProvidedContexts  any      `kms:"unsupported"`
	SerialNumber      string   `kms:"unsupported"`
	SourceIdentity    string   `kms:"unsupported"`
	Tags              []Tag    `kms:"unsupported"`
	TokenCode         string   `kms:"unsupported"`
	TransitiveTagKeys []string `kms:"unsupported"`
}

// AssumeRoleOutput is the answer of AssumeRole.
type AssumeRoleOutput struct {
	Credentials     Credentials
	AssumedRoleUser AssumedRoleUser
}

// Credentials sign requests of a session until they expire.
type Credentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `kms:"secret"`
	SessionToken    string `kms:"secret"`
	Expiration      shape.Time
}

// AssumedRoleUser names a session of a role.
type AssumedRoleUser struct {
	AssumedRoleID string `json:"AssumedRoleId"` // "AROA...:session"
	Arn           string
}

// GetCallerIdentityInput is the request of GetCallerIdentity.
type GetCallerIdentityInput struct{}

// GetCallerIdentityOutput is the answer of GetCallerIdentity.
type GetCallerIdentityOutput struct {
	UserID  string `json:"UserId"`
	Account string
	Arn     string
}
