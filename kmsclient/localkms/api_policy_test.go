package localkms

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/policy"
)

const (
	testAccount = "000000000000"
	arnRoot     = "arn:aws:iam::" + testAccount + ":root"
	arnUser     = "arn:aws:iam::" + testAccount + ":user/"
	arnRole     = "arn:aws:iam::" + testAccount + ":role/"
	arnSession  = "arn:aws:sts::" + testAccount + ":assumed-role/"

	// noKMS is an identity policy that allows nothing of the KMS.
	noKMS = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}}`
)

// rule is a statement of a key policy; condition is JSON or "".
func rule(effect, principal, action, condition string) string {
	if condition == "" {
		condition = "{}"
	}
	return fmt.Sprintf(`{"Effect":%q,"Principal":{"AWS":%q},"Action":%q,"Resource":"*","Condition":%s}`,
		effect, principal, action, condition)
}

func rules(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// delegated is the statement that leaves a key to identity policies.
var delegated = rule("Allow", arnRoot, "kms:*", "")

func putPolicy(c *Client, key, document string) error {
	return only(c.PutKeyPolicy(bg, PutKeyPolicyInput{KeyID: key, Policy: document}))
}

func encrypt(c *Client, key string, ec kmsclient.EncryptionContext) error {
	return only(c.Encrypt(bg, key, []byte("x"), ec))
}

// code is AWS's name of an error, "" for none.
func code(err error) string {
	var e *kmsclient.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// wantCode checks AWS's name of an error, or with "" that there is none.
func wantCode(t testing.TB, what string, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, want)
	}
}

const denied = "AccessDeniedException"

func TestPolicyDocument(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	out, err := c.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: key})
	ok(t, err)
	if want := string(policy.Default(testAccount)); out.Policy != want || out.PolicyName != "default" {
		t.Errorf("a new key has policy %q %q, want %q", out.PolicyName, out.Policy, want)
	}
	document := "\n " + rules(delegated) + "\t\r\n"
	ok(t, putPolicy(c, key, document))
	out, err = c.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: key, PolicyName: "default"})
	ok(t, err)
	if out.Policy != document {
		t.Errorf("policy comes back as %q", out.Policy)
	}
	names, err := c.ListKeyPolicies(bg, ListKeyPoliciesInput{KeyID: key, Page: Page{Limit: new(1)}})
	ok(t, err)
	if len(names.PolicyNames) != 1 || names.PolicyNames[0] != "default" || names.Truncated {
		t.Errorf("policies: %+v", names)
	}
	refused(t, only(c.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: key, PolicyName: "other"})), "NotFoundException", "No such policy exists")
	refused(t, only(c.PutKeyPolicy(bg, PutKeyPolicyInput{KeyID: key, PolicyName: "other", Policy: document})),
		"NotFoundException", "No such policy exists")
	refused(t, only(c.ListKeyPolicies(bg, ListKeyPoliciesInput{KeyID: key, Page: Page{Marker: "default"}})), "InvalidMarkerException", "")
	refused(t, putPolicy(c, "alias/x", document), "InvalidArnException", "Key Aliases are not supported for this operation.")
}

// Two keys with the same policy share a row, whoever put it.
func TestPolicyShared(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	a, b := newKey(t, c), newKey(t, c)
	ok(t, putPolicy(c, a, rules(delegated)))
	ok(t, putPolicy(c, b, rules(delegated)))
	ok(t, only(c.CreateKey(bg, CreateKeyInput{Policy: rules(delegated)})))
	var n int
	ok(t, s.writer.submit(bg, func(t *tx) error { return t.row("SELECT count(*) FROM policy", nil, []any{&n}) }))
	if n != 2 {
		t.Errorf("%d policies stored, want the default and one more", n)
	}
}

// A key policy can be replaced in every state, but for AWS's own keys.
func TestPolicyStates(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	for state, prepare := range map[kmsclient.KeyState]func(key string) error{
		kmsclient.StateDisabled: func(key string) error { return only(c.DisableKey(bg, DisableKeyInput{KeyID: key})) },
		kmsclient.StatePendingDeletion: func(key string) error {
			return only(c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key}))
		},
		kmsclient.StatePendingImport: nil,
	} {
		in := CreateKeyInput{}
		if prepare == nil {
			in.Origin = originExternal
		}
		out, err := c.CreateKey(bg, in)
		ok(t, err)
		key := out.KeyMetadata.Arn
		if prepare != nil {
			ok(t, prepare(key))
		}
		ok(t, putPolicy(c, key, rules(delegated)))
		if info, err := c.DescribeKey(bg, key); err != nil || info.State != state {
			t.Errorf("after PutKeyPolicy: state %s (%v), want %s", info.State, err, state)
		}
	}
	key := newKey(t, c)
	ok(t, s.writer.submit(bg, func(t *tx) error { return t.exec("UPDATE cmk SET manager = 'ebs'") }))
	wantCode(t, "policy of an AWS managed key", putPolicy(c, key, rules(delegated)), denied)
}

// Every refused policy leaves the old one in force.
func TestPolicyRefused(t *testing.T) {
	s := newStore(t, Options{})
	as(t, s, "user/alice", noKMS)
	as(t, s, "role/worker", noKMS)
	c := s.Client()
	key := newKey(t, c)
	old := rules(delegated, rule("Allow", arnUser+"alice", "kms:Encrypt", ""))
	ok(t, putPolicy(c, key, old))
	const (
		malformed  = "MalformedPolicyDocumentException"
		principals = "Policy contains a statement with one or more invalid principals."
		lockout    = "The new key policy will not allow you to update the key policy in the future."
	)
	names := func(principal string) string { return rules(delegated, rule("Allow", principal, "kms:Decrypt", "")) }
	for name, test := range map[string]struct{ document, code, message string }{
		"no JSON":          {"{", malformed, "not JSON: unexpected end of JSON input"},
		"unknown action":   {rules(delegated, rule("Allow", arnRoot, "kms:Fly", "")), malformed, `statement 2: Action: "kms:Fly" is no action that a key policy can be about`},
		"unknown operator": {rules(delegated, rule("Deny", "*", "kms:Decrypt", `{"StringSimilar":{"aws:username":"x"}}`)), malformed, "statement 2: Condition StringSimilar: is not an operator that is understood"},
		"unknown user":     {names(arnUser + "bob"), malformed, principals},
		"unknown role":     {names(arnRole + "alice"), malformed, principals},
		"unknown session":  {names(arnSession + "alice/session"), malformed, principals},
		"user with a path": {names(arnUser + "team/alice"), malformed, principals},
		"other account":    {names("111111111111"), malformed, principals},
		"other root":       {names("arn:aws:iam::111111111111:root"), malformed, principals},
		"other user":       {names("arn:aws:iam::111111111111:user/alice"), malformed, principals},
		"denied nobody":    {rules(delegated, rule("Deny", arnUser+"bob", "kms:Decrypt", "")), malformed, principals},
		"lock-out":         {rules(rule("Allow", arnUser+"alice", "kms:*", "")), malformed, lockout},
		"denied to all":    {rules(delegated, rule("Deny", "*", "kms:PutKeyPolicy", "")), malformed, lockout},
		"too long":         {rules(delegated) + strings.Repeat(" ", 32768), "LimitExceededException", "The key policy is longer than 32768 bytes."},
	} {
		refused(t, putPolicy(c, key, test.document), test.code, test.message)
		refused(t, only(c.CreateKey(bg, CreateKeyInput{Policy: test.document})), test.code, test.message)
		if out, err := c.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: key}); err != nil || out.Policy != old {
			t.Errorf("%s: policy is now %q (%v)", name, out.Policy, err)
		}
		wantCode(t, name+": user of the old policy", encrypt(clientOf(t, s, "user/alice"), key, nil), "")
	}
	wantCode(t, "longer than a request", putPolicy(c, key, strings.Repeat(" ", 131073)), "ValidationException")
	for _, principal := range []string{
		"*", testAccount, arnRoot, arnUser + "alice", arnRole + "worker", arnSession + "worker/any", LocalUser().arn(testAccount),
	} {
		ok(t, putPolicy(c, key, names(principal)))
	}
	longest := rules(delegated)
	ok(t, putPolicy(c, key, longest+strings.Repeat(" ", 32768-len(longest))))
}

// clientOf gives the store to a principal that is in it.
func clientOf(t testing.TB, s *Store, principal string) *Client {
	t.Helper()
	p, err := ParsePrincipal(principal)
	ok(t, err)
	p.owner = false
	return s.ClientFor(Caller{Principal: p})
}

// The lock-out check is about the caller, and he can do without it.
func TestPolicyLockout(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	admin, other := as(t, s, "user/admin", noKMS), as(t, s, "user/other", noKMS)
	creator := as(t, s, "user/creator", strings.Replace(noKMS, "iam:GetUser", "kms:CreateKey", 1))

	// The default policy is not held against him.
	out, err := creator.CreateKey(bg, CreateKeyInput{})
	ok(t, err)
	wantCode(t, "policy of a key that one may only create", putPolicy(creator, out.KeyMetadata.Arn, rules(delegated)), denied)
	wantCode(t, "key with such a policy", only(creator.CreateKey(bg, CreateKeyInput{Policy: rules(delegated)})), "MalformedPolicyDocumentException")

	key := newKey(t, c)
	mine, his := rule("Allow", arnUser+"admin", "kms:PutKeyPolicy", ""), rule("Allow", arnUser+"other", "kms:PutKeyPolicy", "")
	ok(t, putPolicy(c, key, rules(delegated, mine)))
	wantCode(t, "handing the key over", putPolicy(admin, key, rules(delegated, his)), "MalformedPolicyDocumentException")
	wantCode(t, "under a condition that does not hold", putPolicy(admin, key,
		rules(delegated, his, rule("Allow", arnUser+"admin", "kms:PutKeyPolicy", `{"Bool":{"aws:SecureTransport":"true"}}`))),
		"MalformedPolicyDocumentException")
	ok(t, only(admin.PutKeyPolicy(bg, PutKeyPolicyInput{KeyID: key, Policy: rules(his), BypassPolicyLockoutSafetyCheck: true})))
	wantCode(t, "after giving it away", putPolicy(admin, key, rules(mine)), denied)

	// Bypassing can be denied, and only that.
	noBypass := rule("Deny", "*", "kms:PutKeyPolicy", `{"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}}`)
	ok(t, putPolicy(other, key, rules(his, noBypass)))
	ok(t, putPolicy(other, key, rules(noBypass, his)))
	wantCode(t, "bypass", only(other.PutKeyPolicy(bg, PutKeyPolicyInput{
		KeyID: key, Policy: rules(mine), BypassPolicyLockoutSafetyCheck: true,
	})), denied)
}

