package localkms

import (
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

// CreateKeyInput is the request of CreateKey.
type CreateKeyInput struct {
	Policy                         string `kms:"len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	Description                    string `kms:"len=0:8192"`
	KeyUsage                       string `kms:"enum=KeyUsageType"`
	CustomerMasterKeySpec          string `kms:"enum=CustomerMasterKeySpec"`
	KeySpec                        string `kms:"enum=KeySpec"`
	Origin                         string `kms:"enum=OriginType"`
	CustomKeyStoreID               string `json:"CustomKeyStoreId" kms:"len=1:64,unsupported"`
	BypassPolicyLockoutSafetyCheck bool
	Tags                           []Tag
	MultiRegion                    bool
	XksKeyID                       string `json:"XksKeyId" kms:"len=1:128,unsupported" pattern:"^[a-zA-Z0-9-_.]+$"`
}

// CreateKeyOutput is the answer of CreateKey.
type CreateKeyOutput struct {
	KeyMetadata *KeyMetadata `json:",omitempty"`
}

// DescribeKeyInput is the request of DescribeKey.
type DescribeKeyInput struct {
	KeyID       string   `json:"KeyId" kms:"required,len=1:2048"`
	GrantTokens []string `kms:"len=0:10,item.len=1:8192,secret"`
}

// DescribeKeyOutput is the answer of DescribeKey.
type DescribeKeyOutput struct {
	KeyMetadata *KeyMetadata `json:",omitempty"`
}

// ListKeysInput is the request of ListKeys.
type ListKeysInput struct {
	Page
}

// ListKeysOutput is the answer of ListKeys.
type ListKeysOutput struct {
	Keys []KeyEntry
	More
}

// EnableKeyInput is the request of EnableKey.
type EnableKeyInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
}

// DisableKeyInput is the request of DisableKey.
type DisableKeyInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
}

// UpdateKeyDescriptionInput is the request of UpdateKeyDescription.
type UpdateKeyDescriptionInput struct {
	KeyID       string `json:"KeyId" kms:"required,len=1:2048"`
	Description string `kms:"len=0:8192"`
}

// ScheduleKeyDeletionInput is the request of ScheduleKeyDeletion.
type ScheduleKeyDeletionInput struct {
	KeyID               string `json:"KeyId" kms:"required,len=1:2048"`
	PendingWindowInDays *int   `kms:"range=1:365"`
}

// ScheduleKeyDeletionOutput is the answer of ScheduleKeyDeletion.
type ScheduleKeyDeletionOutput struct {
	KeyID               string             `json:"KeyId,omitempty"`
	DeletionDate        *shape.Time        `json:",omitempty"`
	KeyState            kmsclient.KeyState `json:",omitempty"`
	PendingWindowInDays int
}

// CancelKeyDeletionInput is the request of CancelKeyDeletion.
type CancelKeyDeletionInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
}

// CancelKeyDeletionOutput is the answer of CancelKeyDeletion.
type CancelKeyDeletionOutput struct {
	KeyID string `json:"KeyId,omitempty"`
}

// GetKeyLastUsageInput is the request of GetKeyLastUsage.
type GetKeyLastUsageInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
}

// GetKeyLastUsageOutput is the answer of GetKeyLastUsage.
type GetKeyLastUsageOutput struct {
	KeyID             string        `json:"KeyId,omitempty"`
	KeyLastUsage      *KeyLastUsage `json:",omitempty"`
	TrackingStartDate *shape.Time   `json:",omitempty"`
	KeyCreationDate   *shape.Time   `json:",omitempty"`
}

// ReplicateKeyInput is the request of ReplicateKey.
type ReplicateKeyInput struct {
	KeyID                          string `json:"KeyId" kms:"required,len=1:2048"`
	ReplicaRegion                  string `kms:"required,len=1:32" pattern:"^([a-z]+-){2,3}\\d+$"`
	Policy                         string `kms:"len=1:131072" pattern:"[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+"`
	BypassPolicyLockoutSafetyCheck bool
	Description                    string `kms:"len=0:8192"`
	Tags                           []Tag
}

// ReplicateKeyOutput is the answer of ReplicateKey.
type ReplicateKeyOutput struct {
	ReplicaKeyMetadata *KeyMetadata `json:",omitempty"`
	ReplicaPolicy      string       `json:",omitempty"`
	ReplicaTags        []Tag        `json:",omitempty"`
}

// UpdatePrimaryRegionInput is the request of UpdatePrimaryRegion.
type UpdatePrimaryRegionInput struct {
	KeyID         string `json:"KeyId" kms:"required,len=1:2048"`
	PrimaryRegion string `kms:"required,len=1:32" pattern:"^([a-z]+-){2,3}\\d+$"`
}

// TagResourceInput is the request of TagResource.
type TagResourceInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
	Tags  []Tag  `kms:"required"`
}

// UntagResourceInput is the request of UntagResource.
type UntagResourceInput struct {
	KeyID   string   `json:"KeyId" kms:"required,len=1:2048"`
	TagKeys []string `kms:"required,item.len=1:128"`
}

// ListResourceTagsInput is the request of ListResourceTags.
type ListResourceTagsInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
	Page
}

// ListResourceTagsOutput is the answer of ListResourceTags.
type ListResourceTagsOutput struct {
	Tags []Tag
	More
}

// KeyMetadata describes a CMK.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_KeyMetadata.html
type KeyMetadata struct {
	AWSAccountID                string      `json:"AWSAccountId,omitempty"`
	KeyID                       string      `json:"KeyId,omitempty"`
	Arn                         string      `json:",omitempty"`
	CreationDate                *shape.Time `json:",omitempty"`
	Enabled                     bool
	Description                 string
	KeyUsage                    string             `json:",omitempty"`
	KeyState                    kmsclient.KeyState `json:",omitempty"`
	DeletionDate                *shape.Time        `json:",omitempty"`
	ValidTo                     *shape.Time        `json:",omitempty"`
	Origin                      string             `json:",omitempty"`
	ExpirationModel             string             `json:",omitempty"`
	KeyManager                  string             `json:",omitempty"`
	CustomerMasterKeySpec       string             `json:",omitempty"`
	KeySpec                     string             `json:",omitempty"`
	EncryptionAlgorithms        []string           `json:",omitempty"`
	SigningAlgorithms           []string           `json:",omitempty"`
	KeyAgreementAlgorithms      []string           `json:",omitempty"`
	MultiRegion                 bool
	MultiRegionConfiguration    *MultiRegionConfiguration `json:",omitempty"`
	PendingDeletionWindowInDays int                       `json:",omitempty"`
	MacAlgorithms               []string                  `json:",omitempty"`
	CurrentKeyMaterialID        string                    `json:"CurrentKeyMaterialId,omitempty"`
}

// MultiRegionConfiguration lists a multi-Region key and its replicas.
type MultiRegionConfiguration struct {
	MultiRegionKeyType string          `json:",omitempty"`
	PrimaryKey         *MultiRegionKey `json:",omitempty"`
	ReplicaKeys        []MultiRegionKey
}

// MultiRegionKey is one of a set of related multi-Region keys.
type MultiRegionKey struct {
	Arn    string `json:",omitempty"`
	Region string `json:",omitempty"`
}

// KeyEntry is a key in a list.
type KeyEntry struct {
	KeyID  string `json:"KeyId,omitempty"`
	KeyArn string `json:",omitempty"`
}

// KeyLastUsage tells of the last successful cryptographic operation with a key;
// empty if there was none.
type KeyLastUsage struct {
	Operation         string      `json:",omitempty"`
	Timestamp         *shape.Time `json:",omitempty"`
	CloudTrailEventID string      `json:"CloudTrailEventId,omitempty"`
	KmsRequestID      string      `json:"KmsRequestId,omitempty"`
}

// Tag is a tag of a key.
type Tag struct {
	TagKey   string `kms:"required,len=1:128"`
	TagValue string `kms:"len=0:256"`
}

// Page asks for part of a list. The zero value asks for the first part, of the
// size AWS chooses.
type Page struct {
	Limit  *int   `kms:"range=1:1000"`                            // most entries to return
	Marker string `kms:"len=1:1024" pattern:"[\\u0020-\\u00FF]*"` // NextMarker of the part before
}

// More tells how a list goes on.
type More struct {
	NextMarker string `json:",omitempty"`
	Truncated  bool
}

// Empty is the answer of the operations that answer nothing.
type Empty struct{}
