package localkms

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"testing"

	"kmsfs/kmsclient/localkms/keyspec"
)

// What is made here, openssl understands, and the other way round.

func TestOpenSSLVerifiesSignatures(t *testing.T) {
	c := newStore(t, Options{}).Client()
	message := []byte("signed here, verified there")
	for _, test := range []struct {
		spec    keyspec.Spec
		alg     keyspec.Algorithm
		options []string
	}{
		{keyspec.RSA2048, keyspec.PKCS1SHA256, []string{"-sha256"}},
		{keyspec.RSA3072, keyspec.PSSSHA384, []string{"-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48"}},
		{keyspec.NISTP256, keyspec.ECDSASHA256, []string{"-sha256"}},
		{keyspec.NISTP384, keyspec.ECDSASHA384, []string{"-sha384"}},
		{keyspec.NISTP521, keyspec.ECDSASHA512, []string{"-sha512"}},
		{keyspec.SECGP256K1, keyspec.ECDSASHA256, []string{"-sha256"}},
	} {
		key := plant(t, c, test.spec, keyspec.SignVerify)
		signed, err := c.Sign(bg, SignInput{KeyID: key, Message: message, SigningAlgorithm: string(test.alg)})
		ok(t, err)
		public, err := c.GetPublicKey(bg, GetPublicKeyInput{KeyID: key})
		ok(t, err)
		files := map[string][]byte{"public": public.PublicKey, "signature": signed.Signature, "message": message}
		openssl(t, files, append([]string{"dgst", "-keyform", "DER", "-verify", "public", "-signature", "signature"}, append(test.options, "message")...)...)

		// The private key is the shared one, so openssl can sign with it too.
		files["private"] = shared(t, test.spec)
		signature := openssl(t, files, append([]string{"dgst", "-keyform", "DER", "-sign", "private"}, append(test.options, "message")...)...)
		ok(t, only(c.Verify(bg, VerifyInput{KeyID: key, Message: message, SigningAlgorithm: string(test.alg), Signature: signature})))
	}
}

