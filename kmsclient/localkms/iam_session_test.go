package localkms

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"
)

// assume begins a session of a role and gives it the store.
func assume(t testing.TB, s *Store, c *Client, in AssumeRoleInput) *Client {
	t.Helper()
	out, err := c.AssumeRole(bg, in)
	ok(t, err)
	return signIn(t, s, out.Credentials.AccessKeyID, out.Credentials.SecretAccessKey, out.Credentials.SessionToken)
}

func TestAssumeRole(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now})
	c := s.ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", allowAll)
	role, err := c.CreateRole(bg, CreateRoleInput{RoleName: "app"})
	ok(t, err)
	ok(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{"app", "p", allowAll})))
	key := newKey(t, c)

	out, err := alice.AssumeRole(bg, AssumeRoleInput{RoleArn: arnRole + "app", RoleSessionName: "nightly"})
	ok(t, err)
	id := out.Credentials.AccessKeyID
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(id) || len(out.Credentials.SecretAccessKey) != 40 ||
		!out.Credentials.Expiration.Equal(time.Date(2026, 1, 2, 4, 4, 5, 0, time.UTC)) ||
		out.AssumedRoleUser != (AssumedRoleUser{role.Role.RoleID + ":nightly", arnSession + "app/nightly"}) {
		t.Errorf("%+v", out)
	}
	session := signIn(t, s, id, out.Credentials.SecretAccessKey, out.Credentials.SessionToken)
	who, err := session.GetCallerIdentity(bg, GetCallerIdentityInput{})
	ok(t, err)
	if want := (GetCallerIdentityOutput{role.Role.RoleID + ":nightly", testAccount, arnSession + "app/nightly"}); who != want {
		t.Errorf("session is %+v, want %+v", who, want)
	}
	ok(t, encrypt(session, key, nil))

	// The record of the session's begin has its access key id, and its own records too.
	var last [2]Event
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		switch r.Event.EventName {
		case "AssumeRole":
			last[0] = r.Event
		case "Encrypt":
			last[1] = r.Event
		}
	}
	begin, use := last[0], last[1]
	if begin.EventSource != "sts.amazonaws.com" || !begin.ReadOnly || begin.UserIdentity.UserName != "alice" ||
		string(begin.RequestParameters) != `{"roleArn":"`+arnRole+`app","roleSessionName":"nightly"}` ||
		string(begin.ResponseElements) != `{"credentials":{"accessKeyId":"`+id+`","expiration":"2026-01-02T04:04:05Z"},`+
			`"assumedRoleUser":{"assumedRoleId":"`+role.Role.RoleID+`:nightly","arn":"`+arnSession+`app/nightly"}}` {
		t.Errorf("AssumeRole: %+v", begin)
	}
	if i := use.UserIdentity; i.Type != "AssumedRole" || i.ARN != arnSession+"app/nightly" || i.AccessKeyID != id ||
		i.PrincipalID != role.Role.RoleID+":nightly" {
		t.Errorf("Encrypt: %+v", i)
	}
}

