package localkms

import (
	"fmt"
	"strings"
	"testing"

	"kmsfs/kmsclient"
)

func newGrantFor(t testing.TB, c *Client, key, grantee string, operations ...string) CreateGrantOutput {
	t.Helper()
	out, err := c.CreateGrant(bg, CreateGrantInput{KeyID: key, GranteePrincipal: grantee, Operations: operations})
	ok(t, err)
	return out
}

// A grant lets its grantee do what it says, and nobody else, until it is revoked:
// in every process that has the store open.
func TestGrant(t *testing.T) {
	s := newStore(t, Options{})
	there := openStore(t, s.dir, Options{})
	c := s.Client()
	as(t, s, "user/alice", noKMS)
	as(t, s, "role/worker", noKMS)
	as(t, s, "user/bob", noKMS)
	key, other := newKey(t, c), newKey(t, c)
	for _, grantee := range []string{arnUser + "alice", arnRole + "worker", arnSession + "worker/kmsfs"} {
		who := "user/alice"
		if grantee != arnUser+"alice" {
			who = "role/worker"
		}
		here, there := clientOf(t, s, who), clientOf(t, there, who)
		wantCode(t, "before", encrypt(there, key, nil), denied)
		g := newGrantFor(t, c, key, grantee, "Encrypt", "DescribeKey")
		wantCode(t, grantee, encrypt(here, key, nil), "")
		wantCode(t, grantee+" elsewhere", encrypt(there, key, nil), "")
		wantCode(t, "describe", only(here.DescribeKey(bg, key)), "")
		wantCode(t, "what the grant has not", only(here.API.GenerateDataKey(bg, GenerateDataKeyInput{KeyID: key, KeySpec: "AES_256"})), denied)
		wantCode(t, "another key", encrypt(here, other, nil), denied)
		wantCode(t, "another user", encrypt(clientOf(t, s, "user/bob"), key, nil), denied)
		ok(t, only(c.RevokeGrant(bg, RevokeGrantInput{KeyID: key, GrantID: g.GrantID})))
		wantCode(t, "revoked", encrypt(here, key, nil), denied)
		wantCode(t, "revoked elsewhere", encrypt(there, key, nil), denied)
	}
	g := newGrantFor(t, c, key, arnSession+"worker/other", "Encrypt")
	wantCode(t, "grant to another session", encrypt(clientOf(t, s, "role/worker"), key, nil), denied)
	ok(t, only(c.RevokeGrant(bg, RevokeGrantInput{KeyID: key, GrantID: g.GrantID})))
}

