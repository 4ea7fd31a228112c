package localkms

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
)

// Who can write to the database, and has not the root key, puts no public key of
// his own in the place of one: nothing would be encrypted for him, no signature of
// his would verify, and no backup with it is restored.
func TestPublicKeyIsBoundToItsKey(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	encrypts, signs := plant(t, c, keyspec.RSA2048, keyspec.EncryptDecrypt), plant(t, c, keyspec.NISTP256, keyspec.SignVerify)
	for key, spec := range map[string]keyspec.Spec{encrypts: keyspec.RSA2048, signs: keyspec.NISTP256} {
		private, err := keyspec.Generate(spec)
		ok(t, err)
		public, err := keyspec.PublicKey(spec, private)
		ok(t, err)
		id := parseID(t, key)
		_, err = s.db.Exec("UPDATE cmk SET public = ? WHERE id = ?", public, id[:])
		ok(t, err)
	}
	alg := string(keyspec.ECDSASHA256)
	for op, err := range map[string]error{
		"Encrypt":      only(c.API.Encrypt(bg, EncryptInput{KeyID: encrypts, Plaintext: []byte("m"), EncryptionAlgorithm: string(keyspec.OAEPSHA256)})),
		"Verify":       only(c.Verify(bg, VerifyInput{KeyID: signs, Message: []byte("m"), Signature: []byte("s"), SigningAlgorithm: alg})),
		"GetPublicKey": only(c.GetPublicKey(bg, GetPublicKeyInput{KeyID: signs})),
		"ReEncrypt": only(c.API.ReEncrypt(bg, ReEncryptInput{
			CiphertextBlob: mustEncrypt(t, c, newKey(t, c)), DestinationKeyID: encrypts, DestinationEncryptionAlgorithm: string(keyspec.OAEPSHA256),
		})),
	} {
		if !errors.Is(err, kmsclient.ErrUnavailable) || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", op, err)
		}
	}
	top := t.TempDir()
	ok(t, s.Backup(bg, filepath.Join(top, "backup"), false))
	if err := Restore(bg, filepath.Join(top, "backup"), "", filepath.Join(top, "restored"), Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("Restore: %v", err)
	}
}

func mustEncrypt(t *testing.T, c *Client, key string) []byte {
	t.Helper()
	w, err := c.Encrypt(bg, key, []byte("m"), nil)
	ok(t, err)
	return w.Blob
}

// What is imported again brings its own public key, whatever was put there meanwhile.
func TestPublicKeyOfImportedAgain(t *testing.T) {
	s := newStore(t, Options{})
	i := newImporter(t, s.Client(), CreateKeyInput{KeySpec: string(keyspec.NISTP256), KeyUsage: string(keyspec.SignVerify)})
	material := shared(t, keyspec.NISTP256)
	ok(t, only(i.give(material, nil)))
	ok(t, only(i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key})))
	_, err := s.db.Exec("UPDATE cmk SET public = x'00'")
	ok(t, err)
	ok(t, only(i.give(material, nil)))
	out, err := i.c.GetPublicKey(bg, GetPublicKeyInput{KeyID: i.key})
	ok(t, err)
	if want, err := keyspec.PublicKey(keyspec.NISTP256, material); err != nil || !bytes.Equal(out.PublicKey, want) {
		t.Errorf("public key %x, want %x, %v", out.PublicKey, want, err)
	}
}
