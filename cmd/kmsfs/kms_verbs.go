package main

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/shape"
)

// operationVerbs makes a verb of every operation: its name, flags and answer are
// those of `aws`, read from the operation's request and answer.
func operationVerbs(open openKMS, operations []localkms.Operation) []*cobra.Command {
	var verbs []*cobra.Command
	for _, op := range operations {
		in := reflect.New(op.Input)
		var env bool
		verb := open.verb(kebab(op.Name), verbHelp[op.Name], func(cmd *cobra.Command) []string {
			if givesCredentials[op.Name] {
				cmd.Flags().BoolVar(&env, "env", false, "print shell commands that set the credentials, instead of JSON")
			}
			return memberFlags(cmd, in.Elem())
		}, func(ctx context.Context, kms *localkms.Client) (any, error) {
			if in, ok := in.Interface().(*localkms.ScheduleKeyDeletionInput); ok {
				warnOfUse(ctx, kms, in.KeyID)
			}
			out, err := invoke(ctx, op, kms.API, in)
			if err == nil && env {
				return environment(out), nil
			}
			return out, err
		})
		verb.Long = verbLong[op.Name]
		verbs = append(verbs, verb)
	}
	return verbs
}

// memberFlags declares a flag for each member of a request, and names those that
// must be given.
func memberFlags(cmd *cobra.Command, in reflect.Value) (required []string) {
	for m := range shape.Members(in.Type()) {
		if m.Unsupported {
			continue
		}
		name := kebab(m.Name)
		flag := cmd.Flags().VarPF(&memberValue{m, in.FieldByIndex(m.Index)}, name, "", memberHelp(m))
		if m.Kind == shape.Boolean {
			flag.NoOptDefVal = "true"
			no := cmd.Flags().VarPF(&notValue{memberValue{m, in.FieldByIndex(m.Index)}}, "no-"+name, "", "")
			no.NoOptDefVal, no.Hidden = "true", true
		}
		if m.Required {
			required = append(required, name)
		}
	}
	return required
}

// invoke runs an operation. A list is fetched whole, as `aws` does, unless the
// user does the paging by --limit, --max-items or --marker.
func invoke(ctx context.Context, op localkms.Operation, api *localkms.API, in reflect.Value) (any, error) {
	marker := field(in.Elem(), "Marker")
	all := marker.IsValid() && marker.IsZero() && field(in.Elem(), "Limit", "MaxItems").IsZero()
	out, err := op.Invoke(ctx, api, in.Interface())
	if err != nil || !all {
		return out, err
	}
	answer := reflect.ValueOf(out).Elem()
	list := answer.Field(0)
	for next := field(answer, "NextMarker", "Marker"); next.String() != ""; {
		marker.Set(next)
		if out, err = op.Invoke(ctx, api, in.Interface()); err != nil {
			return nil, err
		}
		part := reflect.ValueOf(out).Elem()
		list.Set(reflect.AppendSlice(list, part.Field(0)))
		next = field(part, "NextMarker", "Marker")
	}
	whole := reflect.New(reflect.StructOf([]reflect.StructField{answer.Type().Field(0)})) // without the marker
	whole.Elem().Field(0).Set(list)
	return whole.Interface(), nil
}

// field is the first field of a struct with one of the names, which the lists of
// KMS and IAM have different ones for.
func field(v reflect.Value, names ...string) (f reflect.Value) {
	for _, name := range names {
		if f = v.FieldByName(name); f.IsValid() {
			break
		}
	}
	return f
}

// kebab is the name of an operation or member on the command line:
// "GenerateDataKey" is generate-data-key, "AWSAccountId" aws-account-id.
func kebab(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) {
			if i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
				b.WriteByte('-')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// expandLists turns `--tag-keys A B` into `--tag-keys A --tag-keys B`, as `aws`
// takes lists: flags of verbs of `kmsfs kms` whose name is a list's.
func expandLists(args []string) []string {
	if !slices.Contains(args, "kms") {
		return args
	}
	var out []string
	list := ""
	for i, a := range args {
		switch name, isFlag := strings.CutPrefix(a, "--"); {
		case isFlag:
			list = ""
			if slices.Contains(listFlags, name) {
				list = a
			}
		case list != "" && args[i-1] != list:
			out = append(out, list)
		}
		out = append(out, a)
	}
	return out
}

// listFlags are the flags that are lists.
var listFlags = []string{"administrators", "dry-run-modifiers", "grant-tokens", "operations", "tag-keys", "tags", "users"}
