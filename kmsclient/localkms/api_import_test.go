package localkms

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
)

const doesNotExpire = "KEY_MATERIAL_DOES_NOT_EXPIRE"

// importer imports into one key.
type importer struct {
	testing.TB
	c      *Client
	key    string
	params GetParametersForImportOutput
}

func newImporter(t testing.TB, c *Client, in CreateKeyInput) importer {
	t.Helper()
	in.Origin = originExternal
	made, err := c.CreateKey(bg, in)
	ok(t, err)
	return importerOf(t, c, made.KeyMetadata.Arn)
}

// importerOf has an import token without the wait for a new wrapping key, which
// other tests have.
func importerOf(t testing.TB, c *Client, key string) importer {
	t.Helper()
	described, err := c.API.DescribeKey(bg, DescribeKeyInput{KeyID: key})
	ok(t, err)
	public, err := keyspec.PublicKey(keyspec.RSA2048, shared(t, keyspec.RSA2048))
	ok(t, err)
	token := &importToken{
		id: parseID(t, key), region: c.region(), expires: c.store.now().Add(24 * time.Hour).UnixMilli(),
		spec: keyspec.Spec(described.KeyMetadata.KeySpec), wrapping: keyspec.RSA2048, algorithm: keyspec.OAEPSHA256, private: shared(t, keyspec.RSA2048),
	}
	return importer{t, c, key, GetParametersForImportOutput{ImportToken: token.seal(c.store.root), PublicKey: public}}
}

// give imports material that does not expire, or as change says.
func (i importer) give(material []byte, change func(*ImportKeyMaterialInput)) (ImportKeyMaterialOutput, error) {
	in := ImportKeyMaterialInput{
		KeyID: i.key, ImportToken: i.params.ImportToken, EncryptedKeyMaterial: wrapOAEP(i, i.params.PublicKey, material), ExpirationModel: doesNotExpire,
	}
	if change != nil {
		change(&in)
	}
	return i.c.ImportKeyMaterial(bg, in)
}

func wrapOAEP(t testing.TB, public, material []byte) []byte {
	t.Helper()
	p, err := keyspec.ParsePublic(public)
	ok(t, err)
	b, err := p.Encrypt(keyspec.OAEPSHA256, material)
	ok(t, err)
	return b
}

func (i importer) state(want kmsclient.KeyState) *KeyMetadata {
	i.Helper()
	out, err := i.c.API.DescribeKey(bg, DescribeKeyInput{KeyID: i.key})
	ok(i, err)
	if m := out.KeyMetadata; m.KeyState != want || m.Enabled != (want == kmsclient.StateEnabled) {
		i.Fatalf("key is %s, want %s", m.KeyState, want)
	}
	return out.KeyMetadata
}

func (i importer) seal(text string) []byte {
	i.Helper()
	out, err := i.c.API.Encrypt(bg, EncryptInput{KeyID: i.key, Plaintext: []byte(text)})
	ok(i, err)
	return out.CiphertextBlob
}

func (i importer) opens(blob []byte, text string) {
	i.Helper()
	out, err := i.c.API.Decrypt(bg, DecryptInput{CiphertextBlob: blob})
	ok(i, err)
	if string(out.Plaintext) != text {
		i.Errorf("%q, want %q", out.Plaintext, text)
	}
}

// materials describes the key's materials, one a line.
func (i importer) materials() string {
	i.Helper()
	out, err := i.c.ListKeyRotations(bg, ListKeyRotationsInput{KeyID: i.key, IncludeKeyMaterial: "ALL_KEY_MATERIAL"})
	ok(i, err)
	var b strings.Builder
	for _, r := range out.Rotations {
		fmt.Fprintln(&b, r.KeyMaterialState, r.ImportState, r.KeyMaterialDescription)
	}
	return b.String()
}

func (i importer) has(want string) {
	i.Helper()
	if got := i.materials(); got != want {
		i.Errorf("materials are\n%swant\n%s", got, want)
	}
}

