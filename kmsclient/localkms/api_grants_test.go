package localkms

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

// A retry under the same name finds the grant it made; all else makes another.
func TestGrantRetry(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	as(t, s, "user/alice", noKMS)
	as(t, s, "user/bob", noKMS)
	key := newKey(t, c)
	in := CreateGrantInput{
		KeyID: key, GranteePrincipal: arnUser + "alice", Name: "n", Operations: []string{"Decrypt", "Encrypt"},
		Constraints: &GrantConstraints{EncryptionContextSubset: kmsclient.EncryptionContext{"a": "1", "b": "2"}},
	}
	first, err := c.CreateGrant(bg, in)
	ok(t, err)
	for name, change := range map[string]func(*CreateGrantInput){
		"nothing":    func(in *CreateGrantInput) {},
		"order":      func(in *CreateGrantInput) { in.Operations = []string{"Encrypt", "Decrypt", "Encrypt"} },
		"name":       func(in *CreateGrantInput) { in.Name = "m" },
		"no name":    func(in *CreateGrantInput) { in.Name = "" },
		"no name 2":  func(in *CreateGrantInput) { in.Name = "" },
		"grantee":    func(in *CreateGrantInput) { in.GranteePrincipal = arnUser + "bob" },
		"retiring":   func(in *CreateGrantInput) { in.RetiringPrincipal = arnUser + "bob" },
		"operations": func(in *CreateGrantInput) { in.Operations = []string{"Encrypt"} },
		"constraint": func(in *CreateGrantInput) {
			in.Constraints = &GrantConstraints{EncryptionContextEquals: in.Constraints.EncryptionContextSubset}
		},
		"no constraint": func(in *CreateGrantInput) { in.Constraints = nil },
		"key":           func(in *CreateGrantInput) { in.KeyID = newKey(t, c) },
	} {
		again := in
		change(&again)
		out, err := c.CreateGrant(bg, again)
		ok(t, err)
		if same := name == "nothing" || name == "order"; same != (out.GrantID == first.GrantID) {
			t.Errorf("another %s: grant %s, the first was %s", name, out.GrantID, first.GrantID)
		}
		if out.GrantToken == first.GrantToken {
			t.Errorf("another %s: the same token", name)
		}
		if name == "nothing" { // both tokens are of the one grant
			ok(t, only(c.RetireGrant(bg, RetireGrantInput{GrantToken: out.GrantToken})))
			refused(t, only(c.RetireGrant(bg, RetireGrantInput{GrantToken: first.GrantToken})),
				"NotFoundException", "Grant ID "+first.GrantID+" not found")
			first, err = c.CreateGrant(bg, in)
			ok(t, err)
		}
	}
}

