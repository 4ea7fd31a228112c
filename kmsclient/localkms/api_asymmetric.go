package localkms

import (
	"context"
	"errors"

	"kmsfs/kmsclient/localkms/keyspec"
)

// pairRefusal puts what package keyspec found wrong with a request into AWS's
// words. Any other error stays: it is not the request's fault.
func pairRefusal(err error, k *cmk, algorithm string) error {
	switch {
	case errors.Is(err, keyspec.ErrDecrypt):
		return refuse("InvalidCiphertextException", "")
	case errors.Is(err, keyspec.ErrSignature):
		return refuse("KMSInvalidSignatureException", "")
	case errors.Is(err, keyspec.ErrMAC):
		return refuse("KMSInvalidMacException", "")
	case errors.Is(err, keyspec.ErrDigestLength):
		return refuse("ValidationException", "Digest is invalid length for algorithm %s.", algorithm)
	case errors.Is(err, keyspec.ErrMessageType):
		return refuse("ValidationException", "The message type is not valid for algorithm %s.", algorithm)
	case errors.Is(err, keyspec.ErrExternalMu):
		return refuse("UnsupportedOperationException",
			"MessageType EXTERNAL_MU is not supported for Verify: use MessageType RAW with the message itself, or verify outside of KMS with the public key.")
	case errors.Is(err, keyspec.ErrPublicKey):
		return refuse("ValidationException", "The public key is not valid for key spec %s.", k.spec)
	case errors.Is(err, keyspec.ErrTooLong):
		return refuse("ValidationException", "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.",
			algorithm, k.spec, keyspec.Spec(k.spec).MaxPlaintext(keyspec.Algorithm(algorithm)))
	}
	return err
}

// usable is key for an operation of one usage, by one algorithm of the key's.
func (c *call) usable(ref string, usage keyspec.Usage, algorithm string) (*cmk, error) {
	k, err := c.key(ref, byIDOrAlias)
	if err != nil {
		return nil, err
	}
	return k, c.checkAlgorithm(k, string(usage), algorithm)
}

// GetPublicKey gives the public key of a key pair, and what it is for.
func (a *API) GetPublicKey(ctx context.Context, in GetPublicKeyInput) (GetPublicKeyOutput, error) {
	return do(ctx, a, "GetPublicKey", &in, func(c *call) (out GetPublicKeyOutput, err error) {
		c.tokens = in.GrantTokens
		k, err := c.key(in.KeyID, byIDOrAlias)
		if err != nil {
			return out, err
		}
		if !keyspec.Spec(k.spec).Asymmetric() {
			return out, refuse("UnsupportedOperationException", "%s key spec is %s which is not valid for %s.", c.arn(k), k.spec, c.op)
		}
		public, err := c.publicKey(k)
		if err != nil {
			return out, err
		}
		out = GetPublicKeyOutput{KeyID: c.arn(k), PublicKey: public, CustomerMasterKeySpec: k.spec, KeySpec: k.spec, KeyUsage: k.usage}
		switch keyspec.Usage(k.usage) {
		case keyspec.EncryptDecrypt:
			out.EncryptionAlgorithms = k.algorithms()
		case keyspec.SignVerify:
			out.SigningAlgorithms = k.algorithms()
		case keyspec.KeyAgreement:
			out.KeyAgreementAlgorithms = k.algorithms()
		}
		return out, nil
	})
}

