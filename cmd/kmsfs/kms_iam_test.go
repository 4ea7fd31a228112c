package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/shape"
)

// The help says something about every verb and about no other, and each flag of
// the table is some verb's.
func TestHelpIsComplete(t *testing.T) {
	operations, members := map[string]bool{}, map[string]bool{}
	for _, op := range slices.Concat(localkms.Operations(), localkms.IAMOperations()) {
		if operations[op.Name] {
			t.Errorf("%s is two operations", op.Name)
		}
		operations[op.Name] = true
		if verbHelp[op.Name] == "" {
			t.Errorf("%s has no help", op.Name)
		}
		for m := range shape.Members(op.Input) {
			members[m.Name] = true
			if m.Kind == shape.List && !m.Unsupported && !slices.Contains(listFlags, kebab(m.Name)) {
				t.Errorf("--%s of %s is a list, and takes one value", kebab(m.Name), op.Name)
			}
		}
	}
	for _, table := range []map[string]string{verbHelp, verbLong} {
		for name := range table {
			if !operations[name] {
				t.Errorf("help for %s, which is no operation", name)
			}
		}
	}
	for name := range flagHelp {
		if !members[name] {
			t.Errorf("help for --%s, which no verb has", kebab(name))
		}
	}
	for name := range givesCredentials {
		if !operations[name] {
			t.Errorf("--env for %s, which is no operation", name)
		}
	}
}

// answer runs a verb and reads the JSON it prints.
func (c kmsCLI) answer(args ...string) (fields map[string]any) {
	c.Helper()
	if err := json.Unmarshal([]byte(c.run(args...)), &fields); err != nil {
		c.Fatalf("%v: %v", args, err)
	}
	return fields
}

// The verbs of IAM print JSON with exactly AWS's fields, or nothing where AWS
// does.
func TestIAMCommandFields(t *testing.T) {
	c := newKMSCLI(t)
	c.run("create-key")
	const policy = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`
	user := []string{"--user-name", "alice"}
	role := []string{"--role-name", "app"}
	inline := []string{"--policy-name", "p"}
	for _, test := range []struct {
		verb string
		args []string
		want string // sorted fields; "" for no output
	}{
		{"create-user", user, "User"},
		{"create-role", role, "Role"},
		{"get-user", user, "User"},
		{"get-role", role, "Role"},
		{"list-users", nil, "Users"},
		{"list-roles", []string{"--max-items", "1"}, "Roles"},
		{"put-user-policy", slices.Concat(user, inline, []string{"--policy-document", policy}), ""},
		{"put-role-policy", slices.Concat(role, inline, []string{"--policy-document", policy}), ""},
		{"get-user-policy", slices.Concat(user, inline), "PolicyDocument PolicyName UserName"},
		{"get-role-policy", slices.Concat(role, inline), "PolicyDocument PolicyName RoleName"},
		{"list-user-policies", user, "PolicyNames"},
		{"list-role-policies", role, "PolicyNames"},
		{"assume-role", []string{"--role-arn", "app", "--role-session-name", "s1"}, "AssumedRoleUser Credentials"},
		{"get-caller-identity", nil, "Account Arn UserId"},
		{"delete-user-policy", slices.Concat(user, inline), ""},
		{"delete-role-policy", slices.Concat(role, inline), ""},
		{"create-access-key", user, "AccessKey"},
		{"list-access-keys", user, "AccessKeyMetadata"},
		{"delete-role", role, ""},
	} {
		args := append([]string{test.verb}, test.args...)
		if test.want == "" {
			if out := c.run(args...); out != "" {
				t.Errorf("%v prints %q", args, out)
			}
			continue
		}
		if got := strings.Join(sorted(c.answer(args...)), " "); got != test.want {
			t.Errorf("%v prints %s, want %s", args, got, test.want)
		}
	}
	id := c.answer("list-access-keys", "--user-name", "alice")["AccessKeyMetadata"].([]any)[0].(map[string]any)["AccessKeyId"].(string)
	c.run("update-access-key", "--user-name", "alice", "--access-key-id", id, "--status", "Inactive")
	c.run("delete-access-key", "--user-name", "alice", "--access-key-id", id)
	c.run("delete-user", "--user-name", "alice")
}