// Who may retire which grant.
func TestGrantRetire(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	allow := func(op string) string { return strings.Replace(noKMS, "iam:GetUser", op, 1) }
	clients := map[string]*Client{
		"retiring user": as(t, s, "user/retiring", noKMS), "retiring role": as(t, s, "role/retiring", noKMS),
		"grantee": as(t, s, "user/grantee", noKMS), "nobody": as(t, s, "user/nobody", noKMS),
		"delegate":     as(t, s, "user/delegate", allow("kms:RetireGrant")),
		"revoker":      as(t, s, "user/revoker", allow("kms:RevokeGrant")),
		"denied":       as(t, s, "user/denied", strings.Replace(allow("kms:RetireGrant"), "Allow", "Deny", 1)),
		"other's":      as(t, s, "user/others", noKMS),
		"account root": s.ClientFor(Caller{Principal: Root}),
	}
	ok(t, putPolicy(c, key, rules(delegated)))
	newGrantFor(t, c, key, arnUser+"others", "RetireGrant", "Decrypt") // a grant to retire another one
	asked := func(retiring string, operations ...string) CreateGrantInput {
		return CreateGrantInput{
			KeyID: key, GranteePrincipal: arnUser + "grantee", RetiringPrincipal: retiring, Operations: append(operations, "Decrypt"),
		}
	}
	for _, test := range []struct {
		in  CreateGrantInput
		may []string // besides delegate and account
	}{
		{asked(""), nil},
		{asked("", "RetireGrant"), []string{"grantee"}},
		{asked(arnUser + "grantee"), []string{"grantee"}},
		{asked(arnUser + "retiring"), []string{"retiring user"}},
		{asked(arnRole + "retiring"), []string{"retiring role"}},
		{asked(arnSession + "retiring/kmsfs"), []string{"retiring role"}},
		{asked(arnSession + "retiring/another"), nil},
		{asked(arnUser + "denied"), nil},
		{asked(arnRoot), nil},
	} {
		for name, client := range clients {
			g, err := c.CreateGrant(bg, test.in)
			ok(t, err)
			want := denied
			if slices.Contains(append(test.may, "delegate", "account root"), name) {
				want = ""
			}
			what := fmt.Sprintf("%s, grant with retiring %q and %v", name, test.in.RetiringPrincipal, test.in.Operations)
			byToken := RetireGrantInput{GrantToken: g.GrantToken}
			wantCode(t, what, only(client.RetireGrant(bg, byToken)), want)
			if want == "" { // it is gone
				wantCode(t, "again", only(client.RetireGrant(bg, RetireGrantInput{KeyID: key, GrantID: g.GrantID})), map[bool]string{
					true: "NotFoundException", false: denied, // to whom only the grant gave the right
				}[name == "delegate" || name == "account root"])
			}
		}
	}
	g := newGrantFor(t, c, key, arnUser+"grantee", "Decrypt")
	wantCode(t, "administrator revokes", only(clients["revoker"].RevokeGrant(bg, RevokeGrantInput{KeyID: key, GrantID: g.GrantID})), "")

	// The account has the last word, even if no policy mentions it.
	g = newGrantFor(t, c, key, arnUser+"grantee", "Decrypt")
	ok(t, only(c.PutKeyPolicy(bg, PutKeyPolicyInput{
		KeyID: key, Policy: rules(rule("Allow", arnUser+"nobody", "kms:DescribeKey", "")), BypassPolicyLockoutSafetyCheck: true,
	})))
	wantCode(t, "delegate of nobody", only(clients["delegate"].RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken})), denied)
	wantCode(t, "account", only(clients["account root"].RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken})), "")
}

