package cipherdir_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient/localkms"
)

// world is a cipher directory in a temporary directory with its embedded KMS.
type world struct {
	dir   string
	store backing.Store
	kms   *localkms.Client
	key   string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	ks, err := localkms.Open(t.TempDir()+"/kms", localkms.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ks.Close() })
	w.kms = ks.Client()
	out, err := w.kms.CreateKey(t.Context(), localkms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	w.key = out.KeyMetadata.KeyID
	if w.store, err = backing.OpenOS(w.dir, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	if _, err := cipherdir.Init(t.Context(), w.store, w.kms, cipherdir.InitOptions{KMSURI: "local:", KeyID: w.key, Provider: envelope.ProviderLocal}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) open(t testing.TB) *cipherdir.FS {
	t.Helper()
	fs, err := cipherdir.Open(t.Context(), w.store, cipherdir.Options{KMS: w.kms, Provider: envelope.ProviderLocal})
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestWriteAndReadBack(t *testing.T) {
	w := newWorld(t)
	fs := w.open(t)
	ctx := context.Background()
	n, h, _, err := fs.Root().Create(ctx, "hello", 0o644, cipherdir.Owner{})
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 3<<20+17)
	rand.Read(data)
	if k, err := h.Write(ctx, data, 0); k != len(data) || err != nil {
		t.Fatal(k, err)
	}
	got := make([]byte, len(data)+10)
	if k, err := h.Read(ctx, got, 0); k != len(data) || err != nil || !bytes.Equal(got[:k], data) {
		t.Fatal(k, err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	n.Forget(1)
	if err := fs.Close(); err != nil {
		t.Fatal(err)
	}
	fs = w.open(t)
	defer fs.Close()
	n, a, err := fs.Root().Lookup("hello")
	if err != nil || a.Size != int64(len(data)) {
		t.Fatal(a.Size, err)
	}
	h, err = n.Open(ctx, true, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if k, err := h.Read(ctx, got, 0); k != len(data) || err != nil || !bytes.Equal(got[:k], data) {
		t.Fatal(k, err)
	}
	if err := h.Truncate(ctx, 10<<20); err != nil {
		t.Fatal(err)
	}
	if o, err := h.Seek(4<<20, unix.SEEK_DATA); err != nil || o < 9<<20 {
		t.Fatal(o, err)
	}
}
