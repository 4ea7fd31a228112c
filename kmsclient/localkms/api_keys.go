package localkms

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/keyspec"
	"kmsfs/kmsclient/localkms/shape"
)

// Names of AWS's that this package decides on.
const (
	specSymmetric  = "SYMMETRIC_DEFAULT"
	usageEncrypt   = "ENCRYPT_DECRYPT"
	originKMS      = "AWS_KMS"
	originExternal = "EXTERNAL"
)

func timestamp(ms int64) *shape.Time {
	if ms == 0 {
		return nil
	}
	return &shape.Time{Time: time.UnixMilli(ms)}
}

// metadata describes a key as DescribeKey answers.
func (c *call) metadata(k *cmk) (*KeyMetadata, error) {
	m := &KeyMetadata{
		AWSAccountID: c.w.store.account, KeyID: k.id.String(), Arn: c.arn(k),
		CreationDate: timestamp(k.created), Enabled: k.state == kmsclient.StateEnabled, Description: k.description,
		KeyUsage: k.usage, KeyState: k.state, Origin: k.origin, KeyManager: managerCustomer,
		CustomerMasterKeySpec: k.spec, KeySpec: k.spec, MultiRegion: k.prime != "",
	}
	algorithms := k.algorithms()
	switch keyspec.Usage(k.usage) {
	case keyspec.EncryptDecrypt:
		m.EncryptionAlgorithms = algorithms
	case keyspec.SignVerify:
		m.SigningAlgorithms = algorithms
	case keyspec.GenerateVerifyMAC:
		m.MacAlgorithms = algorithms
	case keyspec.KeyAgreement:
		m.KeyAgreementAlgorithms = algorithms
	}
	if k.manager != managerCustomer {
		m.KeyManager = "AWS"
	}
	switch k.state {
	case kmsclient.StatePendingDeletion:
		m.DeletionDate = timestamp(k.deletion)
	case statePendingReplicaDeletion:
		m.PendingDeletionWindowInDays = k.window
	}
	if k.spec == specSymmetric && k.state != kmsclient.StatePendingImport {
		m.CurrentKeyMaterialID = hexID(k.current)
	}
	if k.origin == originExternal && k.state != kmsclient.StatePendingImport {
		m.ExpirationModel = "KEY_MATERIAL_DOES_NOT_EXPIRE"
		valid, err := c.validTo(k)
		if err != nil {
			return nil, err
		}
		if valid != 0 {
			m.ExpirationModel, m.ValidTo = modelExpires, timestamp(valid)
		}
	}
	var err error
	m.MultiRegionConfiguration, err = c.multiRegion(k)
	return m, err
}

// CreateKey makes a CMK: with random material and enabled or, if its material is
// to be imported, waiting for it.
func (a *API) CreateKey(ctx context.Context, in CreateKeyInput) (CreateKeyOutput, error) {
	material, public, bad := a.generateMaterial(ctx, &in) // before the transaction: an RSA key takes its time
	defer clear(material)
	return do(ctx, a, "CreateKey", &in, func(c *call) (out CreateKeyOutput, err error) {
		if bad != nil {
			return out, bad
		}
		k, err := c.newKey(&in)
		if err != nil {
			return out, err
		}
		if err := c.keyQuota(); err != nil {
			return out, err
		}
		if in.Origin != originExternal && c.w.store.locked {
			return out, errLocked
		}
		if k.policy, err = c.newPolicy(in.Policy, k, in.BypassPolicyLockoutSafetyCheck); err != nil {
			return out, err
		}
		k.public = public
		if err := c.insertWithMaterial(k, material); err != nil {
			return out, err
		}
		if err := c.putTags(k, in.Tags); err != nil {
			return out, err
		}
		c.note.cmk = &k.id
		out.KeyMetadata, err = c.metadata(k)
		return out, err
	})
}

// newKey is the key that a request describes, without policy and material, if the
// caller may make it.
func (c *call) newKey(in *CreateKeyInput) (*cmk, error) {
	k := &cmk{
		region: c.region(), id: newKeyID(in.MultiRegion), state: kmsclient.StateEnabled, spec: in.KeySpec, usage: in.KeyUsage,
		origin: in.Origin, manager: managerCustomer, description: in.Description, created: c.now.UnixMilli(),
	}
	if in.MultiRegion {
		k.prime = k.region
	}
	return k, c.mayCreate(k, in.BypassPolicyLockoutSafetyCheck, in.Tags)
}