// Key administrators and key users, kept apart by the ready-made policy.
func TestPolicyTemplates(t *testing.T) {
	s := newStore(t, Options{})
	admin, user := as(t, s, "user/admin", noKMS), as(t, s, "role/user", noKMS)
	key := newKey(t, s.Client())
	document := string(policy.Build(testAccount, []string{arnUser + "admin"}, []string{arnRole + "user"}, false))
	ok(t, only(s.Client().PutKeyPolicy(bg, PutKeyPolicyInput{KeyID: key, Policy: document, BypassPolicyLockoutSafetyCheck: true})))

	w, err := user.Encrypt(bg, key, []byte("x"), nil)
	ok(t, err)
	ok(t, only(user.API.Decrypt(bg, DecryptInput{CiphertextBlob: w.Blob})))
	decrypt := func(c *Client) error { return only(c.API.Decrypt(bg, DecryptInput{CiphertextBlob: w.Blob})) }
	grant := func(c *Client, to string) error {
		return only(c.CreateGrant(bg, CreateGrantInput{KeyID: key, GranteePrincipal: to, Operations: []string{"Decrypt"}}))
	}
	wantCode(t, "administrator decrypts", decrypt(admin), denied)
	wantCode(t, "administrator re-encrypts", only(admin.API.ReEncrypt(bg, ReEncryptInput{CiphertextBlob: w.Blob, DestinationKeyID: key})), denied)
	wantCode(t, "administrator makes a data key", only(admin.API.GenerateDataKey(bg, GenerateDataKeyInput{KeyID: key, KeySpec: "AES_256"})), denied)
	wantCode(t, "administrator gives himself a grant", grant(admin, arnUser+"admin"), denied)
	wantCode(t, "administrator still decrypts", decrypt(admin), denied)
	for what, err := range map[string]error{
		"DisableKey":          only(user.DisableKey(bg, DisableKeyInput{KeyID: key})),
		"PutKeyPolicy":        putPolicy(user, key, document),
		"GetKeyPolicy":        only(user.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: key})),
		"ScheduleKeyDeletion": only(user.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key})),
		"TagResource":         only(user.TagResource(bg, TagResourceInput{KeyID: key, Tags: []Tag{{"a", "b"}}})),
		"CreateGrant":         grant(user, arnRole+"user"),
		"owner of the store":  decrypt(s.Client()),
		"account":             decrypt(s.ClientFor(Caller{Principal: Root})),
	} {
		wantCode(t, what, err, denied)
	}
	// A service may make grants on the user's behalf.
	service := s.ClientFor(Caller{Principal: user.caller.Principal, ViaService: "ec2.us-east-1.amazonaws.com"})
	ok(t, grant(service, arnRole+"user"))

	ok(t, only(admin.DisableKey(bg, DisableKeyInput{KeyID: key})))
	wantCode(t, "use of a disabled key", decrypt(user), "DisabledException")
	ok(t, only(admin.EnableKey(bg, EnableKeyInput{KeyID: key})))
	ok(t, putPolicy(admin, key, document))
}

