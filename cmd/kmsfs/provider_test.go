package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"kmsfs/config"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/awskms"
	"kmsfs/kmsclient/localkms"
)

// awsEndpoint speaks as much of the API of AWS KMS as kmsfs uses, over any KMS.
type awsEndpoint struct {
	kms    kmsclient.KMS
	refuse atomic.Pointer[kmsclient.Error] // if set, the answer to everything
}

// ServeHTTP implements http.Handler.
func (e *awsEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct {
		KeyID              string `json:"KeyId"`
		DestinationKeyID   string `json:"DestinationKeyId"`
		Plaintext          []byte
		CiphertextBlob     []byte
		EncryptionContext  kmsclient.EncryptionContext
		DestinationContext kmsclient.EncryptionContext `json:"DestinationEncryptionContext"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	var plaintext []byte
	var wrapped kmsclient.Wrapped
	var info kmsclient.KeyInfo
	ctx := r.Context()
	switch op := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService."); {
	case err != nil:
	case e.refuse.Load() != nil:
		err = e.refuse.Load()
	case op == "GenerateDataKey":
		plaintext, wrapped, err = e.kms.GenerateDataKey(ctx, in.KeyID, in.EncryptionContext)
	case op == "Decrypt":
		plaintext, wrapped, err = e.kms.Decrypt(ctx, in.CiphertextBlob, in.EncryptionContext)
	case op == "ReEncrypt":
		wrapped, err = e.kms.ReEncrypt(ctx, in.CiphertextBlob, in.DestinationContext, in.DestinationKeyID)
	case op == "DescribeKey":
		info, err = e.kms.DescribeKey(ctx, in.KeyID)
	default:
		err = &kmsclient.Error{Code: "UnknownOperationException"}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	var refused *kmsclient.Error
	switch {
	case errors.As(err, &refused):
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"__type": refused.Code, "message": refused.Message})
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	material := hex.EncodeToString(wrapped.Material[:])
	answer := map[string]any{
		"Plaintext": plaintext, "CiphertextBlob": wrapped.Blob, "KeyId": wrapped.KeyID, "KeyMaterialId": material, "DestinationKeyMaterialId": material,
	}
	if info.KeyID != "" {
		answer = map[string]any{"KeyMetadata": map[string]any{
			"Arn": info.KeyID, "KeyState": info.State, "CurrentKeyMaterialId": hex.EncodeToString(info.CurrentMaterial[:]),
		}}
	}
	json.NewEncoder(w).Encode(answer)
}

// outcomeOf is what a call of kmsfs did.
type outcomeOf struct {
	t              *testing.T
	args           []string
	code           int
	stdout, stderr string
}

// kmsfs runs the program as users do.
func kmsfs(t *testing.T, args ...string) outcomeOf {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("kmsfs", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcomeOf{t, args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want checks the exit code, and texts that the output has, or has not after a !.
func (o outcomeOf) want(code int, texts ...string) outcomeOf {
	o.t.Helper()
	if o.code != code {
		o.t.Errorf("kmsfs %q: exit code %d, want %d\n%s%s", o.args, o.code, code, o.stdout, o.stderr)
	}
	for _, text := range texts {
		if not, negated := strings.CutPrefix(text, "!"); strings.Contains(o.stdout+o.stderr, not) == negated {
			o.t.Errorf("kmsfs %q: want %q in the output\n%s%s", o.args, text, o.stdout, o.stderr)
		}
	}
	return o
}

// A cipher directory whose KMS is AWS, or speaks like it, from init to the day the
// key is gone.
func TestAWS(t *testing.T) {
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_DATA_HOME": home + "/data", "XDG_CONFIG_HOME": home + "/settings",
		"AWS_CONFIG_FILE": home + "/none", "AWS_SHARED_CREDENTIALS_FILE": home + "/none", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1", "AWS_MAX_ATTEMPTS": "2",
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "AWS_CA_BUNDLE", "KMSFS_KMS", "KMSFS_KEY", "KMSFS_CONFIG"} {
		t.Setenv(name, "") // put back in the end
		os.Unsetenv(name)
	}
	local := config.KMSURI{Scheme: config.SchemeLocal, Dir: filepath.Join(home, "kms")}
	store, err := openLocal(config.Default(), local, localkms.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	backend := localProvider(local, store)
	defer backend.Close()
	if _, _, err := ensureDefaultKey(t.Context(), backend.local); err != nil {
		t.Fatal(err)
	}
	info, err := backend.DescribeKey(t.Context(), defaultKey)
	if err != nil {
		t.Fatal(err)
	}
	key := info.KeyID
	admin := func(verb string) { t.Helper(); kmsfs(t, "kms", "--kms", local.String(), verb, "--key-id", key).want(0) }
	endpoint := &awsEndpoint{kms: backend}
	server := httptest.NewServer(endpoint)
	defer server.Close()

	dir, point, cipherfile := home+"/cipher", home+"/plain", ""
	uri := "aws:?endpoint=" + server.URL
	kmsfs(t, "init", "--kms", uri, dir).want(2, "--key is missing", "hint: aws kms create-key")
	kmsfs(t, "init", "--kms", uri, "--key", "alias/none", dir).want(3, "key not found", "hint: is this the right account and region?")
	if _, err := os.Stat(dir); err == nil {
		t.Error("a failed init left a directory")
	}
	kmsfs(t, "init", "--kms", uri, "--key", defaultKey, dir).want(0, "key: "+key, "back up: ", "!()")
	recorded, err := os.ReadFile(dir + "/+kmsfs/config.json")
	if err != nil || !bytes.Contains(recorded, []byte(`"aws:eu-central-1?endpoint=`+server.URL)) {
		t.Errorf("the configuration does not name the KMS with its region: %s %v", recorded, err)
	}
	t.Setenv("AWS_REGION", "us-east-1") // what was recorded counts

	if err := os.Mkdir(point, 0o700); err != nil {
		t.Fatal(err)
	}
	kmsfs(t, "mount", dir, point).want(0)
	t.Cleanup(func() { unmountBelow(home) })
	if err := os.WriteFile(point+"/file", []byte("secret text"), 0o600); err != nil {
		t.Fatal(err)
	}
	kmsfs(t, "umount", point).want(0)
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.Contains(path, "+kmsfs") && filepath.Base(path)[0] != '+' {
			cipherfile = path
		}
		return err
	})
	if err != nil || cipherfile == "" {
		t.Fatalf("no ciphertext: %v", err)
	}
	kmsfs(t, "cat", dir, "file").want(0, "secret text")
	kmsfs(t, "inspect", cipherfile).want(0, "recipient 1: aws", "key:       "+key)
	kmsfs(t, "status", dir).want(0, key, "Enabled", "!not known")
	kmsfs(t, "status", "--key", defaultKey, dir).want(0, "is needed by 1 file")
	kmsfs(t, "fsck", dir).want(0, "no damage found")
	admin("rotate-key-on-demand")
	kmsfs(t, "rewrap", dir).want(0, "rewrapped 1 file")
	kmsfs(t, "rewrap", dir).want(0, "rewrapped 0 files")
	kmsfs(t, "cat", dir, "file").want(0, "secret text")

	admin("disable-key")
	kmsfs(t, "cat", dir, "file").want(3, "key is disabled", "hint: aws kms enable-key --key-id "+key)
	kmsfs(t, "status", dir).want(0, "Disabled")
	admin("enable-key")

	endpoint.refuse.Store(&kmsclient.Error{Code: "AccessDeniedException", Message: "User: u is not authorized to perform: kms:Decrypt on resource: " + key})
	kmsfs(t, "cat", dir, "file").want(3, "access denied", "must allow kms:Decrypt on "+key)
	kmsfs(t, "rewrap", dir).want(3, "access denied")
	endpoint.refuse.Store(&kmsclient.Error{Code: "ExpiredTokenException", Message: "The security token included in the request is expired"})
	kmsfs(t, "cat", dir, "file").want(3, "is expired", "hint: credentials come from AWS_PROFILE")
	endpoint.refuse.Store(nil)

	server.Close()
	kmsfs(t, "cat", dir, "file").want(3, "connection refused", "hint: is the endpoint right and in reach?")
	kmsfs(t, "mount", dir, point).want(3, "connection refused")
	kmsfs(t, "fsck", "--no-kms", dir).want(0, "not authenticated")
	kmsfs(t, "status", dir).want(0, "states of keys are not known", key)
	os.Unsetenv("AWS_ACCESS_KEY_ID")
	kmsfs(t, "cat", dir, "file").want(3, "no credentials", "hint: credentials come from AWS_PROFILE")
	kmsfs(t, "cat", "--kms", "aws:", dir, "file").want(3)
	os.Unsetenv("AWS_REGION")
	kmsfs(t, "cat", "--kms", "aws:", dir, "file").want(3, "no region is given", "hint: region and profile come from --kms aws:REGION")
}

