package localkms

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/shape"
)

func TestGrantLists(t *testing.T) {
	clock := newClock()
	s := newStore(t, Options{Now: clock.Now})
	c := s.Client()
	for _, name := range []string{"alice", "bob", "retiring"} {
		as(t, s, "user/"+name, noKMS)
	}
	key, other := newKey(t, c), newKey(t, c)
	empty, err := c.ListGrants(bg, ListGrantsInput{KeyID: key})
	ok(t, err)
	if got := string(shape.Encode(empty, shape.Wire)); got != `{"Grants":[],"Truncated":false}` {
		t.Errorf("no grants are listed as %s", got)
	}
	one, err := c.CreateGrant(bg, CreateGrantInput{
		KeyID: key, GranteePrincipal: arnUser + "alice", RetiringPrincipal: arnUser + "retiring", Name: "a/grant",
		Operations:  []string{"GenerateDataKey", "Decrypt"},
		Constraints: &GrantConstraints{EncryptionContextSubset: kmsclient.EncryptionContext{"a": "b"}},
	})
	ok(t, err)
	list, err := c.ListGrants(bg, ListGrantsInput{KeyID: key})
	ok(t, err)
	want := fmt.Sprintf(`{"Grants":[{"KeyId":%q,"GrantId":%q,"Name":"a/grant","CreationDate":1767323045.678,`+
		`"GranteePrincipal":"%salice","RetiringPrincipal":"%sretiring","IssuingAccount":"%s","Operations":["Decrypt","GenerateDataKey"],`+
		`"Constraints":{"EncryptionContextSubset":{"a":"b"}}}],"Truncated":false}`, key, one.GrantID, arnUser, arnUser, arnRoot)
	if diff := cmp.Diff(want, string(shape.Encode(list, shape.Wire))); diff != "" {
		t.Error(diff)
	}

	// Parts of every size make up the whole, without gaps or doubles.
	of := map[string][]string{} // key or "bob" -> grant ids
	for i := range 7 {
		g := newGrantFor(t, c, key, arnUser+[]string{"alice", "bob"}[i%2], "Decrypt")
		of[key] = append(of[key], g.GrantID)
		if i%2 == 1 {
			of["bob"] = append(of["bob"], g.GrantID)
		}
	}
	of[key] = append(of[key], one.GrantID)
	of["retiring"] = []string{one.GrantID}
	for _, key := range []string{key, other, key} {
		g, err := c.CreateGrant(bg, CreateGrantInput{
			KeyID: key, GranteePrincipal: arnUser + "alice", RetiringPrincipal: arnUser + "retiring", Operations: []string{"Decrypt"},
		})
		ok(t, err)
		of[key], of["retiring"] = append(of[key], g.GrantID), append(of["retiring"], g.GrantID)
	}
	grants := func(in ListGrantsInput) func(Page) ([]Grant, More, error) {
		return func(p Page) ([]Grant, More, error) {
			in.Page = p
			out, err := c.ListGrants(bg, in)
			return out.Grants, out.More, err
		}
	}
	retirable := func(p Page) ([]Grant, More, error) {
		out, err := c.ListRetirableGrants(bg, ListRetirableGrantsInput{RetiringPrincipal: arnUser + "retiring", Page: p})
		return out.Grants, out.More, err
	}
	for name, test := range map[string]struct {
		list func(Page) ([]Grant, More, error)
		want []string
	}{
		"key":       {grants(ListGrantsInput{KeyID: key}), of[key]},
		"other key": {grants(ListGrantsInput{KeyID: other}), of[other]},
		"grantee":   {grants(ListGrantsInput{KeyID: key, GranteePrincipal: arnUser + "bob"}), of["bob"]},
		"grant":     {grants(ListGrantsInput{KeyID: key, GrantID: one.GrantID}), []string{one.GrantID}},
		"both":      {grants(ListGrantsInput{KeyID: key, GrantID: one.GrantID, GranteePrincipal: arnUser + "bob"}), nil},
		"foreign":   {grants(ListGrantsInput{KeyID: other, GrantID: one.GrantID}), nil},
		"retirable": {retirable, of["retiring"]},
	} {
		slices.Sort(test.want)
		for size := 1; size <= len(test.want)+1; size++ {
			var got []string
			page := Page{Limit: &size}
			for more := true; more; {
				list, next, err := test.list(page)
				ok(t, err)
				for _, g := range list {
					got = append(got, g.GrantID)
				}
				if more, page.Marker = next.Truncated, next.NextMarker; more && len(list) != size {
					t.Fatalf("%s: part of %d, not %d", name, len(list), size)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s by %d: %s", name, size, diff)
			}
		}
		_, _, err := test.list(Page{Marker: "x"})
		wantCode(t, name+": marker", err, "InvalidMarkerException")
	}
	for _, arn := range []string{"arn:aws:iam::111111111111:root", arnUser, "alice", arnRole + "a b"} {
		wantCode(t, "retirable by "+arn, only(c.ListRetirableGrants(bg, ListRetirableGrantsInput{RetiringPrincipal: arn})),
			map[bool]string{true: "ValidationException", false: "InvalidArnException"}[strings.Contains(arn, " ")])
	}
	wantCode(t, "grant id", only(c.ListGrants(bg, ListGrantsInput{KeyID: key, GrantID: strings.ToUpper(one.GrantID)})), "InvalidGrantIdException")
}
