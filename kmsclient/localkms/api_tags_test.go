package localkms

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kmsfs/kmsclient"
)

func TestTags(t *testing.T) {
	c := newStore(t, Options{}).Client()
	out, err := c.CreateKey(bg, CreateKeyInput{Tags: []Tag{{"Project", "Alpha"}, {"empty", ""}}})
	ok(t, err)
	key := out.KeyMetadata.Arn
	check := func(want ...Tag) {
		t.Helper()
		got, err := c.ListResourceTags(bg, ListResourceTagsInput{KeyID: key})
		ok(t, err)
		if diff := cmp.Diff(append([]Tag{}, want...), got.Tags); diff != "" || got.Truncated {
			t.Error(got.Truncated, diff)
		}
	}
	check(Tag{"Project", "Alpha"}, Tag{"empty", ""})
	ok(t, only(c.TagResource(bg, TagResourceInput{KeyID: key, Tags: []Tag{{"Project", "Beta"}, {"project", "gamma"}, {"été", "日本"}}})))
	check(Tag{"Project", "Beta"}, Tag{"empty", ""}, Tag{"project", "gamma"}, Tag{"été", "日本"})
	ok(t, only(c.UntagResource(bg, UntagResourceInput{KeyID: key, TagKeys: []string{"Project", "unknown", "empty"}})))
	check(Tag{"project", "gamma"}, Tag{"été", "日本"})

	// Parts of one tag each.
	var got []string
	page := Page{Limit: new(1)}
	for more := true; more; {
		out, err := c.ListResourceTags(bg, ListResourceTagsInput{KeyID: key, Page: page})
		ok(t, err)
		got = append(got, out.Tags[0].TagKey)
		more, page.Marker = out.Truncated, out.NextMarker
	}
	if diff := cmp.Diff([]string{"project", "été"}, got); diff != "" {
		t.Error(diff)
	}
	refused(t, only(c.ListResourceTags(bg, ListResourceTagsInput{KeyID: key, Page: Page{Marker: "x"}})), "InvalidMarkerException", "")
}

func TestTagsRefused(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	many := func(prefix string, n int) (tags []Tag) {
		for i := range n {
			tags = append(tags, Tag{fmt.Sprint(prefix, i), "v"})
		}
		return tags
	}
	for name, test := range map[string]struct {
		tags          []Tag
		code, message string
	}{
		"twice":         {[]Tag{{"a", "1"}, {"a", "2"}}, "TagException", "Duplicate tag keys"},
		"too many":      {many("t", 51), "TagException", "Too many tags"},
		"AWS's own":     {[]Tag{{"AWS:x", "1"}}, "TagException", "Tags beginning with aws: are reserved"},
		"bad name":      {[]Tag{{"a&b", "1"}}, "TagException", "Invalid tag"},
		"bad value":     {[]Tag{{"a", "My & My Team"}}, "TagException", "Invalid tag"},
		"control":       {[]Tag{{"a", "b\tc"}}, "TagException", "Invalid tag"},
		"no name":       {[]Tag{{"", "1"}}, "ValidationException", ""},
		"long name":     {[]Tag{{strings.Repeat("é", 129), "1"}}, "ValidationException", ""},
		"long value":    {[]Tag{{"a", strings.Repeat("é", 257)}}, "ValidationException", ""},
		"one bad, last": {[]Tag{{"good", "1"}, {"b*d", "1"}}, "TagException", "Invalid tag"},
	} {
		for op, err := range map[string]error{
			"TagResource": only(c.TagResource(bg, TagResourceInput{KeyID: key, Tags: test.tags})),
			"CreateKey":   only(c.CreateKey(bg, CreateKeyInput{Tags: test.tags})),
		} {
			if wantCode(t, name+": "+op, err, test.code); test.message != "" {
				refused(t, err, test.code, test.message)
			}
		}
	}
	ok(t, only(c.TagResource(bg, TagResourceInput{KeyID: key, Tags: []Tag{{strings.Repeat("é", 128), strings.Repeat("é", 256)}}})))
	ok(t, only(c.TagResource(bg, TagResourceInput{KeyID: key, Tags: many("t", 48)})))
	ok(t, only(c.TagResource(bg, TagResourceInput{KeyID: key, Tags: []Tag{{"t0", "new"}, {"last", ""}}})))
	wantCode(t, "51st tag", only(c.TagResource(bg, TagResourceInput{KeyID: key, Tags: []Tag{{"t0", "newer"}, {"more", ""}}})), "TagException")
	wantCode(t, "51 tags less", only(c.UntagResource(bg, UntagResourceInput{KeyID: key, TagKeys: slices.Repeat([]string{"t0"}, 51)})), "TagException")
	out, err := c.ListResourceTags(bg, ListResourceTagsInput{KeyID: key})
	ok(t, err)
	if len(out.Tags) != 50 || out.Truncated || !strings.Contains(fmt.Sprint(out.Tags), "{t0 new}") {
		t.Errorf("%d tags after a refusal: %v", len(out.Tags), out.Tags)
	}
	ok(t, only(c.ScheduleKeyDeletion(bg, ScheduleKeyDeletionInput{KeyID: key})))
	wantCode(t, "tag before deletion", only(c.TagResource(bg, TagResourceInput{KeyID: key, Tags: []Tag{{"t0", ""}}})), "KMSInvalidStateException")
	managed := newKey(t, c)
	ok(t, s.writer.submit(bg, func(t *tx) error { return t.exec("UPDATE cmk SET manager = 'ebs' WHERE state = 'Enabled'") }))
	for what, err := range map[string]error{
		"tag":   only(c.TagResource(bg, TagResourceInput{KeyID: managed, Tags: []Tag{{"a", "b"}}})),
		"untag": only(c.UntagResource(bg, UntagResourceInput{KeyID: managed, TagKeys: []string{"a"}})),
	} {
		wantCode(t, what+" an AWS managed key", err, denied)
	}
}

