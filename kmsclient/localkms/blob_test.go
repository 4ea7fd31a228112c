package localkms

import (
	"bytes"
	"errors"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"kmsfs/kmsclient"
)

func TestBlobLayout(t *testing.T) {
	id := newKeyID(false)
	m := rootKey{1}.newMaterial(id)
	b := sealBlob(id, m, make([]byte, 32), nil)
	if len(b) != 32+blobOverhead || len(b) >= 150 {
		t.Errorf("blob of a data key has %d bytes, want %d, under 150", len(b), 32+blobOverhead)
	}
	if len(b) != 149 || b[0] != 1 || !bytes.Equal(b[1:17], id[:]) || !bytes.Equal(b[17:25], m.id[:8]) {
		t.Errorf("blob does not start with version, key and material: %x", b[:25])
	}
	name, ref, ok := BlobKeyID(b)
	if !ok || name != id.String() || ref != m.ref() {
		t.Errorf("BlobKeyID gives %s %x %v", name, ref, ok)
	}
	if _, _, ok := BlobKeyID(b[:blobOverhead]); ok {
		t.Error("BlobKeyID accepts a blob of no plaintext")
	}
}

// A blob commits to material and context: it is refused by the commitment even
// where the decryption would succeed.
func TestBlobCommitment(t *testing.T) {
	id := newKeyID(false)
	m, other := rootKey{}.newMaterial(id), rootKey{}.newMaterial(id)
	p, _ := parseBlob(sealBlob(id, m, []byte("x"), nil))
	key, commitment := p.keys(m, nil)
	_, byMaterial := p.keys(other, nil)
	_, byContext := p.keys(m, []byte("context"))
	for what, foreign := range map[string][]byte{"material": byMaterial, "context": byContext} {
		if bytes.Equal(foreign, commitment) {
			t.Errorf("the commitment does not depend on the %s", what)
		}
		p.commitment = foreign
		p.sealed = gcm(key).Seal(nil, nil, []byte("x"), p.aad(nil))
		if _, err := p.open(m, nil); !errors.Is(err, errBlob) {
			t.Errorf("the commitment of another %s: %v", what, err)
		}
	}
}

func TestMaterialIDIsStable(t *testing.T) {
	id, root := newKeyID(false), rootKey{1}
	a, b := root.newMaterial(id), root.newMaterial(id)
	if a.id == b.id || bytes.Equal(a.key, b.key) {
		t.Error("two materials are alike")
	}
	if again := root.nameMaterial(id, a.key); again.id != a.id {
		t.Error("the same material has another id")
	}
}

func TestKeyIDRoundTrip(t *testing.T) {
	id := newKeyID(false)
	got, ok := parseKeyID(id.String())
	if !ok || got != id {
		t.Errorf("%s parses to %s, %v", id, got, ok)
	}
	for _, s := range []string{"", "x", id.String()[1:], "00000000-0000-4000-8000-00000000000G", "00000000-0000-4000-8000-00000000000A"} {
		if _, ok := parseKeyID(s); ok {
			t.Errorf("parses %q", s)
		}
	}
}

func TestContextEncodingIsInjective(t *testing.T) {
	contexts := rapid.MapOf(rapid.StringMatching(`[a-c]{0,3}`), rapid.StringMatching(`[a-c]{0,3}`))
	rapid.Check(t, func(t *rapid.T) {
		a, b := contexts.Draw(t, "a"), contexts.Draw(t, "b")
		ea, err := encodeContext(a)
		if err != nil {
			t.Fatal(err)
		}
		eb, err := encodeContext(b)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(ea, eb) != maps.Equal(a, b) {
			t.Fatalf("%v and %v encode to %x and %x", a, b, ea, eb)
		}
		back, ok := decodeContext(ea)
		if !ok || !maps.Equal(back, kmsclient.EncryptionContext(a)) {
			t.Fatalf("%v comes back as %v, %v", a, back, ok)
		}
	})
}

func FuzzParseBlob(f *testing.F) {
	id := newKeyID(false)
	b := sealBlob(id, rootKey{}.newMaterial(id), []byte("secret"), nil)
	f.Add(b)
	f.Add(b[:blobOverhead])
	f.Add([]byte{})
	m := rootKey{2}.newMaterial(id)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseBlob(b)
		if !ok {
			return
		}
		if !bytes.Equal(p.bytes(), b) {
			t.Errorf("%x prints as %x", b, p.bytes())
		}
		if _, err := p.open(m, nil); err == nil {
			t.Errorf("%x opens with material made just now", b)
		}
	})
}

func FuzzDecodeContext(f *testing.F) {
	for _, ec := range []kmsclient.EncryptionContext{nil, {"a": "b"}, {"a": "", "": "b", "c": "déf"}} {
		b, err := encodeContext(ec)
		ok(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ec, ok := decodeContext(b)
		if !ok {
			return
		}
		again, err := encodeContext(ec)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x means %v, which prints as %x, %v", b, ec, again, err)
		}
	})
}
