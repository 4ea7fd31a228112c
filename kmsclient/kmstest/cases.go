package kmstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"kmsfs/kmsclient"
)

func testRoundTrips(e *env) {
	key, w, err := e.GenerateDataKey(e.ctx, e.key, testContext)
	e.ok(err)
	if len(key) != kmsclient.DataKeySize || bytes.Equal(key, make([]byte, len(key))) {
		e.Errorf("data key of %d bytes, want %d random ones", len(key), kmsclient.DataKeySize)
	}
	if w.KeyID != e.key {
		e.Errorf("data key wrapped by %s, want %s", w.KeyID, e.key)
	}
	if bytes.Contains(w.Blob, key) {
		e.Error("the blob contains the data key")
	}
	e.opens(w, string(key))
	other, _, err := e.GenerateDataKey(e.ctx, e.key, testContext)
	e.ok(err)
	if bytes.Equal(key, other) {
		e.Error("two data keys are equal")
	}
	a, b := e.encrypt(e.key, "secret"), e.encrypt(e.key, "secret")
	if bytes.Equal(a.Blob, b.Blob) {
		e.Error("encrypting twice gives the same blob")
	}
	e.opens(a, "secret")
}

func testSizes(e *env) {
	for _, n := range []int{1, 31, 4096} {
		text := string(bytes.Repeat([]byte{7}, n))
		e.opens(e.encrypt(e.key, text), text)
	}
	for _, n := range []int{0, 4097} {
		_, err := e.Encrypt(e.ctx, e.key, make([]byte, n), testContext)
		e.want(err, kmsclient.ErrInvalidRequest)
	}
}

func testContexts(e *env) {
	type ec = kmsclient.EncryptionContext
	for _, c := range []struct {
		name       string
		made, used ec
	}{
		{"missing", ec{"a": "b"}, nil},
		{"unexpected", nil, ec{"a": "b"}},
		{"extra", ec{"a": "b"}, ec{"a": "b", "c": "d"}},
		{"one of two", ec{"a": "b", "c": "d"}, ec{"a": "b"}},
		{"changed value", ec{"a": "b"}, ec{"a": "c"}},
		{"changed key", ec{"a": "b"}, ec{"A": "b"}},
		{"moved boundary", ec{"a": "bc"}, ec{"ab": "c"}},
		{"values swapped", ec{"a": "1", "b": "2"}, ec{"a": "2", "b": "1"}},
		{"two joined", ec{"a": "b", "c": "d"}, ec{"a": "bcd"}},
		{"empty value", ec{"a": ""}, nil},
	} {
		w, err := e.Encrypt(e.ctx, e.key, []byte("x"), c.made)
		e.ok(err)
		if _, _, err := e.Decrypt(e.ctx, w.Blob, c.made); err != nil {
			e.Errorf("%s: the right context: %v", c.name, err)
		}
		_, _, err = e.Decrypt(e.ctx, w.Blob, c.used)
		if !errors.Is(err, kmsclient.ErrInvalidCiphertext) {
			e.Errorf("%s: decrypt: got %v, want invalid ciphertext", c.name, err)
		}
		_, err = e.ReEncrypt(e.ctx, w.Blob, c.used, e.key)
		if !errors.Is(err, kmsclient.ErrInvalidCiphertext) {
			e.Errorf("%s: re-encrypt: got %v, want invalid ciphertext", c.name, err)
		}
	}
}

