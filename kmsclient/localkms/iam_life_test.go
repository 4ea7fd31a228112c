package localkms

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"kmsfs/kmsclient/localkms/shape"
)

// A user with keys or policies stays; one that goes takes the grants along, and
// who gets the name next finds none of it, but what key policies say of the name.
func TestDeletedUser(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", "")
	newUser(t, s, "alice2", "")
	byGrant, byPolicy := newKey(t, c), newKey(t, c)
	for _, name := range []string{"alice", "alice2"} {
		ok(t, only(c.CreateGrant(bg, CreateGrantInput{KeyID: byGrant, GranteePrincipal: arnUser + name, Operations: []string{"Encrypt"}})))
	}
	ok(t, putPolicy(c, byPolicy, rules(delegated, rule("Allow", arnUser+"alice", "kms:Encrypt", ""))))
	ok(t, encrypt(alice, byGrant, nil))
	ok(t, only(c.PutUserPolicy(bg, PutUserPolicyInput{"alice", "p", allowAll})))

	deletion := DeleteUserInput{UserName: "alice"}
	refused(t, only(c.DeleteUser(bg, deletion)), "DeleteConflict", "Cannot delete entity, must delete access keys first.")
	ok(t, only(alice.DeleteAccessKey(bg, DeleteAccessKeyInput{AccessKeyID: alice.caller.AccessKeyID})))
	refused(t, only(c.DeleteUser(bg, deletion)), "DeleteConflict", "Cannot delete entity, must delete policies first.")
	ok(t, only(c.DeleteUserPolicy(bg, DeleteUserPolicyInput{"alice", "p"})))
	ok(t, only(c.DeleteUser(bg, deletion)))

	alice = newUser(t, s, "alice", "")
	wantCode(t, "by the grant to the old alice", encrypt(alice, byGrant, nil), denied)
	ok(t, encrypt(alice, byPolicy, nil))
	ok(t, encrypt(clientOf(t, s, "user/alice2"), byGrant, nil))

	var ends []string
	for r, err := range s.AuditEvents(bg, AuditFilter{KeyID: byGrant, Operation: "RevokeGrant"}) {
		ok(t, err)
		ends = append(ends, fmt.Sprintf("%s %s", r.Event.UserIdentity.Type, r.Event.RequestParameters))
	}
	if want := regexp.MustCompile(`^Root {"keyId":"` + byGrant + `","grantId":"[0-9a-f]{64}"}$`); len(ends) != 1 || !want.MatchString(ends[0]) {
		t.Errorf("recorded of the grant's end: %q", ends)
	}
}

// The grants of a role's sessions, in all Regions, end with the role.
func TestDeletedRole(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	far := s.ClientFor(Caller{Principal: Root, Region: "eu-west-1"})
	for _, name := range []string{"app", "app2"} {
		ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: name})))
	}
	key, farKey := newKey(t, c), newKey(t, far)
	for _, g := range []struct {
		*Client
		key, arn string
	}{
		{c, key, arnRole + "app"}, {c, key, arnSession + "app/one"}, {c, key, arnSession + "app2/one"},
		{far, farKey, arnRole + "app2"}, {far, farKey, arnSession + "app/two"},
	} {
		ok(t, only(g.CreateGrant(bg, CreateGrantInput{KeyID: g.key, GranteePrincipal: g.arn, Operations: []string{"DescribeKey"}})))
	}
	ok(t, only(c.DeleteRole(bg, DeleteRoleInput{RoleName: "app"})))
	var left []string
	for _, k := range []struct {
		*Client
		key string
	}{{c, key}, {far, farKey}} {
		out, err := k.ListGrants(bg, ListGrantsInput{KeyID: k.key})
		ok(t, err)
		for _, g := range out.Grants {
			left = append(left, g.GranteePrincipal)
		}
		n := 0
		for r, err := range s.AuditEvents(bg, AuditFilter{KeyID: k.key, Operation: "RevokeGrant"}) {
			ok(t, err)
			if r.Event.AWSRegion != strings.Split(k.key, ":")[3] {
				t.Errorf("grant of %s ended in %s", k.key, r.Event.AWSRegion)
			}
			n++
		}
		if want := map[string]int{key: 2, farKey: 1}[k.key]; n != want {
			t.Errorf("%d grants of %s ended, want %d", n, k.key, want)
		}
	}
	if want := arnSession + "app2/one " + arnRole + "app2"; strings.Join(left, " ") != want {
		t.Errorf("left are %q, want %s", left, want)
	}
	_, err := s.VerifyAudit(bg)
	ok(t, err)
}

// A user of the local user's name decides what the local user may do, at once.
func TestLocalUserInStore(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	name := LocalUser().name
	ok(t, only(c.CreateUser(bg, CreateUserInput{UserName: name})))
	wantCode(t, "user without policies", encrypt(c, key, nil), denied)
	wantCode(t, "giving oneself a policy", only(c.PutUserPolicy(bg, PutUserPolicyInput{name, "p", allowAll})), "AccessDenied")
	root := s.ClientFor(Caller{Principal: Root})
	ok(t, only(root.PutUserPolicy(bg, PutUserPolicyInput{name, "p", allowAll})))
	ok(t, encrypt(c, key, nil))
	ok(t, only(c.DeleteUserPolicy(bg, DeleteUserPolicyInput{name, "p"})))
	ok(t, only(root.DeleteUser(bg, DeleteUserInput{UserName: name})))
	ok(t, encrypt(c, key, nil))
}

