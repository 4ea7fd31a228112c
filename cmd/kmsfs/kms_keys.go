package main

import (
	"context"

	"github.com/spf13/cobra"

	"kmsfs/kmsclient/localkms"
)

// keyFlag declares --key-id, mandatory.
func keyFlag(key *string) func(*cobra.Command) []string {
	return func(cmd *cobra.Command) []string {
		cmd.Flags().StringVar(key, "key-id", "", "`KEY`: key id or ARN")
		return []string{"key-id"}
	}
}

// usedKeyFlag declares --key-id where an alias does as well.
func usedKeyFlag(cmd *cobra.Command, key *string) string {
	cmd.Flags().StringVar(key, "key-id", "", "`KEY`: key id, ARN or alias/NAME")
	return "key-id"
}

// keyVerbs are the verbs that make keys and move them between states.
func keyVerbs(open openKMS) []*cobra.Command {
	var in localkms.CreateKeyInput
	var key, description string
	var days int
	var page localkms.Page
	return []*cobra.Command{
		open.verb("create-key", "Make a key", func(cmd *cobra.Command) []string {
			f := cmd.Flags()
			f.StringVar(&in.Description, "description", "", "`TEXT` shown with the key")
			f.StringVar(&in.KeySpec, "key-spec", "SYMMETRIC_DEFAULT", "`SPEC` of the key")
			f.StringVar(&in.KeyUsage, "key-usage", "ENCRYPT_DECRYPT", "`USAGE` of the key")
			f.StringVar(&in.Origin, "origin", "AWS_KMS", "`ORIGIN` of the key material")
			return nil
		}, func(ctx context.Context, kms *localkms.Client) (any, error) {
			return kms.CreateKey(ctx, in)
		}),
		open.verb("describe-key", "Tell all about a key", func(cmd *cobra.Command) []string {
			return []string{usedKeyFlag(cmd, &key)}
		}, func(ctx context.Context, kms *localkms.Client) (any, error) {
			return kms.API.DescribeKey(ctx, key)
		}),
		open.verb("list-keys", "List all keys", pageFlags(&page, nil),
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return list(page, "Keys", func(p localkms.Page) ([]localkms.KeyEntry, localkms.More, error) {
					out, err := kms.ListKeys(ctx, p)
					return out.Keys, out.More, err
				})
			}),
		open.verb("enable-key", "Let a disabled key be used again", keyFlag(&key),
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return nil, kms.EnableKey(ctx, key)
			}),
		open.verb("disable-key", "Stop all use of a key", keyFlag(&key),
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return nil, kms.DisableKey(ctx, key)
			}),
		open.verb("schedule-key-deletion", "Stop all use of a key, and destroy it some days later", func(cmd *cobra.Command) []string {
			cmd.Flags().IntVar(&days, "pending-window-in-days", 30, "`DAYS` until then, 7 to 30")
			return keyFlag(&key)(cmd)
		}, func(ctx context.Context, kms *localkms.Client) (any, error) {
			if days == 0 { // the API's word for "not given"
				days = -1
			}
			return kms.ScheduleKeyDeletion(ctx, key, days)
		}),
		open.verb("cancel-key-deletion", "Take a scheduled deletion back; the key is disabled then", keyFlag(&key),
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return kms.CancelKeyDeletion(ctx, key)
			}),
		open.verb("update-key-description", "Replace the description of a key", func(cmd *cobra.Command) []string {
			cmd.Flags().StringVar(&description, "description", "", "`TEXT` shown with the key")
			return append(keyFlag(&key)(cmd), "description")
		}, func(ctx context.Context, kms *localkms.Client) (any, error) {
			return nil, kms.UpdateKeyDescription(ctx, key, description)
		}),
	}
}

