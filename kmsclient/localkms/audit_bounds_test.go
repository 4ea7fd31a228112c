package localkms

import (
	"strings"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/policy"
)

// What was done is in the log whole: nobody hides for which file system he used a
// key, or what policy he gave it, behind what makes the request long. Of what was
// refused, only so much is kept.
func TestAuditIsWhole(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	long := kmsclient.EncryptionContext{"kmsfs:fs": "f", "x": strings.Repeat("\x00", 8000)}
	ok(t, encrypt(c, key, long))
	document := string(policy.Default(s.account))
	document = document[:len(document)-1] + strings.Repeat("\n", maxKeyPolicy-len(document)) + "}"
	ok(t, putPolicy(c, key, document))
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: key})))
	wantCode(t, "disabled", encrypt(c, key, long), "DisabledException")
	events := refusedEvents(t, s)
	if e := &events[1]; e.FileSystem() != "f" {
		t.Errorf("%d bytes of parameters, of file system %q", len(e.RequestParameters), e.FileSystem())
	}
	if got := string(events[2].RequestParameters); !strings.Contains(got, "key-default-1") {
		t.Errorf("no policy in %s", got)
	}
	if got := string(events[4].RequestParameters); !strings.HasPrefix(got, `{"omitted":`) {
		t.Errorf("a refusal with %d bytes of parameters", len(got))
	}
}
