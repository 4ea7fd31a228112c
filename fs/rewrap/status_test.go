package rewrap

import (
	"testing"

	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

// A mount that lives through the rewrap goes on, and its new files are found.
func TestLiveMount(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	v := w.mount(cipherdir.Options{FilesPerDataKey: 3})
	w.put(v, "open before", "before")
	n, _, err := v.Root().Lookup("open before")
	w.ok(err)
	h, err := n.Open(t.Context(), true, false)
	w.ok(err)
	keyB := w.newKey()
	late := false
	w.run(w.kms, Options{To: keyB, Jobs: 1, batch: 1, OnConfig: func() {}, Progress: func(Progress) {
		if !late {
			late = true
			w.put(v, "dir/created meanwhile", "late")
		}
	}})
	w.ok(v.Reload(t.Context()))
	w.put(v, "created after", "new key")
	_, err = h.Write(t.Context(), []byte("AFTER"), 1)
	w.ok(err)
	w.files["open before"] = "bAFTER"
	w.ok(h.Close())
	w.ok(v.Close())
	w.ok(only(w.kms.DisableKey(t.Context(), localkms.DisableKeyInput{KeyID: w.keyA})))
	w.readable()
	if s := w.status(w.keyA); s.StillNeeds(w.keyA) {
		t.Errorf("%+v", s)
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	w.zoo()
	var size int64
	for path, content := range w.files {
		if path != "linked" {
			size += int64(len(content))
		}
	}
	size += 3500 // the sidecar
	check := func(s *StatusReport, key string, state kmsclient.KeyState) {
		t.Helper()
		if len(s.Keys) != 1 || s.FilesScanned != zooFiles || s.FilesEmpty != 1 || s.Bytes != size || len(s.Errors) != 0 {
			t.Fatalf("%+v", s)
		}
		k := s.Keys[0]
		if k.KeyID != key || k.State != state || k.Files != zooKeyed || k.DataKeys != zooKeys || k.Bytes != size || !k.NamesKey || !k.Current {
			t.Errorf("%+v", k)
		}
	}
	ro := func(o StatusOptions) *StatusReport {
		s, err := Status(t.Context(), killStore{w.store(), &killer{at: 1}}, o)
		w.ok(err)
		return s
	}
	check(ro(StatusOptions{}), w.keyA, "")
	check(w.status(), w.keyA, kmsclient.StateEnabled)

	w.rotate()
	if s := w.status(); s.Keys[0].Current {
		t.Errorf("after a rotation: %+v", s)
	}
	w.run(w.kms, Options{})
	check(w.status(), w.keyA, kmsclient.StateEnabled)

	keyB := w.newKey()
	v := w.mount(cipherdir.Options{})
	w.put(v, "dir/during", "the old key's last file")
	w.ok(v.Close())
	_, err := Run(t.Context(), w.store(), w.kms, Options{From: w.keyA, To: keyB})
	w.ok(err)
	if s := w.status(w.keyA); s.StillNeeds(w.keyA) || !s.StillNeeds(keyB) {
		t.Errorf("%+v", s)
	}
	_, err = w.kms.ScheduleKeyDeletion(t.Context(), localkms.ScheduleKeyDeletionInput{KeyID: w.keyA, PendingWindowInDays: new(7)})
	w.ok(err)
	w.readable()
}