func TestGrantRefused(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	alice := as(t, s, "user/alice", noKMS)
	as(t, s, "role/worker", noKMS)
	symmetric := newKey(t, c)
	create := func(in CreateKeyInput) string {
		out, err := c.CreateKey(bg, in)
		ok(t, err)
		return out.KeyMetadata.Arn
	}
	hmac := create(CreateKeyInput{KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC"})
	ecc := create(CreateKeyInput{KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY"})
	disabled := newKey(t, c)
	ok(t, only(c.DisableKey(bg, DisableKeyInput{KeyID: disabled})))
	pairs := kmsclient.EncryptionContext{}
	for i := range 9 {
		pairs[fmt.Sprint(i)] = "v"
	}
	subset := func(ec kmsclient.EncryptionContext) *GrantConstraints {
		return &GrantConstraints{EncryptionContextSubset: ec}
	}
	a := kmsclient.EncryptionContext{"a": "b"}
	const validation, noPrincipal = "ValidationException", "InvalidArnException"
	for name, test := range map[string]struct {
		key, grantee, retiring, operation string
		constraints                       *GrantConstraints
		code                              string
	}{
		"good":               {symmetric, arnUser + "alice", "", "Decrypt", subset(a), ""},
		"account":            {symmetric, arnRoot, arnRoot, "Decrypt", nil, ""},
		"unknown operation":  {symmetric, arnUser + "alice", "", "RevokeGrant", nil, validation},
		"no operation":       {symmetric, arnUser + "alice", "", "", nil, validation},
		"signing":            {symmetric, arnUser + "alice", "", "Sign", nil, validation},
		"public key":         {symmetric, arnUser + "alice", "", "GetPublicKey", nil, validation},
		"data key of HMAC":   {hmac, arnUser + "alice", "", "GenerateDataKey", nil, validation},
		"MAC":                {hmac, arnUser + "alice", "", "GenerateMac", nil, ""},
		"MAC, constraint":    {hmac, arnUser + "alice", "", "GenerateMac", subset(a), validation},
		"MAC, no constraint": {hmac, arnUser + "alice", "", "GenerateMac", subset(nil), ""},
		"public key of ECC":  {ecc, arnUser + "alice", "", "GetPublicKey", nil, ""},
		"decrypt with ECC":   {ecc, arnUser + "alice", "", "Decrypt", nil, validation},
		"two constraints":    {symmetric, arnUser + "alice", "", "Decrypt", &GrantConstraints{a, a}, validation},
		"nine pairs":         {symmetric, arnUser + "alice", "", "Decrypt", subset(pairs), validation},
		"long value":         {symmetric, arnUser + "alice", "", "Decrypt", subset(kmsclient.EncryptionContext{"a": strings.Repeat("é", 385)}), validation},
		"longest value":      {symmetric, arnUser + "alice", "", "Decrypt", subset(kmsclient.EncryptionContext{"a": strings.Repeat("é", 384)}), ""},
		"long name":          {symmetric, arnUser + "alice", "", "Decrypt", subset(kmsclient.EncryptionContext{strings.Repeat("n", 9000): "v"}), validation},
		"unknown user":       {symmetric, arnUser + "bob", "", "Decrypt", nil, noPrincipal},
		"unknown role":       {symmetric, arnRole + "alice", "", "Decrypt", nil, noPrincipal},
		"no session":         {symmetric, arnSession + "worker", "", "Decrypt", nil, noPrincipal},
		"session and more":   {symmetric, arnSession + "worker/a/b", "", "Decrypt", nil, noPrincipal},
		"no ARN":             {symmetric, "alice", "", "Decrypt", nil, noPrincipal},
		"foreign account":    {symmetric, "arn:aws:iam::111111111111:root", "", "Decrypt", nil, noPrincipal},
		"retiring unknown":   {symmetric, arnUser + "alice", arnUser + "bob", "Decrypt", nil, noPrincipal},
		"alias":              {"alias/x", arnUser + "alice", "", "Decrypt", nil, "InvalidArnException"},
		"disabled":           {disabled, arnUser + "alice", "", "Decrypt", nil, "DisabledException"},
	} {
		in := CreateGrantInput{KeyID: test.key, GranteePrincipal: test.grantee, RetiringPrincipal: test.retiring, Constraints: test.constraints}
		in.Operations = []string{}
		if test.operation != "" {
			in.Operations = append(in.Operations, test.operation)
		}
		wantCode(t, name, only(c.CreateGrant(bg, in)), test.code)
		if test.code != "" && test.code != validation && test.code != noPrincipal {
			continue
		}
		in.DryRun = true
		want := test.code
		if want == "" {
			want = "DryRunOperationException"
		}
		wantCode(t, name+", dry run", only(c.CreateGrant(bg, in)), want)
	}
	id := strings.Repeat("0", 64)
	for what, err := range map[string]error{
		"InvalidGrantIdException": only(c.RevokeGrant(bg, RevokeGrantInput{KeyID: symmetric, GrantID: id[1:]})),
		"NotFoundException":       only(c.RevokeGrant(bg, RevokeGrantInput{KeyID: symmetric, GrantID: id})),
		validation:                only(c.RetireGrant(bg, RetireGrantInput{KeyID: symmetric})),
		denied:                    only(alice.RevokeGrant(bg, RevokeGrantInput{KeyID: symmetric, GrantID: id})),
	} {
		wantCode(t, what, err, what)
	}
	g := newGrantFor(t, c, symmetric, arnUser+"alice", "Encrypt")
	dry := map[string]error{
		"revoke": only(c.RevokeGrant(bg, RevokeGrantInput{KeyID: symmetric, GrantID: g.GrantID, DryRun: true})),
		"retire": only(s.ClientFor(Caller{Principal: Root}).RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken, DryRun: true})),
	}
	for what, err := range dry {
		wantCode(t, what, err, "DryRunOperationException")
	}
	wantCode(t, "after dry runs", encrypt(alice, symmetric, nil), "")
	list, err := c.ListGrants(bg, ListGrantsInput{KeyID: symmetric})
	ok(t, err)
	if n := len(list.Grants); n != 4 { // those of the table without an error, and the last
		t.Errorf("%d grants, want 4", n)
	}
}

// Which operations a grant can have, by what the key is.
func TestGrantOperations(t *testing.T) {
	always := "CreateGrant RetireGrant DescribeKey"
	for _, test := range []struct{ spec, usage, want string }{
		{specSymmetric, usageEncrypt, "Decrypt Encrypt GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext"},
		{"RSA_2048", usageEncrypt, "Decrypt Encrypt ReEncryptFrom ReEncryptTo GetPublicKey"},
		{"RSA_2048", "SIGN_VERIFY", "Sign Verify GetPublicKey"},
		{"ECC_NIST_P256", "KEY_AGREEMENT", "DeriveSharedSecret GetPublicKey"},
		{"ML_DSA_44", "SIGN_VERIFY", "Sign Verify GetPublicKey"},
		{"HMAC_384", "GENERATE_VERIFY_MAC", "GenerateMac VerifyMac"},
	} {
		k := &cmk{spec: test.spec, usage: test.usage}
		want := map[string]bool{}
		for op := range strings.FieldsSeq(always + " " + test.want) {
			want[op] = true
		}
		got := map[string]bool{}
		for _, op := range shape.Enum("GrantOperation") {
			if k.grantable(op) {
				got[op] = true
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s for %s: %v", test.spec, test.usage, cmp.Diff(want, got))
		}
	}
}

// A key has 50,000 grants at most; a retry of the last one still succeeds.
func TestGrantQuota(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	as(t, s, "user/alice", noKMS)
	key := newKey(t, c)
	id, _ := parseKeyID(key[strings.LastIndexByte(key, '/')+1:])
	ok(t, s.writer.submit(bg, func(t *tx) error {
		if err := t.exec("DROP INDEX grant_grantee"); err != nil { // which takes most of the time
			return err
		}
		return t.exec(`INSERT INTO key_grant WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			SELECT ?, ?, unhex(printf('%064x', i)), '', ?, '', '["Decrypt"]', NULL, NULL, 0 FROM n`, maxGrants-1, s.region, id[:], arnRoot)
	}))
	in := CreateGrantInput{KeyID: key, GranteePrincipal: arnUser + "alice", Operations: []string{"Encrypt"}, Name: "last"}
	ok(t, only(c.CreateGrant(bg, in)))
	ok(t, only(c.CreateGrant(bg, in)))
	in.Name = "more"
	refused(t, only(c.CreateGrant(bg, in)), "LimitExceededException", "Key "+key+" has reached the limit of 50000 grants.")
}

// The audit log names the grant, and keeps the token to itself.
func TestGrantAudit(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	g := newGrantFor(t, c, key, arnRoot, "Decrypt")
	ok(t, only(c.RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken})))
	want := map[string][2]string{
		"CreateGrant": {`{"keyId":"` + key + `","granteePrincipal":"` + arnRoot + `","operations":["Decrypt"]}`, `{"grantId":"` + g.GrantID + `","keyId":"` + key + `"}`},
		"RetireGrant": {`{"keyId":"` + key + `","grantId":"` + g.GrantID + `"}`, ""},
	}
	for r, err := range s.AuditEvents(bg, AuditFilter{}) {
		ok(t, err)
		if w, there := want[r.Event.EventName]; there {
			if got := [2]string{string(r.Event.RequestParameters), string(r.Event.ResponseElements)}; got != w {
				t.Errorf("%s is recorded as %q, want %q", r.Event.EventName, got, w)
			}
			delete(want, r.Event.EventName)
		}
		if text := string(r.Event.RequestParameters) + string(r.Event.ResponseElements); bytes.Contains([]byte(text), []byte(g.GrantToken)) {
			t.Errorf("a token is in the log: %s", text)
		}
	}
	if len(want) > 0 {
		t.Errorf("not recorded: %v", want)
	}
}
