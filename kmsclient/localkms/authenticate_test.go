package localkms

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/unlock"
)

const unknownToken = "The security token included in the request is invalid."

// Credentials that are none are refused alike, whatever is wrong with them.
func TestAuthenticateRefusals(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", allowAll)
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	session, err := alice.AssumeRole(bg, AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"})
	ok(t, err)
	made, err := alice.CreateAccessKey(bg, CreateAccessKeyInput{})
	ok(t, err)
	ok(t, only(alice.UpdateAccessKey(bg, UpdateAccessKeyInput{AccessKeyID: made.AccessKey.AccessKeyID, Status: "Inactive"})))
	user, temporary, token := alice.caller.AccessKeyID, session.Credentials.AccessKeyID, session.Credentials.SessionToken
	for _, test := range []struct{ id, token string }{
		{"", ""}, {"AKIA", ""}, {"AKIAAAAAAAAAAAAAAAAA", ""}, {strings.ToLower(user), ""}, {user + "\n", ""}, {"' OR 1 --", ""},
		{made.AccessKey.AccessKeyID, ""}, {user, token}, {user, "x"},
		{temporary, ""}, {temporary, "AQ=="}, {temporary, token[:len(token)-4]}, {temporary, "A" + token}, {"ASIAAAAAAAAAAAAAAAAA", token},
	} {
		secret, p, err := s.Authenticate(bg, test.id, test.token)
		refused(t, err, "UnrecognizedClientException", unknownToken)
		if secret != "" || p != (Principal{}) {
			t.Errorf("%q: secret %q of %v in spite of the refusal", test.id, secret, p)
		}
	}
	// Another store's session is none of this one's.
	_, _, err = newStore(t, Options{}).Authenticate(bg, temporary, token)
	refused(t, err, "UnrecognizedClientException", unknownToken)

	ctx, cancel := context.WithCancel(bg)
	cancel()
	if err := only2(s.Authenticate(ctx, "AKIABBBBBBBBBBBBBBBB", "")); !errors.Is(err, context.Canceled) || !errors.Is(err, kmsclient.ErrUnavailable) {
		t.Errorf("cancelled: %v", err)
	}
}

// What one process knows of an access key may be old; the operation is decided
// by what the store says now.
func TestStaleCredentials(t *testing.T) {
	s := newStore(t, Options{})
	other := openStore(t, s.Dir(), Options{}).ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", allowAll)
	id := alice.caller.AccessKeyID
	key := newKey(t, other)
	status := func(status string) {
		t.Helper()
		ok(t, only(other.UpdateAccessKey(bg, UpdateAccessKeyInput{"alice", id, status})))
	}
	try := func(c *Client) error { return encrypt(c, key, nil) }
	again := func() *Client {
		t.Helper()
		_, p, err := s.Authenticate(bg, id, "")
		ok(t, err)
		return s.ClientFor(Caller{Principal: p, AccessKeyID: id})
	}
	ok(t, try(alice))
	status("Inactive")
	refused(t, try(alice), "UnrecognizedClientException", unknownToken)
	refused(t, try(again()), "UnrecognizedClientException", unknownToken) // still known here
	refused(t, only(again().GetCallerIdentity(bg, GetCallerIdentityInput{})), "UnrecognizedClientException", unknownToken)
	refused(t, only(again().GetUser(bg, GetUserInput{})), "UnrecognizedClientException", unknownToken)
	refused(t, describe(again(), "alias/none")(), "UnrecognizedClientException", unknownToken) // nor does it learn what is there
	refused(t, describe(again(), "")(), "UnrecognizedClientException", unknownToken)
	for _, op := range []string{"Decrypt", "NoSuchOperation"} {
		refused(t, only(again().Call(bg, op, []byte("not JSON"))), "UnrecognizedClientException", unknownToken)
	}
	status("Active")
	ok(t, try(again()))
	ok(t, only(other.DeleteAccessKey(bg, DeleteAccessKeyInput{"alice", id})))
	refused(t, try(again()), "UnrecognizedClientException", unknownToken)

	// Another user of the name does not revive it.
	ok(t, only(other.DeleteUserPolicy(bg, DeleteUserPolicyInput{"alice", "test"})))
	ok(t, only(other.DeleteUser(bg, DeleteUserInput{UserName: "alice"})))
	refused(t, try(again()), "UnrecognizedClientException", unknownToken)
	newUser(t, s, "alice", allowAll)
	refused(t, try(again()), "UnrecognizedClientException", unknownToken)
}

// A secret that was edited in the database, or moved to another user, opens
// nothing.
func TestEditedSecret(t *testing.T) {
	for _, q := range []string{"UPDATE access_key SET user = 'bob'", "UPDATE access_key SET sealed = zeroblob(68)", "UPDATE access_key SET sealed = x''"} {
		s := newStore(t, Options{})
		c := s.ClientFor(Caller{Principal: Root})
		for _, name := range []string{"alice", "bob"} {
			ok(t, only(c.CreateUser(bg, CreateUserInput{UserName: name})))
		}
		out, err := c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "alice"})
		ok(t, err)
		_, err = s.db.Exec(q)
		ok(t, err)
		secret, _, err := s.Authenticate(bg, out.AccessKey.AccessKeyID, "")
		if !errors.Is(err, ErrDamaged) || secret != "" {
			t.Errorf("%s: secret %q, %v", q, secret, err)
		}
	}
}

