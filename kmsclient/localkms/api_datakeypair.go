package localkms

import (
	"context"
	"slices"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
)

// GenerateDataKeyPair makes a key pair for use outside, and returns it with its
// private key in clear and wrapped.
func (a *API) GenerateDataKeyPair(ctx context.Context, in GenerateDataKeyPairInput) (GenerateDataKeyPairOutput, error) {
	pair := &dataKeyPair{spec: in.KeyPairSpec, key: in.KeyID, ec: in.EncryptionContext, tokens: in.GrantTokens}
	pair.make(ctx, a, "GenerateDataKeyPair", &in, in.DryRun)
	defer clear(pair.private)
	return do(ctx, a, "GenerateDataKeyPair", &in, func(c *call) (out GenerateDataKeyPairOutput, err error) {
		blob, k, err := c.wrapPair(pair)
		if err != nil {
			return out, err
		}
		return GenerateDataKeyPairOutput{
			PrivateKeyCiphertextBlob: blob, PrivateKeyPlaintext: slices.Clone(pair.private), PublicKey: pair.public,
			KeyID: c.arn(k), KeyPairSpec: in.KeyPairSpec, KeyMaterialID: hexID(k.current),
		}, nil
	})
}

// GenerateDataKeyPairWithoutPlaintext makes a key pair for use outside, and
// returns it with its private key wrapped.
func (a *API) GenerateDataKeyPairWithoutPlaintext(ctx context.Context, in GenerateDataKeyPairWithoutPlaintextInput) (GenerateDataKeyPairWithoutPlaintextOutput, error) {
	pair := &dataKeyPair{spec: in.KeyPairSpec, key: in.KeyID, ec: in.EncryptionContext, tokens: in.GrantTokens}
	pair.make(ctx, a, "GenerateDataKeyPairWithoutPlaintext", &in, in.DryRun)
	defer clear(pair.private)
	return do(ctx, a, "GenerateDataKeyPairWithoutPlaintext", &in, func(c *call) (out GenerateDataKeyPairWithoutPlaintextOutput, err error) {
		blob, k, err := c.wrapPair(pair)
		if err != nil {
			return out, err
		}
		return GenerateDataKeyPairWithoutPlaintextOutput{
			PrivateKeyCiphertextBlob: blob, PublicKey: pair.public, KeyID: c.arn(k), KeyPairSpec: in.KeyPairSpec, KeyMaterialID: hexID(k.current),
		}, nil
	})
}

// dataKeyPair is a request for a key pair, and the pair or why there is none.
type dataKeyPair struct {
	spec, key       string
	ec              kmsclient.EncryptionContext
	tokens          []string
	private, public []byte // PKCS #8 and SubjectPublicKeyInfo, in DER
	err             error
}

// make makes the pair before the transaction, as one for RSA takes its time; but
// not for a request that is malformed, or that is a dry run.
func (p *dataKeyPair) make(ctx context.Context, a *API, op string, in any, dry bool) {
	spec := keyspec.Spec(p.spec)
	switch {
	case shape.Validate(in) != nil: // do refuses it
	case !spec.DataKeyPair():
		p.err = refuse("UnsupportedOperationException", "KeyPairSpec %s is not supported.", p.spec)
	case !dry:
		p.private, p.public, p.err = a.generate(ctx, op, spec, func(c *call) error {
			_, _, err := c.wrapPair(p)
			return err
		})
	}
}

// wrapPair wraps the private key of a pair under its key.
func (c *call) wrapPair(p *dataKeyPair) ([]byte, *cmk, error) {
	c.ec, c.tokens = p.ec, p.tokens
	c.fact("kms:datakeypairspec", p.spec)
	blob, k, _, err := c.wrap(c.op, p.key, "", p.private)
	if err == nil {
		err = p.err
	}
	return blob, k, err
}