// sealed is the one material of a store, as the database has it.
func (i importer) sealed() (b []byte) {
	i.Helper()
	ok(i, i.c.store.writer.submit(bg, func(t *tx) error { return t.row("SELECT sealed FROM material", nil, []any{&b}) }))
	return b
}

func (i importer) pending() string { return i.key + " is pending import." }
func (i importer) incorrect() string {
	return "The key material is not the one that was imported into " + i.key + " before."
}

// m32 is material for a symmetric key, all bytes b.
func m32(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func TestImportDeleteAndImportAgain(t *testing.T) {
	i := newImporter(t, newStore(t, Options{}).Client(), CreateKeyInput{})
	if m := i.state(kmsclient.StatePendingImport); m.ExpirationModel != "" || m.CurrentKeyMaterialID != "" || m.Origin != originExternal {
		t.Errorf("before the import: %+v", m)
	}
	_, err := i.c.API.Encrypt(bg, EncryptInput{KeyID: i.key, Plaintext: []byte("m")})
	refused(t, err, "KMSInvalidStateException", i.pending())
	_, err = i.give(m32(1), func(in *ImportKeyMaterialInput) { in.ImportType = "EXISTING_KEY_MATERIAL" })
	refused(t, err, "IncorrectKeyMaterialException", i.incorrect())

	first, err := i.give(m32(1), nil)
	ok(t, err)
	m := i.state(kmsclient.StateEnabled)
	if first.KeyID != i.key || first.KeyMaterialID == "" || m.CurrentKeyMaterialID != first.KeyMaterialID || m.ExpirationModel != doesNotExpire || m.ValidTo != nil {
		t.Errorf("%+v: %+v", first, m)
	}
	blob, sealed := i.seal("kept"), i.sealed()

	gone, err := i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key})
	ok(t, err)
	if gone.KeyID != i.key || gone.KeyMaterialID != first.KeyMaterialID {
		t.Errorf("%+v", gone)
	}
	if m := i.state(kmsclient.StatePendingImport); m.ExpirationModel != "" || m.CurrentKeyMaterialID != "" {
		t.Errorf("after the deletion: %+v", m)
	}
	refused(t, only(i.c.API.Decrypt(bg, DecryptInput{CiphertextBlob: blob})), "KMSInvalidStateException", i.pending())
	ok(t, only(i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key}))) // again: no effect
	if i.sealed() != nil {
		t.Error("the deleted material is still in the database")
	}
	for _, name := range []string{dbName, dbName + "-wal"} {
		if b, err := os.ReadFile(filepath.Join(i.c.store.Dir(), name)); err != nil || bytes.Contains(b, sealed) {
			t.Errorf("the deleted material is still in %s, or %v", name, err)
		}
	}

	_, err = i.give(m32(2), nil)
	refused(t, err, "IncorrectKeyMaterialException", i.incorrect())
	i.state(kmsclient.StatePendingImport)
	again, err := i.give(m32(1), nil)
	ok(t, err)
	if again != first {
		t.Errorf("imported again as %+v, was %+v", again, first)
	}
	i.state(kmsclient.StateEnabled)
	i.opens(blob, "kept")
}

