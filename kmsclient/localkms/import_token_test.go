package localkms

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
	"kmsfs/kmsclient/localkms/unlock"
)

func TestParametersForImport(t *testing.T) {
	clock := newClock()
	c := newStore(t, Options{Now: clock.Now}).Client()
	external := func(spec keyspec.Spec, usage keyspec.Usage) string {
		out, err := c.CreateKey(bg, CreateKeyInput{KeySpec: string(spec), KeyUsage: string(usage), Origin: originExternal})
		ok(t, err)
		return out.KeyMetadata.Arn
	}
	symmetric, p521 := external(keyspec.SymmetricDefault, keyspec.EncryptDecrypt), external(keyspec.NISTP521, keyspec.SignVerify)
	rsa := external(keyspec.RSA2048, keyspec.SignVerify)
	own := newKey(t, c)
	specs := []string{"RSA_2048", "RSA_3072", "RSA_4096"}
	if testing.Short() {
		specs = specs[:1]
	}
	for _, wrapping := range specs {
		out, err := c.GetParametersForImport(bg, GetParametersForImportInput{KeyID: symmetric, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: wrapping})
		ok(t, err)
		public, err := keyspec.ParsePublic(out.PublicKey)
		ok(t, err)
		if string(public.Spec()) != wrapping || out.KeyID != symmetric || len(out.ImportToken) > 6144 || !out.ParametersValidTo.Equal(clock.Now().Add(24*time.Hour)) {
			t.Errorf("%s: token of %d bytes, %+v", wrapping, len(out.ImportToken), out)
		}
	}
	for _, test := range []struct{ key, algorithm, wrapping, code, message string }{
		{own, "RSAES_OAEP_SHA_256", "RSA_2048", "UnsupportedOperationException", own + " origin is AWS_KMS which is not valid for this operation."},
		{symmetric, "RSA_AES_KEY_WRAP_SHA_256", "RSA_2048", "", ""},
		{symmetric, "RSAES_PKCS1_V1_5", "RSA_2048", "", ""},
		{symmetric, "SM2PKE", "SM2", "", ""},
		{rsa, "RSAES_OAEP_SHA_256", "RSA_2048", "", ""},
		{p521, "RSAES_OAEP_SHA_1", "RSA_2048", "", ""},
	} {
		_, err := c.GetParametersForImport(bg, GetParametersForImportInput{KeyID: test.key, WrappingAlgorithm: test.algorithm, WrappingKeySpec: test.wrapping})
		if test.code == "" {
			spec := map[string]keyspec.Spec{symmetric: keyspec.SymmetricDefault, rsa: keyspec.RSA2048, p521: keyspec.NISTP521}[test.key]
			test.code, test.message = "UnsupportedOperationException",
				fmt.Sprintf("Wrapping algorithm %s with wrapping key spec %s is not valid for key spec %s.", test.algorithm, test.wrapping, spec)
		}
		refused(t, err, test.code, test.message)
	}
	refused(t, only(c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: own})),
		"UnsupportedOperationException", own+" origin is AWS_KMS which is not valid for this operation.")
}

