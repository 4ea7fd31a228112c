package unlock

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmstest"
)

// recorder notes the contexts a KMS is asked under, and changes its answers.
type recorder struct {
	*fakeKMS
	contexts []kmsclient.EncryptionContext
	encrypt  func(*kmsclient.Wrapped)
	decrypt  func(*[]byte, *kmsclient.Wrapped)
	keyID    string
	answer   []byte // the last plaintext given
}

func (r *recorder) Encrypt(ctx context.Context, keyID string, plaintext []byte, ec kmsclient.EncryptionContext) (kmsclient.Wrapped, error) {
	r.contexts, r.keyID = append(r.contexts, ec), keyID
	w, err := r.fakeKMS.Encrypt(ctx, keyID, plaintext, ec)
	if r.encrypt != nil {
		r.encrypt(&w)
	}
	return w, err
}

func (r *recorder) Decrypt(ctx context.Context, blob []byte, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	r.contexts = append(r.contexts, ec)
	plaintext, w, err := r.fakeKMS.Decrypt(ctx, blob, ec)
	if r.decrypt != nil {
		r.decrypt(&plaintext, &w)
	}
	r.answer = plaintext
	return plaintext, w, err
}

func (r *recorder) open(ctx context.Context, uri string) (kmsclient.KMS, error) {
	_, err := r.fakeKMS.open(ctx, uri)
	return r, err
}

func TestKMS(t *testing.T) {
	r := &recorder{fakeKMS: &fakeKMS{}}
	path := filepath.Join(t.TempDir(), "root.key")
	k, err := Create(t.Context(), path, KMS{URI: vectorURI, Key: "alias/vector", Open: r.open})
	ok(t, err)
	defer k.Wipe()
	if r.keyID != "alias/vector" || r.uri != vectorURI {
		t.Errorf("sealed by %s of %s", r.keyID, r.uri)
	}
	s, err := Read(path)
	ok(t, err)
	if s.Key != vectorKey || s.URI != vectorURI {
		t.Errorf("the file names key %s of %s", s.Key, s.URI)
	}
	opens(t, path, *k.Bytes(), Secrets{KMS: r.open})
	if r.opened == 0 || r.opened != r.closed {
		t.Errorf("opened %d times, closed %d", r.opened, r.closed)
	}
	if r.answer == nil || [32]byte(r.answer) != [32]byte{} {
		t.Error("what the KMS gave is not wiped")
	}
	for _, ec := range r.contexts {
		if id := ec[contextKey]; len(ec) != 1 || len(id) != 2*idSize || id != r.contexts[0][contextKey] {
			t.Errorf("encryption context %v", ec)
		}
	}
	first := r.contexts[0][contextKey]
	ok(t, Change(t.Context(), path, k, KMS{URI: vectorURI, Key: "alias/vector", Open: r.open}))
	if last := r.contexts[len(r.contexts)-1][contextKey]; last == first {
		t.Error("another file has the same id")
	}
}

// What the KMS answers reaches the caller as it is, and no file is written.
func TestKMSRefuses(t *testing.T) {
	unreachable := errors.New("no route to host")
	for _, op := range []string{"Encrypt", "Decrypt"} {
		for _, kind := range []error{
			kmsclient.ErrNotFound, kmsclient.ErrDenied, kmsclient.ErrDisabled, kmsclient.ErrPendingDeletion,
			kmsclient.ErrInvalidCiphertext, kmsclient.ErrThrottled, kmsclient.ErrUnavailable, kmsclient.ErrInvalidRequest,
		} {
			fake := &fakeKMS{}
			faulty := kmstest.NewFaulty(fake, func(_ context.Context, c kmstest.Call) error {
				if c.Op == op {
					return kmstest.Fail(c, kind)
				}
				return nil
			})
			open := func(context.Context, string) (kmsclient.KMS, error) { fake.opened++; return faulty, nil }
			path := file(t, vector(t, "key-file"))
			want(t, "change", Change(t.Context(), path, root(t), KMS{vectorURI, vectorKey, open}), kind)
			opens(t, path, vectorRoot, Secrets{})
			alone(t, path)
			if op == "Decrypt" {
				s, err := Read(file(t, vector(t, "kms")))
				ok(t, err)
				_, err = s.Unlock(t.Context(), Secrets{KMS: open})
				want(t, "unlock", err, kind)
			}
			if fake.opened != fake.closed {
				t.Errorf("opened %d times, closed %d", fake.opened, fake.closed)
			}
		}
	}
	s, err := Read(file(t, vector(t, "kms")))
	ok(t, err)
	_, err = s.Unlock(t.Context(), Secrets{KMS: func(context.Context, string) (kmsclient.KMS, error) { return nil, unreachable }})
	want(t, "no connection", err, unreachable)
	_, err = s.Unlock(t.Context(), Secrets{Passphrase: say(vectorPassphrase)})
	want(t, "no opener", err, ErrNoSecret)
}

// A KMS that answers nonsense is found out before anything is written.
func TestKMSAnswersNonsense(t *testing.T) {
	for name, r := range map[string]*recorder{
		"no key id":     {encrypt: func(w *kmsclient.Wrapped) { w.KeyID = "" }},
		"two lines":     {encrypt: func(w *kmsclient.Wrapped) { w.KeyID += "\nid 00" }},
		"no blob":       {encrypt: func(w *kmsclient.Wrapped) { w.Blob = nil }},
		"a huge blob":   {encrypt: func(w *kmsclient.Wrapped) { w.Blob = make([]byte, maxBlob+1) }},
		"another key":   {decrypt: func(_ *[]byte, w *kmsclient.Wrapped) { w.KeyID = "another" }},
		"a short key":   {decrypt: func(p *[]byte, _ *kmsclient.Wrapped) { *p = (*p)[:31] }},
		"a long key":    {decrypt: func(p *[]byte, _ *kmsclient.Wrapped) { *p = append(*p, 0) }},
		"no key":        {decrypt: func(p *[]byte, _ *kmsclient.Wrapped) { *p = nil }},
		"a wrong key":   {decrypt: func(p *[]byte, _ *kmsclient.Wrapped) { (*p)[7] ^= 1 }},
		"the right key": {},
	} {
		r.fakeKMS = &fakeKMS{}
		path := file(t, vector(t, "key-file"))
		err := Change(t.Context(), path, root(t), KMS{vectorURI, vectorKey, r.open})
		if (err == nil) != (name == "the right key") {
			t.Errorf("%s: %v", name, err)
		}
		s, err := Read(path)
		ok(t, err)
		if (s.Kind == KindKeyFile) == (name == "the right key") {
			t.Errorf("%s: the root key is kept by %s", name, s.Kind)
		}
	}
}

func TestKMSURI(t *testing.T) {
	for _, uri := range []string{"", "a\nb", "a\x00b", "\xff", strings.Repeat("x", maxLine+1)} {
		fake := &fakeKMS{}
		m := fake.method()
		m.URI = uri
		if _, err := Create(t.Context(), filepath.Join(t.TempDir(), "root.key"), m); err == nil || fake.opened != 0 {
			t.Errorf("URI %.20q: error %v, opened %d times", uri, err, fake.opened)
		}
	}
}