// pageFlags declares --limit and --marker, and then what more does.
func pageFlags(p *localkms.Page, more func(*cobra.Command) []string) func(*cobra.Command) []string {
	return func(cmd *cobra.Command) (required []string) {
		cmd.Flags().IntVar(&p.Limit, "limit", 0, "return one part, of at most `N` entries, instead of all")
		cmd.Flags().StringVar(&p.Marker, "marker", "", "`NEXTMARKER` of the part before")
		if more != nil {
			required = more(cmd)
		}
		return required
	}
}

// list fetches every part of a list and gives {name: entries}, as `aws` does; or
// one part, with Truncated and NextMarker, if the user does the paging.
func list[T any](p localkms.Page, name string, fetch func(localkms.Page) ([]T, localkms.More, error)) (any, error) {
	entries, more, err := fetch(p)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	if p != (localkms.Page{}) {
		if out["Truncated"] = more.Truncated; more.Truncated {
			out["NextMarker"] = more.NextMarker
		}
	} else {
		for more.Truncated {
			var next []T
			if next, more, err = fetch(localkms.Page{Marker: more.NextMarker}); err != nil {
				return nil, err
			}
			entries = append(entries, next...)
		}
	}
	out[name] = entries
	return out, nil
}

// aliasVerbs are the verbs about names of keys.
func aliasVerbs(open openKMS) []*cobra.Command {
	var name, key string
	var page localkms.Page
	nameFlag := func(cmd *cobra.Command) []string {
		cmd.Flags().StringVar(&name, "alias-name", "", "`alias/NAME`")
		return []string{"alias-name"}
	}
	targetFlags := func(cmd *cobra.Command) []string {
		cmd.Flags().StringVar(&key, "target-key-id", "", "`KEY`: key id or ARN")
		return append(nameFlag(cmd), "target-key-id")
	}
	return []*cobra.Command{
		open.verb("create-alias", "Give a key a name", targetFlags,
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return nil, kms.CreateAlias(ctx, name, key)
			}),
		open.verb("update-alias", "Make a name stand for another key", targetFlags,
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return nil, kms.UpdateAlias(ctx, name, key)
			}),
		open.verb("delete-alias", "Remove a name; the key stays", nameFlag,
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return nil, kms.DeleteAlias(ctx, name)
			}),
		open.verb("list-aliases", "List names of keys", pageFlags(&page, func(cmd *cobra.Command) []string {
			keyFlag(&key)(cmd)
			return nil
		}), func(ctx context.Context, kms *localkms.Client) (any, error) {
			return list(page, "Aliases", func(p localkms.Page) ([]localkms.AliasEntry, localkms.More, error) {
				out, err := kms.ListAliases(ctx, localkms.ListAliasesInput{KeyID: key, Page: p})
				return out.Aliases, out.More, err
			})
		}),
	}
}

// rotationVerbs are the verbs about key material.
func rotationVerbs(open openKMS) []*cobra.Command {
	var key string
	var in localkms.ListKeyRotationsInput
	return []*cobra.Command{
		open.verb("rotate-key-on-demand", "Give a key new material, for what it wraps from now on", keyFlag(&key),
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return kms.RotateKeyOnDemand(ctx, key)
			}),
		open.verb("list-key-rotations", "List rotations of a key", pageFlags(&in.Page, func(cmd *cobra.Command) []string {
			cmd.Flags().StringVar(&in.IncludeKeyMaterial, "include-key-material", "ROTATIONS_ONLY", "`WHICH`: ROTATIONS_ONLY or ALL_KEY_MATERIAL")
			return keyFlag(&in.KeyID)(cmd)
		}), func(ctx context.Context, kms *localkms.Client) (any, error) {
			return list(in.Page, "Rotations", func(p localkms.Page) ([]localkms.Rotation, localkms.More, error) {
				in.Page = p
				out, err := kms.ListKeyRotations(ctx, in)
				return out.Rotations, out.More, err
			})
		}),
		open.verb("get-key-rotation-status", "Tell whether a key rotates by itself", keyFlag(&key),
			func(ctx context.Context, kms *localkms.Client) (any, error) {
				return kms.GetKeyRotationStatus(ctx, key)
			}),
	}
}