// A store without its root key knows nobody, and gives nobody credentials.
func TestLockedStoreAuthenticatesNobody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms")
	secrets := unlock.Secrets{Passphrase: passphrase("correct horse")}
	s := openStore(t, dir, Options{Create: true, Method: cheap("correct horse"), Secrets: secrets})
	alice := newUser(t, s, "alice", allowAll)
	ok(t, only(alice.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	ok(t, s.Close())
	s = openStore(t, dir, Options{AllowLocked: true})
	c := s.Client()
	for what, err := range map[string]error{
		"Authenticate":    only2(s.Authenticate(bg, alice.caller.AccessKeyID, "")),
		"CreateAccessKey": only(c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "alice"})),
		"AssumeRole":      only(c.AssumeRole(bg, AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"})),
	} {
		if !errors.Is(err, kmsclient.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
		refused(t, err, errLocked.Code, errLocked.Message)
	}
	ok(t, only(c.UpdateAccessKey(bg, UpdateAccessKeyInput{"alice", alice.caller.AccessKeyID, "Inactive"})))
}

// Many requests at once get the right secrets, and the cache stays within bounds.
func TestAuthenticateConcurrently(t *testing.T) {
	s := newStore(t, Options{})
	var users []*Client
	for i := range 4 {
		users = append(users, newUser(t, s, fmt.Sprint("user", i), ""))
	}
	s.credentials.byID = nil
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			want := users[i%len(users)].caller
			_, p, err := s.Authenticate(bg, want.AccessKeyID, "")
			if err != nil || p != want.Principal {
				t.Errorf("%s is %v, %v; want %v", want.AccessKeyID, p, err, want.Principal)
			}
			_, _, err = s.Authenticate(bg, newAccessKeyID("AKIA"), "")
			refused(t, err, "UnrecognizedClientException", unknownToken)
		})
	}
	wg.Wait()
	if n := len(s.credentials.byID); n != len(users) {
		t.Errorf("%d credentials are kept, want %d", n, len(users))
	}
	for range maxCached + 1 {
		s.credentials.put(newAccessKeyID("AKIA"), credential{})
	}
	if n := len(s.credentials.byID); n > maxCached {
		t.Errorf("%d credentials are kept, more than %d", n, maxCached)
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	s := newStore(b, Options{})
	alice := newUser(b, s, "alice", allowAll)
	ok(b, only(alice.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	out, err := alice.AssumeRole(bg, AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"})
	ok(b, err)
	for name, c := range map[string][2]string{
		"user": {alice.caller.AccessKeyID}, "session": {out.Credentials.AccessKeyID, out.Credentials.SessionToken},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ok(b, only2(s.Authenticate(bg, c[0], c[1])))
			}
		})
	}
	b.Run("unknown", func(b *testing.B) {
		for b.Loop() {
			if only2(s.Authenticate(bg, "AKIAAAAAAAAAAAAAAAAA", "")) == nil {
				b.Fatal("let in")
			}
		}
	})
}
