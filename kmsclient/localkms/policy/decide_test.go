package policy

import (
	"slices"
	"strings"
	"testing"
)

var (
	allowed        = Decision{Allowed: true, By: ResourceBased}
	allowedByOwn   = Decision{Allowed: true, By: IdentityBased}
	noResource     = Decision{By: ResourceBased}
	noIdentity     = Decision{By: IdentityBased}
	deniedResource = Decision{Explicit: true, By: ResourceBased}
	deniedIdentity = Decision{Explicit: true, By: IdentityBased}
)

// Who a key policy allows, denies and leaves to the identity policies.
func TestDecide(t *testing.T) {
	const (
		own      = `"Effect": "Allow"`
		ownDeny  = `"Effect": "Deny"`
		delegate = `"Effect": "Allow", "Principal": {"AWS": "` + root + `"}`
		all      = `"Effect": "Allow", "Principal": "*"`
	)
	allow := func(arn string) string { return `"Effect": "Allow", "Principal": {"AWS": "` + arn + `"}` }
	deny := func(arn string) string { return `"Effect": "Deny", "Principal": {"AWS": "` + arn + `"}` }
	spare := func(arns ...string) string {
		return `"Effect": "Deny", "NotPrincipal": {"AWS": ["` + strings.Join(arns, `", "`) + `"]}`
	}
	for name, c := range map[string]struct {
		key    []string // nil for no key
		own    []string
		caller string
		want   Decision
	}{
		// Directly.
		"user named":                        {[]string{allow(alice)}, nil, alice, allowed},
		"user with a path named":            {[]string{allow(bob)}, nil, bob, allowed},
		"another user named":                {[]string{allow(bob)}, nil, alice, noResource},
		"a name that starts like the other": {[]string{allow(alice + "2")}, nil, alice, noResource},
		"a user of another account":         {[]string{allow("arn:aws:iam::999988887777:user/alice")}, nil, alice, noResource},
		"another user, own Allow":           {[]string{allow(bob)}, []string{own}, alice, noResource},
		"everyone":                          {[]string{all}, nil, alice, allowed},
		"everyone in a map":                 {[]string{allow("*")}, nil, session, allowed},
		"one of several":                    {[]string{`"Effect": "Allow", "Principal": {"AWS": ["` + bob + `", "` + alice + `"]}`}, nil, alice, allowed},
		"role named, by its session":        {[]string{allow(role)}, nil, session, allowed},
		"session named":                     {[]string{allow(session)}, nil, session, allowed},
		"another session named":             {[]string{allow(session + "2")}, nil, session, noResource},
		"service named":                     {[]string{`"Effect": "Allow", "Principal": {"Service": "ebs.amazonaws.com"}`}, []string{own}, alice, noResource},
		"root, account named":               {[]string{delegate}, nil, root, allowed},
		"root, a user named":                {[]string{allow(alice)}, nil, root, noResource},
		"no Allow at all":                   {[]string{deny(bob)}, []string{own}, alice, noResource},

		// Through the account.
		"account, no own policy":      {[]string{delegate}, nil, alice, noIdentity},
		"account, own Allow":          {[]string{delegate}, []string{own}, alice, allowedByOwn},
		"account by its number":       {[]string{allow(account)}, []string{own}, session, allowedByOwn},
		"account of China's ARN form": {[]string{allow("arn:aws-cn:iam::111122223333:root")}, []string{own}, alice, allowedByOwn},
		"account, own other action":   {[]string{delegate}, []string{own + `, "Action": "kms:Encrypt"`}, alice, noIdentity},
		"account, own other resource": {[]string{delegate}, []string{own + `, "Resource": "` + keyARN + `1"`}, alice, noIdentity},
		"another account":             {[]string{allow("999988887777")}, []string{own}, alice, noResource},
		"account and user":            {[]string{delegate, allow(alice)}, nil, alice, allowed},

		// Deny wins, whatever the order.
		"named and denied":             {[]string{deny(alice), allow(alice)}, nil, alice, deniedResource},
		"denied last":                  {[]string{allow(alice), deny(alice)}, []string{own}, alice, deniedResource},
		"all denied":                   {[]string{allow(alice), deny("*")}, nil, alice, deniedResource},
		"another denied":               {[]string{allow(alice), deny(bob)}, nil, alice, allowed},
		"role denied, session allowed": {[]string{allow(session), deny(role)}, nil, session, deniedResource},
		"account denied":               {[]string{allow(alice), deny(account)}, nil, alice, deniedResource},
		"account denied, root":         {[]string{delegate, deny(root)}, nil, root, deniedResource},
		"own Deny":                     {[]string{allow(alice)}, []string{own, ownDeny}, alice, deniedIdentity},
		"own Deny of something else":   {[]string{allow(alice)}, []string{ownDeny + `, "Action": "kms:Encrypt"`}, alice, allowed},
		"both deny":                    {[]string{deny(alice)}, []string{ownDeny}, alice, deniedResource},
		"denied without Allow":         {[]string{deny(alice)}, nil, alice, deniedResource},

		// NotPrincipal spares who is listed with account and role.
		"spared":                    {[]string{all, spare(alice, root)}, nil, alice, allowed},
		"not spared":                {[]string{all, spare(alice, root)}, nil, bob, deniedResource},
		"spared without account":    {[]string{all, spare(alice)}, nil, alice, deniedResource},
		"only account spared":       {[]string{all, spare(root)}, nil, alice, deniedResource},
		"account spared, root":      {[]string{all, spare(root)}, nil, root, allowed},
		"session spared":            {[]string{all, spare(session, role, account)}, nil, session, allowed},
		"session without its role":  {[]string{all, spare(session, root)}, nil, session, deniedResource},
		"role without the session":  {[]string{all, spare(role, root)}, nil, session, deniedResource},
		"service spared":            {[]string{all, `"Effect": "Deny", "NotPrincipal": {"Service": "ebs.amazonaws.com"}`}, nil, alice, deniedResource},
		"spared user of elsewhere":  {[]string{all, spare("arn:aws:iam::999988887777:user/alice", "999988887777")}, nil, alice, deniedResource},
		"spared for another action": {[]string{all, spare(alice) + `, "Action": "kms:Encrypt"`}, nil, alice, allowed},

		// Without a key.
		"no key, no policy":       {nil, nil, alice, noIdentity},
		"no key, own Allow":       {nil, []string{own}, alice, allowedByOwn},
		"no key, own Deny":        {nil, []string{own, ownDeny}, alice, deniedIdentity},
		"no key, root":            {nil, nil, root, allowedByOwn},
		"no key, another action":  {nil, []string{own + `, "Action": "kms:CreateKey"`}, alice, noIdentity},
		"no key, session, Allows": {nil, []string{own}, session, allowedByOwn},
	} {
		t.Run(name, func(t *testing.T) {
			var key *Policy
			if c.key != nil {
				key = keyPolicy(t, c.key...)
			}
			identity := []*Policy{nil} // one policy for each statement, so that their order counts too
			for _, s := range c.own {
				identity = append(identity, identityPolicy(t, s))
			}
			for range 2 {
				if got := Decide(decrypt(c.caller), key, identity); got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
				slices.Reverse(identity)
			}
		})
	}
}