func TestImportedMaterialExpires(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	i := newImporter(t, s.Client(), CreateKeyInput{})
	until := func(d time.Duration) func(*ImportKeyMaterialInput) {
		return func(in *ImportKeyMaterialInput) {
			in.ExpirationModel, in.ValidTo = "", &shape.Time{Time: clock.Now().Add(d)} // expiring is the default
		}
	}
	ok(t, only(i.give(m32(1), until(time.Hour))))
	if m := i.state(kmsclient.StateEnabled); m.ExpirationModel != "KEY_MATERIAL_EXPIRES" || !m.ValidTo.Equal(clock.Now().Add(time.Hour)) {
		t.Errorf("%+v", m)
	}
	blob := i.seal("kept")
	clock.add(time.Hour - time.Millisecond)
	i.opens(blob, "kept")
	clock.add(time.Millisecond)
	refused(t, only(i.c.API.Decrypt(bg, DecryptInput{CiphertextBlob: blob})), "KMSInvalidStateException", i.pending())
	if m := i.state(kmsclient.StatePendingImport); m.ValidTo != nil {
		t.Errorf("%+v", m)
	}
	events := 0
	for r, err := range s.AuditEvents(bg, AuditFilter{Operation: "DeleteExpiredKeyMaterial"}) {
		ok(t, err)
		if events++; r.Event.EventType != "AwsServiceEvent" || r.Event.Resources[0].ARN != i.key {
			t.Errorf("%+v", r.Event)
		}
	}
	if events != 1 {
		t.Errorf("%d records of the expiry, want 1", events)
	}

	ok(t, only(i.give(m32(1), until(time.Hour))))
	ok(t, only(i.give(m32(1), until(3*time.Hour)))) // puts it off
	clock.add(2 * time.Hour)
	i.opens(blob, "kept")
	ok(t, only(i.give(m32(1), nil))) // calls it off
	clock.add(20 * time.Hour)
	i.opens(blob, "kept")

	for name, test := range map[string]struct {
		change  func(*ImportKeyMaterialInput)
		message string
	}{
		"no date":      {func(in *ImportKeyMaterialInput) { in.ExpirationModel = "" }, "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"},
		"useless date": {func(in *ImportKeyMaterialInput) { until(time.Hour)(in); in.ExpirationModel = doesNotExpire }, "A validTo date cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"},
		"now":          {until(0), "ValidTo must be in the future"},
		"far":          {until(365*24*time.Hour + time.Millisecond), "ValidTo must be at most 365 days in the future"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, only(i.give(m32(1), test.change)), "ValidationException", test.message) })
	}
	ok(t, only(i.give(m32(1), until(365*24*time.Hour))))
}

