package localkms

import (
	"context"
	"time"

	"kmsfs/kmsclient"
)

// What this KMS makes: symmetric keys of its own material.
const (
	specSymmetric = "SYMMETRIC_DEFAULT"
	usageEncrypt  = "ENCRYPT_DECRYPT"
	originKMS     = "AWS_KMS"
)

// Timestamp is a date in an answer. It prints as `aws` version 2 prints one: ISO
// 8601 in the local zone, with microseconds unless they are zero.
type Timestamp struct{ time.Time }

// MarshalJSON prints the date.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	layout := `"2006-01-02T15:04:05.000000-07:00"`
	if t.Nanosecond()/1000 == 0 {
		layout = `"2006-01-02T15:04:05-07:00"`
	}
	return []byte(t.Format(layout)), nil
}

func timestamp(ms int64) *Timestamp { return &Timestamp{time.UnixMilli(ms)} }

// KeyMetadata describes a CMK.
//
// Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_KeyMetadata.html
type KeyMetadata struct {
	AWSAccountID          string `json:"AWSAccountId"`
	KeyID                 string `json:"KeyId"`
	Arn                   string
	CreationDate          *Timestamp
	Enabled               bool
	Description           string
	KeyUsage              string
	KeyState              kmsclient.KeyState
	DeletionDate          *Timestamp `json:",omitempty"`
	Origin                string
	KeyManager            string
	CustomerMasterKeySpec string
	KeySpec               string
	EncryptionAlgorithms  []string
	MultiRegion           bool
	CurrentKeyMaterialID  string `json:"CurrentKeyMaterialId,omitempty"`
}

func (c *call) metadata(k *cmk) KeyMetadata {
	m := KeyMetadata{
		AWSAccountID: c.w.store.account, KeyID: k.id.String(), Arn: c.arn(k),
		CreationDate: timestamp(k.created), Enabled: k.state == kmsclient.StateEnabled, Description: k.description,
		KeyUsage: k.usage, KeyState: k.state, Origin: k.origin, KeyManager: "CUSTOMER",
		CustomerMasterKeySpec: k.spec, KeySpec: k.spec, EncryptionAlgorithms: []string{specSymmetric},
		CurrentKeyMaterialID: hexID(k.current),
	}
	if k.deletion != 0 {
		m.DeletionDate = timestamp(k.deletion)
	}
	return m
}

// CreateKeyInput describes the key to make. "" stands for the only values this
// KMS supports: SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT, AWS_KMS.
type CreateKeyInput struct {
	Description string // up to 8192 characters
	KeySpec     string
	KeyUsage    string
	Origin      string
	MultiRegion bool
}

// KeyOutput is the answer of CreateKey and DescribeKey.
type KeyOutput struct {
	KeyMetadata KeyMetadata

	material kmsclient.MaterialID // the current one
}

// CreateKey makes an enabled CMK with random material.
func (a *API) CreateKey(ctx context.Context, in CreateKeyInput) (KeyOutput, error) {
	p := params{"description": in.Description, "keySpec": in.KeySpec, "keyUsage": in.KeyUsage, "origin": in.Origin}
	return do(ctx, a, "CreateKey", p, func(c *call) (out KeyOutput, err error) {
		if err := inRange("description", "length", len(in.Description), 0, 8192); err != nil {
			return out, err
		}
		for _, s := range []struct{ name, given, want string }{
			{"KeySpec", in.KeySpec, specSymmetric}, {"KeyUsage", in.KeyUsage, usageEncrypt}, {"Origin", in.Origin, originKMS},
		} {
			if s.given != "" && s.given != s.want {
				return out, refuse("UnsupportedOperationException", "%s %s is not supported.", s.name, s.given)
			}
		}
		if in.MultiRegion {
			return out, refuse("UnsupportedOperationException", "Multi-Region keys are not supported.")
		}
		k := &cmk{
			id: newKeyID(), state: kmsclient.StateEnabled, spec: specSymmetric, usage: usageEncrypt,
			origin: originKMS, description: in.Description, created: c.now.UnixMilli(),
		}
		err = c.exec("INSERT INTO cmk VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
			k.id[:], string(k.state), k.spec, k.usage, k.origin, k.description, k.created)
		if err != nil {
			return out, err
		}
		if err := c.addMaterial(k, 1, nil); err != nil {
			return out, err
		}
		c.note.cmk = &k.id
		return KeyOutput{c.metadata(k), k.current}, nil
	})
}

// DescribeKey tells all about the key that an id, ARN or alias names.
func (a *API) DescribeKey(ctx context.Context, key string) (KeyOutput, error) {
	return do(ctx, a, "DescribeKey", params{"keyId": key}, func(c *call) (KeyOutput, error) {
		k, err := c.key(key, byIDOrAlias)
		if err != nil {
			return KeyOutput{}, err
		}
		return KeyOutput{c.metadata(k), k.current}, nil
	})
}

// Page asks for part of a list. The zero value asks for the first part, of the
// size AWS chooses.
type Page struct {
	Limit  int    // most entries to return; 0 for the default
	Marker string // NextMarker of the part before
}

// More tells how a list goes on.
type More struct {
	Truncated  bool
	NextMarker string `json:",omitempty"`
}