func TestDecideActions(t *testing.T) {
	for _, c := range []struct {
		element, value, action string
		want                   bool
	}{
		{"Action", "kms:Decrypt", "kms:Decrypt", true},
		{"Action", "KMS:dEcRyPt", "kms:Decrypt", true},
		{"Action", "kms:Decrypt", "kms:Encrypt", false},
		{"Action", "*", "kms:Decrypt", true},
		{"Action", "kms:*", "iam:GetUser", false},
		{"Action", "iam:Get*", "iam:GetUser", true},
		{"Action", "iam:get*", "iam:ListUsers", false},
		{"Action", "kms:*", "kms:SynchronizeMultiRegionKey", true},
		{"Action", "kms:ReEncrypt*", "kms:ReEncryptFrom", true},
		{"Action", "kms:ReEncrypt*", "kms:ReEncryptTo", true},
		{"Action", "kms:?ecrypt", "kms:Decrypt", true},
		{"Action", "kms:?ecrypt", "kms:Encrypt", false},
		{"Action", "kms:GenerateDataKey", "kms:GenerateDataKeyPair", false},
		{"Action", "kms:GenerateDataKey*", "kms:GenerateDataKeyWithoutPlaintext", true},
		{"Action", "kms:*Grant*", "kms:ListRetirableGrants", true},
		{"NotAction", "kms:Decrypt", "kms:Decrypt", false},
		{"NotAction", "kms:Decrypt", "kms:Encrypt", true},
		{"NotAction", "kms:Decrypt", "iam:GetUser", true},
		{"NotAction", "*", "kms:Encrypt", false},
		{"NotAction", "iam:*", "sts:AssumeRole", true},
		// Not as AWS writes it, or no action at all.
		{"Action", "*", "kms:decrypt", false},
		{"Action", "*", "kms:ReEncrypt", false},
		{"NotAction", "iam:*", "", false},
	} {
		p := identityPolicy(t, `"Effect": "Allow", "`+c.element+`": "`+c.value+`"`)
		r := &Request{Action: c.action, Resource: "*", Caller: caller(alice)}
		if got := Decide(r, nil, []*Policy{p}).Allowed; got != c.want {
			t.Errorf("%s %s for %q: %v", c.element, c.value, c.action, got)
		}
	}
}

