package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kmsfs/kmsclient/localkms"
)

// callerFlags are the flags that say as whom and in which Region a verb acts.
type callerFlags struct{ caller localkms.Caller }

func (f *callerFlags) add(cmd *cobra.Command) {
	cmd.Long = "Manage and use keys of the embedded KMS, as with `aws kms`, and its users, roles\n" +
		"and sessions, as with `aws iam` and `aws sts`. Whoever can open the key store owns\n" +
		"it: --as is for trying policies out, and keeps nobody from acting as somebody else.\n" +
		"Policies bind those who come by `kmsfs kms serve`, with access keys."
	flags := cmd.PersistentFlags()
	flags.Var((*asValue)(&f.caller.Principal), "as", "act as `PRINCIPAL`: user/NAME, role/NAME or root (default the local user)")
	flags.Var((*regionValue)(&f.caller.Region), "region", "act on the keys of `REGION` (default the key store's own)")
}

// check refuses the flags for verbs that they mean nothing to.
func (f *callerFlags) check(cmd *cobra.Command) error {
	if f.caller != (localkms.Caller{}) && cmd.Annotations[callsAPI] == "" {
		return usagef("--as and --region are for the operations of AWS, not for %s", cmd.Name())
	}
	return nil
}

// callsAPI is the annotation of verbs that are calls of the API, made by a caller.
const callsAPI = "callsAPI"

// client is the store in the hands of the caller that the flags name.
func (f *callerFlags) client(store *localkms.Store) *localkms.Client {
	c := f.caller
	if c.Principal == (localkms.Principal{}) {
		c.Principal = localkms.LocalUser()
	}
	return store.ClientFor(c)
}

// asValue is a flag of one principal.
type asValue localkms.Principal

// String implements pflag.Value.
func (v *asValue) String() string { return "" }

// Type implements pflag.Value.
func (v *asValue) Type() string { return "principal" }

// Set implements pflag.Value.
func (v *asValue) Set(s string) error {
	p, err := localkms.ParsePrincipal(s)
	*v = asValue(p)
	return err
}

// principalsValue is a flag of users and roles, between commas.
type principalsValue []localkms.Principal

// String implements pflag.Value.
func (v *principalsValue) String() string { return "" }

// Type implements pflag.Value.
func (v *principalsValue) Type() string { return "list" }

// Set implements pflag.Value.
func (v *principalsValue) Set(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		p, err := localkms.ParsePrincipal(name)
		if err != nil {
			return err
		}
		*v = append(*v, p)
	}
	return nil
}

// regionValue is a flag of a Region.
type regionValue string

// String implements pflag.Value.
func (v *regionValue) String() string { return "" }

// Type implements pflag.Value.
func (v *regionValue) Type() string { return "region" }

// Set implements pflag.Value.
func (v *regionValue) Set(s string) error {
	if !localkms.ValidRegion(s) {
		return errors.New("want a Region as eu-central-1")
	}
	*v = regionValue(s)
	return nil
}

// givesCredentials are the operations whose verbs have the flag --env.
var givesCredentials = map[string]bool{"AssumeRole": true, "CreateAccessKey": true}

// environment is a shell's commands that give `aws` the credentials of an answer.
func environment(answer any) plainText {
	set := func(id, secret string) string {
		return fmt.Sprintf("export AWS_ACCESS_KEY_ID=%s\nexport AWS_SECRET_ACCESS_KEY=%s\n", id, secret)
	}
	switch a := answer.(type) {
	case *localkms.CreateAccessKeyOutput: // a token left behind would not go with it
		return plainText(set(a.AccessKey.AccessKeyID, a.AccessKey.SecretAccessKey) + "unset AWS_SESSION_TOKEN\n")
	case *localkms.AssumeRoleOutput:
		c := &a.Credentials
		return plainText(set(c.AccessKeyID, c.SecretAccessKey) + "export AWS_SESSION_TOKEN=" + c.SessionToken + "\n")
	}
	panic(fmt.Sprintf("%T has no credentials", answer)) // not in givesCredentials
}

// keyPolicyVerb is `kmsfs kms key-policy`.
func keyPolicyVerb(open openKMS) *cobra.Command {
	var administrators, users principalsValue
	var noAccount bool
	cmd := open.verb("key-policy", "Print a key policy that keeps key administrators and key users apart",
		func(cmd *cobra.Command) []string {
			f := cmd.Flags()
			f.Var(&administrators, "administrators", "`PRINCIPALS` who manage the key and cannot use it: user/NAME, role/NAME")
			f.Var(&users, "users", "`PRINCIPALS` who use the key and cannot manage it")
			f.BoolVar(&noAccount, "no-account", false, "let only these in, whatever policies of users and roles say")
			return nil
		},
		func(_ context.Context, kms *localkms.Client) (any, error) {
			policy, err := kms.KeyPolicy(administrators, users, !noAccount)
			if err != nil {
				return nil, usageError{err}
			}
			return plainText(append(policy, '\n')), nil
		})
	cmd.Long = "Print a key policy for create-key or put-key-policy, which take it as\n" +
		"--policy file://FILE. Unless --no-account is given, the policies of users and roles\n" +
		"(put-user-policy, put-role-policy) can let others use and manage the key too, and\n" +
		"the local user may do everything."
	return cmd
}
