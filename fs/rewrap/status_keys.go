package rewrap

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"kmsfs/kmsclient"
)

// name finds the ids behind the tags, and what is current: the key in use with
// its current material if a KMS tells it, else with the one that wraps the names
// key.
func (c *census) name(ctx context.Context) error {
	first := &c.cfg.Recipients[0]
	current := target{first.KeyID, first.Material, kmsclient.KeyTag(first.KeyID)}
	ids := map[string]kmsclient.KeyState{}
	var candidates []string
	for _, r := range c.cfg.Recipients {
		candidates = append(candidates, r.KeyID)
	}
	candidates = append(candidates, c.o.Keys...)
	var kms *kmsclient.Counting
	if c.o.KMS != nil {
		kms = kmsclient.NewCounting(c.o.KMS)
		defer func() { c.report.KMSCalls = kms.Counts() }()
	}
	for _, key := range candidates {
		if _, known := ids[key]; known {
			continue
		}
		if kms == nil {
			ids[key] = ""
			continue
		}
		info, err := kms.DescribeKey(ctx, key)
		if kmsclient.Retryable(err) {
			return err
		}
		if err != nil { // another KMS's key, or one that is gone
			ids[key] = ""
			continue
		}
		ids[info.KeyID] = info.State
		if info.KeyID == current.KeyID {
			current.Material = info.CurrentMaterial
		}
	}
	for id, state := range ids {
		tag := kmsclient.KeyTag(id)
		text := hex.EncodeToString(tag[:])
		for w, u := range c.uses {
			if w.tag == text {
				u.KeyID, u.State = id, state
			}
		}
	}
	want := newWrapping(current.tag, current.Material)
	for w, u := range c.uses {
		u.Current = w.tag == want.tag && (want.material == "" || w.material == want.material)
	}
	return nil
}

func (c *census) finish() *StatusReport {
	for w, u := range c.uses {
		u.DataKeys = len(c.keys[w])
		c.report.Keys = append(c.report.Keys, *u)
	}
	slices.SortFunc(c.report.Keys, func(a, b KeyUse) int {
		if a.Current != b.Current {
			if b.Current {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.KeyID, b.KeyID), strings.Compare(a.KeyTag, b.KeyTag), strings.Compare(a.Material, b.Material))
	})
	slices.SortFunc(c.report.Errors, func(a, b FileError) int { return strings.Compare(a.Path, b.Path) })
	return c.report
}
