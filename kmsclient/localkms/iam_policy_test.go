package localkms

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient/localkms/shape"
)

// Who may encrypt: key policy, identity policy of the user or of the session's
// role, and what they say together.
func TestKeyAndIdentityPolicies(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", "")
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	session := assume(t, s, s.Client(), AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"})
	key := newKey(t, c)
	const allow, deny = "Allow", "Deny"
	identity := func(effect, resource string) string {
		if effect == "" {
			return noKMS
		}
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":%q,"Action":"kms:Encrypt","Resource":%q}}`, effect, resource)
	}
	manage := rule("Allow", arnRoot, "kms:PutKeyPolicy", "")
	for name, test := range map[string]struct {
		statement string // of the key policy, %s for the principal
		identity  string
		allowed   bool
	}{
		"nothing":                       {manage, noKMS, false},
		"identity alone":                {manage, identity(allow, "*"), false},
		"delegated":                     {delegated, identity(allow, "*"), true},
		"delegated, this key":           {delegated, identity(allow, key), true},
		"delegated, another key":        {delegated, identity(allow, strings.Replace(key, key[len(key)-4:], "0000", 1)), false},
		"delegated to nobody":           {delegated, noKMS, false},
		"named":                         {rule(allow, "%s", "kms:Encrypt", ""), noKMS, true},
		"named for other things":        {rule(allow, "%s", "kms:Decrypt", ""), noKMS, false},
		"named, denied by identity":     {rule(allow, "%s", "kms:Encrypt", ""), identity(deny, "*"), false},
		"delegated, denied by key":      {delegated + "," + rule(deny, "%s", "kms:Encrypt", ""), identity(allow, "*"), false},
		"everybody":                     {rule(allow, "*", "kms:Encrypt", ""), noKMS, true},
		"everybody, but with a context": {rule(allow, "*", "kms:Encrypt", `{"StringEquals":{"kms:EncryptionContext:a":"b"}}`), noKMS, false},
	} {
		document := test.identity
		ok(t, only(c.PutUserPolicy(bg, PutUserPolicyInput{"alice", "p", document})))
		ok(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{"app", "p", document})))
		for principal, caller := range map[string]*Client{arnUser + "alice": alice, arnRole + "app": session, arnSession + "app/s1": session} {
			ok(t, putPolicy(c, key, rules(manage, strings.ReplaceAll(test.statement, "%s", principal))))
			want := denied
			if test.allowed {
				want = ""
			}
			wantCode(t, fmt.Sprintf("%s, %s", name, principal), encrypt(caller, key, nil), want)
		}
	}
}

