//go:build clients

package awskms

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmstest"
)

// startMoto runs moto's server, a KMS of other authors, until the test ends.
// Source: https://docs.getmoto.org/en/latest/docs/server_mode.html
func startMoto(t *testing.T) (endpoint string) {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.Command("python3", "-m", "moto.server", "-H", "127.0.0.1", "-p", port)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs python3 with moto's server (pip install 'moto[server]'): %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			return "http://127.0.0.1:" + port
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("this test needs python3 with moto's server (pip install 'moto[server]'): %v\n%s", err, said.String())
		default:
		}
	}
	t.Fatalf("moto does not listen:\n%s", said.String())
	return ""
}

// motoAdmin manages moto's keys, by id: to some operations an ARN is an error.
type motoAdmin struct{ api *kms.Client }

func (a motoAdmin) CreateKey(ctx context.Context) (string, error) {
	out, err := a.api.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return "", err
	}
	return *out.KeyMetadata.Arn, nil
}

func (a motoAdmin) CreateAlias(ctx context.Context, alias, keyID string) error {
	_, err := a.api.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: keyUUID(keyID)})
	return err
}

func (a motoAdmin) Disable(ctx context.Context, keyID string) error {
	_, err := a.api.DisableKey(ctx, &kms.DisableKeyInput{KeyId: keyUUID(keyID)})
	return err
}

func (a motoAdmin) Enable(ctx context.Context, keyID string) error {
	_, err := a.api.EnableKey(ctx, &kms.EnableKeyInput{KeyId: keyUUID(keyID)})
	return err
}

func (a motoAdmin) ScheduleDeletion(ctx context.Context, keyID string) error {
	_, err := a.api.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: keyUUID(keyID)})
	return err
}

func (a motoAdmin) Rotate(ctx context.Context, keyID string) error {
	_, err := a.api.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: keyUUID(keyID)})
	return err
}

func keyUUID(arn string) *string { return new(arn[len(arn)-36:]) }

// motoGaps are the cases of the contract that moto 5.2.1 does not keep.
// TestMotoGaps holds what it does instead.
var motoGaps = map[string]string{
	"context binding":           "moto joins the context without separators",
	"altered and foreign blobs": "moto denies access where the key in the blob is not there",
	"disabled":                  "moto uses disabled keys",
	"pending deletion":          "moto uses keys that are pending deletion",
	"rotation":                  "moto has no key material ids",
}

// TestMoto runs the contract on a KMS that others wrote.
func TestMoto(t *testing.T) {
	endpoint := startMoto(t)
	isolate(t)
	kmstest.Run(t, func(t *testing.T) (kmsclient.KMS, kmstest.Admin) {
		_, name, _ := strings.Cut(t.Name(), "/")
		if gap := motoGaps[strings.ReplaceAll(name, "_", " ")]; gap != "" {
			t.Skip(gap)
		}
		c := open(t, endpoint, Options{Rate: -1})
		return c, motoAdmin{c.api}
	})
}

// TestMotoGaps tests what is left of the cases above, and fails when moto closes a
// gap, which then goes from the list.
func TestMotoGaps(t *testing.T) {
	endpoint := startMoto(t)
	isolate(t)
	c := open(t, endpoint, Options{Rate: -1})
	admin := motoAdmin{c.api}
	ctx := t.Context()
	key, err := admin.CreateKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	type ec = kmsclient.EncryptionContext
	w, err := c.Encrypt(ctx, key, []byte("secret"), ec{"a": "bc"})
	if err != nil {
		t.Fatal(err)
	}
	opens := func(what string, blob []byte, ec kmsclient.EncryptionContext, kind error) {
		t.Helper()
		got, _, err := c.Decrypt(ctx, blob, ec)
		if !errors.Is(err, kind) || kind == nil && string(got) != "secret" {
			t.Errorf("%s: got %q, %v, want error %v", what, got, err, kind)
		}
	}
	opens("no context", w.Blob, nil, kmsclient.ErrInvalidCiphertext)
	opens("another context", w.Blob, ec{"a": "bd"}, kmsclient.ErrInvalidCiphertext)
	opens("gap: a context with the boundary moved", w.Blob, ec{"ab": "c"}, nil)

	altered := func(i int) []byte {
		b := bytes.Clone(w.Blob)
		b[i] ^= 1
		return b
	}
	opens("altered", altered(len(w.Blob)-1), ec{"a": "bc"}, kmsclient.ErrInvalidCiphertext)
	opens("gap: altered key id", altered(0), ec{"a": "bc"}, kmsclient.ErrDenied)

	state := func(want kmsclient.KeyState) {
		t.Helper()
		info, err := c.DescribeKey(ctx, key)
		if err != nil || info.State != want || !info.CurrentMaterial.IsZero() {
			t.Errorf("the key is %+v, %v; want it %s, and (a gap) no material id", info, err, want)
		}
	}
	for _, step := range []struct {
		do   func(context.Context, string) error
		want kmsclient.KeyState
	}{
		{admin.Rotate, kmsclient.StateEnabled}, {admin.Disable, kmsclient.StateDisabled}, {admin.ScheduleDeletion, kmsclient.StatePendingDeletion},
	} {
		if err := step.do(ctx, key); err != nil {
			t.Fatal(err)
		}
		state(step.want)
		opens("gap: "+string(step.want), w.Blob, ec{"a": "bc"}, nil)
	}
}
