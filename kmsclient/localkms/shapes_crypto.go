package localkms

import (
	"kmsfs/kmsclient"
)

// EncryptInput is the request of Encrypt.
type EncryptInput struct {
	KeyID               string `json:"KeyId" kms:"required,len=1:2048"`
	Plaintext           []byte `kms:"required,len=1:4096,secret"`
	EncryptionContext   kmsclient.EncryptionContext
	GrantTokens         []string `kms:"len=0:10,item.len=1:8192,secret"`
	EncryptionAlgorithm string   `kms:"enum=EncryptionAlgorithmSpec"`
	DryRun              bool
}

// EncryptOutput is the answer of Encrypt.
type EncryptOutput struct {
	CiphertextBlob      []byte `json:",omitempty"`
	KeyID               string `json:"KeyId,omitempty"`
	EncryptionAlgorithm string `json:",omitempty"`

	material kmsclient.MaterialID // AWS does not tell
}

// DecryptInput is the request of Decrypt.
type DecryptInput struct {
	CiphertextBlob      []byte `kms:"len=1:6144"`
	EncryptionContext   kmsclient.EncryptionContext
	GrantTokens         []string       `kms:"len=0:10,item.len=1:8192,secret"`
	KeyID               string         `json:"KeyId" kms:"len=1:2048"`
	EncryptionAlgorithm string         `kms:"enum=EncryptionAlgorithmSpec"`
	Recipient           *RecipientInfo `kms:"unsupported"`
	DryRun              bool
	DryRunModifiers     []string `kms:"item.enum=DryRunModifierType"`
}

// DecryptOutput is the answer of Decrypt.
type DecryptOutput struct {
	KeyID               string `json:"KeyId,omitempty"`
	Plaintext           []byte `json:",omitempty"`
	EncryptionAlgorithm string `json:",omitempty"`
	KeyMaterialID       string `json:"KeyMaterialId,omitempty"`
}

// ReEncryptInput is the request of ReEncrypt.
type ReEncryptInput struct {
	CiphertextBlob                 []byte `kms:"len=1:6144"`
	SourceEncryptionContext        kmsclient.EncryptionContext
	SourceKeyID                    string `json:"SourceKeyId" kms:"len=1:2048"`
	DestinationKeyID               string `json:"DestinationKeyId" kms:"required,len=1:2048"`
	DestinationEncryptionContext   kmsclient.EncryptionContext
	SourceEncryptionAlgorithm      string   `kms:"enum=EncryptionAlgorithmSpec"`
	DestinationEncryptionAlgorithm string   `kms:"enum=EncryptionAlgorithmSpec"`
	GrantTokens                    []string `kms:"len=0:10,item.len=1:8192,secret"`
	DryRun                         bool
	DryRunModifiers                []string `kms:"item.enum=DryRunModifierType"`
}

// ReEncryptOutput is the answer of ReEncrypt.
type ReEncryptOutput struct {
	CiphertextBlob                 []byte `json:",omitempty"`
	SourceKeyID                    string `json:"SourceKeyId,omitempty"`
	KeyID                          string `json:"KeyId,omitempty"`
	SourceEncryptionAlgorithm      string `json:",omitempty"`
	DestinationEncryptionAlgorithm string `json:",omitempty"`
	SourceKeyMaterialID            string `json:"SourceKeyMaterialId,omitempty"`
	DestinationKeyMaterialID       string `json:"DestinationKeyMaterialId,omitempty"`
}

// GenerateDataKeyInput is the request of GenerateDataKey.
type GenerateDataKeyInput struct {
	KeyID             string `json:"KeyId" kms:"required,len=1:2048"`
	EncryptionContext kmsclient.EncryptionContext
	NumberOfBytes     *int           `kms:"range=1:1024"`
	KeySpec           string         `kms:"enum=DataKeySpec"`
	GrantTokens       []string       `kms:"len=0:10,item.len=1:8192,secret"`
	Recipient         *RecipientInfo `kms:"unsupported"`
	DryRun            bool
}