func TestAWSHints(t *testing.T) {
	for op, want := range map[string]string{
		"GenerateDataKey": "must allow kms:GenerateDataKey on alias/x", "ReEncrypt": "must allow kms:ReEncryptFrom and kms:ReEncryptTo on alias/x",
	} {
		err := fmt.Errorf("init: %w", awsRefusal(op, "alias/x", kmsclient.ErrDenied))
		if got := hintFor(err); !strings.HasSuffix(got, want) || exitCode(err) != exitKMS {
			t.Errorf("%s: hint %q, exit code %d", op, got, exitCode(err))
		}
	}
	for kind, want := range map[error]string{
		kmsclient.ErrPendingDeletion: "aws kms cancel-key-deletion --key-id KEY", kmsclient.ErrThrottled: "quota", kmsclient.ErrInvalidCiphertext: "account and region",
	} {
		if got := hintFor(awsRefusal("Decrypt", "", kind)); !strings.Contains(got, want) {
			t.Errorf("%v: hint %q", kind, got)
		}
	}
	// What was achieved decides, not the refusal behind it.
	partly := fmt.Errorf("%w: %w", errPartly, awsRefusal("Decrypt", "", kmsclient.ErrDenied))
	if got := hintFor(partly); exitCode(partly) != exitPartly || !strings.HasPrefix(got, "run the same command again") {
		t.Errorf("partly done: exit code %d, hint %q", exitCode(partly), got)
	}
}

func awsRefusal(op, key string, kind error) error {
	return &awskms.Error{Refusal: &kmsclient.Error{Op: op, KeyID: key, Kind: kind}}
}
