package tests

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoSecretsInKMS has a server make, take and refuse secrets of every kind,
// some of them in places where they do not belong, and looks for them in the
// database, in backups, in the server's log at its most talkative and in what the
// audit log shows.
func TestNoSecretsInKMS(t *testing.T) {
	h := newKMSHouse(t)
	h.env = append(h.env, "KMSFS_LOG_LEVEL=debug")
	const passphrase = "PaSsPhRaSe of the store"
	h.secret("passphrase", passphrase)
	key := h.passphraseStore(passphrase)
	file := "--kms-passphrase-file=" + h.path("passphrase")
	s := h.serve("server", h.kmsDir(), file)
	h.mustEnd(0, "", "kms", "set-unlock", "--method", "key-file", file)
	rootKey, err := os.ReadFile(h.kmsDir() + "/root.key")
	if err != nil {
		t.Fatal(err)
	}
	h.secret("root key", string(unhex(t, strings.Fields(string(rootKey))[4])))
	alice := h.user("alice", allowAll)
	alice = alice.at(s)
	const marker = "CoNtExT in the clear" // which the search must find
	context := params{"purpose": marker}

	// What the KMS makes.
	var out struct {
		Plaintext, CiphertextBlob, PrivateKeyPlaintext []byte

		KeyMetadata struct{ Arn string }
	}
	alice.get(t, "GenerateDataKey", params{"KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context}, &out)
	h.secret("data key", string(out.Plaintext))
	blob := out.CiphertextBlob
	alice.get(t, "GenerateRandom", params{"NumberOfBytes": 32}, &out)
	h.secret("random bytes", string(out.Plaintext))
	alice.get(t, "GenerateDataKeyPair", params{"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"}, &out)
	h.secret("private key", string(out.PrivateKeyPlaintext))

	// What it is given: plaintexts and messages.
	const plaintext = "PlAiNtExT of Encrypt"
	h.secret("plaintext", plaintext)
	alice.get(t, "Encrypt", params{"KeyId": key, "Plaintext": []byte(plaintext)}, nil)
	alice.get(t, "Decrypt", params{"CiphertextBlob": blob, "EncryptionContext": context}, nil)
	alice.get(t, "CreateKey", params{"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}, &out)
	alice.get(t, "GenerateMac", params{"KeyId": out.KeyMetadata.Arn, "Message": []byte(plaintext), "MacAlgorithm": "HMAC_SHA_256"}, &out)
	alice.get(t, "CreateKey", params{"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}, &out)
	alice.get(t, "Sign", params{"KeyId": out.KeyMetadata.Arn, "Message": []byte(plaintext), "SigningAlgorithm": "ECDSA_SHA_256"}, nil)

	// Key material, which is destroyed again.
	var imported string
	var sealed [][]byte
	for range 4 {
		material := make([]byte, 32)
		rand.Read(material)
		h.secret("imported key material", string(material))
		imported = importKey(t, alice, material)
		sealed = append(sealed, h.sealedMaterial(imported))
		if !h.stored(sealed[len(sealed)-1]) {
			t.Error("the search does not find sealed material")
		}
		alice.get(t, "DeleteImportedKeyMaterial", params{"KeyId": imported}, nil)
	}
	for _, b := range sealed {
		if h.stored(b) || h.stored(b[:24]) || h.stored(b[len(b)-24:]) {
			t.Error("deleted key material is in the database still, sealed")
		}
	}

	// Secrets where they do not belong.
	const stray = "StRaYsEcReTAccessKey/MDENG/bPxRfiCYEXAMP"
	h.secret("stray secret", stray)
	confused := *alice
	confused.id = stray
	confused.refused(t, "ListKeys", params{}, "IncompleteSignatureException")
	for op, in := range map[string]any{
		"Encrypt": params{"KeyId": key, "Plaintext": stray + "!"}, "Decrypt": params{"CiphertextBlob": []byte(stray)},
		"GenerateMac": params{"KeyId": key, "Message": []byte(stray), "MacAlgorithm": "HMAC_SHA_256"},
		"ListKeys":    []byte(`{"Limit": "` + stray), stray[:12]: params{}, "DescribeKey": params{"KeyId": key, "Password": []byte(stray)},
		"ImportKeyMaterial": params{"KeyId": imported, "ImportToken": []byte(stray), "EncryptedKeyMaterial": []byte(stray)},
	} {
		if a, err := alice.call(op, in); err != nil || a.status != http.StatusBadRequest || bytes.Contains(a.body, []byte(stray)) {
			t.Errorf("%s with a secret in it: %v, %v", op, a, err)
		}
	}
	req, err := alice.request("ListKeys", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+stray)
	if a, err := alice.send(req); err != nil || a.status != http.StatusBadRequest {
		t.Errorf("a bearer token: %v, %v", a, err)
	}

	// A role's session, a backup.
	h.sessionEnds(t, s)
	h.mustEnd(0, "", "kms", "backup", h.path("backup"))
	for _, args := range [][]string{{"--json"}, {}, {"--checkpoint"}} {
		h.mustEnd(0, "", append([]string{"kms", "audit"}, args...)...)
	}
	s.stop()
	if log := s.logged(); !strings.Contains(log, "request refused") {
		t.Errorf("the server has not logged what it refused:\n%s", log)
	}
	if !h.stored([]byte(marker)) || !strings.Contains(h.printed.String(), marker) {
		t.Error("the search does not find what is there")
	}
	h.verifyAudit()
}

// importKey makes a key of material, and gives its ARN.
func importKey(t *testing.T, c *caller, material []byte) string {
	t.Helper()
	var key keyInfo
	c.get(t, "CreateKey", params{"Origin": "EXTERNAL"}, &key)
	arn := key.KeyMetadata.Arn
	var parameters struct{ PublicKey, ImportToken []byte }
	c.get(t, "GetParametersForImport", params{"KeyId": arn, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}, &parameters)
	public, err := x509.ParsePKIXPublicKey(parameters.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.get(t, "ImportKeyMaterial", params{
		"KeyId": arn, "ImportToken": parameters.ImportToken, "EncryptedKeyMaterial": wrapped, "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
	}, nil)
	c.get(t, "GenerateDataKey", params{"KeyId": arn, "KeySpec": "AES_256"}, nil)
	return arn
}

// stored tells whether bytes are in a file of the house's store.
func (h *kmsHouse) stored(b []byte) bool {
	h.Helper()
	files, err := filepath.Glob(h.kmsDir() + "/kms.db*")
	if err != nil || len(files) == 0 {
		h.Fatalf("no database: %v", err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			h.Fatal(err)
		}
		if bytes.Contains(content, b) {
			return true
		}
	}
	return false
}

// sealedMaterial reads the sealed key material of a key, as the database has it.
func (h *kmsHouse) sealedMaterial(arn string) (sealed []byte) {
	h.Helper()
	id := strings.ReplaceAll(arn[strings.LastIndex(arn, "/")+1:], "-", "")
	db, err := sql.Open("sqlite", "file:"+h.kmsDir()+"/kms.db?mode=ro")
	if err != nil {
		h.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT sealed FROM material WHERE hex(cmk) = ?", strings.ToUpper(id)).Scan(&sealed); err != nil {
		h.Fatal(err)
	}
	return sealed
}
