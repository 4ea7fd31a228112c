package localkms

import (
	"fmt"
	"testing"
)

// What one process changes about users, policies and grants holds for another at
// its next operation. The other acts as the local user.
func TestIAMAcrossProcesses(t *testing.T) {
	dir := t.TempDir() + "/kms"
	p := startHelper(t, dir)
	if got := p.line(t); got != "ready" {
		t.Fatal(got)
	}
	root := openStore(t, dir, Options{}).ClientFor(Caller{Principal: Root})
	key := newKey(t, root)
	ask := func(what, want string) {
		t.Helper()
		fmt.Fprintln(p.in, key)
		if got := p.line(t); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	me := LocalUser().name
	const allowKMS = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:GenerateDataKey","Resource":"*"}}`
	ask("owner", "ok")
	ok(t, only(root.CreateUser(bg, CreateUserInput{UserName: me})))
	ask("user without policies", denied)
	ok(t, only(root.PutUserPolicy(bg, PutUserPolicyInput{me, "p", allowKMS})))
	ask("identity policy", "ok")
	ok(t, putPolicy(root, key, rules(rule("Allow", arnRoot, "kms:PutKeyPolicy", ""))))
	ask("key policy that leaves use to nobody", denied)
	ok(t, putPolicy(root, key, rules(delegated)))
	ok(t, only(root.DeleteUserPolicy(bg, DeleteUserPolicyInput{me, "p"})))
	ask("identity policy taken away", denied)
	grant, err := root.CreateGrant(bg, CreateGrantInput{KeyID: key, GranteePrincipal: arnUser + me, Operations: []string{"GenerateDataKey"}})
	ok(t, err)
	ask("grant", "ok")
	ok(t, only(root.RevokeGrant(bg, RevokeGrantInput{KeyID: key, GrantID: grant.GrantID})))
	ask("grant revoked", denied)
	ok(t, only(root.DeleteUser(bg, DeleteUserInput{UserName: me})))
	ask("owner again", "ok")
	p.end(t)
}