// Sign signs a message, its digest or, for ML-DSA, its μ.
func (a *API) Sign(ctx context.Context, in SignInput) (SignOutput, error) {
	if in.MessageType == "" {
		in.MessageType = string(keyspec.Raw)
	}
	ahead := a.ahead(ctx, in.KeyID, withPrivate(func(p *keyspec.Private) ([]byte, error) {
		return p.Sign(keyspec.Algorithm(in.SigningAlgorithm), keyspec.MessageType(in.MessageType), in.Message)
	}))
	defer ahead.wipe()
	return do(ctx, a, "Sign", &in, func(c *call) (out SignOutput, err error) {
		c.tokens = in.GrantTokens
		k, err := c.signingKey(in.KeyID, in.SigningAlgorithm, in.MessageType)
		if err != nil {
			return out, err
		}
		signature, err := ahead.result(c, k)
		if err != nil {
			return out, pairRefusal(err, k, in.SigningAlgorithm)
		}
		return SignOutput{KeyID: c.arn(k), Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
	})
}

// Verify checks a signature. Anybody can with the public key; here it is
// authorised and on record. What was signed by its μ is verified by the message.
func (a *API) Verify(ctx context.Context, in VerifyInput) (VerifyOutput, error) {
	if in.MessageType == "" {
		in.MessageType = string(keyspec.Raw)
	}
	ahead := a.ahead(ctx, in.KeyID, withPublic(func(p *keyspec.Public) error {
		return p.Verify(keyspec.Algorithm(in.SigningAlgorithm), keyspec.MessageType(in.MessageType), in.Message, in.Signature)
	}))
	return do(ctx, a, "Verify", &in, func(c *call) (out VerifyOutput, err error) {
		c.tokens = in.GrantTokens
		k, err := c.signingKey(in.KeyID, in.SigningAlgorithm, in.MessageType)
		if err != nil {
			return out, err
		}
		if _, err := ahead.result(c, k); err != nil {
			return out, pairRefusal(err, k, in.SigningAlgorithm)
		}
		return VerifyOutput{KeyID: c.arn(k), SignatureValid: true, SigningAlgorithm: in.SigningAlgorithm}, nil
	})
}

func (c *call) signingKey(ref, algorithm, messageType string) (*cmk, error) {
	c.fact("kms:signingalgorithm", algorithm)
	c.fact("kms:messagetype", messageType)
	return c.usable(ref, keyspec.SignVerify, algorithm)
}

// GenerateMac makes the HMAC of a message.
func (a *API) GenerateMac(ctx context.Context, in GenerateMacInput) (GenerateMacOutput, error) {
	return do(ctx, a, "GenerateMac", &in, func(c *call) (out GenerateMacOutput, err error) {
		c.tokens = in.GrantTokens
		var mac []byte
		k, err := c.mac(in.KeyID, in.MacAlgorithm, func(p *keyspec.Private) (err error) {
			mac, err = p.GenerateMAC(keyspec.Algorithm(in.MacAlgorithm), in.Message)
			return err
		})
		if err != nil {
			return out, err
		}
		return GenerateMacOutput{Mac: mac, MacAlgorithm: in.MacAlgorithm, KeyID: c.arn(k)}, nil
	})
}

// VerifyMac checks the HMAC of a message.
func (a *API) VerifyMac(ctx context.Context, in VerifyMacInput) (VerifyMacOutput, error) {
	return do(ctx, a, "VerifyMac", &in, func(c *call) (out VerifyMacOutput, err error) {
		c.tokens = in.GrantTokens
		k, err := c.mac(in.KeyID, in.MacAlgorithm, func(p *keyspec.Private) error {
			return p.VerifyMAC(keyspec.Algorithm(in.MacAlgorithm), in.Message, in.Mac)
		})
		if err != nil {
			return out, err
		}
		return VerifyMacOutput{KeyID: c.arn(k), MacValid: true, MacAlgorithm: in.MacAlgorithm}, nil
	})
}

// mac runs f with the HMAC key that ref names.
func (c *call) mac(ref, algorithm string, f func(*keyspec.Private) error) (*cmk, error) {
	c.fact("kms:macalgorithm", algorithm)
	k, err := c.usable(ref, keyspec.GenerateVerifyMAC, algorithm)
	if err != nil {
		return nil, err
	}
	m, err := c.material(k)
	if err != nil {
		return nil, err
	}
	defer m.wipe()
	_, err = withPrivate(func(p *keyspec.Private) ([]byte, error) { return nil, f(p) })(k, m.key)
	return k, pairRefusal(err, k, algorithm)
}

// DeriveSharedSecret is ECDH with the public key of a peer: the x coordinate,
// from which the parties derive keys.
func (a *API) DeriveSharedSecret(ctx context.Context, in DeriveSharedSecretInput) (DeriveSharedSecretOutput, error) {
	ahead := a.ahead(ctx, in.KeyID, withPrivate(func(p *keyspec.Private) ([]byte, error) {
		return p.DeriveSharedSecret(keyspec.Algorithm(in.KeyAgreementAlgorithm), in.PublicKey)
	}))
	defer ahead.wipe()
	return do(ctx, a, "DeriveSharedSecret", &in, func(c *call) (out DeriveSharedSecretOutput, err error) {
		c.tokens = in.GrantTokens
		c.fact("kms:keyagreementalgorithm", in.KeyAgreementAlgorithm)
		k, err := c.usable(in.KeyID, keyspec.KeyAgreement, in.KeyAgreementAlgorithm)
		if err != nil {
			return out, err
		}
		secret, err := ahead.result(c, k)
		if err != nil {
			return out, pairRefusal(err, k, in.KeyAgreementAlgorithm)
		}
		return DeriveSharedSecretOutput{
			KeyID: c.arn(k), SharedSecret: secret, KeyAgreementAlgorithm: in.KeyAgreementAlgorithm, KeyOrigin: k.origin,
		}, nil
	})
}

// noContext refuses an encryption context with a key pair, which cannot bind it.
func (c *call) noContext() error {
	if len(c.ec) > 0 {
		return refuse("ValidationException", "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs.")
	}
	return nil
}

// encryptPublic is Encrypt under a key pair: RSAES-OAEP, as anybody with the
// public key does it.
func (c *call) encryptPublic(k *cmk, algorithm string, plaintext []byte) ([]byte, error) {
	if err := c.noContext(); err != nil {
		return nil, err
	}
	public, err := c.publicKey(k)
	if err != nil {
		return nil, err
	}
	p, err := keyspec.ParsePublic(public)
	if err != nil {
		return nil, ErrDamaged
	}
	ciphertext, err := p.Encrypt(keyspec.Algorithm(algorithm), plaintext)
	return ciphertext, pairRefusal(err, k, algorithm)
}

// openAhead decrypts what is under a key pair, for openPrivate; nil for a blob of
// this KMS.
func (a *API) openAhead(ctx context.Context, ref, algorithm string, ciphertext []byte) *ahead {
	if algorithm == specSymmetric {
		return nil
	}
	return a.ahead(ctx, ref, withPrivate(func(p *keyspec.Private) ([]byte, error) {
		plaintext, err := p.Decrypt(keyspec.Algorithm(algorithm), ciphertext)
		if err == nil && len(plaintext) == 0 {
			err = keyspec.ErrDecrypt // Encrypt takes one byte at least, and answers hold that
		}
		return plaintext, err
	}))
}

// openPrivate is Decrypt under a key pair.
func (c *call) openPrivate(k *cmk, algorithm string, ahead *ahead) (o opened, err error) {
	if err := c.noContext(); err != nil {
		return o, err
	}
	plaintext, err := ahead.result(c, k)
	return opened{plaintext: plaintext, key: k, material: k.current}, pairRefusal(err, k, algorithm)
}