func TestDecideResources(t *testing.T) {
	for _, c := range []struct {
		element, value, resource string
		want                     bool
	}{
		{"Resource", "*", keyARN, true},
		{"Resource", "*", "*", true},
		{"Resource", keyARN, keyARN, true},
		{"Resource", keyARN, "*", false},
		{"Resource", keyARN, keyARN + "0", false},
		{"Resource", strings.Replace(keyARN, "abcd", "ABCD", 1), keyARN, false},
		{"Resource", "arn:aws:kms:*:111122223333:key/*", keyARN, true},
		{"Resource", "arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:eu-central-1:999988887777:key/x", false},
		// A wildcard does not reach across a colon before the resource.
		{"Resource", "arn:aws:kms:*:key/*:key/*", "arn:aws:kms:a:b:key/x", false},
		{"Resource", "arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:a:999988887777:111122223333:key/x", false},
		{"Resource", "arn:aws:kms:e*:*:key/1234*-??34567890ab", keyARN, true},
		{"Resource", "arn:aws:kms:*:*:alias/app*", "arn:aws:kms:eu-central-1:111122223333:alias/app:1", true},
		{"Resource", "arn:aws:iam::111122223333:user/${aws:username}", alice, true},
		{"Resource", "arn:aws:iam::111122223333:user/${aws:username}", bob, false},
		{"Resource", "arn:aws:iam::111122223333:user/${AWS:UserName}", alice, true},
		{"Resource", "arn:aws:iam::111122223333:user/${*}", alice, false},
		{"Resource", "arn:aws:iam::111122223333:user/${*}${?}${$}{}", "arn:aws:iam::111122223333:user/*?${}", true},
		{"Resource", "arn:aws:iam::111122223333:user/${aws:PrincipalAccount}*", "arn:aws:iam::111122223333:user/111122223333-x", true},
		{"NotResource", keyARN, keyARN, false},
		{"NotResource", keyARN, keyARN + "0", true},
		{"NotResource", keyARN, "*", true},
		{"NotResource", "*", keyARN, false},
	} {
		p := identityPolicy(t, `"Effect": "Allow", "Action": "*", "`+c.element+`": "`+c.value+`"`)
		r := &Request{Action: "kms:Decrypt", Resource: c.resource, Caller: caller(alice)}
		if got := Decide(r, nil, []*Policy{p}).Allowed; got != c.want {
			t.Errorf("%s %s for %s: %v", c.element, c.value, c.resource, got)
		}
	}
}

// A statement with several resources applies to each.
func TestDecideSeveralResources(t *testing.T) {
	p := keyPolicy(t, `"Effect": "Allow", "Principal": "*", "Resource": ["arn:aws:kms:*:*:key/x", "`+keyARN+`"]`)
	if got := Decide(decrypt(alice), p, nil); got != allowed {
		t.Errorf("%+v", got)
	}
}

func TestDecideTrust(t *testing.T) {
	trust := func(principal string) *Policy {
		return parse(t, TrustPolicy, `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": `+principal+`, "Action": "sts:AssumeRole"}]}`)
	}
	own := identityPolicy(t, `"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "`+role+`"`)
	none := identityPolicy(t, `"Effect": "Deny", "Action": "sts:*"`)
	for name, c := range map[string]struct {
		trust    *Policy
		identity *Policy
		want     Decision
	}{
		"named":            {trust(`{"AWS": "` + alice + `"}`), nil, allowed},
		"another":          {trust(`{"AWS": "` + bob + `"}`), own, noResource},
		"account":          {trust(`{"AWS": "` + account + `"}`), nil, noIdentity},
		"account and own":  {trust(`{"AWS": "` + account + `"}`), own, allowedByOwn},
		"named but denied": {trust(`{"AWS": "` + alice + `"}`), none, deniedIdentity},
		"a service":        {trust(`{"Service": "ec2.amazonaws.com"}`), own, noResource},
		"no trust policy":  {own, own, noResource},
	} {
		r := &Request{Action: "sts:AssumeRole", Resource: role, Caller: caller(alice)}
		if got := Decide(r, c.trust, []*Policy{c.identity}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A policy in a place for another kind denies.
func TestDecideWrongKind(t *testing.T) {
	key := keyPolicy(t, `"Effect": "Allow", "Principal": "*"`)
	if got := Decide(decrypt(alice), key, []*Policy{key}); got.Allowed {
		t.Errorf("a key policy as identity policy: %+v", got)
	}
	if got := Decide(decrypt(root), identityPolicy(t, `"Effect": "Allow"`), nil); got.Allowed {
		t.Errorf("an identity policy as key policy: %+v", got)
	}
}

func TestReason(t *testing.T) {
	for d, want := range map[Decision]string{
		allowed:        "",
		allowedByOwn:   "",
		noResource:     "because no resource-based policy allows the kms:Decrypt action",
		noIdentity:     "because no identity-based policy allows the kms:Decrypt action",
		deniedResource: "with an explicit deny in a resource-based policy",
		deniedIdentity: "with an explicit deny in an identity-based policy",
	} {
		if got := d.Reason("kms:Decrypt"); got != want {
			t.Errorf("%+v: %q, want %q", d, got, want)
		}
	}
}