// mayCreate checks that the caller may make a key, and give it tags.
func (c *call) mayCreate(k *cmk, bypass bool, tags []Tag) error {
	c.fact("kms:keyspec", k.spec)
	c.fact("kms:customermasterkeyspec", k.spec)
	c.fact("kms:keyusage", k.usage)
	c.fact("kms:customermasterkeyusage", k.usage)
	c.fact("kms:keyorigin", k.origin)
	c.fact("kms:multiregion", boolText(k.prime != ""))
	c.fact("kms:multiregionkeytype", k.multiRegionType())
	c.bypassFact(bypass)
	c.tagFacts(tags)
	if err := c.authorize("CreateKey", nil); err != nil {
		return err
	}
	if len(tags) > 0 {
		if err := c.authorize("TagResource", nil); err != nil {
			return err
		}
	}
	return checkTags(tags)
}

// insertWithMaterial writes a new key and its first material: a key that is to
// be imported waits for it.
func (c *call) insertWithMaterial(k *cmk, material []byte) error {
	if k.origin == originExternal {
		k.state = kmsclient.StatePendingImport
		return c.insert(k)
	}
	m := c.w.store.root.nameMaterial(k.id, material)
	k.number, k.current = 1, m.id
	if err := c.insert(k); err != nil {
		return err
	}
	return c.addMaterial(k, m, materialRow{number: 1})
}