func TestIAMPaging(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	for i := range 5 {
		name := fmt.Sprint("n", i)
		ok(t, only(c.CreateUser(bg, CreateUserInput{UserName: name})))
		ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: name})))
		ok(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{"n0", name, allowAll})))
		ok(t, only(c.PutUserPolicy(bg, PutUserPolicyInput{"n0", name, allowAll})))
		if i < 2 {
			ok(t, only(c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "n0"})))
		}
	}
	for name, list := range map[string]func(IAMPage) ([]string, IAMMore, error){
		"users": func(p IAMPage) (names []string, _ IAMMore, _ error) {
			out, err := c.ListUsers(bg, ListUsersInput{IAMPage: p})
			for _, u := range out.Users {
				names = append(names, u.UserName)
			}
			return names, out.IAMMore, err
		},
		"roles": func(p IAMPage) (names []string, _ IAMMore, _ error) {
			out, err := c.ListRoles(bg, ListRolesInput{IAMPage: p})
			for _, r := range out.Roles {
				names = append(names, r.RoleName)
			}
			return names, out.IAMMore, err
		},
		"role policies": func(p IAMPage) ([]string, IAMMore, error) {
			out, err := c.ListRolePolicies(bg, ListRolePoliciesInput{"n0", p})
			return out.PolicyNames, out.IAMMore, err
		},
		"user policies": func(p IAMPage) ([]string, IAMMore, error) {
			out, err := c.ListUserPolicies(bg, ListUserPoliciesInput{"n0", p})
			return out.PolicyNames, out.IAMMore, err
		},
		"access keys": func(p IAMPage) (names []string, _ IAMMore, _ error) {
			out, err := c.ListAccessKeys(bg, ListAccessKeysInput{"n0", p})
			for _, k := range out.AccessKeyMetadata {
				names = append(names, k.AccessKeyID)
			}
			return names, out.IAMMore, err
		},
	} {
		whole, more, err := list(IAMPage{})
		ok(t, err)
		if more != (IAMMore{}) || len(whole) != map[bool]int{true: 2, false: 5}[name == "access keys"] {
			t.Errorf("%s: %q, %+v", name, whole, more)
		}
		var parts []string
		for p := (IAMPage{MaxItems: new(1)}); ; p.Marker = more.Marker {
			var part []string
			part, more, err = list(p)
			ok(t, err)
			if len(part) != 1 || more.IsTruncated != (more.Marker != "") {
				t.Fatalf("%s: a part of %d, %+v", name, len(part), more)
			}
			if parts = append(parts, part...); !more.IsTruncated {
				break
			}
		}
		if strings.Join(parts, " ") != strings.Join(whole, " ") {
			t.Errorf("%s in parts: %q, want %q", name, parts, whole)
		}
	}
}

func TestIAMQuotas(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	fill := func(kind principalKind, n int) {
		ok(t, s.writer.submit(bg, func(t *tx) error {
			for i := range n {
				if err := t.exec("INSERT INTO principal VALUES (?, ?, ?, '{}', 3600, 0)", kind.String(), fmt.Sprint("n", i), fmt.Sprint(kind, i)); err != nil {
					return err
				}
			}
			return t.iamChanged()
		}))
	}
	fill(kindUser, maxUsers-1)
	fill(kindRole, maxRoles-1)
	ok(t, only(c.CreateUser(bg, CreateUserInput{UserName: "last"})))
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "last"})))
	refused(t, only(c.CreateUser(bg, CreateUserInput{UserName: "more"})), "LimitExceeded", "Cannot exceed quota for UsersPerAccount: 5000")
	refused(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "more"})), "LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1000")
	for range maxAccessKeys {
		ok(t, only(c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "last"})))
	}
	refused(t, only(c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "last"})), "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")

	// Policies: white space does not count, and a policy does not count twice when
	// it is replaced.
	sized := func(n int) string {
		const frame = `{"Version":"2012-10-17","Statement":{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", n-len(frame))+`"`, 1)
	}
	put := func(name, document string) error {
		return only(c.PutUserPolicy(bg, PutUserPolicyInput{"last", name, document}))
	}
	ok(t, put("a", sized(1000)))
	ok(t, put("b", sized(1048)))
	ok(t, put("b", strings.Repeat(" \n", 1000)+sized(1048)))
	refused(t, put("b", sized(1049)), "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user last")
	refused(t, put("c", sized(100)), "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user last")
	ok(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{"last", "a", sized(10240)})))
	refused(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{"last", "b", sized(100)})), "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role last")
	trust := strings.Replace(defaultTrust(s.account), `"Effect"`, `"Sid":"`+strings.Repeat("x", 2000)+`","Effect"`, 1)
	refused(t, only(c.UpdateAssumeRolePolicy(bg, UpdateAssumeRolePolicyInput{"last", trust})), "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048")
}

// The names that requests admit are those that ARNs and ParsePrincipal do.
func FuzzUserName(f *testing.F) {
	for _, name := range []string{"", "alice", "a b", "a/b", "a:b", "+=,.@_-", "é", "a\n", strings.Repeat("x", 64), strings.Repeat("x", 65)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		admitted := shape.Validate(&CreateUserInput{UserName: name}) == nil && shape.Validate(&CreateRoleInput{RoleName: name}) == nil
		if admitted != validName(name) {
			t.Fatalf("%q: admitted in a request %v, valid %v", name, admitted, validName(name))
		}
		if !admitted {
			return
		}
		for _, text := range []string{"user/" + name, "role/" + name} {
			if p, err := ParsePrincipal(text); err != nil || p.String() != text {
				t.Errorf("%s is read as %s, %v", text, p, err)
			}
		}
	})
}
