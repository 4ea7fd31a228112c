package unlock

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

// The vectors in testdata hold the bytes 0, 1, 2, … 31 as root key. They were made
// after doc.go with libargon2 and OpenSSL, not with this package; there will be
// more, and none may ever stop opening.
var vectorRoot = func() (k [32]byte) {
	for i := range k {
		k[i] = byte(i)
	}
	return k
}()

const (
	vectorPassphrase = "correct horse, pâte à choux"
	vectorURI        = "fake:/srv/clé maîtresse"
	vectorKey        = "arn:aws:kms:eu-central-1:000000000000:key/12345678-1234-4234-8234-123456789012"
)

// cheap is the least work that the format allows.
var cheap = Cost{Time: 3, Memory: 64 << 10, Threads: 4}

func vector(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".key"))
	ok(t, err)
	return string(b)
}

// file puts a root key file into a new directory.
func file(t testing.TB, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "root.key")
	ok(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// resum gives an altered file of version 2 a checksum that is right.
func resum(text string) string {
	text = text[:strings.LastIndex(text, "sum ")]
	return fmt.Sprintf("%ssum %x\n", text, sha256.Sum256([]byte(text)))
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got error %v, want one that matches %v", what, err, kind)
	}
}

// say answers a question for the passphrase.
func say(p string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(p), nil }
}

// secrets opens every vector.
func secrets() Secrets { return Secrets{Passphrase: say(vectorPassphrase), KMS: new(fakeKMS).open} }

// opens checks that the file at path unlocks to want by secrets.
func opens(t testing.TB, path string, want [32]byte, secrets Secrets) {
	t.Helper()
	s, err := Read(path)
	ok(t, err)
	k, err := s.Unlock(t.Context(), secrets)
	ok(t, err)
	defer k.Wipe()
	if *k.Bytes() != want {
		t.Errorf("%s unlocks to another key", path)
	}
}

// root is vectorRoot as Change wants it.
func root(t testing.TB) *RootKey {
	t.Helper()
	k, err := newRootKey()
	ok(t, err)
	t.Cleanup(k.Wipe)
	*k.Bytes() = vectorRoot
	return k
}

// alone checks that nothing lies beside path.
func alone(t testing.TB, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	ok(t, err)
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			t.Errorf("%s was left behind", e.Name())
		}
	}
}

// fakeKMS has one key, vectorKey. Its blobs never change their format: there is
// one in testdata.
type fakeKMS struct {
	kmsclient.KMS // nil: only what is below is there
	opened        int
	closed        int
	uri           string // asked for last
}

var fakePrefix = []byte("fake 1 ")

func (f *fakeKMS) open(_ context.Context, uri string) (kmsclient.KMS, error) {
	f.opened++
	f.uri = uri
	return f, nil
}

func (f *fakeKMS) method() KMS { return KMS{URI: vectorURI, Key: "alias/vector", Open: f.open} }

func (*fakeKMS) Encrypt(_ context.Context, _ string, plaintext []byte, ec kmsclient.EncryptionContext) (kmsclient.Wrapped, error) {
	aead, aad := fakeAEAD(ec)
	return kmsclient.Wrapped{Blob: aead.Seal(bytes.Clone(fakePrefix), nil, plaintext, aad), KeyID: vectorKey}, nil
}

func (*fakeKMS) Decrypt(_ context.Context, blob []byte, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	aead, aad := fakeAEAD(ec)
	sealed, found := bytes.CutPrefix(blob, fakePrefix)
	plaintext, err := aead.Open(nil, nil, sealed, aad)
	if err != nil || !found {
		return nil, kmsclient.Wrapped{}, &kmsclient.Error{Op: "Decrypt", Kind: kmsclient.ErrInvalidCiphertext}
	}
	return plaintext, kmsclient.Wrapped{Blob: bytes.Clone(blob), KeyID: vectorKey}, nil
}

func (f *fakeKMS) Close() error {
	f.closed++
	return nil
}

func fakeAEAD(ec kmsclient.EncryptionContext) (aead cipher.AEAD, aad []byte) {
	key := sha256.Sum256([]byte("fake KMS"))
	block, err := aes.NewCipher(key[:])
	if err == nil {
		aead, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err == nil {
		aad, err = json.Marshal(ec) // sorts
	}
	if err != nil {
		panic(err)
	}
	return aead, aad
}
