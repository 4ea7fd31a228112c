package localkms

// GetPublicKeyInput is the request of GetPublicKey.
type GetPublicKeyInput struct {
	KeyID       string   `json:"KeyId" kms:"required,len=1:2048"`
	GrantTokens []string `kms:"len=0:10,item.len=1:8192,secret"`
}

// GetPublicKeyOutput is the answer of GetPublicKey.
type GetPublicKeyOutput struct {
	KeyID                  string   `json:"KeyId,omitempty"`
	PublicKey              []byte   `json:",omitempty"`
	CustomerMasterKeySpec  string   `json:",omitempty"`
	KeySpec                string   `json:",omitempty"`
	KeyUsage               string   `json:",omitempty"`
	EncryptionAlgorithms   []string `json:",omitempty"`
	SigningAlgorithms      []string `json:",omitempty"`
	KeyAgreementAlgorithms []string `json:",omitempty"`
}

// SignInput is the request of Sign.
type SignInput struct {
	KeyID            string   `json:"KeyId" kms:"required,len=1:2048"`
	Message          []byte   `kms:"required,len=1:4096,secret"`
	MessageType      string   `kms:"enum=MessageType"`
	GrantTokens      []string `kms:"len=0:10,item.len=1:8192,secret"`
	SigningAlgorithm string   `kms:"required,enum=SigningAlgorithmSpec"`
	DryRun           bool
}

// SignOutput is the answer of Sign.
type SignOutput struct {
	KeyID            string `json:"KeyId,omitempty"`
	Signature        []byte `json:",omitempty"`
	SigningAlgorithm string `json:",omitempty"`
}

// VerifyInput is the request of Verify.
type VerifyInput struct {
	KeyID            string   `json:"KeyId" kms:"required,len=1:2048"`
	Message          []byte   `kms:"required,len=1:4096,secret"`
	MessageType      string   `kms:"enum=MessageType"`
	Signature        []byte   `kms:"required,len=1:6144"`
	SigningAlgorithm string   `kms:"required,enum=SigningAlgorithmSpec"`
	GrantTokens      []string `kms:"len=0:10,item.len=1:8192,secret"`
	DryRun           bool
}

// VerifyOutput is the answer of Verify.
type VerifyOutput struct {
	KeyID            string `json:"KeyId,omitempty"`
	SignatureValid   bool
	SigningAlgorithm string `json:",omitempty"`
}

// GenerateMacInput is the request of GenerateMac.
type GenerateMacInput struct {
	Message      []byte   `kms:"required,len=1:4096,secret"`
	KeyID        string   `json:"KeyId" kms:"required,len=1:2048"`
	MacAlgorithm string   `kms:"required,enum=MacAlgorithmSpec"`
	GrantTokens  []string `kms:"len=0:10,item.len=1:8192,secret"`
	DryRun       bool
}

// GenerateMacOutput is the answer of GenerateMac.
type GenerateMacOutput struct {
	Mac          []byte `json:",omitempty"`
	MacAlgorithm string `json:",omitempty"`
	KeyID        string `json:"KeyId,omitempty"`
}

// VerifyMacInput is the request of VerifyMac.
type VerifyMacInput struct {
	Message      []byte   `kms:"required,len=1:4096,secret"`
	KeyID        string   `json:"KeyId" kms:"required,len=1:2048"`
	MacAlgorithm string   `kms:"required,enum=MacAlgorithmSpec"`
	Mac          []byte   `kms:"required,len=1:6144"`
	GrantTokens  []string `kms:"len=0:10,item.len=1:8192,secret"`
	DryRun       bool
}

// VerifyMacOutput is the answer of VerifyMac.
type VerifyMacOutput struct {
	KeyID        string `json:"KeyId,omitempty"`
	MacValid     bool
	MacAlgorithm string `json:",omitempty"`
}

// DeriveSharedSecretInput is the request of DeriveSharedSecret.
type DeriveSharedSecretInput struct {
	KeyID                 string   `json:"KeyId" kms:"required,len=1:2048"`
	KeyAgreementAlgorithm string   `kms:"required,enum=KeyAgreementAlgorithmSpec"`
	PublicKey             []byte   `kms:"required,len=1:8192"`
	GrantTokens           []string `kms:"len=0:10,item.len=1:8192,secret"`
	DryRun                bool
	Recipient             *RecipientInfo `kms:"unsupported"`
}

// DeriveSharedSecretOutput is the answer of DeriveSharedSecret.
type DeriveSharedSecretOutput struct {
	KeyID                 string `json:"KeyId,omitempty"`
	SharedSecret          []byte `json:",omitempty"`
	KeyAgreementAlgorithm string `json:",omitempty"`
	KeyOrigin             string `json:",omitempty"`
}