func TestImportRotateAndDelete(t *testing.T) {
	clock := newClock()
	i := newImporter(t, newStore(t, Options{Now: clock.Now}).Client(), CreateKeyInput{})
	fresh := func(description string) func(*ImportKeyMaterialInput) {
		return func(in *ImportKeyMaterialInput) { in.ImportType, in.KeyMaterialDescription = importNew, description }
	}
	rotate := func() error { return only(i.c.RotateKeyOnDemand(bg, RotateKeyOnDemandInput{KeyID: i.key})) }
	first, err := i.give(m32(1), fresh("one"))
	ok(t, err)
	i.has("CURRENT IMPORTED one\n")
	none := "No available key material pending rotation for the key: " + i.key + "."
	refused(t, rotate(), "KMSInvalidStateException", none)
	refused(t, only(i.give(m32(1), fresh(""))), "IncorrectKeyMaterialException", "The key material is already associated with "+i.key+".")
	old := i.seal("under the first")

	second, err := i.give(m32(2), fresh("two"))
	ok(t, err)
	i.has("CURRENT IMPORTED one\nPENDING_ROTATION IMPORTED two\n")
	third := i.c.store.root.nameMaterial(parseID(t, i.key), m32(3))
	refused(t, only(i.give(m32(3), fresh(""))), "KMSInvalidStateException", fmt.Sprintf(
		"New key material (id: %s) cannot be imported into KMS key %s, because another key material (id: %s) is pending rotation.",
		hexID(third.id), i.key, second.KeyMaterialID))
	if m := i.state(kmsclient.StateEnabled); m.CurrentKeyMaterialID != first.KeyMaterialID {
		t.Error("current before its rotation")
	}

	// One that waits can be taken back, and another put in its place.
	ok(t, only(i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key, KeyMaterialID: second.KeyMaterialID})))
	i.has("CURRENT IMPORTED one\n")
	refused(t, rotate(), "KMSInvalidStateException", none)
	ok(t, only(i.give(m32(3), fresh("three"))))
	clock.add(time.Minute)
	ok(t, rotate())
	i.has("NON_CURRENT IMPORTED one\nCURRENT IMPORTED three\n")
	if m := i.state(kmsclient.StateEnabled); m.CurrentKeyMaterialID != hexID(third.id) {
		t.Error("not current after its rotation")
	}
	rotations, err := i.c.ListKeyRotations(bg, ListKeyRotationsInput{KeyID: i.key})
	ok(t, err)
	if r := rotations.Rotations; len(r) != 1 || r[0].RotationType != rotationOnDemand || !r[0].RotationDate.Equal(clock.Now()) {
		t.Errorf("rotations: %+v", r)
	}
	i.opens(old, "under the first")
	recent := i.seal("under the third")

	// The key needs all its materials, so that all ciphertexts open.
	ok(t, only(i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key, KeyMaterialID: first.KeyMaterialID})))
	i.state(kmsclient.StatePendingImport)
	i.has("NON_CURRENT PENDING_IMPORT one\nCURRENT IMPORTED three\n")
	refused(t, only(i.c.API.Decrypt(bg, DecryptInput{CiphertextBlob: recent})), "KMSInvalidStateException", i.pending())
	named := func(id string) func(*ImportKeyMaterialInput) {
		return func(in *ImportKeyMaterialInput) { in.KeyMaterialID = id }
	}
	refused(t, only(i.give(m32(1), named(hexID(third.id)))), "IncorrectKeyMaterialException", i.incorrect())
	ok(t, only(i.give(m32(1), named(first.KeyMaterialID))))
	i.has("NON_CURRENT IMPORTED one\nCURRENT IMPORTED three\n") // its description stays
	i.state(kmsclient.StateEnabled)
	i.opens(old, "under the first")
	i.opens(recent, "under the third")

	_, err = i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key, KeyMaterialID: second.KeyMaterialID})
	refused(t, err, "NotFoundException", "Key material "+second.KeyMaterialID+" of "+i.key+" does not exist")
	_, err = i.give(m32(4), func(in *ImportKeyMaterialInput) { in.ImportType, in.KeyMaterialID = importNew, first.KeyMaterialID })
	refused(t, err, "ValidationException", "KeyMaterialId cannot be specified with an ImportType of NEW_KEY_MATERIAL")

	// One that waits and expires is forgotten, and harms nobody.
	ok(t, only(i.give(m32(5), func(in *ImportKeyMaterialInput) {
		in.ImportType, in.ExpirationModel, in.ValidTo = importNew, "KEY_MATERIAL_EXPIRES", &shape.Time{Time: clock.Now().Add(time.Hour)}
	})))
	if m := i.state(kmsclient.StateEnabled); m.ValidTo != nil {
		t.Errorf("what waits counts for the key's expiry: %v", m.ValidTo)
	}
	clock.add(time.Hour)
	i.state(kmsclient.StateEnabled)
	i.has("NON_CURRENT IMPORTED one\nCURRENT IMPORTED three\n")
}

func parseID(t testing.TB, arn string) keyID {
	t.Helper()
	id, ok := parseKeyID(idOf(arn))
	if !ok {
		t.Fatal(arn)
	}
	return id
}

func TestImportAndStates(t *testing.T) {
	clock := newClock()
	i := newImporter(t, newStore(t, Options{Now: clock.Now}).Client(), CreateKeyInput{})
	ok(t, only(i.give(m32(1), nil)))
	drop := func() { ok(t, only(i.c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key}))) }

	// Disabled: stays so while its material is there, and is forgotten with it.
	ok(t, only(i.c.DisableKey(bg, DisableKeyInput{KeyID: i.key})))
	ok(t, only(i.give(m32(1), nil)))
	i.state(kmsclient.StateDisabled)
	drop()
	i.state(kmsclient.StatePendingImport)
	refused(t, only(i.c.EnableKey(bg, EnableKeyInput{KeyID: i.key})), "KMSInvalidStateException", i.pending())
	ok(t, only(i.give(m32(1), nil)))
	i.state(kmsclient.StateEnabled)

	// To be deleted: stays so without its material, and waits for it when that is cancelled.
	ok(t, only(i.c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: i.key})))
	refused(t, only(i.give(m32(1), nil)), "KMSInvalidStateException", i.key+" is pending deletion.")
	drop()
	i.state(kmsclient.StatePendingDeletion)
	ok(t, only(i.c.CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: i.key})))
	i.state(kmsclient.StatePendingImport)
	ok(t, only(i.give(m32(1), nil)))
	ok(t, only(i.c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: i.key})))
	ok(t, only(i.c.CancelKeyDeletion(bg, CancelKeyDeletionInput{KeyID: i.key})))
	i.state(kmsclient.StateDisabled)

	// Expired while it waits to be deleted.
	ok(t, only(i.give(m32(1), func(in *ImportKeyMaterialInput) {
		in.ExpirationModel, in.ValidTo = "", &shape.Time{Time: clock.Now().Add(time.Hour)}
	})))
	ok(t, only(i.c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: i.key})))
	clock.add(time.Hour)
	i.state(kmsclient.StatePendingDeletion)
	i.has("CURRENT PENDING_IMPORT \n")
	clock.add(30 * 24 * time.Hour)
	_, err := i.c.API.DescribeKey(bg, DescribeKeyInput{KeyID: i.key})
	refused(t, err, "NotFoundException", "Key '"+i.key+"' does not exist")
}

