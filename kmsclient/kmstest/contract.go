// Package kmstest holds what tests of and with a KMS share: the contract every
// kmsclient.KMS keeps ([Run]), and a wrapper that injects faults ([Faulty]).
package kmstest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"kmsfs/kmsclient"
)

// Admin manages the keys of a KMS under test. Keys are named by canonical id.
type Admin interface {
	// CreateKey makes an enabled key and returns its canonical id.
	CreateKey(ctx context.Context) (keyID string, err error)
	CreateAlias(ctx context.Context, alias, keyID string) error
	Disable(ctx context.Context, keyID string) error
	Enable(ctx context.Context, keyID string) error
	ScheduleDeletion(ctx context.Context, keyID string) error
	// Rotate gives the key new material at once.
	Rotate(ctx context.Context, keyID string) error
}

// Run holds a KMS to the contract of kmsclient.KMS. open gives each test a KMS
// and the means to manage its keys, and registers their cleanup with t.
func Run(t *testing.T, open func(t *testing.T) (kmsclient.KMS, Admin)) {
	for _, test := range []struct {
		name string
		run  func(*env)
	}{
		{"round trips", testRoundTrips},
		{"plaintext sizes", testSizes},
		{"context binding", testContexts},
		{"altered and foreign blobs", testBlobs},
		{"names", testNames},
		{"disabled", testDisabled},
		{"pending deletion", testPendingDeletion},
		{"re-encrypt", testReEncrypt},
		{"rotation", testRotation},
		{"concurrency", testConcurrency},
		{"cancelled context", testCancelled},
		{"ownership", testOwnership},
	} {
		t.Run(test.name, func(t *testing.T) {
			kms, admin := open(t)
			e := &env{T: t, KMS: kms, admin: admin, ctx: t.Context()}
			e.key = e.createKey()
			test.run(e)
		})
	}
}

// env is a KMS under test with one enabled key.
type env struct {
	*testing.T
	kmsclient.KMS
	admin Admin
	ctx   context.Context
	key   string
}

// Context of the blobs the tests make.
var testContext = kmsclient.EncryptionContext{"kmsfs:volume": "0123", "kmsfs:file": "4567"}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) want(err, kind error) {
	e.Helper()
	if !errors.Is(err, kind) {
		e.Errorf("got error %v, want one that matches %q", err, kind)
	}
	matches := 0
	for _, k := range kinds {
		if errors.Is(err, k) {
			matches++
		}
	}
	if matches != 1 {
		e.Errorf("error %v matches %d kinds, want 1", err, matches)
	}
}

var kinds = []error{
	kmsclient.ErrNotFound, kmsclient.ErrDenied, kmsclient.ErrDisabled, kmsclient.ErrPendingDeletion,
	kmsclient.ErrInvalidCiphertext, kmsclient.ErrThrottled, kmsclient.ErrUnavailable, kmsclient.ErrInvalidRequest,
}

func (e *env) createKey() string {
	e.Helper()
	id, err := e.admin.CreateKey(e.ctx)
	e.ok(err)
	return id
}

func (e *env) encrypt(key, text string) kmsclient.Wrapped {
	e.Helper()
	w, err := e.Encrypt(e.ctx, key, []byte(text), testContext)
	e.ok(err)
	return w
}

// opens checks that a blob opens to text, under the CMK and material of w.
func (e *env) opens(w kmsclient.Wrapped, text string) {
	e.Helper()
	got, info, err := e.Decrypt(e.ctx, w.Blob, testContext)
	e.ok(err)
	if string(got) != text {
		e.Errorf("decrypted %d bytes that are not the %d encrypted", len(got), len(text))
	}
	sameMaterial := w.Material.IsZero() || info.Material == w.Material // AWS's Encrypt names none
	if info.KeyID != w.KeyID || !sameMaterial || !bytes.Equal(info.Blob, w.Blob) {
		e.Errorf("decrypt reports key %s material %x, the blob was made with %s, %x",
			info.KeyID, info.Material, w.KeyID, w.Material)
	}
}