// GenerateDataKeyOutput is the answer of GenerateDataKey.
type GenerateDataKeyOutput struct {
	CiphertextBlob []byte `json:",omitempty"`
	Plaintext      []byte `json:",omitempty"`
	KeyID          string `json:"KeyId,omitempty"`
	KeyMaterialID  string `json:"KeyMaterialId,omitempty"`
}

// GenerateDataKeyWithoutPlaintextInput is the request of GenerateDataKeyWithoutPlaintext.
type GenerateDataKeyWithoutPlaintextInput struct {
	KeyID             string `json:"KeyId" kms:"required,len=1:2048"`
	EncryptionContext kmsclient.EncryptionContext
	KeySpec           string   `kms:"enum=DataKeySpec"`
	NumberOfBytes     *int     `kms:"range=1:1024"`
	GrantTokens       []string `kms:"len=0:10,item.len=1:8192,secret"`
	DryRun            bool
}

// GenerateDataKeyWithoutPlaintextOutput is the answer of GenerateDataKeyWithoutPlaintext.
type GenerateDataKeyWithoutPlaintextOutput struct {
	CiphertextBlob []byte `json:",omitempty"`
	KeyID          string `json:"KeyId,omitempty"`
	KeyMaterialID  string `json:"KeyMaterialId,omitempty"`
}

// GenerateDataKeyPairInput is the request of GenerateDataKeyPair.
type GenerateDataKeyPairInput struct {
	EncryptionContext kmsclient.EncryptionContext
	KeyID             string         `json:"KeyId" kms:"required,len=1:2048"`
	KeyPairSpec       string         `kms:"required,enum=DataKeyPairSpec"`
	GrantTokens       []string       `kms:"len=0:10,item.len=1:8192,secret"`
	Recipient         *RecipientInfo `kms:"unsupported"`
	DryRun            bool
}

// GenerateDataKeyPairOutput is the answer of GenerateDataKeyPair.
type GenerateDataKeyPairOutput struct {
	PrivateKeyCiphertextBlob []byte `json:",omitempty"`
	PrivateKeyPlaintext      []byte `json:",omitempty"`
	PublicKey                []byte `json:",omitempty"`
	KeyID                    string `json:"KeyId,omitempty"`
	KeyPairSpec              string `json:",omitempty"`
	KeyMaterialID            string `json:"KeyMaterialId,omitempty"`
}

// GenerateDataKeyPairWithoutPlaintextInput is the request of GenerateDataKeyPairWithoutPlaintext.
type GenerateDataKeyPairWithoutPlaintextInput struct {
	EncryptionContext kmsclient.EncryptionContext
	KeyID             string   `json:"KeyId" kms:"required,len=1:2048"`
	KeyPairSpec       string   `kms:"required,enum=DataKeyPairSpec"`
	GrantTokens       []string `kms:"len=0:10,item.len=1:8192,secret"`
	DryRun            bool
}

// GenerateDataKeyPairWithoutPlaintextOutput is the answer of GenerateDataKeyPairWithoutPlaintext.
type GenerateDataKeyPairWithoutPlaintextOutput struct {
	PrivateKeyCiphertextBlob []byte `json:",omitempty"`
	PublicKey                []byte `json:",omitempty"`
	KeyID                    string `json:"KeyId,omitempty"`
	KeyPairSpec              string `json:",omitempty"`
	KeyMaterialID            string `json:"KeyMaterialId,omitempty"`
}

// GenerateRandomInput is the request of GenerateRandom.
type GenerateRandomInput struct {
	NumberOfBytes    *int           `kms:"range=1:1024"`
	CustomKeyStoreID string         `json:"CustomKeyStoreId" kms:"len=1:64,unsupported"`
	Recipient        *RecipientInfo `kms:"unsupported"`
}

// GenerateRandomOutput is the answer of GenerateRandom.
type GenerateRandomOutput struct {
	Plaintext []byte `json:",omitempty"`
}

// RecipientInfo asks for an answer sealed for a Nitro enclave. This KMS has none.
type RecipientInfo struct {
	KeyEncryptionAlgorithm string `kms:"enum=KeyEncryptionMechanism"`
	AttestationDocument    []byte `kms:"len=1:262144"`
}
