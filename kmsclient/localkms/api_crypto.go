package localkms

import (
	"context"
	"crypto/rand"
	"slices"

	"kmsfs/kmsclient"
)

// Encrypt wraps a small secret. Under an asymmetric key it is what anybody with
// the public key could do, and takes no context.
func (a *API) Encrypt(ctx context.Context, in EncryptInput) (EncryptOutput, error) {
	return do(ctx, a, "Encrypt", &in, func(c *call) (out EncryptOutput, err error) {
		c.ec, c.tokens = in.EncryptionContext, in.GrantTokens
		blob, k, algorithm, err := c.wrap("Encrypt", in.KeyID, in.EncryptionAlgorithm, in.Plaintext)
		if err != nil {
			return out, err
		}
		return EncryptOutput{CiphertextBlob: blob, KeyID: c.arn(k), EncryptionAlgorithm: algorithm, material: k.current}, nil
	})
}

// wrap encrypts under the current material of the key that ref names, under the
// context of the call, after policies and states have had their say.
func (c *call) wrap(action, ref, algorithm string, plaintext []byte) ([]byte, *cmk, string, error) {
	if algorithm == "" {
		algorithm = specSymmetric
	}
	c.algorithmFact(algorithm)
	encoded, err := c.encodedContext(c.ec)
	if err != nil {
		return nil, nil, "", err
	}
	k, err := c.keyFor(action, ref, byIDOrAlias)
	if err != nil {
		return nil, nil, "", err
	}
	if err := c.checkAlgorithm(k, usageEncrypt, algorithm); err != nil {
		return nil, nil, "", err
	}
	if !k.symmetric() {
		blob, err := c.encryptPublic(k, algorithm, plaintext)
		return blob, k, algorithm, err
	}
	m, err := c.material(k)
	if err != nil {
		return nil, nil, "", err
	}
	defer m.wipe()
	c.note.material = m.id
	return sealBlob(k.id, m, plaintext, encoded), k, algorithm, nil
}

// Decrypt opens a blob. InvalidCiphertextException does not tell an altered blob
// from a wrong context.
func (a *API) Decrypt(ctx context.Context, in DecryptInput) (DecryptOutput, error) {
	if in.EncryptionAlgorithm == "" {
		in.EncryptionAlgorithm = specSymmetric // CloudTrail shows it even when defaulted
	}
	ahead := a.openAhead(ctx, in.KeyID, in.EncryptionAlgorithm, in.CiphertextBlob)
	defer ahead.wipe()
	return do(ctx, a, "Decrypt", &in, func(c *call) (out DecryptOutput, err error) {
		c.ec, c.tokens = in.EncryptionContext, in.GrantTokens
		if len(in.CiphertextBlob) == 0 || slices.Contains(in.DryRunModifiers, ignoreCiphertext) {
			return out, c.withoutCiphertext("Decrypt", in.KeyID, in.EncryptionAlgorithm, in.DryRun, in.DryRunModifiers)
		}
		opened, err := c.unwrap("Decrypt", in.KeyID, in.EncryptionAlgorithm, in.CiphertextBlob, ahead)
		if err != nil {
			return out, err
		}
		out = DecryptOutput{KeyID: c.arn(opened.key), Plaintext: opened.plaintext, EncryptionAlgorithm: in.EncryptionAlgorithm}
		if opened.key.symmetric() {
			c.note.material, out.KeyMaterialID = opened.material, hexID(opened.material)
		}
		return out, nil
	})
}

// ignoreCiphertext is the DryRunModifier by which a dry run asks for a permission
// without having a ciphertext.
const ignoreCiphertext = "IGNORE_CIPHERTEXT"

// withoutCiphertext checks a dry run that shows no ciphertext: whether the caller
// may use the named key.
func (c *call) withoutCiphertext(action, key, algorithm string, dry bool, modifiers []string) error {
	switch {
	case !slices.Contains(modifiers, ignoreCiphertext):
		return refuse("ValidationException", "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null")
	case !dry:
		return refuse("ValidationException", "DryRunModifiers can only be used with DryRun")
	case key == "":
		return refuse("ValidationException", "A key must be named where the ciphertext is ignored")
	}
	c.algorithmFact(algorithm)
	k, err := c.keyFor(action, key, byIDOrAlias)
	if err != nil {
		return err
	}
	return c.checkAlgorithm(k, usageEncrypt, algorithm)
}

