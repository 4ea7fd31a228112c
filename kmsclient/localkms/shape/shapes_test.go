package shape

import "encoding/json"

// What the tests decode, check and print.

type encryptInput struct {
	KeyID               string `json:"KeyId" kms:"required,len=1:2048"`
	Plaintext           []byte `kms:"required,len=1:4096,secret"`
	EncryptionContext   map[string]string
	EncryptionAlgorithm string   `kms:"enum=EncryptionAlgorithmSpec"`
	GrantTokens         []string `kms:"len=0:10,item.len=1:8192"`
	DryRun              bool
	Recipient           any `kms:"unsupported"`
}

type (
	operation string
	context   map[string]string
)

type tag struct {
	TagKey   string `json:",omitempty" kms:"required,len=1:128"`
	TagValue string `kms:"required,len=0:256"`
}

type page struct {
	Limit  *int   `kms:"range=1:1000"`
	Marker string `json:",omitempty" kms:"len=1:1024" pattern:"[\\u0020-\\u00FF]*"`
}

type constraints struct {
	EncryptionContextSubset context `json:",omitempty" kms:"len=0:2"`
	Note                    string  `json:",omitempty" kms:"len=2:3,secret"`
}

// everything has a member of each kind. With its tags what it decodes it prints,
// and reads again.
type everything struct {
	Name        string `json:"TheName" kms:"required,len=0:4"`
	Spec        string `json:",omitempty" kms:"enum=A|B"`
	Optional    *string
	Password    string `json:",omitempty" kms:"len=7:32,secret"`
	Flag        bool   `json:",omitempty"`
	MaybeFlag   *bool
	Count       int32 `json:",omitempty" kms:"range=-5:5"`
	Big         *int64
	Blob        []byte `json:",omitempty" kms:"len=1:8"`
	SecretBlob  []byte `json:",omitempty" kms:"secret"`
	At          *Time
	Since       Time
	Context     context `json:",omitempty"`
	Tokens      []string
	Operations  []operation `json:",omitempty" kms:"item.enum=GrantOperation"`
	Words       []string    `json:",omitempty" kms:"len=0:2,item.len=1:3,secret"`
	Tags        []tag       `json:",omitempty" kms:"len=1:3"`
	Constraints *constraints
	Plain       constraints `json:",omitempty"`
	unexported  string
	NotAMember  json.RawMessage `json:"-"`
	Recipient   any             `kms:"unsupported"`
	page
}