func testBlobs(e *env) {
	w := e.encrypt(e.key, "secret")
	refused := func(what string, blob []byte) {
		e.Helper()
		if _, _, err := e.Decrypt(e.ctx, blob, testContext); !errors.Is(err, kmsclient.ErrInvalidCiphertext) {
			e.Errorf("%s: decrypt: got %v, want invalid ciphertext", what, err)
		}
	}
	for i := range w.Blob {
		flipped := slices.Clone(w.Blob)
		flipped[i] ^= 1 << (i % 8)
		refused(fmt.Sprintf("byte %d flipped", i), flipped)
	}
	for n := 1; n < len(w.Blob); n += 7 {
		refused(fmt.Sprintf("cut to %d", n), w.Blob[:n])
	}
	refused("one byte more", append(slices.Clone(w.Blob), 0))
	refused("foreign", bytes.Repeat([]byte("foreign "), 20))
	_, err := e.ReEncrypt(e.ctx, []byte("foreign"), testContext, e.key)
	e.want(err, kmsclient.ErrInvalidCiphertext)
	e.opens(w, "secret")
}

func testNames(e *env) {
	e.ok(e.admin.CreateAlias(e.ctx, "alias/contract", e.key))
	uuid := e.key[len(e.key)-36:]
	prefix := e.key[:len(e.key)-len("key/")-36]
	for _, name := range []string{e.key, uuid, "alias/contract", prefix + "alias/contract"} {
		info, err := e.DescribeKey(e.ctx, name)
		e.ok(err)
		if info.KeyID != e.key || info.State != kmsclient.StateEnabled {
			e.Errorf("%s describes %s, %s; want %s, enabled", name, info.KeyID, info.State, e.key)
		}
		if w := e.encrypt(name, "x"); w.KeyID != e.key {
			e.Errorf("%s encrypts under %s, want %s", name, w.KeyID, e.key)
		}
	}
	const nobody = "00000000-0000-4000-8000-000000000000"
	for _, name := range []string{nobody, prefix + "key/" + nobody, "alias/nobody"} {
		_, err := e.DescribeKey(e.ctx, name)
		e.want(err, kmsclient.ErrNotFound)
		_, err = e.Encrypt(e.ctx, name, []byte("x"), testContext)
		e.want(err, kmsclient.ErrNotFound)
		_, _, err = e.GenerateDataKey(e.ctx, name, testContext)
		e.want(err, kmsclient.ErrNotFound)
		_, err = e.ReEncrypt(e.ctx, e.encrypt(e.key, "x").Blob, testContext, name)
		e.want(err, kmsclient.ErrNotFound)
	}
}

// unusable checks that every use of e.key is refused with kind.
func (e *env) unusable(w kmsclient.Wrapped, kind error) {
	e.Helper()
	other := e.createKey()
	_, _, err := e.GenerateDataKey(e.ctx, e.key, testContext)
	e.want(err, kind)
	_, err = e.Encrypt(e.ctx, e.key, []byte("x"), testContext)
	e.want(err, kind)
	_, _, err = e.Decrypt(e.ctx, w.Blob, testContext)
	e.want(err, kind)
	_, err = e.ReEncrypt(e.ctx, w.Blob, testContext, other)
	e.want(err, kind)
	_, err = e.ReEncrypt(e.ctx, e.encrypt(other, "x").Blob, testContext, e.key)
	e.want(err, kind)
}

func (e *env) state(want kmsclient.KeyState) {
	e.Helper()
	info, err := e.DescribeKey(e.ctx, e.key)
	e.ok(err)
	if info.State != want {
		e.Errorf("key is %s, want %s", info.State, want)
	}
}

func testDisabled(e *env) {
	w := e.encrypt(e.key, "secret")
	e.ok(e.admin.Disable(e.ctx, e.key))
	e.state(kmsclient.StateDisabled)
	e.unusable(w, kmsclient.ErrDisabled)
	e.ok(e.admin.Enable(e.ctx, e.key))
	e.state(kmsclient.StateEnabled)
	e.opens(w, "secret")
}

func testPendingDeletion(e *env) {
	w := e.encrypt(e.key, "secret")
	e.ok(e.admin.ScheduleDeletion(e.ctx, e.key))
	e.state(kmsclient.StatePendingDeletion)
	e.unusable(w, kmsclient.ErrPendingDeletion)
}

