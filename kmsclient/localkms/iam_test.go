package localkms

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient/localkms/shape"
)

const allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

// newUser makes a user, with a policy unless it is "", and gives him the store by
// an access key of his.
func newUser(t testing.TB, s *Store, name, document string) *Client {
	t.Helper()
	root := s.ClientFor(Caller{Principal: Root})
	ok(t, only(root.CreateUser(bg, CreateUserInput{UserName: name})))
	if document != "" {
		ok(t, only(root.PutUserPolicy(bg, PutUserPolicyInput{UserName: name, PolicyName: "test", PolicyDocument: document})))
	}
	out, err := root.CreateAccessKey(bg, CreateAccessKeyInput{UserName: name})
	ok(t, err)
	return signIn(t, s, out.AccessKey.AccessKeyID, out.AccessKey.SecretAccessKey, "")
}

// signIn gives the store to whoever an access key is of, as a server does.
func signIn(t testing.TB, s *Store, id, secret, token string) *Client {
	t.Helper()
	got, p, err := s.Authenticate(bg, id, token)
	ok(t, err)
	if got != secret {
		t.Fatalf("secret of %s: %q, want %q", id, got, secret)
	}
	return s.ClientFor(Caller{Principal: p, AccessKeyID: id, SourceIP: "192.0.2.1"})
}

func TestUsersAndRoles(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now, Account: "123456789012"})
	c := s.ClientFor(Caller{Principal: Root})
	made, err := c.CreateUser(bg, CreateUserInput{UserName: "alice"})
	ok(t, err)
	u := made.User
	if !regexp.MustCompile(`^AIDA[A-Z2-7]{17}$`).MatchString(u.UserID) {
		t.Errorf("user id %q", u.UserID)
	}
	want := User{
		Path: "/", UserName: "alice", UserID: u.UserID, Arn: "arn:aws:iam::123456789012:user/alice",
		CreateDate: shape.Time{Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
	}
	got, err := c.GetUser(bg, GetUserInput{UserName: "alice"})
	ok(t, err)
	if diff := cmp.Diff([]User{want, want}, []User{u, got.User}); diff != "" {
		t.Error(diff)
	}
	role, err := c.CreateRole(bg, CreateRoleInput{RoleName: "app", MaxSessionDuration: new(7200)})
	ok(t, err)
	r := role.Role
	if !regexp.MustCompile(`^AROA[A-Z2-7]{17}$`).MatchString(r.RoleID) {
		t.Errorf("role id %q", r.RoleID)
	}
	wantRole := Role{
		Path: "/", RoleName: "app", RoleID: r.RoleID, Arn: "arn:aws:iam::123456789012:role/app", CreateDate: want.CreateDate,
		AssumeRolePolicyDocument: defaultTrust("123456789012"), MaxSessionDuration: 7200,
	}
	gotRole, err := c.GetRole(bg, GetRoleInput{RoleName: "app"})
	ok(t, err)
	if diff := cmp.Diff([]Role{wantRole, wantRole}, []Role{r, gotRole.Role}); diff != "" {
		t.Error(diff)
	}
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + u.Arn + `"},"Action":"sts:AssumeRole"}}`
	ok(t, only(c.UpdateAssumeRolePolicy(bg, UpdateAssumeRolePolicyInput{RoleName: "app", PolicyDocument: trust})))
	if gotRole, err = c.GetRole(bg, GetRoleInput{RoleName: "app"}); err != nil || gotRole.Role.AssumeRolePolicyDocument != trust {
		t.Errorf("trust policy %s, %v; want %s", gotRole.Role.AssumeRolePolicyDocument, err, trust)
	}
	ok(t, only(c.DeleteUser(bg, DeleteUserInput{UserName: "alice"})))
	again, err := c.CreateUser(bg, CreateUserInput{UserName: "alice"})
	ok(t, err)
	if again.User.UserID == u.UserID {
		t.Error("a user made anew has the old id")
	}
	ok(t, only(c.DeleteRole(bg, DeleteRoleInput{RoleName: "app"})))
	users, err := c.ListUsers(bg, ListUsersInput{})
	ok(t, err)
	roles, err := c.ListRoles(bg, ListRolesInput{})
	ok(t, err)
	if len(users.Users) != 1 || len(roles.Roles) != 0 {
		t.Errorf("left are %v and %v", users.Users, roles.Roles)
	}
}

