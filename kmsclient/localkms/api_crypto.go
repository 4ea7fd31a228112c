package localkms

import (
	"context"
	"crypto/rand"

	"kmsfs/kmsclient"
)

// EncryptInput asks for 1 to 4096 bytes to be wrapped by a key.
type EncryptInput struct {
	KeyID             string // id, ARN, alias or alias ARN
	Plaintext         []byte
	EncryptionContext kmsclient.EncryptionContext
}

// EncryptOutput is the answer of Encrypt.
type EncryptOutput struct {
	CiphertextBlob      []byte
	KeyID               string `json:"KeyId"` // ARN
	EncryptionAlgorithm string

	material kmsclient.MaterialID // AWS does not tell
}

// Encrypt wraps a small secret.
func (a *API) Encrypt(ctx context.Context, in EncryptInput) (EncryptOutput, error) {
	p := params{"keyId": in.KeyID, "encryptionContext": in.EncryptionContext, "encryptionAlgorithm": specSymmetric}
	return do(ctx, a, "Encrypt", p, func(c *call) (out EncryptOutput, err error) {
		if err := inRange("plaintext", "length", len(in.Plaintext), 1, maxPlaintext); err != nil {
			return out, err
		}
		blob, k, err := c.wrap(in.KeyID, in.EncryptionContext, in.Plaintext)
		if err != nil {
			return out, err
		}
		return EncryptOutput{blob, c.arn(k), specSymmetric, k.current}, nil
	})
}

// wrap encrypts under the current material of the key that ref names, after the
// states have had their say.
func (c *call) wrap(ref string, ec kmsclient.EncryptionContext, plaintext []byte) ([]byte, *cmk, error) {
	encoded, err := c.context(ec)
	if err != nil {
		return nil, nil, err
	}
	k, err := c.key(ref, byIDOrAlias)
	if err != nil {
		return nil, nil, err
	}
	m, err := c.material(k)
	if err != nil {
		return nil, nil, err
	}
	if m == nil {
		return nil, nil, ErrDamaged
	}
	defer clear(m.key[:])
	c.note.material = m.id
	return sealBlob(k.id, m, plaintext, encoded), k, nil
}

// DecryptInput asks for a blob to be opened under the context it was made with.
type DecryptInput struct {
	CiphertextBlob    []byte
	KeyID             string // if not "", the blob must be under this key
	EncryptionContext kmsclient.EncryptionContext
}

// DecryptOutput is the answer of Decrypt. The caller wipes Plaintext.
type DecryptOutput struct {
	KeyID               string `json:"KeyId"` // ARN
	Plaintext           []byte
	EncryptionAlgorithm string
	KeyMaterialID       string `json:"KeyMaterialId"`

	material kmsclient.MaterialID
}

// Decrypt opens a blob. InvalidCiphertextException does not tell an altered blob
// from a wrong context.
func (a *API) Decrypt(ctx context.Context, in DecryptInput) (DecryptOutput, error) {
	p := params{"keyId": in.KeyID, "encryptionContext": in.EncryptionContext, "encryptionAlgorithm": specSymmetric}
	return do(ctx, a, "Decrypt", p, func(c *call) (out DecryptOutput, err error) {
		plaintext, k, m, err := c.unwrap(in.CiphertextBlob, in.KeyID, in.EncryptionContext)
		if err != nil {
			return out, err
		}
		c.note.material = m
		return DecryptOutput{c.arn(k), plaintext, specSymmetric, hexID(m), m}, nil
	})
}

// unwrap opens a blob under the key it names; want, if not "", is the key the
// caller expects. The states apply to the key before its material is touched.
func (c *call) unwrap(b []byte, want string, ec kmsclient.EncryptionContext) (plaintext []byte, k *cmk, id kmsclient.MaterialID, err error) {
	if err := inRange("ciphertextBlob", "length", len(b), 1, maxCiphertext); err != nil {
		return nil, nil, id, err
	}
	encoded, err := c.context(ec)
	if err != nil {
		return nil, nil, id, err
	}
	var wanted *cmk
	if want != "" {
		if wanted, err = c.key(want, byIDOrAlias); err != nil {
			return nil, nil, id, err
		}
	}
	bad := refuse("InvalidCiphertextException", "")
	p, ok := parseBlob(b)
	if !ok {
		return nil, nil, id, bad
	}
	if wanted != nil && wanted.id != p.id {
		return nil, nil, id, refuse("IncorrectKeyException",
			"The key ID in the request does not identify a CMK that can perform this operation.")
	}
	if known, err := c.loadAny(p.id); err != nil {
		return nil, nil, id, err
	} else if known == nil {
		return nil, nil, id, bad // made by another KMS
	}
	if k, err = c.key(p.id.String(), byID); err != nil {
		return nil, nil, id, err
	}
	m, err := c.materialByRef(k, p.ref)
	if err != nil {
		return nil, nil, id, err
	}
	if m == nil {
		return nil, nil, id, bad
	}
	defer clear(m.key[:])
	if plaintext, err = p.open(m, encoded); err != nil {
		return nil, nil, id, bad
	}
	return plaintext, k, m.id, nil
}

// ReEncryptInput asks for a blob to be moved to another key, another context, or
// the current material of its own key.
type ReEncryptInput struct {
	CiphertextBlob               []byte
	SourceEncryptionContext      kmsclient.EncryptionContext
	SourceKeyID                  string // if not "", the blob must be under this key
	DestinationKeyID             string // id, ARN, alias or alias ARN
	DestinationEncryptionContext kmsclient.EncryptionContext
}