// An explicit Deny beats a grant, in either policy.
func TestGrantDenied(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	alice := as(t, s, "user/alice", noKMS)
	bob := as(t, s, "user/bob", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:Encrypt","Resource":"*"}}`)
	newGrantFor(t, c, key, arnUser+"alice", "Encrypt")
	newGrantFor(t, c, key, arnUser+"bob", "Encrypt", "DescribeKey")
	wantCode(t, "alice", encrypt(alice, key, nil), "")
	wantCode(t, "bob", encrypt(bob, key, nil), denied)
	wantCode(t, "bob describes", only(bob.DescribeKey(bg, key)), "")
	ok(t, putPolicy(c, key, rules(delegated, rule("Deny", arnUser+"alice", "kms:Encrypt", ""))))
	wantCode(t, "alice, denied", encrypt(alice, key, nil), denied)
}

func TestGrantConstraints(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	type ec = kmsclient.EncryptionContext
	it := ec{"Department": "IT"}
	for i, test := range []struct {
		limits  GrantConstraints
		good    []ec
		refused []ec
	}{
		{GrantConstraints{}, []ec{nil, it}, nil},
		{GrantConstraints{EncryptionContextSubset: ec{}, EncryptionContextEquals: ec{}}, []ec{nil, it}, nil},
		{
			GrantConstraints{EncryptionContextSubset: it},
			[]ec{it, {"department": "IT"}, {"Department": "IT", "x": "y"}, {"Department": "IT", "DEPARTMENT": "IT"}},
			[]ec{nil, {"Department": "it"}, {"x": "y"}, {"Department": "IT", "department": "HR"}},
		},
		{
			GrantConstraints{EncryptionContextEquals: ec{"Department": "IT", "Class": "A"}},
			[]ec{{"Department": "IT", "Class": "A"}, {"department": "IT", "CLASS": "A"}},
			[]ec{nil, it, {"Department": "IT", "Class": "a"}, {"Department": "IT", "Class": "A", "x": "y"}, {"Department": "IT", "department": "IT"}, {"Department": "IT", "Class": "A", "class": "A"}},
		},
	} {
		name := fmt.Sprintf("alice%d", i)
		alice := as(t, s, "user/"+name, noKMS)
		key := newKey(t, c)
		ok(t, only(c.CreateGrant(bg, CreateGrantInput{
			KeyID: key, GranteePrincipal: arnUser + name, Constraints: &test.limits,
			Operations: []string{"Encrypt", "Decrypt", "ReEncryptFrom", "DescribeKey", "GenerateDataKey"},
		})))
		wantCode(t, "an operation without a context", only(alice.DescribeKey(bg, key)), "")
		try := func(ec ec, want string) {
			t.Helper()
			what := fmt.Sprintf("%+v under %v", test.limits, ec)
			wantCode(t, what, encrypt(alice, key, ec), want)
			_, _, err := alice.GenerateDataKey(bg, key, ec)
			wantCode(t, what+": data key", err, want)
			w, err := c.Encrypt(bg, key, []byte("x"), ec)
			ok(t, err)
			_, _, err = alice.Decrypt(bg, w.Blob, ec)
			wantCode(t, what+": decrypt", err, want)
		}
		for _, ec := range test.good {
			try(ec, "")
		}
		for _, ec := range test.refused {
			try(ec, denied)
		}
	}
}

// Who may create grants by a grant gives no more than he has; who may by a policy
// gives what he likes.
func TestGrantChild(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	type ec = kmsclient.EncryptionContext
	subset := func(ec ec) *GrantConstraints { return &GrantConstraints{EncryptionContextSubset: ec} }
	equals := func(ec ec) *GrantConstraints { return &GrantConstraints{EncryptionContextEquals: ec} }
	alice, boss := as(t, s, "user/alice", noKMS), as(t, s, "user/boss", strings.Replace(noKMS, "iam:GetUser", "kms:CreateGrant", 1))
	as(t, s, "user/bob", noKMS)
	for _, parent := range []struct {
		limits        *GrantConstraints
		good, refused []*GrantConstraints
	}{
		{nil, []*GrantConstraints{nil, subset(ec{"a": "1"}), equals(ec{"a": "1"})}, nil},
		{
			subset(ec{"a": "1"}),
			[]*GrantConstraints{subset(ec{"a": "1"}), subset(ec{"A": "1", "b": "2"}), equals(ec{"a": "1"}), equals(ec{"a": "1", "b": "2"})},
			[]*GrantConstraints{nil, {}, subset(ec{"b": "2"}), subset(ec{"a": "2"}), equals(ec{"b": "2"})},
		},
		{
			equals(ec{"a": "1", "b": "2"}),
			[]*GrantConstraints{equals(ec{"a": "1", "b": "2"})},
			[]*GrantConstraints{nil, equals(ec{"a": "1"}), equals(ec{"a": "1", "b": "2", "c": "3"}), subset(ec{"a": "1", "b": "2"})},
		},
	} {
		key := newKey(t, c)
		have := []string{"Decrypt", "Encrypt", "CreateGrant"}
		out, err := c.CreateGrant(bg, CreateGrantInput{
			KeyID: key, GranteePrincipal: arnUser + "alice", Operations: have, Constraints: parent.limits,
		})
		ok(t, err)
		give := func(c *Client, limits *GrantConstraints, operations ...string) error {
			return only(c.CreateGrant(bg, CreateGrantInput{
				KeyID: key, GranteePrincipal: arnUser + "bob", Operations: operations, Constraints: limits,
			}))
		}
		for _, limits := range parent.good {
			what := fmt.Sprintf("%+v gives %+v: ", parent.limits, limits)
			wantCode(t, what+"all", give(alice, limits, have...), "")
			wantCode(t, what+"some", give(alice, limits, "Decrypt"), "")
			for _, op := range []string{"GenerateDataKey", "DescribeKey", "RetireGrant", "ReEncryptFrom"} {
				wantCode(t, what+op, give(alice, limits, "Decrypt", op), denied)
			}
		}
		for _, limits := range parent.refused {
			wantCode(t, fmt.Sprintf("%+v gives %+v", parent.limits, limits), give(alice, limits, "Decrypt"), denied)
		}
		wantCode(t, "by policy", give(boss, nil, "Decrypt", "GenerateDataKey"), "")
		ok(t, only(c.RevokeGrant(bg, RevokeGrantInput{KeyID: key, GrantID: out.GrantID})))
		if len(parent.good) > 0 {
			wantCode(t, "revoked", give(alice, parent.good[0], "Decrypt"), denied)
		}
	}
	// Two grants do not add up to one.
	key := newKey(t, c)
	newGrantFor(t, c, key, arnUser+"alice", "CreateGrant", "Encrypt")
	newGrantFor(t, c, key, arnUser+"alice", "CreateGrant", "Decrypt")
	wantCode(t, "sum of two grants", only(alice.CreateGrant(bg, CreateGrantInput{
		KeyID: key, GranteePrincipal: arnUser + "bob", Operations: []string{"Encrypt", "Decrypt"},
	})), denied)
}

// The condition keys of grants.
func TestGrantConditions(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	boss := as(t, s, "user/boss", noKMS)
	as(t, s, "user/alice", noKMS)
	service := s.ClientFor(Caller{Principal: boss.caller.Principal, ViaService: "ec2.us-east-1.amazonaws.com"})
	type ec = kmsclient.EncryptionContext
	full := CreateGrantInput{
		GranteePrincipal: arnUser + "alice", RetiringPrincipal: arnUser + "boss", Operations: []string{"Encrypt", "Decrypt"},
		Constraints: &GrantConstraints{EncryptionContextEquals: ec{"Department": "IT"}},
	}
	bare := CreateGrantInput{GranteePrincipal: arnUser + "boss", Operations: []string{"GenerateDataKey"}}
	for condition, want := range map[string]string{ // who may: f full, b bare, s bare by a service
		`{"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt","Decrypt","DescribeKey"]}}`: "f",
		`{"ForAnyValue:StringEquals":{"kms:GrantOperations":"GenerateDataKey"}}`:                    "bs",
		`{"StringEquals":{"kms:GranteePrincipal":"` + arnUser + `alice"}}`:                          "f",
		`{"ArnLike":{"kms:RetiringPrincipal":"` + arnUser + `b*"}}`:                                 "f",
		`{"Null":{"kms:RetiringPrincipal":"true"}}`:                                                 "bs",
		`{"StringEquals":{"kms:GrantConstraintType":"EncryptionContextEquals"}}`:                    "f",
		`{"StringEquals":{"kms:GrantConstraintType":"EncryptionContextSubset"}}`:                    "",
		`{"StringEquals":{"kms:EncryptionContext:department":"IT"}}`:                                "f",
		`{"Bool":{"kms:GrantIsForAWSResource":"true"}}`:                                             "s",
		`{"Bool":{"kms:GrantIsForAWSResource":"false"}}`:                                            "fb",
		`{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}}`:                                      "fbs",
	} {
		key := newKey(t, c)
		ok(t, putPolicy(c, key, rules(delegated, rule("Allow", arnUser+"boss", "kms:CreateGrant", condition))))
		for _, try := range []struct {
			who  string
			c    *Client
			in   CreateGrantInput
			want bool
		}{{"f", boss, full, false}, {"b", boss, bare, false}, {"s", service, bare, false}} {
			try.in.KeyID = key
			expect := denied
			if strings.Contains(want, try.who) {
				expect = ""
			}
			wantCode(t, condition+" "+try.who, only(try.c.CreateGrant(bg, try.in)), expect)
		}
	}

	// RetireGrant has those of the grant; ListGrants and RevokeGrant that of services.
	key := newKey(t, c)
	ok(t, putPolicy(c, key, rules(delegated, rule("Deny", arnUser+"boss", "kms:RetireGrant", `{"StringEquals":{"kms:EncryptionContext:department":"IT"}}`),
		rule("Allow", arnUser+"boss", "kms:ListGrants", `{"Bool":{"kms:GrantIsForAWSResource":"true"}}`),
		rule("Allow", arnUser+"boss", "kms:RevokeGrant", `{"Bool":{"kms:GrantIsForAWSResource":"true"}}`))))
	full.KeyID = key
	g, err := c.CreateGrant(bg, full)
	ok(t, err)
	wantCode(t, "retire under a constraint", only(boss.RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken})), denied)
	full.Constraints = nil
	free, err := c.CreateGrant(bg, full)
	ok(t, err)
	wantCode(t, "retire without", only(boss.RetireGrant(bg, RetireGrantInput{GrantToken: free.GrantToken})), "")
	for c, want := range map[*Client]string{boss: denied, service: ""} {
		wantCode(t, "list", only(c.ListGrants(bg, ListGrantsInput{KeyID: key})), want)
		revoke := RevokeGrantInput{KeyID: key, GrantID: g.GrantID, DryRun: true}
		if want == "" {
			want = "DryRunOperationException"
		}
		wantCode(t, "revoke", only(c.RevokeGrant(bg, revoke)), want)
	}
	owner := as(t, s, "user/lister", strings.NewReplacer("iam:GetUser", "kms:ListRetirableGrants", `"*"`, `"`+arnUser+`boss"`).Replace(noKMS))
	wantCode(t, "retirable", only(owner.ListRetirableGrants(bg, ListRetirableGrantsInput{RetiringPrincipal: arnUser + "boss"})), "")
	wantCode(t, "retirable by another", only(owner.ListRetirableGrants(bg, ListRetirableGrantsInput{RetiringPrincipal: arnUser + "alice"})), denied)
}
