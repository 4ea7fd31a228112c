package localkms

import (
	"errors"
	"fmt"
	"testing"

	"kmsfs/kmsclient/localkms/keyspec"
)

// kms:RequestAlias is how the request names its key, also where a ciphertext names
// it too.
func TestRequestAlias(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/a", TargetKeyID: key})))
	user := as(t, s, "user/u", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*",
		"Condition":{"StringEquals":{"kms:RequestAlias":"alias/a"}}}}`)
	made, err := user.API.Encrypt(bg, EncryptInput{KeyID: "alias/a", Plaintext: []byte("m")})
	ok(t, err)
	ok(t, only(user.API.Decrypt(bg, DecryptInput{KeyID: "alias/a", CiphertextBlob: made.CiphertextBlob})))
	ok(t, only(user.API.ReEncrypt(bg, ReEncryptInput{SourceKeyID: "alias/a", DestinationKeyID: s.arn(home, "alias/a"), CiphertextBlob: made.CiphertextBlob})))
	for _, ref := range []string{"", key} {
		wantCode(t, "by "+ref, only(user.API.Decrypt(bg, DecryptInput{KeyID: ref, CiphertextBlob: made.CiphertextBlob})), denied)
	}
}

// What an RSA ciphertext looks like from outside says nothing about its key.
func TestReEncryptOnSameKeyOfPair(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := plant(t, c, keyspec.RSA2048, keyspec.EncryptDecrypt)
	public, err := keyspec.PublicKey(keyspec.RSA2048, shared(t, keyspec.RSA2048))
	ok(t, err)
	var ciphertext []byte
	for len(ciphertext) == 0 || ciphertext[0] != blobVersion { // as a blob of ours begins
		ciphertext = wrapOAEP(t, public, []byte("m"))
	}
	user := as(t, s, "user/u", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"},
		{"Effect":"Deny","Action":"kms:ReEncrypt*","Resource":"*","Condition":{"Bool":{"kms:ReEncryptOnSameKey":"true"}}}]}`)
	wantCode(t, "under its own key", only(user.API.ReEncrypt(bg, ReEncryptInput{
		SourceKeyID: key, SourceEncryptionAlgorithm: string(keyspec.OAEPSHA256), CiphertextBlob: ciphertext,
		DestinationKeyID: key, DestinationEncryptionAlgorithm: string(keyspec.OAEPSHA1),
	})), denied)
}

// However many conditions a policy has on tags and aliases, a decision reads them
// once: all callers wait for it.
func TestConditionsReadOnce(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	id := parseID(t, newKey(t, c))
	ok(t, only(c.TagResource(bg, TagResourceInput{KeyID: id.String(), Tags: []Tag{{"a", "1"}, {"b", "2"}}})))
	ok(t, only(c.CreateAlias(bg, CreateAliasInput{AliasName: "alias/a", TargetKeyID: id.String()})))
	ok(t, s.writer.submit(bg, func(tx *tx) error {
		call := &call{tx: tx, api: c.API}
		k, err := call.load(id)
		if err != nil {
			return err
		}
		r := &requestContext{call: call, key: k}
		before := fmt.Sprint(r.get("aws:resourcetag/a"), r.get("aws:resourcetag/b"), r.get("aws:resourcetag/c"), r.get("kms:resourcealiases"))
		if before != "[1] [2] [] [alias/a]" {
			t.Error(before)
		}
		if err := errors.Join(tx.exec("DELETE FROM tag"), tx.exec("DELETE FROM alias")); err != nil {
			return err
		}
		if got := fmt.Sprint(r.get("aws:resourcetag/a"), r.get("aws:resourcetag/b"), r.get("aws:resourcetag/c"), r.get("kms:resourcealiases")); got != before {
			t.Errorf("read again: %s", got)
		}
		return r.err
	}))
}

// A dry run without a ciphertext is held to the same conditions, and to what the
// key can do.
func TestDryRunWithoutCiphertext(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key, mac := newKey(t, c), plant(t, c, keyspec.HMAC256, keyspec.GenerateVerifyMAC)
	user := as(t, s, "user/u", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*",
		"Condition":{"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}}}}`)
	dry := []string{ignoreCiphertext}
	for key, want := range map[string]string{key: "DryRunOperationException", mac: "InvalidKeyUsageException"} {
		wantCode(t, "Decrypt", only(user.API.Decrypt(bg, DecryptInput{KeyID: key, DryRun: true, DryRunModifiers: dry})), want)
		wantCode(t, "ReEncrypt", only(user.API.ReEncrypt(bg, ReEncryptInput{SourceKeyID: key, DestinationKeyID: key, DryRun: true, DryRunModifiers: dry})), want)
	}
}
