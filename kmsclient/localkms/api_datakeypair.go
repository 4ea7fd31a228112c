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
	pair := a.dataKeyPair(ctx, &in, in.KeyPairSpec, in.DryRun)
	defer clear(pair.private)
	return do(ctx, a, "GenerateDataKeyPair", &in, func(c *call) (out GenerateDataKeyPairOutput, err error) {
		blob, k, err := c.wrapPair(pair, in.KeyID, in.EncryptionContext, in.GrantTokens)
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
	pair := a.dataKeyPair(ctx, &in, in.KeyPairSpec, in.DryRun)
	defer clear(pair.private)
	return do(ctx, a, "GenerateDataKeyPairWithoutPlaintext", &in, func(c *call) (out GenerateDataKeyPairWithoutPlaintextOutput, err error) {
		blob, k, err := c.wrapPair(pair, in.KeyID, in.EncryptionContext, in.GrantTokens)
		if err != nil {
			return out, err
		}
		return GenerateDataKeyPairWithoutPlaintextOutput{
			PrivateKeyCiphertextBlob: blob, PublicKey: pair.public, KeyID: c.arn(k), KeyPairSpec: in.KeyPairSpec, KeyMaterialID: hexID(k.current),
		}, nil
	})
}

// dataKeyPair is a key pair before it is handed out, or why there is none.
type dataKeyPair struct {
	spec            string
	private, public []byte // PKCS #8 and SubjectPublicKeyInfo, in DER
	err             error
}

// dataKeyPair makes a pair before the transaction, as a pair for RSA takes its
// time; but not for a request that is malformed, or that is a dry run.
func (a *API) dataKeyPair(ctx context.Context, in any, name string, dry bool) *dataKeyPair {
	pair := &dataKeyPair{spec: name}
	spec := keyspec.Spec(name)
	switch {
	case shape.Validate(in) != nil: // do refuses it
	case !spec.DataKeyPair():
		pair.err = refuse("UnsupportedOperationException", "KeyPairSpec %s is not supported.", name)
	case !dry:
		pair.private, pair.public, pair.err = a.generate(ctx, spec)
	}
	return pair
}

// wrapPair wraps the private key of a pair under the key that ref names.
func (c *call) wrapPair(pair *dataKeyPair, ref string, ec kmsclient.EncryptionContext, tokens []string) ([]byte, *cmk, error) {
	if pair.err != nil {
		return nil, nil, pair.err
	}
	c.ec, c.tokens = ec, tokens
	c.fact("kms:datakeypairspec", pair.spec)
	blob, k, _, err := c.wrap(c.op, ref, "", pair.private)
	return blob, k, err
}