// ReEncryptOutput is the answer of ReEncrypt; KeyIDs are ARNs.
type ReEncryptOutput struct {
	CiphertextBlob                 []byte
	SourceKeyID                    string `json:"SourceKeyId"`
	KeyID                          string `json:"KeyId"`
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
	SourceKeyMaterialID            string `json:"SourceKeyMaterialId"`
	DestinationKeyMaterialID       string `json:"DestinationKeyMaterialId"`

	material kmsclient.MaterialID // the destination's
}

// ReEncrypt wraps the contents of a blob anew; the plaintext stays inside.
func (a *API) ReEncrypt(ctx context.Context, in ReEncryptInput) (ReEncryptOutput, error) {
	p := params{
		"sourceKeyId": in.SourceKeyID, "sourceEncryptionContext": in.SourceEncryptionContext,
		"sourceEncryptionAlgorithm": specSymmetric, "destinationKeyId": in.DestinationKeyID,
		"destinationEncryptionContext": in.DestinationEncryptionContext, "destinationEncryptionAlgorithm": specSymmetric,
	}
	return do(ctx, a, "ReEncrypt", p, func(c *call) (out ReEncryptOutput, err error) {
		plaintext, from, m, err := c.unwrap(in.CiphertextBlob, in.SourceKeyID, in.SourceEncryptionContext)
		if err != nil {
			return out, err
		}
		defer clear(plaintext)
		c.note.source, c.note.sourceMaterial, c.note.cmk = &from.id, m, nil
		blob, to, err := c.wrap(in.DestinationKeyID, in.DestinationEncryptionContext, plaintext)
		if err != nil {
			return out, err
		}
		return ReEncryptOutput{
			CiphertextBlob: blob, SourceKeyID: c.arn(from), KeyID: c.arn(to),
			SourceEncryptionAlgorithm: specSymmetric, DestinationEncryptionAlgorithm: specSymmetric,
			SourceKeyMaterialID: hexID(m), DestinationKeyMaterialID: hexID(to.current), material: to.current,
		}, nil
	})
}

// GenerateDataKeyInput asks for a random key, wrapped. Exactly one of KeySpec
// and NumberOfBytes is given.
type GenerateDataKeyInput struct {
	KeyID             string // id, ARN, alias or alias ARN
	KeySpec           string // AES_256 or AES_128
	NumberOfBytes     int    // 1 to 1024
	EncryptionContext kmsclient.EncryptionContext
}

// size checks the two ways of saying how long the key is to be.
func (in GenerateDataKeyInput) size() (int, error) {
	switch {
	case (in.KeySpec == "") == (in.NumberOfBytes == 0):
		return 0, refuse("ValidationException", "Please specify either number of bytes or key spec.")
	case in.KeySpec == "AES_256":
		return 32, nil
	case in.KeySpec == "AES_128":
		return 16, nil
	case in.KeySpec != "":
		return 0, invalid("keySpec", "Member must satisfy enum value set: [AES_256, AES_128]")
	}
	return in.NumberOfBytes, inRange("numberOfBytes", "value", in.NumberOfBytes, 1, 1024)
}

// DataKey is a wrapped data key. The caller wipes Plaintext.
type DataKey struct {
	CiphertextBlob []byte
	Plaintext      []byte `json:",omitempty"` // absent WithoutPlaintext
	KeyID          string `json:"KeyId"`      // ARN
	KeyMaterialID  string `json:"KeyMaterialId"`

	material kmsclient.MaterialID
}

// GenerateDataKey makes a random key, and returns it in clear and wrapped.
func (a *API) GenerateDataKey(ctx context.Context, in GenerateDataKeyInput) (DataKey, error) {
	return a.generate(ctx, "GenerateDataKey", in)
}

// GenerateDataKeyWithoutPlaintext makes a random key and returns it wrapped.
func (a *API) GenerateDataKeyWithoutPlaintext(ctx context.Context, in GenerateDataKeyInput) (DataKey, error) {
	d, err := a.generate(ctx, "GenerateDataKeyWithoutPlaintext", in)
	clear(d.Plaintext)
	d.Plaintext = nil
	return d, err
}

func (a *API) generate(ctx context.Context, op string, in GenerateDataKeyInput) (DataKey, error) {
	p := params{
		"keyId": in.KeyID, "keySpec": in.KeySpec, "numberOfBytes": in.NumberOfBytes,
		"encryptionContext": in.EncryptionContext,
	}
	return do(ctx, a, op, p, func(c *call) (out DataKey, err error) {
		n, err := in.size()
		if err != nil {
			return out, err
		}
		key := make([]byte, n)
		rand.Read(key)
		blob, k, err := c.wrap(in.KeyID, in.EncryptionContext, key)
		if err != nil {
			return out, err
		}
		return DataKey{blob, key, c.arn(k), hexID(k.current), k.current}, nil
	})
}

// RandomOutput is the answer of GenerateRandom.
type RandomOutput struct{ Plaintext []byte }

// GenerateRandom returns 1 to 1024 random bytes.
func (a *API) GenerateRandom(ctx context.Context, n int) (RandomOutput, error) {
	return do(ctx, a, "GenerateRandom", params{"numberOfBytes": n}, func(*call) (out RandomOutput, err error) {
		if err := inRange("numberOfBytes", "value", n, 1, 1024); err != nil {
			return out, err
		}
		out.Plaintext = make([]byte, n)
		_, err = rand.Read(out.Plaintext)
		return out, err
	})
}