// Who may assume a role: the trust policy names the caller, or leaves it to the
// account; no Deny applies. All other answers are one.
func TestAssumeRoleDecision(t *testing.T) {
	s := newStore(t, Options{})
	c := s.ClientFor(Caller{Principal: Root})
	callers := map[string]*Client{"allowed": newUser(t, s, "allowed", allowAll), "none": newUser(t, s, "none", "")}
	callers["forbidden"] = newUser(t, s, "forbidden", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},`+
		`{"Effect":"Deny","Action":"sts:AssumeRole","Resource":"`+arnRole+`app"}]}`)
	callers["local user"] = s.Client()
	trust := func(effect, principal, condition string) string {
		return `{"Effect":"` + effect + `","Principal":{"AWS":"` + principal + `"},"Action":"sts:AssumeRole"` + condition + `}`
	}
	account := trust("Allow", arnRoot, "")
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	for name, test := range map[string]struct{ trust, allowed string }{
		"account":   {account, "allowed, local user"},
		"one user":  {trust("Allow", arnUser+"none", ""), "none"},
		"everybody": {trust("Allow", "*", ""), "allowed, local user, none"},
		"denied":    {account + "," + trust("Deny", arnUser+"allowed", ""), "local user"},
		"no one":    {trust("Deny", "*", ""), ""},
		"condition": {trust("Allow", "*", `,"Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`), "allowed, none"},
	} {
		ok(t, only(c.UpdateAssumeRolePolicy(bg, UpdateAssumeRolePolicyInput{"app", rules(test.trust)})))
		for who, caller := range callers {
			err := only(caller.AssumeRole(bg, AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"}))
			if strings.Contains(", "+test.allowed+",", ", "+who+",") {
				if err != nil {
					t.Errorf("%s, %s: %v", name, who, err)
				}
				continue
			}
			refused(t, err, "AccessDenied", "User: "+caller.caller.Principal.arn(testAccount)+
				" is not authorized to perform: sts:AssumeRole on resource: "+arnRole+"app")
		}
	}
	const another = "arn:aws:iam::111122223333:role/app"
	as := func(c *Client, role string) error {
		return only(c.AssumeRole(bg, AssumeRoleInput{RoleArn: role, RoleSessionName: "s1"}))
	}
	denial := "User: " + arnUser + "allowed is not authorized to perform: sts:AssumeRole on resource: "
	for _, test := range []struct {
		err           error
		code, message string
	}{
		{as(callers["allowed"], "nobody"), "AccessDenied", denial + arnRole + "nobody"},
		{as(callers["allowed"], another), "AccessDenied", denial + another},
		{as(callers["allowed"], "app/x"), "ValidationError", "app/x is invalid"},
		{as(c, "app"), "AccessDenied", "Roles may not be assumed by root accounts."},
	} {
		refused(t, test.err, test.code, test.message)
	}
}

func TestSessionDuration(t *testing.T) {
	now := newClock()
	s := newStore(t, Options{Now: now.Now})
	c := s.ClientFor(Caller{Principal: Root})
	alice := newUser(t, s, "alice", allowAll)
	for name, most := range map[string]int{"hour": 3600, "day": 43200} {
		ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: name, MaxSessionDuration: &most})))
		ok(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{name, "p", allowAll})))
	}
	in := func(role string, seconds int) AssumeRoleInput {
		return AssumeRoleInput{RoleArn: role, RoleSessionName: "s1", DurationSeconds: &seconds}
	}
	refused(t, only(alice.AssumeRole(bg, in("hour", 3601))), "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	refused(t, only(alice.AssumeRole(bg, in("day", 899))), "ValidationError", "1 validation error detected: Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900")
	long := assume(t, s, alice, in("day", 43200))
	refused(t, only(long.AssumeRole(bg, in("day", 3601))), "ValidationError", "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	chained := assume(t, s, long, in("hour", 3600))
	short := assume(t, s, alice, in("hour", 900))

	out, err := alice.AssumeRole(bg, in("hour", 900))
	ok(t, err)
	again := func() error {
		return only2(s.Authenticate(bg, out.Credentials.AccessKeyID, out.Credentials.SessionToken))
	}
	try := func(c *Client) error { return only(c.ListKeys(bg, ListKeysInput{})) }
	const over = "The security token included in the request is expired"
	now.add(900*time.Second - 679*time.Millisecond) // sessions end on whole seconds
	ok(t, again())
	ok(t, try(short))
	now.add(time.Millisecond)
	refused(t, again(), "ExpiredTokenException", over)
	refused(t, try(short), "ExpiredTokenException", over)
	refused(t, only(short.GetCallerIdentity(bg, GetCallerIdentityInput{})), "ExpiredTokenException", over)
	refused(t, only(short.AssumeRole(bg, in("hour", 900))), "ExpiredTokenException", over)
	ok(t, try(chained))
	now.add(45 * time.Minute)
	refused(t, try(chained), "ExpiredTokenException", over)
	ok(t, try(long))
}

// A session ends with its role, also if one of that name is made anew, and goes
// on under changed policies.
func TestSessionOfDeletedRole(t *testing.T) {
	s := newStore(t, Options{})
	other := openStore(t, s.Dir(), Options{})
	c := other.ClientFor(Caller{Principal: Root})
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	ok(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{"app", "p", allowAll})))
	session := assume(t, s, s.Client(), AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"})
	try := func() error { return only(session.ListKeys(bg, ListKeysInput{})) }
	const gone = "The security token included in the request is invalid."

	ok(t, try())
	ok(t, only(c.DeleteRolePolicy(bg, DeleteRolePolicyInput{"app", "p"})))
	wantCode(t, "after its policy", try(), denied)
	ok(t, only(c.DeleteRole(bg, DeleteRoleInput{RoleName: "app"})))
	refused(t, try(), "UnrecognizedClientException", gone)
	ok(t, only(c.CreateRole(bg, CreateRoleInput{RoleName: "app"})))
	ok(t, only(c.PutRolePolicy(bg, PutRolePolicyInput{"app", "p", allowAll})))
	refused(t, try(), "UnrecognizedClientException", gone)
	ok(t, only(assume(t, s, s.Client(), AssumeRoleInput{RoleArn: "app", RoleSessionName: "s1"}).ListKeys(bg, ListKeysInput{})))
}

// No text opens as a session token but those that were made, each for its access
// key id.
func FuzzSessionToken(f *testing.F) {
	root := rootKey{1}
	p := Principal{kind: kindRole, name: "app", session: "s1", id: "AROA", expires: 12345}
	const id = "ASIAAAAAAAAAAAAAAAAA"
	real := root.sessionToken(id, p)
	raw, _ := base64.StdEncoding.DecodeString(real)
	raw[len(raw)-1] ^= 1
	for _, token := range []string{"", "AQ==", "Ag==", "AQ", real[:len(real)/2], base64.StdEncoding.EncodeToString(raw), " " + real} {
		if got, ok := root.openSessionToken(id, token); ok {
			f.Errorf("%q opens as %v", token, got)
		}
		f.Add(token, "app", "s1", int64(0))
	}
	f.Fuzz(func(t *testing.T, token, role, session string, expires int64) {
		if got, ok := (rootKey{3}).openSessionToken(id, token); ok { // under another key: a mutation may mend a seed
			t.Errorf("%q opens as %v", token, got)
		}
		if !validName(role) || !validName(session) {
			return
		}
		want := Principal{kind: kindRole, name: role, session: session, id: "AROA", expires: expires}
		made := root.sessionToken(id, want)
		if got, ok := root.openSessionToken(id, made); !ok || got != want {
			t.Errorf("%+v comes back as %+v", want, got)
		}
		for _, k := range []struct {
			root rootKey
			id   string
		}{{rootKey{2}, id}, {root, "ASIABBBBBBBBBBBBBBBB"}} {
			if _, ok := k.root.openSessionToken(k.id, made); ok {
				t.Errorf("the token opens for %s", k.id)
			}
		}
	})
}

func only2[A, B any](_ A, _ B, err error) error { return err }
