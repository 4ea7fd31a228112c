package localkms

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"kmsfs/kmsclient/localkms/policy"
)

// Caller is who makes a call and from where: what authorisation decides on and
// the audit record shows.
type Caller struct {
	Principal   Principal
	Region      string // whose keys the call is about; "" is the store's own
	AccessKeyID string // that signed the request; "" in process
	ViaService  string // "ec2.us-east-1.amazonaws.com", for a service that acts for the principal; in process only
	SourceIP    string // "" in process
	UserAgent   string
	RequestID   string // "" lets the call make one
	TLS         *TLSDetails
}

// TLSDetails is how a request over TLS came in, as CloudTrail shows it.
type TLSDetails struct {
	TLSVersion               string `json:"tlsVersion"`
	CipherSuite              string `json:"cipherSuite"`
	ClientProvidedHostHeader string `json:"clientProvidedHostHeader"`
}

// Principal is a user, a session of a role, or the account itself. Its zero
// value is nobody: the store's own doings, and requests whose sender is unknown.
type Principal struct {
	kind    principalKind
	name    string // of user or role
	session string // of a role
	id      string // of the role when the session began; "" = any
	expires int64  // of a session, Unix milliseconds; 0 = never
	owner   bool   // the local user
}

type principalKind int

const (
	kindNone principalKind = iota
	kindUser
	kindRole
	kindRoot
)

// Root is the account: what a key policy leaves to it, it may do.
var Root = Principal{kind: kindRoot}

// LocalUser is the user who runs this process: "user/NAME". Whoever can open the
// store in process owns it, so this user may do what the account may, unless a
// user of that name is in the store: then that user's policies say what.
func LocalUser() Principal {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return Principal{kind: kindUser, name: name, owner: true}
}

// ParsePrincipal reads "user/NAME", "role/NAME" and "root". The name of the
// local user is the local user.
func ParsePrincipal(s string) (Principal, error) {
	kind, name, _ := strings.Cut(s, "/")
	switch {
	case s == "root":
		return Root, nil
	case validName(name) && kind == "user":
		if local := LocalUser(); local.name == name {
			return local, nil
		}
		return Principal{kind: kindUser, name: name}, nil
	case validName(name) && kind == "role":
		return Principal{kind: kindRole, name: name, session: "kmsfs"}, nil
	}
	return Principal{}, fmt.Errorf("principal %q: want user/NAME, role/NAME or root", s)
}

// validName is AWS's rule for names of users, roles and sessions.
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func validName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, r := range []byte(s) {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("+=,.@_-", rune(r)) {
			return false
		}
	}
	return true
}

// String is what ParsePrincipal reads.
func (p Principal) String() string {
	switch p.kind {
	case kindUser:
		return "user/" + p.name
	case kindRole:
		return "role/" + p.name
	case kindRoot:
		return "root"
	}
	return "nobody"
}

// arn is the IAM ARN of a user or the account, the STS ARN of a role's session.
func (p Principal) arn(account string) string {
	switch p.kind {
	case kindUser:
		return userARN(account, p.name)
	case kindRole:
		return "arn:aws:sts::" + account + ":assumed-role/" + p.name + "/" + p.session
	case kindRoot:
		return rootARN(account)
	}
	return ""
}

func rootARN(account string) string       { return "arn:aws:iam::" + account + ":root" }
func userARN(account, name string) string { return "arn:aws:iam::" + account + ":user/" + name }
func roleARN(account, name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// caller is the principal as policies see it.
func (p Principal) caller(account string) policy.Caller {
	c := policy.Caller{ARN: p.arn(account), Account: account, Root: p.kind == kindRoot}
	if p.kind == kindRole {
		c.Role = roleARN(account, p.name)
	}
	return c
}