// What each operation says to a bad request, in AWS's words.
func TestIAMRefusals(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", allowAll)
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	const (
		noUser     = "The user with name bob cannot be found."
		noRole     = "The role with name bob cannot be found."
		noKey      = "AKIAIOSFODNN7EXAMPLE"
		validation = "1 validation error detected: Value "
	)
	trust := func(principal string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"}}`
	}
	put := func(document string) error {
		return only(c.PutUserPolicy(bg, PutUserPolicyInput{UserName: "alice", PolicyName: "p", PolicyDocument: document}))
	}
	for name, test := range map[string]struct {
		err           error
		code, message string
	}{
		"user exists":    {only(c.CreateUser(bg, CreateUserInput{UserName: "alice"})), "EntityAlreadyExists", "User with name alice already exists."},
		"but for case":   {only(c.CreateUser(bg, CreateUserInput{UserName: "ALICE"})), "EntityAlreadyExists", "User with name ALICE already exists."},
		"role exists":    {only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})), "EntityAlreadyExists", "Role with name app already exists."},
		"get user":       {only(c.GetUser(bg, GetUserInput{UserName: "bob"})), "NoSuchEntity", noUser},
		"get role":       {only(c.GetRole(bg, GetRoleInput{RoleName: "bob"})), "NoSuchEntity", noRole},
		"role, not user": {only(c.GetUser(bg, GetUserInput{UserName: "app"})), "NoSuchEntity", "The user with name app cannot be found."},
		"delete user":    {only(c.DeleteUser(bg, DeleteUserInput{UserName: "bob"})), "NoSuchEntity", noUser},
		"delete role":    {only(c.DeleteRole(bg, DeleteRoleInput{RoleName: "bob"})), "NoSuchEntity", noRole},
		"in use":         {only(c.DeleteUser(bg, DeleteUserInput{UserName: "alice"})), "DeleteConflict", "Cannot delete entity, must delete access keys first."},
		"trust of none": {
			only(c.UpdateAssumeRolePolicy(bg, UpdateAssumeRolePolicyInput{RoleName: "bob", PolicyDocument: trust("*")})), "NoSuchEntity", noRole,
		},
		"trust in nobody": {
			only(c.CreateRole(bg, CreateRoleInput{RoleName: "x", AssumeRolePolicyDocument: trust(userARN(s.account, "bob"))})),
			"MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::000000000000:user/bob"`,
		},
		"no trust policy": {
			only(c.CreateRole(bg, CreateRoleInput{RoleName: "x", AssumeRolePolicyDocument: allowAll})),
			"MalformedPolicyDocument", "statement 1: Resource: is not an element of a statement in a trust policy",
		},
		"no policy":        {put(trust("*")), "MalformedPolicyDocument", "statement 1: Principal: is not an element of a statement in a identity policy"},
		"policy of none":   {only(c.PutUserPolicy(bg, PutUserPolicyInput{UserName: "bob", PolicyName: "p", PolicyDocument: allowAll})), "NoSuchEntity", noUser},
		"no such policy":   {only(c.GetUserPolicy(bg, GetUserPolicyInput{"alice", "p"})), "NoSuchEntity", "The user policy with name p cannot be found."},
		"delete none":      {only(c.DeleteRolePolicy(bg, DeleteRolePolicyInput{"app", "p"})), "NoSuchEntity", "The role policy with name p cannot be found."},
		"key of none":      {only(c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "bob"})), "NoSuchEntity", noUser},
		"key of whom":      {only(c.CreateAccessKey(bg, CreateAccessKeyInput{})), "ValidationError", "Must specify userName when calling with non-User credentials"},
		"no such key":      {only(alice.DeleteAccessKey(bg, DeleteAccessKeyInput{AccessKeyID: noKey})), "NoSuchEntity", "The Access Key with id " + noKey + " cannot be found"},
		"not his key":      {only(as(t, s, "user/carol", "").DeleteAccessKey(bg, DeleteAccessKeyInput{AccessKeyID: alice.caller.AccessKeyID})), "NoSuchEntity", "The Access Key with id " + alice.caller.AccessKeyID + " cannot be found"},
		"status":           {only(alice.UpdateAccessKey(bg, UpdateAccessKeyInput{AccessKeyID: noKey, Status: "On"})), "ValidationError", validation + "'On' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]"},
		"user name":        {only(c.CreateUser(bg, CreateUserInput{UserName: "a b"})), "ValidationError", validation + `'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+`},
		"no name":          {only(c.CreateUser(bg, CreateUserInput{})), "ValidationError", "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"},
		"session of a day": {only(c.CreateRole(bg, CreateRoleInput{RoleName: "x", MaxSessionDuration: new(86400)})), "ValidationError", validation + "'86400' at 'maxSessionDuration' failed to satisfy constraint: Member must have value less than or equal to 43200"},
		"path":             {only(c.CreateUser(bg, CreateUserInput{UserName: "x", Path: "/staff/"})), "UnsupportedOperationException", "The Path parameter is not supported."},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.err, test.code, test.message) })
	}
}