func TestImportTokens(t *testing.T) {
	clock := newClock()
	c := newStore(t, Options{Now: clock.Now}).Client()
	i := newImporter(t, c, CreateKeyInput{})
	foreign := newImporter(t, newStore(t, Options{}).Client(), CreateKeyInput{})
	other := newImporter(t, c, CreateKeyInput{})
	use := func(from importer) func(*ImportKeyMaterialInput) {
		return func(in *ImportKeyMaterialInput) {
			in.ImportToken, in.EncryptedKeyMaterial = from.params.ImportToken, wrapOAEP(t, from.params.PublicKey, m32(1))
		}
	}
	invalid := "The import token is not valid for " + i.key + "."
	refused(t, only(i.give(m32(1), use(other))), "InvalidImportTokenException", invalid)
	refused(t, only(i.give(m32(1), use(foreign))), "InvalidImportTokenException", invalid)
	refused(t, only(i.give(m32(1), func(in *ImportKeyMaterialInput) { in.ImportToken = flip(in.ImportToken) })), "InvalidImportTokenException", invalid)
	refused(t, only(i.give(m32(1), func(in *ImportKeyMaterialInput) { in.ImportToken = []byte("t") })), "InvalidImportTokenException", invalid)
	params, err := c.GetParametersForImport(bg, GetParametersForImportInput{KeyID: i.key, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048"})
	ok(t, err)
	mixed := func(in *ImportKeyMaterialInput) { in.ImportToken = params.ImportToken } // of another wrapping key
	refused(t, only(i.give(m32(1), mixed)), "InvalidCiphertextException", "")
	refused(t, only(i.give(m32(1), func(in *ImportKeyMaterialInput) { in.EncryptedKeyMaterial = flip(in.EncryptedKeyMaterial) })), "InvalidCiphertextException", "")
	refused(t, only(i.give(m32(1)[1:], nil)), "IncorrectKeyMaterialException", "The key material is not valid for key spec SYMMETRIC_DEFAULT.")

	clock.add(24*time.Hour - time.Millisecond)
	ok(t, only(i.give(m32(1), nil)))
	ok(t, only(i.give(m32(1), nil))) // a token serves more than once
	clock.add(time.Millisecond)
	refused(t, only(i.give(m32(1), nil)), "ExpiredImportTokenException", "The import token has expired.")
}

// A locked store can let material go, and take none in.
func TestImportIntoLockedStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms")
	s := openStore(t, dir, Options{Create: true, Method: cheap("p"), Secrets: unlock.Secrets{Passphrase: passphrase("p")}})
	i := newImporter(t, s.Client(), CreateKeyInput{})
	ok(t, only(i.give(m32(1), nil)))
	ok(t, s.Close())
	i.c = openStore(t, dir, Options{AllowLocked: true}).Client()
	i.state(kmsclient.StateUnavailable)
	_, err := i.c.GetParametersForImport(bg, GetParametersForImportInput{KeyID: i.key, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048"})
	if !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Errorf("GetParametersForImport: %v", err)
	}
	if _, err := i.give(m32(1), nil); !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Errorf("ImportKeyMaterial: %v", err)
	}
	ok(t, only(i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key})))
	i.state(kmsclient.StatePendingImport)
}

func TestConditionsOfImport(t *testing.T) {
	s := newStore(t, Options{})
	i := newImporter(t, s.Client(), CreateKeyInput{})
	soon := &shape.Time{Time: time.Now().Add(time.Hour)}
	for n, test := range []struct {
		operator, key, value string
		parameters, allowed  bool
	}{
		{"StringEquals", "kms:WrappingAlgorithm", "RSAES_OAEP_SHA_256", true, true},
		{"StringEquals", "kms:WrappingAlgorithm", "RSAES_OAEP_SHA_1", true, false},
		{"StringEquals", "kms:WrappingKeySpec", "RSA_2048", true, true},
		{"StringEquals", "kms:WrappingKeySpec", "RSA_4096", true, false},
		{"StringEquals", "kms:ExpirationModel", "KEY_MATERIAL_EXPIRES", false, true},
		{"StringEquals", "kms:ExpirationModel", doesNotExpire, false, false},
		{"DateLessThan", "kms:ValidTo", soon.Add(time.Hour).UTC().Format(time.RFC3339), false, true},
		{"DateLessThan", "kms:ValidTo", soon.Add(-time.Hour).UTC().Format(time.RFC3339), false, false},
	} {
		u := i
		u.c = as(t, s, fmt.Sprintf("user/u%d", n), fmt.Sprintf(
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{%q:{%q:%q}}}}`, test.operator, test.key, test.value))
		var err error
		if test.parameters {
			_, err = u.c.GetParametersForImport(bg, GetParametersForImportInput{KeyID: i.key, WrappingAlgorithm: "RSAES_OAEP_SHA_256", WrappingKeySpec: "RSA_2048"})
		} else {
			_, err = u.give(m32(1), func(in *ImportKeyMaterialInput) { in.ExpirationModel, in.ValidTo = "", soon })
		}
		if denied := err != nil && strings.Contains(err.Error(), "AccessDeniedException"); denied == test.allowed || !denied && err != nil {
			t.Errorf("%s %s: %v", test.key, test.value, err)
		}
	}
}

func FuzzImportToken(f *testing.F) {
	token := (&importToken{
		id: newKeyID(true), expires: 1, region: "us-east-1", spec: "RSA_2048", wrapping: "RSA_4096", algorithm: "RSAES_OAEP_SHA_256", private: []byte("key"),
	}).bytes()
	f.Add(token)
	f.Add(token[:len(token)-1])
	f.Add(append(slices.Clone(token), 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, ok := parseImportToken(slices.Clone(b))
		if ok && !bytes.Equal(parsed.bytes(), b) {
			t.Errorf("%x parses as %+v, which prints as %x", b, parsed, parsed.bytes())
		}
	})
}
