package localkms

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"kmsfs/kmsclient/localkms/shape"
)

// maxAccessKeys is AWS's quota of access keys per user, active and inactive.
const maxAccessKeys = 2

const (
	statusActive   = "Active"
	statusInactive = "Inactive"
)

// labelAccessKey derives the key that seals the secret of one access key.
const labelAccessKey = "kmsfs kms 1 access key"

// sealSecret encrypts the secret of an access key for the database: AES-256-GCM
// under a key of its own, bound to its user.
func (k rootKey) sealSecret(id, user, secret string) []byte {
	return gcm(k.derive(labelAccessKey, []byte(id))).Seal(nil, nil, []byte(secret), []byte(user))
}

// openSecret undoes sealSecret. A failure means a damaged or edited database.
func (k rootKey) openSecret(id, user string, sealed []byte) (string, error) {
	secret, err := gcm(k.derive(labelAccessKey, []byte(id))).Open(nil, nil, sealed, []byte(user))
	if err != nil {
		return "", fmt.Errorf("%w: secret of access key %s does not open", ErrDamaged, id)
	}
	return string(secret), nil
}

// newAccessKeyID makes an access key id, which begins with AKIA for users and ASIA
// for sessions: 80 random bits in base 32.
func newAccessKeyID(prefix string) string { return prefix + rand.Text()[:16] }

// secretLength is the number of bytes that make a secret of AWS's 40 characters.
const secretLength = 30

// CreateAccessKey makes an access key for a user or, without a name, the caller.
// The store keeps its secret sealed, and never shows it again.
func (a *API) CreateAccessKey(ctx context.Context, in CreateAccessKeyInput) (CreateAccessKeyOutput, error) {
	return doIAM(ctx, a, "CreateAccessKey", &in, func(c *call) (out CreateAccessKeyOutput, err error) {
		e, err := c.userOrCaller(&in.UserName)
		if err != nil {
			return out, err
		}
		var n int
		if err := c.row("SELECT count(*) FROM access_key WHERE user = ?", []any{e.name}, []any{&n}); err != nil {
			return out, err
		}
		if n >= maxAccessKeys {
			return out, refuse("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: %d", maxAccessKeys)
		}
		if c.w.store.locked {
			return out, errLocked
		}
		random := make([]byte, secretLength)
		rand.Read(random)
		k := AccessKey{
			UserName: e.name, AccessKeyID: newAccessKeyID("AKIA"), Status: statusActive,
			SecretAccessKey: base64.StdEncoding.EncodeToString(random), CreateDate: shape.Time{Time: c.now.Truncate(time.Second)},
		}
		err = c.exec("INSERT INTO access_key VALUES (?, ?, ?, 1, ?)", k.AccessKeyID, k.UserName,
			c.w.store.root.sealSecret(k.AccessKeyID, k.UserName, k.SecretAccessKey), k.CreateDate.UnixMilli())
		if err != nil {
			return out, err
		}
		return CreateAccessKeyOutput{k}, c.iamChanged()
	})
}

// ListAccessKeys lists the access keys of a user or, without a name, of the
// caller, without their secrets.
func (a *API) ListAccessKeys(ctx context.Context, in ListAccessKeysInput) (ListAccessKeysOutput, error) {
	return doIAM(ctx, a, "ListAccessKeys", &in, func(c *call) (out ListAccessKeysOutput, err error) {
		e, err := c.userOrCaller(&in.UserName)
		if err != nil {
			return out, err
		}
		err = c.each("SELECT id, active, created FROM access_key WHERE user = ? AND id > ? ORDER BY id LIMIT ?",
			[]any{e.name, in.Marker, in.limit() + 1}, func(scan func(...any) error) error {
				k := AccessKeyMetadata{UserName: e.name, Status: statusInactive}
				var active bool
				var created int64
				err := scan(&k.AccessKeyID, &active, &created)
				if active {
					k.Status = statusActive
				}
				k.CreateDate = shape.Time{Time: time.UnixMilli(created)}
				out.AccessKeyMetadata = append(out.AccessKeyMetadata, k)
				return err
			})
		out.AccessKeyMetadata, out.IAMMore = cutIAM(out.AccessKeyMetadata, in.IAMPage, func(k AccessKeyMetadata) string { return k.AccessKeyID })
		return out, err
	})
}

// UpdateAccessKey makes an access key active or inactive, in every process, from
// when it returns.
func (a *API) UpdateAccessKey(ctx context.Context, in UpdateAccessKeyInput) (Empty, error) {
	return doIAM(ctx, a, "UpdateAccessKey", &in, func(c *call) (out Empty, err error) {
		if err := c.accessKey(&in.UserName, in.AccessKeyID); err != nil {
			return out, err
		}
		if err := c.exec("UPDATE access_key SET active = ? WHERE id = ?", in.Status == statusActive, in.AccessKeyID); err != nil {
			return out, err
		}
		return out, c.iamChanged()
	})
}

// DeleteAccessKey deletes an access key, in every process, from when it returns.
func (a *API) DeleteAccessKey(ctx context.Context, in DeleteAccessKeyInput) (Empty, error) {
	return doIAM(ctx, a, "DeleteAccessKey", &in, func(c *call) (out Empty, err error) {
		if err := c.accessKey(&in.UserName, in.AccessKeyID); err != nil {
			return out, err
		}
		if err := c.exec("DELETE FROM access_key WHERE id = ?", in.AccessKeyID); err != nil {
			return out, err
		}
		return out, c.iamChanged()
	})
}

// accessKey refuses an access key that the user does not have.
func (c *call) accessKey(user *string, id string) error {
	if _, err := c.userOrCaller(user); err != nil {
		return err
	}
	err := c.row("SELECT 1 FROM access_key WHERE id = ? AND user = ?", []any{id, *user}, []any{new(int)})
	if errors.Is(err, sql.ErrNoRows) {
		return refuse("NoSuchEntity", "The Access Key with id %s cannot be found", id)
	}
	return err
}
