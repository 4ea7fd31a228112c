package localkms

import (
	"context"
	"encoding/hex"
	"regexp"
	"strings"
)

// maxTags is AWS's quota of tags per key.
const maxTags = 50

// tagText is what AWS takes in names and values of tags.
// Source: "Tag naming limits and requirements" in
// https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// TagResource adds tags to a key and replaces those of the same names.
func (a *API) TagResource(ctx context.Context, in TagResourceInput) (Empty, error) {
	return do(ctx, a, "TagResource", &in, func(c *call) (out Empty, err error) {
		c.tagFacts(in.Tags)
		k, err := c.managedKey(in.KeyID)
		if err != nil {
			return out, err
		}
		if err := checkTags(in.Tags); err != nil {
			return out, err
		}
		return out, c.putTags(k, in.Tags)
	})
}

// UntagResource removes tags of a key, as far as it has them.
func (a *API) UntagResource(ctx context.Context, in UntagResourceInput) (Empty, error) {
	return do(ctx, a, "UntagResource", &in, func(c *call) (out Empty, err error) {
		c.fact("aws:tagkeys", in.TagKeys...)
		k, err := c.managedKey(in.KeyID)
		if err != nil {
			return out, err
		}
		if len(in.TagKeys) > maxTags {
			return out, refuse("TagException", "Too many tags")
		}
		for _, name := range in.TagKeys {
			if err := c.exec("DELETE FROM tag WHERE region = ? AND cmk = ? AND name = ?", k.region, k.id[:], name); err != nil {
				return out, err
			}
		}
		return out, nil
	})
}

// ListResourceTags lists the tags of a key by name, in parts of up to 50, which
// is all that it can have.
func (a *API) ListResourceTags(ctx context.Context, in ListResourceTagsInput) (ListResourceTagsOutput, error) {
	return do(ctx, a, "ListResourceTags", &in, func(c *call) (ListResourceTagsOutput, error) {
		out := ListResourceTagsOutput{Tags: []Tag{}}
		k, err := c.key(in.KeyID, byID)
		if err != nil {
			return out, err
		}
		after, err := hex.DecodeString(in.Marker) // of any letters, which a marker cannot have
		if err != nil {
			return out, refuse("InvalidMarkerException", "")
		}
		limit := in.limit(maxTags, maxTags)
		err = c.each("SELECT name, value FROM tag WHERE region = ? AND cmk = ? AND name > ? ORDER BY name LIMIT ?",
			[]any{k.region, k.id[:], string(after), limit + 1}, func(scan func(...any) error) error {
				var t Tag
				err := scan(&t.TagKey, &t.TagValue)
				out.Tags = append(out.Tags, t)
				return err
			})
		out.Tags, out.More = cut(out.Tags, limit, func(t Tag) string { return hex.EncodeToString([]byte(t.TagKey)) })
		return out, err
	})
}

// tagFacts states the condition keys about the tags of a request. Unlike other
// conditions, that on a tag tells the value "" from none.
func (c *conditions) tagFacts(tags []Tag) {
	var names []string
	values := map[string][]string{}
	for _, t := range tags {
		key := "aws:requesttag/" + strings.ToLower(t.TagKey)
		values[key] = append(values[key], t.TagValue)
		names = append(names, t.TagKey)
	}
	for key, v := range values {
		c.facts = append(c.facts, fact{key, v})
	}
	c.fact("aws:tagkeys", names...)
}

// checkTags refuses tags that no key can have. Their lengths are AWS's already.
func checkTags(tags []Tag) error {
	names := map[string]bool{}
	for _, t := range tags {
		names[t.TagKey] = true
	}
	switch {
	case len(names) < len(tags):
		return refuse("TagException", "Duplicate tag keys")
	case len(tags) > maxTags:
		return refuse("TagException", "Too many tags")
	}
	for _, t := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(t.TagKey), "aws:"):
			return refuse("TagException", "Tags beginning with aws: are reserved")
		case !tagText.MatchString(t.TagKey) || !tagText.MatchString(t.TagValue):
			return refuse("TagException", "Invalid tag")
		}
	}
	return nil
}

// putTags writes tags that were checked, unless the key would have too many.
func (c *call) putTags(k *cmk, tags []Tag) error {
	all, err := c.tags(k)
	if err != nil {
		return err
	}
	for _, t := range tags {
		all[t.TagKey] = t.TagValue
	}
	if len(all) > maxTags {
		return refuse("TagException", "Too many tags")
	}
	for _, t := range tags {
		if err := c.exec("REPLACE INTO tag VALUES (?, ?, ?, ?)", k.region, k.id[:], t.TagKey, t.TagValue); err != nil {
			return err
		}
	}
	return nil
}

// tags reads the tags of a key; the caller owns the map.
func (t *tx) tags(k *cmk) (map[string]string, error) {
	tags := map[string]string{}
	err := t.each("SELECT name, value FROM tag WHERE region = ? AND cmk = ?", []any{k.region, k.id[:]},
		func(scan func(...any) error) error {
			var name, value string
			err := scan(&name, &value)
			tags[name] = value
			return err
		})
	return tags, err
}
