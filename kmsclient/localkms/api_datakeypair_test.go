package localkms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
)

func TestDataKeyPairs(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := newKey(t, c)
	ec := kmsclient.EncryptionContext{"for": "a test"}
	for _, spec := range keyspec.Specs() {
		in := GenerateDataKeyPairInput{KeyID: key, KeyPairSpec: string(spec), EncryptionContext: ec}
		if !spec.DataKeyPair() {
			_, err := c.GenerateDataKeyPair(bg, in)
			if e := (*kmsclient.Error)(nil); !errors.As(err, &e) || e.Code != "ValidationException" {
				t.Errorf("%s: %v", spec, err)
			}
			continue
		}
		if testing.Short() && (spec == keyspec.RSA3072 || spec == keyspec.RSA4096) {
			continue
		}
		out, err := c.GenerateDataKeyPair(bg, in)
		ok(t, err)
		public, err := keyspec.PublicKey(spec, out.PrivateKeyPlaintext)
		ok(t, err)
		opened, err := c.API.Decrypt(bg, DecryptInput{CiphertextBlob: out.PrivateKeyCiphertextBlob, EncryptionContext: ec})
		ok(t, err)
		if !bytes.Equal(out.PublicKey, public) || !bytes.Equal(opened.Plaintext, out.PrivateKeyPlaintext) ||
			out.KeyID != key || out.KeyPairSpec != string(spec) || out.KeyMaterialID != opened.KeyMaterialID {
			t.Errorf("%s: %+v", spec, out)
		}
		refused(t, only(c.API.Decrypt(bg, DecryptInput{CiphertextBlob: out.PrivateKeyCiphertextBlob})), "InvalidCiphertextException", "")
		if spec == keyspec.RSA3072 || spec == keyspec.RSA4096 {
			continue
		}
		without, err := c.GenerateDataKeyPairWithoutPlaintext(bg, GenerateDataKeyPairWithoutPlaintextInput{
			EncryptionContext: ec, KeyID: key, KeyPairSpec: string(spec),
		})
		ok(t, err)
		opened, err = c.API.Decrypt(bg, DecryptInput{CiphertextBlob: without.PrivateKeyCiphertextBlob, EncryptionContext: ec})
		ok(t, err)
		if public, err = keyspec.PublicKey(spec, opened.Plaintext); err != nil || !bytes.Equal(without.PublicKey, public) ||
			bytes.Equal(without.PublicKey, out.PublicKey) || without.KeyID != key || without.KeyMaterialID != opened.KeyMaterialID {
			t.Errorf("%s: %+v, %v", spec, without, err)
		}
	}
}

