package localkms

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strings"
)

// maxAliases is AWS's quota of aliases per key.
const maxAliases = 50

var aliasPattern = regexp.MustCompile(`^alias/[a-zA-Z0-9/_-]+$`)

// aliasName checks the name of an alias to be made, moved or deleted.
func aliasName(name string) error {
	switch {
	case !strings.HasPrefix(name, "alias/"):
		return refuse("ValidationException", `Alias must start with the prefix "alias/". Please see `+
			"https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")
	case strings.HasPrefix(name, "alias/aws/"):
		return refuse("NotAuthorizedException", "")
	case !aliasPattern.MatchString(name):
		return refuse("InvalidAliasNameException", "")
	}
	return nil
}

// aliasTarget finds the key of an alias. AWS's own keys are made when their alias
// is first used.
func (c *call) aliasTarget(name string) (keyID, error) {
	var id []byte
	err := c.row("SELECT cmk FROM alias WHERE region = ? AND name = ?", []any{c.region(), name}, []any{&id})
	if errors.Is(err, sql.ErrNoRows) {
		if service, ok := managedService(name); ok {
			return c.createManaged(service)
		}
		return keyID{}, refuse("NotFoundException", "Alias %s is not found.", c.w.store.arn(c.region(), name))
	}
	if err != nil {
		return keyID{}, err
	}
	return keyID(id), nil
}

// CreateAlias gives a key (by id or ARN) another name, "alias/NAME".
func (a *API) CreateAlias(ctx context.Context, in CreateAliasInput) (Empty, error) {
	return do(ctx, a, "CreateAlias", &in, func(c *call) (out Empty, err error) {
		k, err := c.aliasKey(in.AliasName, in.TargetKeyID)
		if err != nil {
			return out, err
		}
		switch _, err := c.aliasTarget(in.AliasName); {
		case err == nil:
			return out, refuse("AlreadyExistsException", "An alias with the name %s already exists", c.w.store.arn(k.region, in.AliasName))
		case !isRefusal(err):
			return out, err
		}
		if err := c.aliasQuota(k); err != nil {
			return out, err
		}
		now := c.now.UnixMilli()
		return out, c.exec("INSERT INTO alias VALUES (?, ?, ?, ?, ?)", k.region, in.AliasName, k.id[:], now, now)
	})
}

// UpdateAlias makes an alias name another key (by id or ARN) of the same spec
// and usage.
func (a *API) UpdateAlias(ctx context.Context, in UpdateAliasInput) (Empty, error) {
	return do(ctx, a, "UpdateAlias", &in, func(c *call) (out Empty, err error) {
		k, err := c.aliasKey(in.AliasName, in.TargetKeyID)
		if err != nil {
			return out, err
		}
		id, err := c.aliasTarget(in.AliasName)
		if err != nil {
			return out, err
		}
		if id == k.id {
			return out, c.exec("UPDATE alias SET updated = ? WHERE region = ? AND name = ?", c.now.UnixMilli(), k.region, in.AliasName)
		}
		old, err := c.load(id)
		if err != nil {
			return out, err
		}
		if err := c.authorize("UpdateAlias", old); err != nil {
			return out, err
		}
		if old.usage != k.usage || old.symmetric() != k.symmetric() {
			return out, refuse("ValidationException", "Alias %s cannot be changed from a key of type %s and usage %s to one of type %s and usage %s",
				in.AliasName, old.spec, old.usage, k.spec, k.usage)
		}
		if err := c.aliasQuota(k); err != nil {
			return out, err
		}
		return out, c.exec("UPDATE alias SET cmk = ?, updated = ? WHERE region = ? AND name = ?", k.id[:], c.now.UnixMilli(), k.region, in.AliasName)
	})
}

// DeleteAlias removes an alias; its key stays.
func (a *API) DeleteAlias(ctx context.Context, in DeleteAliasInput) (Empty, error) {
	return do(ctx, a, "DeleteAlias", &in, func(c *call) (out Empty, err error) {
		if err := aliasName(in.AliasName); err != nil {
			return out, err
		}
		id, err := c.aliasTarget(in.AliasName)
		if err != nil {
			return out, err
		}
		if _, err := c.aliasKey(in.AliasName, id.String()); err != nil {
			return out, err
		}
		return out, c.exec("DELETE FROM alias WHERE region = ? AND name = ?", c.region(), in.AliasName)
	})
}

// aliasKey is key for an operation on an alias, which needs permission for both.
func (c *call) aliasKey(name, key string) (*cmk, error) {
	if err := aliasName(name); err != nil {
		return nil, err
	}
	k, err := c.managedKey(key)
	if err != nil {
		return nil, err
	}
	return k, c.authorizeOn("kms:"+c.op, c.w.store.arn(c.region(), name), nil)
}

func (c *call) aliasQuota(k *cmk) error {
	var n int
	if err := c.row("SELECT count(*) FROM alias WHERE region = ? AND cmk = ?", []any{k.region, k.id[:]}, []any{&n}); err != nil {
		return err
	}
	if n >= maxAliases {
		return refuse("LimitExceededException", "Account %s has reached the limit of %d aliases for key %s",
			c.w.store.account, maxAliases, c.arn(k))
	}
	return nil
}

// ListAliases lists the aliases of the Region by name, all or those of one key, in
// parts of up to 100 (50 by default).
func (a *API) ListAliases(ctx context.Context, in ListAliasesInput) (ListAliasesOutput, error) {
	return do(ctx, a, "ListAliases", &in, func(c *call) (ListAliasesOutput, error) {
		out := ListAliasesOutput{Aliases: []AliasEntry{}}
		limit := in.limit(50, 100)
		if err := c.authorize("ListAliases", nil); err != nil {
			return out, err
		}
		var only any // NULL: all keys
		if in.KeyID != "" {
			id, err := c.resolve(in.KeyID, byID)
			if err != nil {
				return out, err
			}
			if _, err := c.load(id); err != nil {
				return out, err
			}
			c.note.cmk, only = &id, id[:]
		}
		if in.Marker != "" && !aliasPattern.MatchString(in.Marker) {
			return out, refuse("InvalidMarkerException", "")
		}
		err := c.each(`SELECT name, cmk, created, updated FROM alias
				WHERE region = ?1 AND name > ?2 AND (?3 IS NULL OR cmk = ?3) ORDER BY name LIMIT ?4`,
			[]any{c.region(), in.Marker, only, limit + 1}, func(scan func(...any) error) error {
				var name string
				var id []byte
				var created, updated int64
				if err := scan(&name, &id, &created, &updated); err != nil {
					return err
				}
				out.Aliases = append(out.Aliases, AliasEntry{
					name, c.w.store.arn(c.region(), name), keyID(id).String(), timestamp(created), timestamp(updated),
				})
				return nil
			})
		out.Aliases, out.More = cut(out.Aliases, limit, func(e AliasEntry) string { return e.AliasName })
		return out, err
	})
}