func testReEncrypt(e *env) {
	w, to := e.encrypt(e.key, "secret"), e.createKey()
	moved, err := e.ReEncrypt(e.ctx, w.Blob, testContext, to)
	e.ok(err)
	if moved.KeyID != to {
		e.Errorf("re-encrypted under %s, want %s", moved.KeyID, to)
	}
	e.opens(moved, "secret")
	e.ok(e.admin.Disable(e.ctx, e.key))
	e.opens(moved, "secret") // the old key is not needed any more
}

func testRotation(e *env) {
	before, err := e.DescribeKey(e.ctx, e.key)
	e.ok(err)
	old := e.encrypt(e.key, "secret")
	e.ok(e.admin.Rotate(e.ctx, e.key))
	after, err := e.DescribeKey(e.ctx, e.key)
	e.ok(err)
	if before.CurrentMaterial.IsZero() || before.CurrentMaterial == after.CurrentMaterial {
		e.Errorf("material %x before rotation, %x after", before.CurrentMaterial, after.CurrentMaterial)
	}
	opened, info, err := e.Decrypt(e.ctx, old.Blob, testContext)
	e.ok(err)
	if string(opened) != "secret" || info.Material != before.CurrentMaterial {
		e.Errorf("an old blob opens under material %x, want %x", info.Material, before.CurrentMaterial)
	}
	renewed, err := e.ReEncrypt(e.ctx, old.Blob, testContext, e.key)
	e.ok(err)
	_, fresh, err := e.GenerateDataKey(e.ctx, e.key, testContext)
	e.ok(err)
	for _, w := range []kmsclient.Wrapped{renewed, fresh} {
		if w.Material != after.CurrentMaterial || w.KeyID != e.key {
			e.Errorf("wrapped by %s material %x, want %s, %x", w.KeyID, w.Material, e.key, after.CurrentMaterial)
		}
	}
	e.opens(renewed, "secret")
}

func testConcurrency(e *env) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				ec := kmsclient.EncryptionContext{"worker": fmt.Sprint(i), "round": fmt.Sprint(j)}
				key, w, err := e.GenerateDataKey(e.ctx, e.key, ec)
				if err != nil {
					e.Error(err)
					return
				}
				if w, err = e.ReEncrypt(e.ctx, w.Blob, ec, e.key); err != nil {
					e.Error(err)
					return
				}
				got, _, err := e.Decrypt(e.ctx, w.Blob, ec)
				if err != nil || !bytes.Equal(got, key) {
					e.Errorf("worker %d round %d: another key, error %v", i, j, err)
				}
			}
		})
	}
	wg.Wait()
}

func testCancelled(e *env) {
	w := e.encrypt(e.key, "secret")
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	_, _, err := e.GenerateDataKey(ctx, e.key, testContext)
	e.want(err, context.Canceled)
	_, err = e.Encrypt(ctx, e.key, []byte("x"), testContext)
	e.want(err, context.Canceled)
	_, _, err = e.Decrypt(ctx, w.Blob, testContext)
	e.want(err, context.Canceled)
	_, err = e.ReEncrypt(ctx, w.Blob, testContext, e.key)
	e.want(err, context.Canceled)
	_, err = e.DescribeKey(ctx, e.key)
	e.want(err, context.Canceled)
	e.opens(w, "secret")
}

// testOwnership checks that the KMS neither changes nor keeps what it is given.
func testOwnership(e *env) {
	text, ec := []byte("secret"), kmsclient.EncryptionContext{"a": "b"}
	w, err := e.Encrypt(e.ctx, e.key, text, ec)
	e.ok(err)
	if string(text) != "secret" || len(ec) != 1 {
		e.Error("Encrypt changed its arguments")
	}
	blob := slices.Clone(w.Blob)
	got, info, err := e.Decrypt(e.ctx, blob, ec)
	e.ok(err)
	clear(got)
	clear(info.Blob)
	if !bytes.Equal(blob, w.Blob) {
		e.Error("what Decrypt returns shares memory with its argument")
	}
}