func TestImportOfOtherKeys(t *testing.T) {
	c := newStore(t, Options{}).Client()
	for _, test := range []struct {
		spec  keyspec.Spec
		usage keyspec.Usage
	}{
		{keyspec.HMAC224, keyspec.GenerateVerifyMAC}, {keyspec.NISTP256, keyspec.SignVerify}, {keyspec.NISTP384, keyspec.KeyAgreement},
		{keyspec.SECGP256K1, keyspec.SignVerify}, {keyspec.Edwards25519, keyspec.SignVerify}, {keyspec.MLDSA65, keyspec.SignVerify},
	} {
		t.Run(string(test.spec), func(t *testing.T) {
			i := newImporter(t, c, CreateKeyInput{KeySpec: string(test.spec), KeyUsage: string(test.usage)})
			for name, change := range map[string]func(*ImportKeyMaterialInput){
				"ImportType":             func(in *ImportKeyMaterialInput) { in.ImportType = importNew },
				"KeyMaterialDescription": func(in *ImportKeyMaterialInput) { in.KeyMaterialDescription = "d" },
				"KeyMaterialId":          func(in *ImportKeyMaterialInput) { in.KeyMaterialID = strings.Repeat("0", 64) },
			} {
				_, err := i.give(shared(t, test.spec), change)
				refused(t, err, "UnsupportedOperationException",
					"ImportType, KeyMaterialDescription and KeyMaterialId are not valid for key spec "+string(test.spec)+".")
				if t.Failed() {
					t.Fatal(name)
				}
			}
			_, err := i.give(m32(1)[1:], nil)
			refused(t, err, "IncorrectKeyMaterialException", "The key material is not valid for key spec "+string(test.spec)+".")
			out, err := i.give(shared(t, test.spec), nil)
			ok(t, err)
			if out.KeyMaterialID != "" {
				t.Errorf("%+v", out)
			}
			if m := i.state(kmsclient.StateEnabled); m.CurrentKeyMaterialID != "" {
				t.Errorf("%+v", m)
			}
			if test.spec.Asymmetric() {
				want, err := keyspec.PublicKey(test.spec, shared(t, test.spec))
				ok(t, err)
				got, err := c.GetPublicKey(bg, GetPublicKeyInput{KeyID: i.key})
				ok(t, err)
				if !bytes.Equal(got.PublicKey, want) {
					t.Error("another public key")
				}
			}
			other, err := keyspec.Generate(test.spec)
			ok(t, err)
			refused(t, only(i.give(other, nil)), "IncorrectKeyMaterialException", i.incorrect())
			ok(t, only(c.DeleteImportedKeyMaterial(bg, DeleteImportedKeyMaterialInput{KeyID: i.key})))
			refused(t, only(i.give(other, nil)), "IncorrectKeyMaterialException", i.incorrect())
			ok(t, only(i.give(shared(t, test.spec), nil)))
			i.state(kmsclient.StateEnabled)
		})
	}
}