func TestDataKeyPairRefusals(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	in := GenerateDataKeyPairInput{KeyID: newKey(t, c), KeyPairSpec: "ECC_NIST_P256"}
	pair := plant(t, c, keyspec.RSA2048, keyspec.EncryptDecrypt)
	for name, test := range map[string]struct {
		change        func(*GenerateDataKeyPairInput)
		code, message string
	}{
		"SM2": {func(in *GenerateDataKeyPairInput) { in.KeyPairSpec = "SM2" }, "UnsupportedOperationException", "KeyPairSpec SM2 is not supported."},
		"under a pair": {func(in *GenerateDataKeyPairInput) { in.KeyID = pair },
			"InvalidKeyUsageException", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."},
		"dry": {func(in *GenerateDataKeyPairInput) { in.DryRun = true },
			"DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
	} {
		in := in
		test.change(&in)
		t.Run(name, func(t *testing.T) { refused(t, only(c.GenerateDataKeyPair(bg, in)), test.code, test.message) })
	}
	ended, cancel := context.WithCancel(bg)
	cancel()
	if _, err := c.GenerateDataKeyPair(ended, in); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if out, err := c.GenerateDataKeyPair(bg, in); err != nil || len(out.PrivateKeyPlaintext) == 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// No pair is made for a request that is refused for its form, or that is a dry run.
func TestDataKeyPairIsNotMadeForNothing(t *testing.T) {
	a := newStore(t, Options{}).Client().API
	for _, in := range []GenerateDataKeyPairInput{{KeyPairSpec: "RSA_2048"}, {KeyID: "k", KeyPairSpec: "RSA_2048", DryRun: true}} {
		pair := &dataKeyPair{spec: in.KeyPairSpec, key: in.KeyID}
		if pair.make(bg, a, "GenerateDataKeyPair", &in, in.DryRun); pair.private != nil || pair.err != nil {
			t.Errorf("%+v: made %v", in, pair)
		}
	}
}

// Each operation tells policies what it was asked for.
func TestConditionsOfKeyPairs(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	keys := map[keyspec.Usage]string{
		keyspec.SignVerify:        plant(t, c, keyspec.RSA2048, keyspec.SignVerify),
		keyspec.GenerateVerifyMAC: plant(t, c, keyspec.HMAC256, keyspec.GenerateVerifyMAC),
		keyspec.KeyAgreement:      plant(t, c, keyspec.NISTP256, keyspec.KeyAgreement),
		keyspec.EncryptDecrypt:    plant(t, c, keyspec.RSA2048, keyspec.EncryptDecrypt),
		"":                        newKey(t, c),
	}
	peer, err := c.GetPublicKey(bg, GetPublicKeyInput{KeyID: keys[keyspec.KeyAgreement]})
	ok(t, err)
	sign := func(c *Client, alg, kind string) error {
		return only(c.Sign(bg, SignInput{KeyID: keys[keyspec.SignVerify], Message: make([]byte, 32), MessageType: kind, SigningAlgorithm: alg}))
	}
	verify := func(c *Client, alg string) error {
		return only(c.Verify(bg, VerifyInput{KeyID: keys[keyspec.SignVerify], Message: []byte("m"), Signature: []byte("s"), SigningAlgorithm: alg}))
	}
	encrypt := func(c *Client, alg string) error {
		return only(c.API.Encrypt(bg, EncryptInput{KeyID: keys[keyspec.EncryptDecrypt], Plaintext: []byte("m"), EncryptionAlgorithm: alg}))
	}
	decrypt := func(c *Client, alg string) error {
		return only(c.API.Decrypt(bg, DecryptInput{KeyID: keys[keyspec.EncryptDecrypt], CiphertextBlob: []byte("m"), EncryptionAlgorithm: alg}))
	}
	mac := func(c *Client) error {
		return only(c.GenerateMac(bg, GenerateMacInput{KeyID: keys[keyspec.GenerateVerifyMAC], Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"}))
	}
	agree := func(c *Client) error {
		return only(c.DeriveSharedSecret(bg, DeriveSharedSecretInput{KeyID: keys[keyspec.KeyAgreement], PublicKey: peer.PublicKey, KeyAgreementAlgorithm: "ECDH"}))
	}
	pair := func(c *Client, spec string) error {
		return only(c.GenerateDataKeyPair(bg, GenerateDataKeyPairInput{KeyID: keys[""], KeyPairSpec: spec}))
	}
	for i, test := range []struct {
		key, value string
		allowed    func(*Client) error
		denied     func(*Client) error // nil: where AWS has one value only, the condition is for another
	}{
		{"kms:SigningAlgorithm", "RSASSA_PSS_SHA_256",
			func(c *Client) error { return sign(c, "RSASSA_PSS_SHA_256", "") }, func(c *Client) error { return sign(c, "RSASSA_PKCS1_V1_5_SHA_256", "") }},
		{"kms:SigningAlgorithm", "RSASSA_PSS_SHA_256", nil, func(c *Client) error { return verify(c, "RSASSA_PSS_SHA_512") }},
		{"kms:MessageType", "DIGEST",
			func(c *Client) error { return sign(c, "RSASSA_PSS_SHA_256", "DIGEST") }, func(c *Client) error { return sign(c, "RSASSA_PSS_SHA_256", "RAW") }},
		{"kms:MessageType", "RAW", func(c *Client) error { return sign(c, "RSASSA_PSS_SHA_256", "") }, nil},
		{"kms:EncryptionAlgorithm", "RSAES_OAEP_SHA_256",
			func(c *Client) error { return encrypt(c, "RSAES_OAEP_SHA_256") }, func(c *Client) error { return encrypt(c, "RSAES_OAEP_SHA_1") }},
		{"kms:EncryptionAlgorithm", "RSAES_OAEP_SHA_256", nil, func(c *Client) error { return decrypt(c, "RSAES_OAEP_SHA_1") }},
		{"kms:MacAlgorithm", "HMAC_SHA_256", mac, nil},
		{"kms:MacAlgorithm", "HMAC_SHA_512", nil, mac},
		{"kms:KeyAgreementAlgorithm", "ECDH", agree, nil},
		{"kms:KeyAgreementAlgorithm", "other", nil, agree},
		{"kms:DataKeyPairSpec", "ECC_NIST_P256",
			func(c *Client) error { return pair(c, "ECC_NIST_P256") }, func(c *Client) error { return pair(c, "ECC_NIST_P384") }},
	} {
		u := as(t, s, fmt.Sprintf("user/u%d", i), fmt.Sprintf(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{%q:%q}}}}`, test.key, test.value))
		if test.allowed != nil {
			if err := test.allowed(u); err != nil {
				t.Errorf("%s %s: %v", test.key, test.value, err)
			}
		}
		if test.denied != nil {
			if err, e := test.denied(u), (*kmsclient.Error)(nil); !errors.As(err, &e) || e.Code != "AccessDeniedException" {
				t.Errorf("%s %s: %v, want a denial", test.key, test.value, err)
			}
		}
	}
}