func TestKeyPolicy(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	admin, user := newUser(t, s, "admin", ""), newUser(t, s, "user", "")
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	app := assume(t, s, s.Client(), AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"})
	principals := func(names ...string) (list []Principal) {
		for _, name := range names {
			p, err := ParsePrincipal(name)
			ok(t, err)
			list = append(list, p)
		}
		return list
	}
	document, err := c.KeyPolicy(principals("user/admin"), principals("user/user", "role/app"), false)
	ok(t, err)
	key := newKey(t, c)
	ok(t, only(c.PutKeyPolicy(bg, PutKeyPolicyInput{KeyID: key, Policy: string(document), BypassPolicyLockoutSafetyCheck: true})))
	for who, test := range map[string]struct {
		*Client
		use, manage string
	}{"admin": {admin, denied, ""}, "user": {user, "", denied}, "app": {app, "", denied}, "account": {c, denied, denied}} {
		wantCode(t, who+" uses the key", encrypt(test.Client, key, nil), test.use)
		wantCode(t, who+" manages the key", only(test.UpdateKeyDescription(bg, UpdateKeyDescriptionInput{KeyID: key, Description: who})), test.manage)
	}
	document, err = c.KeyPolicy(principals("user/admin"), nil, true) // and the account again
	ok(t, err)
	ok(t, putPolicy(admin, key, string(document)))
	document, err = c.KeyPolicy(nil, principals("user/user"), true)
	ok(t, err)
	ok(t, putPolicy(c, key, string(document)))
	wantCode(t, "no administrator any more", putPolicy(admin, key, string(document)), denied)

	for name, err := range map[string]error{
		"nobody could manage": only(c.KeyPolicy(nil, principals("user/user"), false)),
		"root is no user":     only(c.KeyPolicy(principals("root"), nil, true)),
		"nobody is no user":   only(c.KeyPolicy(nil, []Principal{{}}, true)),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every operation leaves a record: whose it is, whether it changes anything, and
// what it was asked, but for secrets.
func TestIAMAudit(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	ok(t, only(c.CreateUser(bg, CreateUserInput{UserName: "bob"})))
	key, err := c.CreateAccessKey(bg, CreateAccessKeyInput{UserName: "bob"})
	ok(t, err)
	id := key.AccessKey.AccessKeyID
	n := uint64(2)
	all := map[string]bool{}
	document := `"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}`
	inline := `"policyName":"p","policyDocument":` + fmt.Sprintf("%q", "{"+document+"}")
	for _, test := range []struct {
		op, request string
		readOnly    bool
	}{
		{"CreateUser", `{"userName":"alice"}`, false},
		{"CreateRole", `{"roleName":"app"}`, false},
		{"GetUser", `{"userName":"alice"}`, true},
		{"GetRole", `{"roleName":"app"}`, true},
		{"ListUsers", `{"maxItems":1}`, true},
		{"ListRoles", ``, true},
		{"PutUserPolicy", `{"userName":"alice",` + inline + `}`, false},
		{"PutRolePolicy", `{"roleName":"app",` + inline + `}`, false},
		{"GetUserPolicy", `{"userName":"alice","policyName":"p"}`, true},
		{"GetRolePolicy", `{"roleName":"app","policyName":"p"}`, true},
		{"ListUserPolicies", `{"userName":"alice"}`, true},
		{"ListRolePolicies", `{"roleName":"app"}`, true},
		{"DeleteUserPolicy", `{"userName":"alice","policyName":"p"}`, false},
		{"DeleteRolePolicy", `{"roleName":"app","policyName":"p"}`, false},
		{"CreateAccessKey", `{"userName":"bob"}`, false},
		{"ListAccessKeys", `{"userName":"bob"}`, true},
		{"UpdateAccessKey", `{"userName":"bob","accessKeyId":"` + id + `","status":"Inactive"}`, false},
		{"DeleteAccessKey", `{"userName":"bob","accessKeyId":"` + id + `"}`, false},
		{"GetCallerIdentity", ``, true},
		{"AssumeRole", `{"roleArn":"` + arnRole + `app","roleSessionName":"s1","durationSeconds":900}`, true},
		{"UpdateAssumeRolePolicy", `{"roleName":"app","policyDocument":` + fmt.Sprintf("%q", defaultTrust(s.account)) + `}`, false},
		{"DeleteRole", `{"roleName":"app"}`, false},
		{"DeleteUser", `{"userName":"alice"}`, false},
	} {
		o := iamOperations[test.op]
		in := reflect.New(o.Input).Interface()
		ok(t, shape.Decode([]byte(capitalised(test.request)), in))
		ok(t, only(o.Invoke(bg, c.API, in)))
		all[test.op] = true
		var got []Event
		for r, err := range s.AuditEvents(bg, AuditFilter{After: n}) {
			ok(t, err)
			got = append(got, r.Event)
		}
		n++
		if len(got) != 1 {
			t.Fatalf("%s: %d records", test.op, len(got))
		}
		e, source := got[0], "iam.amazonaws.com"
		if slices.Contains([]string{"AssumeRole", "GetCallerIdentity"}, test.op) {
			source = "sts.amazonaws.com"
		}
		if diff := cmp.Diff([]any{test.op, source, test.readOnly, test.request, "IAMUser", ""},
			[]any{e.EventName, e.EventSource, e.ReadOnly, string(e.RequestParameters), e.UserIdentity.Type, e.ErrorCode}); diff != "" {
			t.Errorf("%s: %s", test.op, diff)
		}
		changed := !test.readOnly && !strings.HasPrefix(test.op, "Delete") && !strings.HasPrefix(test.op, "Put") && !strings.HasPrefix(test.op, "Update")
		if (len(e.ResponseElements) > 0) != (changed || test.op == "AssumeRole") {
			t.Errorf("%s: the record shows the answer %s", test.op, e.ResponseElements)
		}
	}
	if len(all) != len(iamOperations) || len(IAMOperations()) != len(iamOperations) {
		t.Errorf("%d operations tested, of %d", len(all), len(iamOperations))
	}
}

// capitalised is the request of which a record shows these parameters.
func capitalised(parameters string) string {
	for _, name := range []string{
		"userName", "roleName", "maxItems", "policyName", "policyDocument", "accessKeyId", "status", "roleArn", "roleSessionName", "durationSeconds",
	} {
		parameters = strings.ReplaceAll(parameters, `"`+name+`":`, `"`+strings.ToUpper(name[:1])+name[1:]+`":`)
	}
	return parameters
}