// Conditions on the encryption context, in key policies and identity policies.
func TestPolicyContext(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	const condition = `{"StringEquals":{"kms:EncryptionContext:Department":"IT"},"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["department","Department"]}}`
	byKey := as(t, s, "user/bykey", noKMS)
	byIdentity := as(t, s, "user/byidentity",
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":`+condition+`}}`)
	notHim := as(t, s, "user/denied", "")
	key := newKey(t, c)
	ok(t, putPolicy(c, key, rules(delegated, rule("Allow", arnUser+"bykey", "kms:Encrypt", condition),
		rule("Deny", arnUser+"denied", "kms:*", `{"StringNotEquals":{"kms:EncryptionContext:department":"IT"}}`))))
	for _, test := range []struct {
		ec         kmsclient.EncryptionContext
		want, deny string
	}{
		{nil, denied, denied},
		{kmsclient.EncryptionContext{"department": "IT"}, "", ""},
		{kmsclient.EncryptionContext{"Department": "IT"}, "", ""},
		{kmsclient.EncryptionContext{"department": "it"}, denied, denied},
		{kmsclient.EncryptionContext{"department": "IT", "Department": "HR"}, denied, denied},
		{kmsclient.EncryptionContext{"department": "IT", "x": "y"}, denied, ""},
	} {
		for _, c := range []*Client{byKey, byIdentity} {
			wantCode(t, fmt.Sprintf("%s under %v", c.caller.Principal, test.ec), encrypt(c, key, test.ec), test.want)
		}
		wantCode(t, fmt.Sprintf("denied under %v", test.ec), encrypt(notHim, key, test.ec), test.deny)
	}
}

// What a transaction that failed has seen of policies and principals is not
// remembered: the next one may use the same row for something else.
func TestPolicyTakenBack(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	alice := as(t, s, "user/alice", noKMS)
	key := newKey(t, c)
	ok(t, encrypt(c, key, nil))
	allow, deny := rules(delegated, rule("Allow", arnUser+"alice", "kms:Encrypt", "")), rules(delegated)
	var taken int64
	failure := errors.New("the disk is full")
	err := s.writer.submit(bg, func(t *tx) (err error) {
		if taken, err = t.putPolicy(allow); err != nil {
			return err
		}
		_, err = t.keyPolicy(taken)
		return errors.Join(err, failure)
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	ok(t, putPolicy(c, key, deny))
	var id int64
	ok(t, s.writer.submit(bg, func(t *tx) (err error) { id, err = t.putPolicy(deny); return err }))
	if id != taken {
		t.Fatalf("row %d, not the %d that was taken back: this test proves nothing", id, taken)
	}
	wantCode(t, "use by the policy that was taken back", encrypt(alice, key, nil), denied)
}

// Whoever is refused is in the audit log, with the error and the key.
func TestPolicyAudit(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	alice := as(t, s, "user/alice", noKMS)
	key := newKey(t, c)
	calls := map[string]error{
		"Encrypt":             encrypt(alice, key, kmsclient.EncryptionContext{"a": "b"}),
		"GetKeyPolicy":        only(alice.GetKeyPolicy(bg, GetKeyPolicyInput{KeyID: key})),
		"PutKeyPolicy":        putPolicy(alice, key, rules(delegated)),
		"ListKeyPolicies":     only(alice.ListKeyPolicies(bg, ListKeyPoliciesInput{KeyID: key})),
		"CreateGrant":         only(alice.CreateGrant(bg, CreateGrantInput{KeyID: key, GranteePrincipal: arnUser + "alice", Operations: []string{"Encrypt"}})),
		"ListGrants":          only(alice.ListGrants(bg, ListGrantsInput{KeyID: key})),
		"RevokeGrant":         only(alice.RevokeGrant(bg, RevokeGrantInput{KeyID: key, GrantID: strings.Repeat("0", 64)})),
		"RetireGrant":         only(alice.RetireGrant(bg, RetireGrantInput{KeyID: key, GrantID: strings.Repeat("0", 64)})),
		"ListRetirableGrants": only(alice.ListRetirableGrants(bg, ListRetirableGrantsInput{RetiringPrincipal: arnUser + "alice"})),
		"TagResource":         only(alice.TagResource(bg, TagResourceInput{KeyID: key, Tags: []Tag{{"a", "b"}}})),
		"UntagResource":       only(alice.UntagResource(bg, UntagResourceInput{KeyID: key, TagKeys: []string{"a"}})),
		"ListResourceTags":    only(alice.ListResourceTags(bg, ListResourceTagsInput{KeyID: key})),
	}
	for op, err := range calls {
		wantCode(t, op, err, denied)
	}
	n := 0
	for r, err := range s.AuditEvents(bg, AuditFilter{Principal: arnUser + "alice"}) {
		ok(t, err)
		e := r.Event
		var want *kmsclient.Error
		if n++; !errors.As(calls[e.EventName], &want) || e.ErrorCode != denied || e.ErrorMessage != want.Message || e.ResponseElements != nil {
			t.Errorf("%s is recorded with %s %q, response %s", e.EventName, e.ErrorCode, e.ErrorMessage, e.ResponseElements)
		}
		if e.EventName != "ListRetirableGrants" && (len(e.Resources) != 1 || e.Resources[0].ARN != key) {
			t.Errorf("%s is recorded for %v", e.EventName, e.Resources)
		}
	}
	if n != len(calls) {
		t.Errorf("%d refusals recorded, want %d", n, len(calls))
	}
}