// Every operation asks for its own permission, on the ARN of what it is about.
func TestIAMPermissions(t *testing.T) {
	s := newStore(t, Options{})
	newUser(t, s, "alice", "")
	ok(t, only(s.ClientFor(Caller{Principal: Root}).CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	const key = "AKIAIOSFODNN7EXAMPLE"
	user, role := "arn:aws:iam::000000000000:user/", "arn:aws:iam::000000000000:role/"
	for op, test := range map[string]struct {
		resource string
		call     func(*Client) error
	}{
		"CreateUser": {user + "eve", func(c *Client) error { return only(c.CreateUser(bg, CreateUserInput{UserName: "eve"})) }},
		"GetUser":    {user + "alice", func(c *Client) error { return only(c.GetUser(bg, GetUserInput{UserName: "alice"})) }},
		"ListUsers":  {user, func(c *Client) error { return only(c.ListUsers(bg, ListUsersInput{})) }},
		"DeleteUser": {user + "eve", func(c *Client) error { return only(c.DeleteUser(bg, DeleteUserInput{UserName: "eve"})) }},
		"CreateRole": {role + "eve", func(c *Client) error { return only(c.CreateRole(bg, CreateRoleInput{RoleName: "eve"})) }},
		"GetRole":    {role + "app", func(c *Client) error { return only(c.GetRole(bg, GetRoleInput{RoleName: "app"})) }},
		"ListRoles":  {role, func(c *Client) error { return only(c.ListRoles(bg, ListRolesInput{})) }},
		"DeleteRole": {role + "eve", func(c *Client) error { return only(c.DeleteRole(bg, DeleteRoleInput{RoleName: "eve"})) }},
		"UpdateAssumeRolePolicy": {role + "app", func(c *Client) error {
			return only(c.UpdateAssumeRolePolicy(bg, UpdateAssumeRolePolicyInput{"app", defaultTrust(s.account)}))
		}},
		"PutUserPolicy":    {user + "alice", func(c *Client) error { return only(c.PutUserPolicy(bg, PutUserPolicyInput{"alice", "p", allowAll})) }},
		"GetUserPolicy":    {user + "alice", func(c *Client) error { return only(c.GetUserPolicy(bg, GetUserPolicyInput{"alice", "p"})) }},
		"ListUserPolicies": {user + "alice", func(c *Client) error { return only(c.ListUserPolicies(bg, ListUserPoliciesInput{UserName: "alice"})) }},
		"DeleteUserPolicy": {user + "alice", func(c *Client) error { return only(c.DeleteUserPolicy(bg, DeleteUserPolicyInput{"alice", "p"})) }},
		"PutRolePolicy":    {role + "app", func(c *Client) error { return only(c.PutRolePolicy(bg, PutRolePolicyInput{"app", "p", allowAll})) }},
		"GetRolePolicy":    {role + "app", func(c *Client) error { return only(c.GetRolePolicy(bg, GetRolePolicyInput{"app", "p"})) }},
		"ListRolePolicies": {role + "app", func(c *Client) error { return only(c.ListRolePolicies(bg, ListRolePoliciesInput{RoleName: "app"})) }},
		"DeleteRolePolicy": {role + "app", func(c *Client) error { return only(c.DeleteRolePolicy(bg, DeleteRolePolicyInput{"app", "p"})) }},
		"CreateAccessKey":  {user + "alice", func(c *Client) error { return only(c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "alice"})) }},
		"ListAccessKeys":   {user + "alice", func(c *Client) error { return only(c.ListAccessKeys(bg, ListAccessKeysInput{UserName: "alice"})) }},
		"UpdateAccessKey": {user + "alice", func(c *Client) error {
			return only(c.UpdateAccessKey(bg, UpdateAccessKeyInput{"alice", key, "Active"}))
		}},
		"DeleteAccessKey": {user + "alice", func(c *Client) error { return only(c.DeleteAccessKey(bg, DeleteAccessKeyInput{"alice", key})) }},
	} {
		bob := as(t, s, "user/bob", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`)
		refused(t, test.call(bob), "AccessDenied", fmt.Sprintf("User: arn:aws:iam::000000000000:user/bob is not authorized to perform: "+
			"iam:%[1]s on resource: %[2]s because no identity-based policy allows the iam:%[1]s action", op, test.resource))
		bob = as(t, s, "user/bob", fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:%s","Resource":%q}}`, op, test.resource))
		if err := test.call(bob); err != nil && !strings.Contains(err.Error(), "cannot be found") {
			t.Errorf("%s with permission: %v", op, err)
		}
	}
	for name := range iamOperations {
		if (eventSource(name) == "iam.amazonaws.com") == (name == "AssumeRole" || name == "GetCallerIdentity") {
			t.Errorf("%s is of %s", name, eventSource(name))
		}
	}
}