// algorithmFact states the algorithm of an encryption or decryption; ReEncrypt is
// one after the other.
func (c *conditions) algorithmFact(algorithm string) {
	const key = "kms:encryptionalgorithm"
	c.facts = slices.DeleteFunc(c.facts, func(f fact) bool { return f.key == key })
	c.fact(key, algorithm)
}

// opened is what unwrap found in a blob.
type opened struct {
	plaintext []byte // the caller wipes it
	key       *cmk
	material  kmsclient.MaterialID
}

// unwrap opens a blob under the key it names; want, if not "", is the key the
// caller expects, and the only way to name an asymmetric one. A blob of another
// key is refused as such whatever the named key is for. Policies and states apply
// to the key before its material is touched.
func (c *call) unwrap(action, want, algorithm string, b []byte, ahead *ahead) (o opened, err error) {
	c.algorithmFact(algorithm)
	encoded, err := c.encodedContext(c.ec)
	if err != nil {
		return o, err
	}
	p, ours := parseBlob(b)
	var wanted *cmk
	if want != "" {
		if wanted, err = c.keyFor(action, want, byIDOrAlias); err != nil {
			return o, err
		}
		if ours && algorithm == specSymmetric && wanted.id != p.id {
			return o, refuse("IncorrectKeyException",
				"The key ID in the request does not identify a CMK that can perform this operation.")
		}
		if err := c.checkAlgorithm(wanted, usageEncrypt, algorithm); err != nil {
			return o, err
		}
		if !wanted.symmetric() {
			return c.openPrivate(wanted, algorithm, ahead)
		}
	} else if algorithm != specSymmetric {
		return o, refuse("ValidationException", "KeyId must be given to decrypt under an asymmetric key")
	}
	bad := refuse("InvalidCiphertextException", "")
	if !ours {
		return o, bad
	}
	if o.key = wanted; wanted == nil {
		switch o.key, err = c.loadAny(c.region(), p.id); {
		case err != nil:
			return o, err
		case o.key == nil: // made by another KMS, or in another Region
			return o, bad
		case o.key.state == stateDeleted:
			c.note.cmk = &p.id
			return o, c.noKey(p.id)
		}
		if err := c.admit(action, p.id.String(), o.key); err != nil {
			return o, err
		}
	}
	m, err := c.materialByRef(o.key, p.ref)
	if err != nil {
		return o, err
	}
	if m == nil {
		return o, bad
	}
	defer m.wipe()
	if o.plaintext, err = p.open(m, encoded); err != nil {
		return o, bad
	}
	o.material = m.id
	return o, nil
}

// ReEncrypt wraps the contents of a blob anew: under another key, another
// context, or the current material of its own key. The plaintext stays inside.
func (a *API) ReEncrypt(ctx context.Context, in ReEncryptInput) (ReEncryptOutput, error) {
	for _, algorithm := range []*string{&in.SourceEncryptionAlgorithm, &in.DestinationEncryptionAlgorithm} {
		if *algorithm == "" {
			*algorithm = specSymmetric
		}
	}
	ahead := a.openAhead(ctx, in.SourceKeyID, in.SourceEncryptionAlgorithm, in.CiphertextBlob)
	defer ahead.wipe()
	return do(ctx, a, "ReEncrypt", &in, func(c *call) (out ReEncryptOutput, err error) {
		c.ec, c.tokens = in.SourceEncryptionContext, in.GrantTokens
		if to, err := c.resolve(in.DestinationKeyID, byIDOrAlias); err == nil {
			from, _ := c.resolve(in.SourceKeyID, byIDOrAlias)
			if p, ok := parseBlob(in.CiphertextBlob); ok && in.SourceEncryptionAlgorithm == specSymmetric {
				from = p.id
			}
			c.fact("kms:reencryptonsamekey", boolText(from == to))
		}
		if len(in.CiphertextBlob) == 0 || slices.Contains(in.DryRunModifiers, ignoreCiphertext) {
			if err := c.withoutCiphertext("ReEncryptFrom", in.SourceKeyID, in.SourceEncryptionAlgorithm, in.DryRun, in.DryRunModifiers); err != nil {
				return out, err
			}
			c.ec = in.DestinationEncryptionContext
			return out, c.withoutCiphertext("ReEncryptTo", in.DestinationKeyID, in.DestinationEncryptionAlgorithm, in.DryRun, in.DryRunModifiers)
		}
		from, err := c.unwrap("ReEncryptFrom", in.SourceKeyID, in.SourceEncryptionAlgorithm, in.CiphertextBlob, ahead)
		if err != nil {
			return out, err
		}
		defer clear(from.plaintext)
		c.note.source, c.note.sourceMaterial, c.note.cmk = &from.key.id, from.material, nil
		c.ec = in.DestinationEncryptionContext
		blob, to, algorithm, err := c.wrap("ReEncryptTo", in.DestinationKeyID, in.DestinationEncryptionAlgorithm, from.plaintext)
		if err != nil {
			return out, err
		}
		out = ReEncryptOutput{
			CiphertextBlob: blob, SourceKeyID: c.arn(from.key), KeyID: c.arn(to),
			SourceEncryptionAlgorithm: in.SourceEncryptionAlgorithm, DestinationEncryptionAlgorithm: algorithm,
		}
		if from.key.symmetric() {
			out.SourceKeyMaterialID = hexID(from.material)
		}
		if to.symmetric() {
			out.DestinationKeyMaterialID = hexID(to.current)
		}
		return out, nil
	})
}