func TestOpenSSLEncryptsForHere(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := plant(t, c, keyspec.RSA2048, keyspec.EncryptDecrypt)
	public, err := c.GetPublicKey(bg, GetPublicKeyInput{KeyID: key})
	ok(t, err)
	for alg, hash := range map[keyspec.Algorithm]string{keyspec.OAEPSHA1: "sha1", keyspec.OAEPSHA256: "sha256"} {
		oaep := []string{"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:" + hash, "-pkeyopt", "rsa_mgf1_md:" + hash}
		files := map[string][]byte{"public": public.PublicKey, "private": shared(t, keyspec.RSA2048), "in": []byte("a secret")}
		blob := openssl(t, files, append([]string{"pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "public", "-in", "in"}, oaep...)...)
		out, err := c.API.Decrypt(bg, DecryptInput{KeyID: key, EncryptionAlgorithm: string(alg), CiphertextBlob: blob})
		ok(t, err)
		if string(out.Plaintext) != "a secret" {
			t.Errorf("%s: %q", alg, out.Plaintext)
		}
		sealed, err := c.API.Encrypt(bg, EncryptInput{KeyID: key, EncryptionAlgorithm: string(alg), Plaintext: []byte("another")})
		ok(t, err)
		files["in"] = sealed.CiphertextBlob
		if got := openssl(t, files, append([]string{"pkeyutl", "-decrypt", "-keyform", "DER", "-inkey", "private", "-in", "in"}, oaep...)...); string(got) != "another" {
			t.Errorf("%s: openssl decrypts %q", alg, got)
		}
	}

	// Nothing at all can be encrypted as well, and AWS's answer cannot hold it.
	private, err := keyspec.ParsePrivate(keyspec.RSA2048, shared(t, keyspec.RSA2048))
	ok(t, err)
	nothing, err := private.Public().Encrypt(keyspec.OAEPSHA256, nil)
	ok(t, err)
	_, err = c.API.Decrypt(bg, DecryptInput{KeyID: key, EncryptionAlgorithm: string(keyspec.OAEPSHA256), CiphertextBlob: nothing})
	refused(t, err, "InvalidCiphertextException", "")
}

func TestOpenSSLAgreesOnMACsAndSecrets(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := plant(t, c, keyspec.HMAC384, keyspec.GenerateVerifyMAC)
	mac := openssl(t, map[string][]byte{"message": []byte("m")},
		"mac", "-binary", "-digest", "SHA384", "-macopt", "hexkey:"+hex.EncodeToString(shared(t, keyspec.HMAC384)), "-in", "message", "HMAC")
	out, err := c.GenerateMac(bg, GenerateMacInput{KeyID: key, Message: []byte("m"), MacAlgorithm: string(keyspec.HMACSHA384)})
	ok(t, err)
	if !bytes.Equal(out.Mac, mac) {
		t.Errorf("MAC is %x, openssl's %x", out.Mac, mac)
	}

	key = plant(t, c, keyspec.NISTP384, keyspec.KeyAgreement)
	peer := openssl(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-outform", "DER")
	peerPublic := openssl(t, map[string][]byte{"peer": peer}, "pkey", "-inform", "DER", "-in", "peer", "-pubout", "-outform", "DER")
	own, err := c.GetPublicKey(bg, GetPublicKeyInput{KeyID: key})
	ok(t, err)
	secret := openssl(t, map[string][]byte{"peer": peer, "own": own.PublicKey},
		"pkeyutl", "-derive", "-keyform", "DER", "-inkey", "peer", "-peerform", "DER", "-peerkey", "own")
	agreed, err := c.DeriveSharedSecret(bg, DeriveSharedSecretInput{KeyID: key, PublicKey: peerPublic, KeyAgreementAlgorithm: "ECDH"})
	ok(t, err)
	if !bytes.Equal(agreed.SharedSecret, secret) {
		t.Error("openssl derives another secret")
	}
}

func TestOpenSSLReadsDataKeyPairs(t *testing.T) {
	c := newStore(t, Options{}).Client()
	key := newKey(t, c)
	for _, spec := range keyspec.Specs() {
		if !spec.DataKeyPair() || spec == keyspec.RSA3072 || spec == keyspec.RSA4096 { // those only take longer
			continue
		}
		out, err := c.GenerateDataKeyPair(bg, GenerateDataKeyPairInput{KeyID: key, KeyPairSpec: string(spec)})
		ok(t, err)
		public := openssl(t, map[string][]byte{"private": out.PrivateKeyPlaintext}, "pkey", "-inform", "DER", "-in", "private", "-pubout", "-outform", "DER")
		if !bytes.Equal(public, out.PublicKey) {
			t.Errorf("%s: openssl finds another public key", spec)
		}
	}
}

// wrapped wraps material to be imported as openssl does it: RSAES-OAEP with
// SHA-256 over the material or, for RSA_AES_KEY_WRAP, over an AES key that the
// material is wrapped under.
func wrapped(t *testing.T, alg keyspec.Algorithm, public, material []byte) []byte {
	t.Helper()
	oaep := func(b []byte) []byte {
		return openssl(t, map[string][]byte{"public": public, "in": b}, "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER",
			"-inkey", "public", "-in", "in", "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256")
	}
	if alg == keyspec.OAEPSHA256 {
		return oaep(material)
	}
	key := make([]byte, 32)
	rand.Read(key)
	return append(oaep(key), openssl(t, map[string][]byte{"in": material},
		"enc", "-id-aes256-wrap-pad", "-K", hex.EncodeToString(key), "-iv", "A65959A6", "-in", "in")...)
}

func TestOpenSSLWrapsImports(t *testing.T) {
	c := newStore(t, Options{}).Client()
	pkcs8 := func(genpkey ...string) []byte {
		pem := openssl(t, nil, append([]string{"genpkey", "-algorithm"}, genpkey...)...)
		return openssl(t, map[string][]byte{"pem": pem}, "pkcs8", "-topk8", "-nocrypt", "-in", "pem", "-outform", "DER")
	}
	for _, test := range []struct {
		spec  keyspec.Spec
		usage keyspec.Usage
		alg   keyspec.Algorithm
		made  []byte
	}{
		{keyspec.SymmetricDefault, keyspec.EncryptDecrypt, keyspec.OAEPSHA256, openssl(t, nil, "rand", "32")},
		{keyspec.HMAC512, keyspec.GenerateVerifyMAC, keyspec.OAEPSHA256, openssl(t, nil, "rand", "64")},
		{keyspec.NISTP256, keyspec.SignVerify, keyspec.OAEPSHA256, pkcs8("EC", "-pkeyopt", "ec_paramgen_curve:P-256")},
		{keyspec.NISTP521, keyspec.SignVerify, keyspec.RSAAESKeyWrapSHA256, pkcs8("EC", "-pkeyopt", "ec_paramgen_curve:P-521")},
		{keyspec.Edwards25519, keyspec.SignVerify, keyspec.RSAAESKeyWrapSHA256, pkcs8("ED25519")},
		{keyspec.RSA2048, keyspec.SignVerify, keyspec.RSAAESKeyWrapSHA256, pkcs8("RSA", "-pkeyopt", "rsa_keygen_bits:2048")},
	} {
		made, err := c.CreateKey(bg, CreateKeyInput{KeySpec: string(test.spec), KeyUsage: string(test.usage), Origin: originExternal})
		ok(t, err)
		key := made.KeyMetadata.Arn
		params, err := c.GetParametersForImport(bg, GetParametersForImportInput{
			KeyID: key, WrappingAlgorithm: string(test.alg), WrappingKeySpec: "RSA_2048",
		})
		ok(t, err)
		ok(t, only(c.ImportKeyMaterial(bg, ImportKeyMaterialInput{
			KeyID: key, ImportToken: params.ImportToken, EncryptedKeyMaterial: wrapped(t, test.alg, params.PublicKey, test.made),
			ExpirationModel: "KEY_MATERIAL_DOES_NOT_EXPIRE",
		})))
		switch {
		case test.spec.Asymmetric():
			out, err := c.GetPublicKey(bg, GetPublicKeyInput{KeyID: key})
			ok(t, err)
			public := openssl(t, map[string][]byte{"private": test.made}, "pkey", "-inform", "DER", "-in", "private", "-pubout", "-outform", "DER")
			if !bytes.Equal(out.PublicKey, public) {
				t.Errorf("%s: openssl finds another public key", test.spec)
			}
		case test.usage == keyspec.GenerateVerifyMAC:
			out, err := c.GenerateMac(bg, GenerateMacInput{KeyID: key, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_512"})
			ok(t, err)
			mac := openssl(t, map[string][]byte{"m": []byte("m")}, "mac", "-binary", "-digest", "SHA512", "-macopt", "hexkey:"+hex.EncodeToString(test.made), "-in", "m", "HMAC")
			if !bytes.Equal(out.Mac, mac) {
				t.Errorf("%s: openssl makes another MAC", test.spec)
			}
		default:
			sealed, err := c.API.Encrypt(bg, EncryptInput{KeyID: key, Plaintext: []byte("m")})
			ok(t, err)
			out, err := c.API.Decrypt(bg, DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
			ok(t, err)
			if string(out.Plaintext) != "m" {
				t.Errorf("%q", out.Plaintext)
			}
		}
	}
}

// The same key in another encoding is the same key.
func TestOpenSSLEncodesAKeyInTwoWays(t *testing.T) {
	i := newImporter(t, newStore(t, Options{}).Client(), CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"})
	pem := openssl(t, nil, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	short := openssl(t, map[string][]byte{"pem": pem}, "ec", "-in", "pem", "-no_public")
	var encodings [][]byte
	for _, pem := range [][]byte{pem, short} {
		der := openssl(t, map[string][]byte{"pem": pem}, "pkcs8", "-topk8", "-nocrypt", "-in", "pem", "-outform", "DER")
		encodings = append(encodings, der)
		ok(t, only(i.give(der, nil)))
	}
	if bytes.Equal(encodings[0], encodings[1]) {
		t.Error("the encodings are the same")
	}
}
