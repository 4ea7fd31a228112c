// Command kmsfs is an encrypted file system whose keys belong to a KMS. There is
// one file per verb; this one is the root of them, with the flags all share.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kmsfs/config"
	"kmsfs/kmsclient/localkms"
)

// Stamped by the Makefile: -ldflags "-X main.version=… -X main.commit=…".
var (
	version = "devel"
	commit  = "unknown"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is one call of kmsfs: it prints the error, if there is one, and gives the
// exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	root := newRootCommand()
	root.SetArgs(expandLists(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	report(stderr, err)
	return exitCode(err)
}

// app is what the verbs share.
type app struct {
	settings config.Settings // what the flags of the verb at hand say; see load
}

func newRootCommand() *cobra.Command {
	a := &app{settings: config.Default()}
	root := &cobra.Command{
		Use:   "kmsfs",
		Short: "An encrypted file system whose keys belong to a KMS",
		Long: "kmsfs keeps files encrypted in an ordinary directory, the cipher directory, and\n" +
			"shows their plaintext where it is mounted. The keys belong to a KMS.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("a verb is missing")
			}
			return usagef("unknown verb %q", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args has refused
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		a.initCommand(), a.mountCommand(), umountCommand(), lockCommand(), a.statusCommand(),
		a.rewrapCommand(), a.fsckCommand(), inspectCommand(), a.catCommand(),
		a.kmsCommand(), versionCommand(),
	)
	return root
}

// kmsCommand is `kmsfs kms` on the embedded KMS of the settings.
func (a *app) kmsCommand() *cobra.Command {
	var running *cobra.Command
	var caller callerFlags
	cmd := newKMSCommand(func() (*localkms.Client, func(), error) {
		s, err := a.load(running)
		if err != nil {
			return nil, nil, err
		}
		// Any verb but this one on a store that is not there is a mistake. What only
		// looks at keys or manages them does without the root key.
		store, err := openLocal(s, s.KMS, localkms.Options{Create: running.Name() == "create-key", AllowLocked: true})
		if err != nil {
			return nil, nil, err
		}
		return caller.client(store), func() { store.Close() }, nil
	})
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		running = cmd
		return caller.check(cmd)
	}
	caller.add(cmd)
	a.settings.AddFlags(cmd.PersistentFlags(), "kms", "kms-passphrase-file")
	cmd.AddCommand(a.serveCommand(), a.unlockCommand(), a.backupCommand(), a.restoreCommand())
	return cmd
}

// load gives the settings in force for a verb, by its flags.
func (a *app) load(cmd *cobra.Command) (config.Settings, error) {
	s, err := config.Load(os.Getenv, cmd.Flags())
	if err != nil {
		return s, usageError{err}
	}
	return s, nil
}

// exactArgs requires the arguments that the names stand for.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s is missing", names[len(args)])
		case len(args) > len(names):
			return usagef("unexpected argument %q", args[len(names)])
		}
		for i, arg := range args {
			if arg == "" {
				return usagef("%s is empty", names[i])
			}
		}
		return nil
	}
}

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// report prints an error as "kmsfs: …" and what to do about it as "hint: …".
func report(w io.Writer, err error) {
	if err == nil || errors.Is(err, errReported) {
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", "\nkmsfs: ")
	fmt.Fprintf(w, "kmsfs: %s\n", text)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
}