// Policies look at the tags of requests and of keys.
func TestTagConditions(t *testing.T) {
	s := newStore(t, Options{})
	c := s.Client()
	key := newKey(t, c)
	statement := func(effect, action, condition string) string {
		return fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":"*","Condition":%s}`, effect, action, condition)
	}
	alice := as(t, s, "user/alice", rules(
		statement("Allow", "kms:*Tag*", `{"ForAllValues:StringEquals":{"aws:TagKeys":["Cost","été"]}}`),
		statement("Deny", "kms:TagResource", `{"StringEquals":{"aws:RequestTag/cost":"free"}}`),
		statement("Deny", "kms:TagResource", `{"Null":{"aws:RequestTag/Cost":"true"}}`),
		statement("Allow", "kms:Encrypt", `{"StringEquals":{"aws:ResourceTag/COST":"1"}}`),
		statement("Deny", "kms:Encrypt", `{"StringEquals":{"aws:ResourceTag/ÉTÉ":"oui"}}`),
	))
	tag := func(tags ...Tag) error { return only(alice.TagResource(bg, TagResourceInput{KeyID: key, Tags: tags})) }
	for _, test := range []struct {
		tags []Tag
		want string
	}{
		{[]Tag{{"Cost", "2"}}, ""},
		{[]Tag{{"Cost", ""}}, ""}, // "" is a value
		{[]Tag{{"Cost", "free"}}, denied},
		{[]Tag{{"Cost", "2"}, {"Other", "x"}}, denied},
		{[]Tag{{"été", "x"}}, denied}, // no Cost
		{[]Tag{{"cost", "2"}}, denied},
		{[]Tag{{"Cost", "1"}, {"été", "non"}}, ""},
	} {
		wantCode(t, fmt.Sprint("tag ", test.tags), tag(test.tags...), test.want)
	}
	wantCode(t, "tags allow", encrypt(alice, key, nil), "")
	ok(t, tag(Tag{"Cost", "1"}, Tag{"été", "oui"}))
	wantCode(t, "a tag denies", encrypt(alice, key, kmsclient.EncryptionContext{"a": "b"}), denied)
	wantCode(t, "untag another", only(alice.UntagResource(bg, UntagResourceInput{KeyID: key, TagKeys: []string{"Cost", "x"}})), denied)
	ok(t, only(alice.UntagResource(bg, UntagResourceInput{KeyID: key, TagKeys: []string{"été"}})))
	wantCode(t, "tags allow again", encrypt(alice, key, nil), "")
	ok(t, only(alice.UntagResource(bg, UntagResourceInput{KeyID: key, TagKeys: []string{"Cost"}})))
	wantCode(t, "no tag", encrypt(alice, key, nil), denied)

	// CreateKey with tags needs the permission to tag.
	creator := as(t, s, "user/creator", strings.Replace(noKMS, "iam:GetUser", "kms:CreateKey", 1))
	ok(t, only(creator.CreateKey(bg, CreateKeyInput{})))
	wantCode(t, "tagged key", only(creator.CreateKey(bg, CreateKeyInput{Tags: []Tag{{"a", "b"}}})), denied)
}
