package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
	"kmsfs/kmsclient/localkms/shape"
)

// openKMS opens the embedded KMS; the function it returns closes it.
type openKMS func() (*localkms.Client, func(), error)

// newKMSCommand is `kmsfs kms`: the embedded KMS under the names, flags and
// JSON of `aws kms`. The store is opened when a verb runs.
func newKMSCommand(open func() (*localkms.Client, func(), error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kms",
		Short: "Manage and use keys of the embedded KMS, as with `aws kms`",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown verb %q; see %s --help", args[0], cmd.CommandPath())}
			}
			return usageError{fmt.Errorf("a verb is missing; see %s --help", cmd.CommandPath())}
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args has refused
	}
	cmd.SetFlagErrorFunc(flagError)
	o := openKMS(open)
	cmd.AddCommand(operationVerbs(o, localkms.Operations())...)
	cmd.AddCommand(operationVerbs(o, localkms.IAMOperations())...)
	cmd.AddCommand(keyPolicyVerb(o), auditVerb(o))
	return cmd
}

// flagError makes a usage error of a bad flag. It leaves out the flag's value,
// which pflag would print: it may be plaintext.
func flagError(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		err = fmt.Errorf("--%s: %w", bad.GetFlag().Name, bad.Unwrap())
	}
	return usageError{err}
}

// verb makes a subcommand without positional arguments. flags declares its flags
// and names the mandatory ones; run gives what to print as JSON, nil for nothing.
func (open openKMS) verb(use, short string, flags func(*cobra.Command) (required []string),
	run func(ctx context.Context, kms *localkms.Client) (any, error),
) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Annotations: map[string]string{callsAPI: "yes"}}
	var required []string
	if flags != nil {
		required = flags(cmd)
	}
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("unknown argument %q", args[0])}
		}
		for _, name := range required {
			if !cmd.Flags().Changed(name) {
				return usageError{fmt.Errorf("the flag --%s is required", name)}
			}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		kms, done, err := open()
		if err != nil {
			return err
		}
		defer done()
		out, err := run(cmd.Context(), kms)
		if err != nil {
			return unlockHint(kms, asAWS(err))
		}
		return printAnswer(cmd.OutOrStdout(), out)
	}
	return cmd
}

// unlockHint adds to what a locked store could not do what would unlock it.
func unlockHint(kms *localkms.Client, err error) error {
	why := kms.LockedBy()
	if why == nil || !errors.Is(err, kmsclient.ErrUnavailable) {
		return err
	}
	return withHint(err, fmt.Sprintf("the key store is locked (%v): %s", why, hintFor(why)))
}

// plainText is an answer that is printed as it is.
type plainText string

// printAnswer prints an answer as `aws` does; one without members not at all.
func printAnswer(w io.Writer, out any) error {
	if t, plain := out.(plainText); plain {
		_, err := io.WriteString(w, string(t))
		return err
	}
	if _, nothing := out.(*localkms.Empty); out == nil || nothing {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s\n", shape.Encode(out, shape.CLI))
	return err
}

// printJSON prints as `aws` does: four spaces, nothing escaped for HTML.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	return e.Encode(v)
}

// awsError prints a refusal as `aws` prints it, and keeps it for errors.Is.
type awsError struct{ refusal *kmsclient.Error }

func (e awsError) Error() string {
	message := e.refusal.Message
	if e.refusal.Code == "KMSInternalException" { // ours: say what happened
		message = e.refusal.Kind.Error()
	}
	return fmt.Sprintf("An error occurred (%s) when calling the %s operation: %s", e.refusal.Code, e.refusal.Op, message)
}

func (e awsError) Unwrap() error { return e.refusal }

// asAWS puts a refusal of the KMS in AWS's words; other errors stay as they are.
func asAWS(err error) error {
	var e *kmsclient.Error
	if errors.As(err, &e) && e.Code != "" {
		return awsError{e}
	}
	return err
}