// KeyEntry is a key in a list.
type KeyEntry struct {
	KeyID  string `json:"KeyId"`
	KeyArn string
}

// ListKeysOutput is one part of the list of keys.
type ListKeysOutput struct {
	Keys []KeyEntry
	More
}

// ListKeys lists the keys of the store in order of their ids, in parts of up to
// 1000 (100 by default).
func (a *API) ListKeys(ctx context.Context, in Page) (ListKeysOutput, error) {
	return do(ctx, a, "ListKeys", params{"limit": in.Limit, "marker": in.Marker}, func(c *call) (ListKeysOutput, error) {
		out := ListKeysOutput{Keys: []KeyEntry{}}
		limit, err := in.limit(100, 1000)
		if err != nil {
			return out, err
		}
		var after keyID
		if in.Marker != "" {
			var ok bool
			if after, ok = parseKeyID(in.Marker); !ok {
				return out, refuse("InvalidMarkerException", "")
			}
		}
		err = c.each("SELECT id FROM cmk WHERE id > ? AND state <> 'Deleted' ORDER BY id LIMIT ?",
			[]any{after[:], limit + 1}, func(scan func(...any) error) error {
				var b []byte
				if err := scan(&b); err != nil {
					return err
				}
				id := keyID(b)
				out.Keys = append(out.Keys, KeyEntry{id.String(), c.w.store.keyARN(id)})
				return nil
			})
		if len(out.Keys) > limit {
			out.Keys = out.Keys[:limit]
			out.More = More{true, out.Keys[limit-1].KeyID}
		}
		return out, err
	})
}

func (p Page) limit(standard, most int) (int, error) {
	if p.Limit == 0 {
		return standard, nil
	}
	return p.Limit, inRange("limit", "value", p.Limit, 1, most)
}

// EnableKey lets a disabled key be used again.
func (a *API) EnableKey(ctx context.Context, key string) error {
	return a.manage(ctx, "EnableKey", key, func(c *call, k *cmk) error {
		return c.setState(k, kmsclient.StateEnabled, nil)
	})
}

// DisableKey stops all use of a key, in every process, from when it returns.
func (a *API) DisableKey(ctx context.Context, key string) error {
	return a.manage(ctx, "DisableKey", key, func(c *call, k *cmk) error {
		return c.setState(k, kmsclient.StateDisabled, nil)
	})
}

// UpdateKeyDescription replaces a key's description.
func (a *API) UpdateKeyDescription(ctx context.Context, key, description string) error {
	_, err := do(ctx, a, "UpdateKeyDescription", params{"keyId": key, "description": description},
		func(c *call) (struct{}, error) {
			if err := inRange("description", "length", len(description), 0, 8192); err != nil {
				return struct{}{}, err
			}
			k, err := c.key(key, byID)
			if err != nil {
				return struct{}{}, err
			}
			return struct{}{}, c.exec("UPDATE cmk SET description = ? WHERE id = ?", description, k.id[:])
		})
	return err
}

// manage runs an operation that takes a key id or ARN and answers nothing.
func (a *API) manage(ctx context.Context, op, key string, f func(*call, *cmk) error) error {
	_, err := do(ctx, a, op, params{"keyId": key}, func(c *call) (struct{}, error) {
		k, err := c.key(key, byID)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, f(c, k)
	})
	return err
}

// ScheduleKeyDeletionOutput is the answer of ScheduleKeyDeletion.
type ScheduleKeyDeletionOutput struct {
	KeyID               string `json:"KeyId"` // ARN
	DeletionDate        *Timestamp
	KeyState            kmsclient.KeyState
	PendingWindowInDays int
}

// ScheduleKeyDeletion stops all use of a key, and destroys its material after
// 7 to 30 days (0 stands for 30). What it wrapped is lost then.
func (a *API) ScheduleKeyDeletion(ctx context.Context, key string, days int) (ScheduleKeyDeletionOutput, error) {
	p := params{"keyId": key, "pendingWindowInDays": days}
	return do(ctx, a, "ScheduleKeyDeletion", p, func(c *call) (out ScheduleKeyDeletionOutput, err error) {
		days := days
		if days == 0 {
			days = 30
		}
		if err := inRange("pendingWindowInDays", "value", days, 7, 30); err != nil {
			return out, err
		}
		k, err := c.key(key, byID)
		if err != nil {
			return out, err
		}
		due := c.now.Add(time.Duration(days) * 24 * time.Hour)
		out = ScheduleKeyDeletionOutput{c.arn(k), timestamp(due.UnixMilli()), kmsclient.StatePendingDeletion, days}
		return out, c.setState(k, kmsclient.StatePendingDeletion, &due)
	})
}

// KeyIDOutput is an answer that only names the key, by ARN.
type KeyIDOutput struct {
	KeyID string `json:"KeyId"`
}

// CancelKeyDeletion takes a scheduled deletion back. The key is disabled then.
func (a *API) CancelKeyDeletion(ctx context.Context, key string) (KeyIDOutput, error) {
	return do(ctx, a, "CancelKeyDeletion", params{"keyId": key}, func(c *call) (out KeyIDOutput, err error) {
		k, err := c.key(key, byID)
		if err != nil {
			return out, err
		}
		return KeyIDOutput{c.arn(k)}, c.setState(k, kmsclient.StateDisabled, nil)
	})
}