// generateMaterial fills in what CreateKey leaves to its defaults, and makes the
// material, unless it is to be imported.
func (a *API) generateMaterial(ctx context.Context, in *CreateKeyInput) (material, public []byte, bad error) {
	switch {
	case in.KeySpec == "":
		in.KeySpec = in.CustomerMasterKeySpec
	case in.CustomerMasterKeySpec != "" && in.CustomerMasterKeySpec != in.KeySpec:
		return nil, nil, refuse("ValidationException", "You cannot specify different values for KeySpec and CustomerMasterKeySpec")
	}
	if in.KeySpec == "" {
		in.KeySpec = specSymmetric
	}
	if in.Origin == "" {
		in.Origin = originKMS
	}
	spec := keyspec.Spec(in.KeySpec)
	if !spec.Known() {
		return nil, nil, refuse("UnsupportedOperationException", "KeySpec %s is not supported.", in.KeySpec)
	}
	if in.KeyUsage == "" {
		usage, ok := spec.DefaultUsage()
		if !ok {
			return nil, nil, refuse("ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
		}
		in.KeyUsage = string(usage)
	}
	if !slices.Contains(spec.Usages(), keyspec.Usage(in.KeyUsage)) {
		return nil, nil, refuse("ValidationException", "KeyUsage %s is not compatible with KeySpec %s", in.KeyUsage, in.KeySpec)
	}
	switch in.Origin {
	case originExternal:
		return nil, nil, nil
	case originKMS:
	default:
		return nil, nil, refuse("UnsupportedOperationException", "Origin %s is not supported.", in.Origin)
	}
	return a.generate(ctx, "CreateKey", spec, func(c *call) error {
		_, err := c.newKey(in)
		return err
	})
}

func boolText(b bool) string {
	text, _ := json.Marshal(b)
	return string(text)
}

// maxKeys is AWS's quota of keys per account and Region.
const maxKeys = 100_000

func (c *call) keyQuota() error {
	var n int
	err := c.row("SELECT ifnull(sum(n), 0) FROM key_count WHERE region = ?", []any{c.region()}, []any{&n})
	if err == nil && n >= maxKeys {
		err = refuse("LimitExceededException", "You have reached the limit of %d keys", maxKeys)
	}
	return err
}

// DescribeKey tells all about the key that an id, ARN or alias names.
func (a *API) DescribeKey(ctx context.Context, in DescribeKeyInput) (DescribeKeyOutput, error) {
	return do(ctx, a, "DescribeKey", &in, func(c *call) (out DescribeKeyOutput, err error) {
		c.tokens = in.GrantTokens
		k, err := c.key(in.KeyID, byIDOrAlias)
		if err != nil {
			return out, err
		}
		out.KeyMetadata, err = c.metadata(k)
		return out, err
	})
}

// ListKeys lists the keys of the Region in order of their ids, in parts of up to
// 1000 (100 by default).
func (a *API) ListKeys(ctx context.Context, in ListKeysInput) (ListKeysOutput, error) {
	return do(ctx, a, "ListKeys", &in, func(c *call) (ListKeysOutput, error) {
		out := ListKeysOutput{Keys: []KeyEntry{}}
		if err := c.authorize("ListKeys", nil); err != nil {
			return out, err
		}
		limit := in.limit(100, 1000)
		var after keyID
		if in.Marker != "" {
			var ok bool
			if after, ok = parseKeyID(in.Marker); !ok {
				return out, refuse("InvalidMarkerException", "")
			}
		}
		err := c.each("SELECT id FROM cmk WHERE region = ? AND id > ? AND state <> 'Deleted' ORDER BY id LIMIT ?",
			[]any{c.region(), after[:], limit + 1}, func(scan func(...any) error) error {
				var b []byte
				if err := scan(&b); err != nil {
					return err
				}
				id := keyID(b)
				out.Keys = append(out.Keys, KeyEntry{id.String(), c.w.store.keyARN(c.region(), id)})
				return nil
			})
		out.Keys, out.More = cut(out.Keys, limit, func(e KeyEntry) string { return e.KeyID })
		return out, err
	})
}

// limit is how many entries to answer with.
func (p Page) limit(standard, most int) int {
	if p.Limit == nil {
		return standard
	}
	return min(*p.Limit, most)
}

// cut shortens a list that was read one entry too long to its limit, and says
// how it goes on: after the last entry's marker.
func cut[E any](list []E, limit int, marker func(E) string) ([]E, More) {
	if len(list) <= limit {
		return list, More{}
	}
	return list[:limit], More{NextMarker: marker(list[limit-1]), Truncated: true}
}

// EnableKey lets a disabled key be used again.
func (a *API) EnableKey(ctx context.Context, in EnableKeyInput) (Empty, error) {
	return manage(ctx, a, "EnableKey", &in, in.KeyID, func(c *call, k *cmk) error {
		k.state = kmsclient.StateEnabled
		return c.save(k)
	})
}

// DisableKey stops all use of a key, in every process, from when it returns.
func (a *API) DisableKey(ctx context.Context, in DisableKeyInput) (Empty, error) {
	return manage(ctx, a, "DisableKey", &in, in.KeyID, func(c *call, k *cmk) error {
		k.state = kmsclient.StateDisabled
		return c.save(k)
	})
}

// UpdateKeyDescription replaces a key's description.
func (a *API) UpdateKeyDescription(ctx context.Context, in UpdateKeyDescriptionInput) (Empty, error) {
	return manage(ctx, a, "UpdateKeyDescription", &in, in.KeyID, func(c *call, k *cmk) error {
		k.description = in.Description
		return c.save(k)
	})
}

// manage runs an operation that changes a customer's key, named by id or ARN,
// and answers nothing.
func manage[In any](ctx context.Context, a *API, op string, in *In, key string, f func(*call, *cmk) error) (Empty, error) {
	return do(ctx, a, op, in, func(c *call) (Empty, error) {
		k, err := c.managedKey(key)
		if err != nil {
			return Empty{}, err
		}
		return Empty{}, f(c, k)
	})
}

// managedKey is key for operations that change a key: AWS's own keys are not the
// customer's to change.
func (c *call) managedKey(ref string) (*cmk, error) {
	k, err := c.key(ref, byID)
	if err != nil {
		return nil, err
	}
	if k.manager != managerCustomer {
		return nil, refuse("AccessDeniedException", "User: %s is not authorized to perform: kms:%s on resource: %s because the key is an AWS managed key",
			c.api.caller.Principal.arn(c.w.store.account), c.op, c.arn(k))
	}
	return k, nil
}
