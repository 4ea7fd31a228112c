package awskms

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient"
)

// What goes over the wire, and what comes back.
func TestOperations(t *testing.T) {
	isolate(t)
	f := newFake(t, good)
	c := open(t, f.URL, Options{})
	ctx := t.Context()
	sent := map[string]any{"kmsfs:volume": "0123", "kmsfs:file": "4567"}
	check := func(op string, body map[string]any) {
		t.Helper()
		q := f.seen()[len(f.seen())-1]
		if diff := cmp.Diff(body, q.body); q.op != op || diff != "" {
			t.Errorf("%s sent as %s (-want +got):\n%s", op, q.op, diff)
		}
	}
	want := kmsclient.Wrapped{Blob: []byte("a blob"), KeyID: testKey, Material: testMaterial}

	key, w, err := c.GenerateDataKey(ctx, testAlias, testContext)
	if diff := cmp.Diff(want, w); err != nil || !bytes.Equal(key, testDataKey) || diff != "" {
		t.Errorf("GenerateDataKey: %x %v (-want +got):\n%s", key, err, diff)
	}
	check("GenerateDataKey", map[string]any{"KeyId": testAlias, "KeySpec": "AES_256", "EncryptionContext": sent})

	key, w, err = c.Decrypt(ctx, []byte("a blob"), testContext)
	if diff := cmp.Diff(want, w); err != nil || !bytes.Equal(key, testDataKey) || diff != "" {
		t.Errorf("Decrypt: %x %v (-want +got):\n%s", key, err, diff)
	}
	check("Decrypt", map[string]any{"CiphertextBlob": b64([]byte("a blob")), "EncryptionContext": sent})

	want.KeyID = otherKey
	w, err = c.ReEncrypt(ctx, []byte("old"), testContext, "alias/other")
	if diff := cmp.Diff(want, w); err != nil || diff != "" {
		t.Errorf("ReEncrypt: %v (-want +got):\n%s", err, diff)
	}
	check("ReEncrypt", map[string]any{"CiphertextBlob": b64([]byte("old")), "DestinationKeyId": "alias/other",
		"SourceEncryptionContext": sent, "DestinationEncryptionContext": sent})

	want.KeyID, want.Material = testKey, kmsclient.MaterialID{}
	w, err = c.Encrypt(ctx, testKey, []byte("secret"), nil)
	if diff := cmp.Diff(want, w); err != nil || diff != "" {
		t.Errorf("Encrypt: %v (-want +got):\n%s", err, diff)
	}
	check("Encrypt", map[string]any{"KeyId": testKey, "Plaintext": b64([]byte("secret"))})

	info, err := c.DescribeKey(ctx, testAlias)
	wantInfo := kmsclient.KeyInfo{KeyID: testKey, State: kmsclient.StateEnabled, CurrentMaterial: testMaterial, Description: "a key"}
	if err != nil || info != wantInfo {
		t.Errorf("DescribeKey: %+v, %v, want %+v", info, err, wantInfo)
	}
	check("DescribeKey", map[string]any{"KeyId": testAlias})
}

// A KMS that knows no key material ids, as some do, is one.
func TestWithoutMaterial(t *testing.T) {
	isolate(t)
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		fields := goodAnswers()[opOf(r)]
		delete(fields, "KeyMaterialId")
		delete(fields, "DestinationKeyMaterialId")
		if m, ok := fields["KeyMetadata"].(map[string]any); ok {
			delete(m, "CurrentKeyMaterialId")
		}
		ok(fields)(w, r)
	})
	c := open(t, f.URL, Options{})
	_, a, err1 := c.GenerateDataKey(t.Context(), testAlias, nil)
	_, b, err2 := c.Decrypt(t.Context(), []byte("a blob"), nil)
	d, err3 := c.ReEncrypt(t.Context(), []byte("a blob"), nil, testAlias)
	info, err4 := c.DescribeKey(t.Context(), testAlias)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
		t.Fatal(err1, err2, err3, err4)
	}
	for _, m := range []kmsclient.MaterialID{a.Material, b.Material, d.Material, info.CurrentMaterial} {
		if !m.IsZero() {
			t.Errorf("material %x out of nothing", m)
		}
	}
}

func TestKeyStates(t *testing.T) {
	isolate(t)
	f := newFake(t, good)
	c := open(t, f.URL, Options{})
	for in, want := range map[string]kmsclient.KeyState{
		"Enabled": kmsclient.StateEnabled, "Disabled": kmsclient.StateDisabled, "PendingImport": kmsclient.StatePendingImport,
		"PendingDeletion": kmsclient.StatePendingDeletion, "Unavailable": kmsclient.StateUnavailable,
		"Updating": kmsclient.StateEnabled, "Creating": kmsclient.StateUnavailable, "PendingReplicaDeletion": kmsclient.StatePendingDeletion,
	} {
		f.script(ok(map[string]any{"KeyMetadata": map[string]any{"Arn": testKey, "KeyState": in}}))
		info, err := c.DescribeKey(t.Context(), testKey)
		if err != nil || info.State != want {
			t.Errorf("%s is %s, %v, want %s", in, info.State, err, want)
		}
	}
}

// Arguments that no KMS takes are not sent.
func TestSizes(t *testing.T) {
	isolate(t)
	f := newFake(t, good)
	c := open(t, f.URL, Options{})
	for _, n := range []int{0, maxPlaintext + 1} {
		_, err := c.Encrypt(t.Context(), testAlias, make([]byte, n), nil)
		wantError(t, err, kmsclient.ErrInvalidRequest)
	}
	for _, n := range []int{0, maxBlob + 1} {
		_, _, err := c.Decrypt(t.Context(), make([]byte, n), nil)
		wantError(t, err, kmsclient.ErrInvalidRequest)
		_, err = c.ReEncrypt(t.Context(), make([]byte, n), nil, testAlias)
		wantError(t, err, kmsclient.ErrInvalidRequest)
	}
	if n := len(f.seen()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if _, _, err := c.Decrypt(t.Context(), make([]byte, maxBlob), nil); err != nil {
		t.Errorf("a blob of %d bytes: %v", maxBlob, err)
	}
}
