//go:build clients

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBoto3 has a Python program call every operation.
func TestBoto3(t *testing.T) {
	t.Parallel()
	s := start(t)
	role := s.sessionOfRole("reader", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:Describe*", "Resource": "*"}]}`)
	s.kmsfs("create-user", "--user-name", "bob")
	set := s.alice
	for prefix, keys := range map[string][]string{"ROLE_": role, "GRANTEE_": s.accessKey("bob")} {
		for _, key := range keys {
			set = append(set, prefix+strings.TrimPrefix(key, "AWS_"))
		}
	}
	program, err := filepath.Abs("python/every_operation.py")
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.client(append(set, "PYTHONDONTWRITEBYTECODE=1"), "python3", program).CombinedOutput()
	if err != nil || string(out) != "48 operations\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

// sessionOfRole makes a role with a policy, that alice may assume, and gives the
// credentials of a session.
func (s *server) sessionOfRole(name, policy string) []string {
	s.Helper()
	trust := filepath.Join(s.dir, "trust.json")
	document := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
		"Principal": {"AWS": "arn:aws:iam::` + account + `:user/alice"}}]}`
	if err := os.WriteFile(trust, []byte(document), 0o600); err != nil {
		s.Fatal(err)
	}
	s.kmsfs("create-role", "--role-name", name, "--assume-role-policy-document", "file://"+trust)
	s.kmsfs("put-role-policy", "--role-name", name, "--policy-name", "policy", "--policy-document", policy)
	return exported(s.kmsfs("assume-role", "--as", "user/alice", "--role-arn", name, "--role-session-name", "test", "--env"))
}
