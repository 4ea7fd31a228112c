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
	if err := inRange("aliasName", "length", len(name), 1, 256); err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(name, "alias/"):
		return refuse("ValidationException", "Invalid identifier")
	case strings.HasPrefix(name, "alias/aws/"):
		return refuse("NotAuthorizedException", "")
	case !aliasPattern.MatchString(name):
		return invalid("aliasName", "Member must satisfy regular expression pattern: ^[a-zA-Z0-9/_-]+$")
	}
	return nil
}

func (t *tx) aliasTarget(name string) (keyID, error) {
	var id []byte
	err := t.row("SELECT cmk FROM alias WHERE name = ?", []any{name}, []any{&id})
	if errors.Is(err, sql.ErrNoRows) {
		return keyID{}, refuse("NotFoundException", "Alias %s is not found.", t.w.store.arn(name))
	}
	if err != nil {
		return keyID{}, err
	}
	return keyID(id), nil
}

// CreateAlias gives a key (by id or ARN) another name, "alias/NAME".
func (a *API) CreateAlias(ctx context.Context, name, key string) error {
	return a.alias(ctx, "CreateAlias", name, key, func(c *call, k *cmk) error {
		switch _, err := c.aliasTarget(name); {
		case err == nil:
			return refuse("AlreadyExistsException", "An alias with the name %s already exists", c.w.store.arn(name))
		case !isRefusal(err):
			return err
		}
		if err := c.aliasQuota(k); err != nil {
			return err
		}
		now := c.now.UnixMilli()
		return c.exec("INSERT INTO alias VALUES (?, ?, ?, ?)", name, k.id[:], now, now)
	})
}

// UpdateAlias makes an alias name another key (by id or ARN).
func (a *API) UpdateAlias(ctx context.Context, name, key string) error {
	return a.alias(ctx, "UpdateAlias", name, key, func(c *call, k *cmk) error {
		old, err := c.aliasTarget(name)
		if err != nil {
			return err
		}
		if old != k.id {
			if err := c.aliasQuota(k); err != nil {
				return err
			}
		}
		return c.exec("UPDATE alias SET cmk = ?, updated = ? WHERE name = ?", k.id[:], c.now.UnixMilli(), name)
	})
}

// DeleteAlias removes an alias; its key stays.
func (a *API) DeleteAlias(ctx context.Context, name string) error {
	_, err := do(ctx, a, "DeleteAlias", params{"aliasName": name}, func(c *call) (struct{}, error) {
		if err := aliasName(name); err != nil {
			return struct{}{}, err
		}
		id, err := c.aliasTarget(name)
		if err != nil {
			return struct{}{}, err
		}
		if _, err := c.key(id.String(), byID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, c.exec("DELETE FROM alias WHERE name = ?", name)
	})
	return err
}

func (a *API) alias(ctx context.Context, op, name, key string, f func(*call, *cmk) error) error {
	_, err := do(ctx, a, op, params{"aliasName": name, "targetKeyId": key}, func(c *call) (struct{}, error) {
		if err := aliasName(name); err != nil {
			return struct{}{}, err
		}
		k, err := c.key(key, byID)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, f(c, k)
	})
	return err
}

func (c *call) aliasQuota(k *cmk) error {
	var n int
	if err := c.row("SELECT count(*) FROM alias WHERE cmk = ?", []any{k.id[:]}, []any{&n}); err != nil {
		return err
	}
	if n >= maxAliases {
		return refuse("LimitExceededException", "Account %s has reached the limit of %d aliases for key %s",
			c.w.store.account, maxAliases, c.arn(k))
	}
	return nil
}

// ListAliasesInput asks for all aliases, or for those of one key.
type ListAliasesInput struct {
	KeyID string // id or ARN; "" for all
	Page
}

// AliasEntry is an alias in a list.
type AliasEntry struct {
	AliasName       string
	AliasArn        string
	TargetKeyID     string `json:"TargetKeyId"`
	CreationDate    *Timestamp
	LastUpdatedDate *Timestamp
}

// ListAliasesOutput is one part of the list of aliases.
type ListAliasesOutput struct {
	Aliases []AliasEntry
	More
}

// ListAliases lists aliases by name, in parts of up to 100 (50 by default).
func (a *API) ListAliases(ctx context.Context, in ListAliasesInput) (ListAliasesOutput, error) {
	p := params{"keyId": in.KeyID, "limit": in.Limit, "marker": in.Marker}
	return do(ctx, a, "ListAliases", p, func(c *call) (ListAliasesOutput, error) {
		out := ListAliasesOutput{Aliases: []AliasEntry{}}
		limit, err := in.limit(50, 100)
		if err != nil {
			return out, err
		}
		var only any // NULL: all keys
		if in.KeyID != "" {
			k, err := c.key(in.KeyID, byID)
			if err != nil {
				return out, err
			}
			only = k.id[:]
		}
		if in.Marker != "" && !aliasPattern.MatchString(in.Marker) {
			return out, refuse("InvalidMarkerException", "")
		}
		err = c.each(`SELECT name, cmk, created, updated FROM alias
				WHERE name > ?1 AND (?2 IS NULL OR cmk = ?2) ORDER BY name LIMIT ?3`,
			[]any{in.Marker, only, limit + 1}, func(scan func(...any) error) error {
				var name string
				var id []byte
				var created, updated int64
				if err := scan(&name, &id, &created, &updated); err != nil {
					return err
				}
				out.Aliases = append(out.Aliases, AliasEntry{
					name, c.w.store.arn(name), keyID(id).String(), timestamp(created), timestamp(updated),
				})
				return nil
			})
		if len(out.Aliases) > limit {
			out.Aliases = out.Aliases[:limit]
			out.More = More{true, out.Aliases[limit-1].AliasName}
		}
		return out, err
	})
}
