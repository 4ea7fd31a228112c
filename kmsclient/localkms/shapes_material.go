package localkms

import (
	"kmsfs/kmsclient/localkms/shape"
)

// EnableKeyRotationInput is the request of EnableKeyRotation.
type EnableKeyRotationInput struct {
	KeyID                string `json:"KeyId" kms:"required,len=1:2048"`
	RotationPeriodInDays *int   `kms:"range=90:2560"`
}

// DisableKeyRotationInput is the request of DisableKeyRotation.
type DisableKeyRotationInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
}

// GetKeyRotationStatusInput is the request of GetKeyRotationStatus.
type GetKeyRotationStatusInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
}

// GetKeyRotationStatusOutput is the answer of GetKeyRotationStatus.
type GetKeyRotationStatusOutput struct {
	KeyRotationEnabled        bool
	KeyID                     string      `json:"KeyId,omitempty"`
	RotationPeriodInDays      int         `json:",omitempty"`
	NextRotationDate          *shape.Time `json:",omitempty"`
	OnDemandRotationStartDate *shape.Time `json:",omitempty"`
}

// RotateKeyOnDemandInput is the request of RotateKeyOnDemand.
type RotateKeyOnDemandInput struct {
	KeyID string `json:"KeyId" kms:"required,len=1:2048"`
}

// RotateKeyOnDemandOutput is the answer of RotateKeyOnDemand.
type RotateKeyOnDemandOutput struct {
	KeyID string `json:"KeyId,omitempty"`
}

// ListKeyRotationsInput is the request of ListKeyRotations.
type ListKeyRotationsInput struct {
	KeyID              string `json:"KeyId" kms:"required,len=1:2048"`
	IncludeKeyMaterial string `kms:"enum=IncludeKeyMaterial"`
	Page
}

// ListKeyRotationsOutput is the answer of ListKeyRotations.
type ListKeyRotationsOutput struct {
	Rotations []Rotation
	More
}

// GetParametersForImportInput is the request of GetParametersForImport.
type GetParametersForImportInput struct {
	KeyID             string `json:"KeyId" kms:"required,len=1:2048"`
	WrappingAlgorithm string `kms:"required,enum=AlgorithmSpec"`
	WrappingKeySpec   string `kms:"required,enum=WrappingKeySpec"`
}

// GetParametersForImportOutput is the answer of GetParametersForImport.
type GetParametersForImportOutput struct {
	KeyID             string      `json:"KeyId,omitempty"`
	ImportToken       []byte      `json:",omitempty"`
	PublicKey         []byte      `json:",omitempty"`
	ParametersValidTo *shape.Time `json:",omitempty"`
}

// ImportKeyMaterialInput is the request of ImportKeyMaterial.
type ImportKeyMaterialInput struct {
	KeyID                  string `json:"KeyId" kms:"required,len=1:2048"`
	ImportToken            []byte `kms:"required,len=1:6144"`
	EncryptedKeyMaterial   []byte `kms:"required,len=1:6144"`
	ValidTo                *shape.Time
	ExpirationModel        string `kms:"enum=ExpirationModelType"`
	ImportType             string `kms:"enum=ImportType"`
	KeyMaterialDescription string `kms:"len=0:256" pattern:"^[a-zA-Z0-9:/_\\s.-]+$"`
	KeyMaterialID          string `json:"KeyMaterialId" kms:"len=64:64" pattern:"^[a-f0-9]+$"`
}

// ImportKeyMaterialOutput is the answer of ImportKeyMaterial.
type ImportKeyMaterialOutput struct {
	KeyID         string `json:"KeyId,omitempty"`
	KeyMaterialID string `json:"KeyMaterialId,omitempty"`
}

// DeleteImportedKeyMaterialInput is the request of DeleteImportedKeyMaterial.
type DeleteImportedKeyMaterialInput struct {
	KeyID         string `json:"KeyId" kms:"required,len=1:2048"`
	KeyMaterialID string `json:"KeyMaterialId" kms:"len=64:64" pattern:"^[a-f0-9]+$"`
}

// DeleteImportedKeyMaterialOutput is the answer of DeleteImportedKeyMaterial.
type DeleteImportedKeyMaterialOutput struct {
	KeyID         string `json:"KeyId,omitempty"`
	KeyMaterialID string `json:"KeyMaterialId,omitempty"`
}

// Rotation is one piece of key material, with how and when it came about.
type Rotation struct {
	KeyID                  string      `json:"KeyId,omitempty"`
	KeyMaterialID          string      `json:"KeyMaterialId,omitempty"`
	KeyMaterialDescription string      `json:",omitempty"`
	ImportState            string      `json:",omitempty"`
	KeyMaterialState       string      `json:",omitempty"`
	ExpirationModel        string      `json:",omitempty"`
	ValidTo                *shape.Time `json:",omitempty"`
	RotationDate           *shape.Time `json:",omitempty"`
	RotationType           string      `json:",omitempty"`
}
