package localkms

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestAccessKeyLife(t *testing.T) {
	s := newStore(t, Options{Now: newClock().Now})
	c := s.ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", allowAll)
	first := alice.caller.AccessKeyID
	made, err := alice.CreateAccessKey(bg, CreateAccessKeyInput{}) // for herself
	ok(t, err)
	k := made.AccessKey
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(k.AccessKeyID) || k.AccessKeyID == first ||
		!regexp.MustCompile(`^[A-Za-z0-9+/]{40}$`).MatchString(k.SecretAccessKey) || k.Status != "Active" || k.UserName != "alice" {
		t.Errorf("%+v", k)
	}
	second := signIn(t, s, k.AccessKeyID, k.SecretAccessKey, "")

	update := func(status string) {
		t.Helper()
		ok(t, only(c.UpdateAccessKey(bg, UpdateAccessKeyInput{"alice", k.AccessKeyID, status})))
	}
	listed := func(want string) {
		t.Helper()
		out, err := c.ListAccessKeys(bg, ListAccessKeysInput{UserName: "alice"})
		ok(t, err)
		status := map[string]string{}
		for _, m := range out.AccessKeyMetadata {
			status[m.AccessKeyID] = m.Status
			if m.UserName != "alice" || !m.CreateDate.Equal(k.CreateDate.Time) {
				t.Errorf("%+v", m)
			}
		}
		if len(status) != 1+min(1, len(want)) || status[first] != "Active" || status[k.AccessKeyID] != want {
			t.Errorf("listed: %v, want the second %q", status, want)
		}
	}
	const withdrawn = "The security token included in the request is invalid."
	try := func() error { return only(second.ListKeys(bg, ListKeysInput{})) }

	listed("Active")
	ok(t, try())
	update("Inactive")
	listed("Inactive")
	refused(t, try(), "UnrecognizedClientException", withdrawn)
	update("Active")
	ok(t, try())
	ok(t, only(second.DeleteAccessKey(bg, DeleteAccessKeyInput{AccessKeyID: k.AccessKeyID}))) // itself
	listed("")
	refused(t, try(), "UnrecognizedClientException", withdrawn)
	ok(t, only(alice.ListKeys(bg, ListKeysInput{})))
}

// What is secret is nowhere in the files of the store, nor in the audit log.
func TestSecretsStaySecret(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	ok(t, only(c.CreateUser(bg, CreateUserInput{UserName: "alice"})))
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	key, err := c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "alice"})
	ok(t, err)
	session, err := c.AssumeRole(bg, AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"})
	ok(t, err)
	signIn(t, s, key.AccessKey.AccessKeyID, key.AccessKey.SecretAccessKey, "")

	secrets := []string{key.AccessKey.SecretAccessKey, session.Credentials.SecretAccessKey, session.Credentials.SessionToken}
	for _, text := range secrets {
		raw, err := base64.StdEncoding.DecodeString(text)
		ok(t, err)
		secrets = append(secrets, string(raw), strings.ReplaceAll(text, "/", `\/`))
	}
	var log []byte
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		line, err := json.Marshal(r.Event)
		ok(t, err)
		log = append(log, line...)
	}
	content := map[string][]byte{"audit log": log}
	for _, name := range []string{dbName, dbName + "-wal"} {
		content[name], err = os.ReadFile(filepath.Join(s.Dir(), name))
		ok(t, err)
	}
	for where, b := range content {
		for _, secret := range secrets {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s has the secret %q", where, secret)
			}
		}
	}
	// The search would find them: it finds what is not secret.
	all := bytes.Join([][]byte{content[dbName], content[dbName+"-wal"]}, nil)
	for _, id := range []string{key.AccessKey.AccessKeyID, session.Credentials.AccessKeyID} {
		if !bytes.Contains(all, []byte(id)) || !bytes.Contains(log, []byte(id)) {
			t.Errorf("access key id %s is not found", id)
		}
	}
}

// A sealed secret opens for its access key and user only.
func TestSealedSecret(t *testing.T) {
	root := rootKey{1}
	sealed := root.sealSecret("AKIA1", "alice", "secret")
	if got, err := root.openSecret("AKIA1", "alice", sealed); got != "secret" || err != nil {
		t.Errorf("opens as %q, %v", got, err)
	}
	for _, test := range []struct {
		root     rootKey
		id, user string
	}{{rootKey{2}, "AKIA1", "alice"}, {root, "AKIA2", "alice"}, {root, "AKIA1", "bob"}} {
		if _, err := test.root.openSecret(test.id, test.user, sealed); err == nil {
			t.Errorf("opens for %+v", test)
		}
	}
}
