package localkms

import (
	"encoding/base64"
	"strings"
	"testing"
)

// Tokens are taken wherever a request may have them, and refused unless this
// store made them for this Region.
func TestGrantTokens(t *testing.T) {
	s, foreign := newStore(t, Options{}), newStore(t, Options{})
	c := s.Client()
	alice := as(t, s, "user/alice", noKMS)
	key := newKey(t, c)
	g := newGrantFor(t, c, key, arnUser+"alice", "Encrypt")
	theirs := newGrantFor(t, foreign.Client(), newKey(t, foreign.Client()), arnRoot, "Encrypt")
	encrypt := func(tokens ...string) error {
		return only(alice.API.Encrypt(bg, EncryptInput{KeyID: key, Plaintext: []byte("x"), GrantTokens: tokens}))
	}
	flipped := []byte(g.GrantToken)
	flipped[30] ^= 1
	const bad = "InvalidGrantTokenException"
	for name, test := range map[string]struct {
		tokens []string
		want   string
	}{
		"none":          {nil, ""},
		"its own":       {[]string{g.GrantToken}, ""},
		"twice":         {[]string{g.GrantToken, g.GrantToken}, ""},
		"another too":   {[]string{g.GrantToken, theirs.GrantToken}, bad},
		"other store":   {[]string{theirs.GrantToken}, bad},
		"flipped bit":   {[]string{string(flipped)}, bad},
		"cut":           {[]string{g.GrantToken[:len(g.GrantToken)-4]}, bad},
		"padded":        {[]string{g.GrantToken + "="}, bad},
		"line break":    {[]string{g.GrantToken[:64] + "\n" + g.GrantToken[65:]}, bad},
		"no token":      {[]string{"token"}, bad},
		"plain grantid": {[]string{g.GrantID}, bad},
	} {
		wantCode(t, name, encrypt(test.tokens...), test.want)
		if test.want != "" {
			wantCode(t, name+", DescribeKey", only(c.API.DescribeKey(bg, DescribeKeyInput{KeyID: key, GrantTokens: test.tokens})), bad)
			wantCode(t, name+", CreateGrant", only(c.CreateGrant(bg, CreateGrantInput{
				KeyID: key, GranteePrincipal: arnRoot, Operations: []string{"Decrypt"}, GrantTokens: test.tokens,
			})), bad)
			wantCode(t, name+", RetireGrant", only(c.RetireGrant(bg, RetireGrantInput{GrantToken: test.tokens[len(test.tokens)-1]})), bad)
		}
	}
	elsewhere := s.ClientFor(Caller{Principal: LocalUser(), Region: "eu-west-1"})
	wantCode(t, "other Region", only(elsewhere.RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken})), bad)
	other := newGrantFor(t, c, newKey(t, c), arnUser+"alice", "Encrypt")
	wantCode(t, "token and another grant", only(c.RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken, GrantID: other.GrantID})), bad)
	wantCode(t, "token and another key", only(c.RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken, KeyID: newKey(t, c)})), bad)

	// A token adds nothing: without its grant it opens nothing.
	ok(t, only(c.RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken, KeyID: key, GrantID: g.GrantID})))
	wantCode(t, "token of a retired grant", encrypt(g.GrantToken), denied)
	wantCode(t, "grant of another key", encrypt(other.GrantToken), denied)
}

// A locked store manages keys, but can neither make a token nor check one.
func TestGrantTokensLocked(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	g := newGrantFor(t, c, key, arnRoot, "Decrypt")
	ok(t, s.writer.submit(bg, func(t *tx) error { s.locked = true; return nil }))
	defer s.writer.submit(bg, func(t *tx) error { s.locked = false; return nil })
	for what, err := range map[string]error{
		"check":  only(c.API.DescribeKey(bg, DescribeKeyInput{KeyID: key, GrantTokens: []string{g.GrantToken}})),
		"make":   only(c.CreateGrant(bg, CreateGrantInput{KeyID: key, GranteePrincipal: arnRoot, Operations: []string{"Decrypt"}})),
		"retire": only(c.RetireGrant(bg, RetireGrantInput{GrantToken: g.GrantToken})),
	} {
		if err == nil || !strings.Contains(err.Error(), errLocked.Message) && !strings.Contains(err.Error(), key+" is unavailable.") {
			t.Errorf("%s a token: %v, want %v", what, err, errLocked)
		}
	}
	ok(t, only(c.RetireGrant(bg, RetireGrantInput{KeyID: key, GrantID: g.GrantID})))
}

func FuzzGrantToken(f *testing.F) {
	var root rootKey
	copy(root[:], "0123456789abcdef0123456789abcdef")
	good := root.grantToken("us-east-1", &grant{})
	f.Add(good)
	f.Add(good[:129] + "A")
	f.Add(good[:60] + "\r\n" + good[60:])
	f.Add("AQ" + strings.Repeat("\n", 128)) // decodes to one byte
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		key, id, ok := root.openGrantToken("us-east-1", token)
		b, err := base64.RawURLEncoding.DecodeString(token)
		if !ok {
			// Whatever has the right length and version can be made genuine.
			if err == nil && len(b) == grantTokenLen && b[0] == grantTokenVersion && len(token) == len(good) {
				body := b[:grantTokenBody]
				signed := grantTokenText.EncodeToString(append(body[:len(body):len(body)], root.macGrantToken("us-east-1", body)...))
				if _, _, ok := root.openGrantToken("us-east-1", signed); !ok {
					t.Fatalf("a signed token does not open: %s", signed)
				}
			}
			return
		}
		if grantTokenText.EncodeToString(b) != token || key != keyID(b[1:17]) || id != grantID(b[17:49]) {
			t.Fatalf("token %q opens as key %s, grant %s", token, key, id)
		}
		if _, _, ok := root.openGrantToken("eu-west-1", token); ok {
			t.Fatal("a token opens in another Region")
		}
	})
}