// dataKeySize checks the two ways of saying how long a data key is to be.
func dataKeySize(spec string, n *int) (int, error) {
	switch {
	case (spec == "") == (n == nil):
		return 0, refuse("ValidationException", "Please specify either number of bytes or key spec.")
	case spec == "AES_256":
		return 32, nil
	case spec == "AES_128":
		return 16, nil
	}
	return *n, nil
}

// GenerateDataKey makes a random key, and returns it in clear and wrapped.
func (a *API) GenerateDataKey(ctx context.Context, in GenerateDataKeyInput) (GenerateDataKeyOutput, error) {
	return do(ctx, a, "GenerateDataKey", &in, func(c *call) (out GenerateDataKeyOutput, err error) {
		key, blob, k, err := c.dataKey(in.KeyID, in.KeySpec, in.NumberOfBytes, in.EncryptionContext, in.GrantTokens)
		if err != nil {
			return out, err
		}
		return GenerateDataKeyOutput{CiphertextBlob: blob, Plaintext: key, KeyID: c.arn(k), KeyMaterialID: hexID(k.current)}, nil
	})
}

// GenerateDataKeyWithoutPlaintext makes a random key and returns it wrapped.
func (a *API) GenerateDataKeyWithoutPlaintext(ctx context.Context, in GenerateDataKeyWithoutPlaintextInput) (GenerateDataKeyWithoutPlaintextOutput, error) {
	return do(ctx, a, "GenerateDataKeyWithoutPlaintext", &in, func(c *call) (out GenerateDataKeyWithoutPlaintextOutput, err error) {
		key, blob, k, err := c.dataKey(in.KeyID, in.KeySpec, in.NumberOfBytes, in.EncryptionContext, in.GrantTokens)
		if err != nil {
			return out, err
		}
		clear(key)
		return GenerateDataKeyWithoutPlaintextOutput{CiphertextBlob: blob, KeyID: c.arn(k), KeyMaterialID: hexID(k.current)}, nil
	})
}

// dataKey makes a random key and wraps it; only symmetric keys wrap data keys.
func (c *call) dataKey(ref, spec string, size *int, ec kmsclient.EncryptionContext, tokens []string) (key, blob []byte, k *cmk, err error) {
	n, err := dataKeySize(spec, size)
	if err != nil {
		return nil, nil, nil, err
	}
	c.ec, c.tokens = ec, tokens
	key = make([]byte, n)
	rand.Read(key)
	blob, k, _, err = c.wrap(c.op, ref, "", key)
	if err != nil {
		clear(key)
		return nil, nil, nil, err
	}
	return key, blob, k, nil
}

// GenerateRandom returns 1 to 1024 random bytes.
func (a *API) GenerateRandom(ctx context.Context, in GenerateRandomInput) (GenerateRandomOutput, error) {
	return do(ctx, a, "GenerateRandom", &in, func(c *call) (out GenerateRandomOutput, err error) {
		if err := c.authorize("GenerateRandom", nil); err != nil {
			return out, err
		}
		if in.NumberOfBytes == nil {
			return out, refuse("ValidationException", "NumberOfBytes is required.")
		}
		out.Plaintext = make([]byte, *in.NumberOfBytes)
		rand.Read(out.Plaintext)
		return out, nil
	})
}
