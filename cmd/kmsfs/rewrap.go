package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"kmsfs/config"
	"kmsfs/fs/rewrap"
)

// rewrapFlags are the flags of rewrap that are no settings.
type rewrapFlags struct {
	to, from, changed, mtime string
	jobs                     int
	dryRun, asJSON           bool
}

func (a *app) rewrapCommand() *cobra.Command {
	var f rewrapFlags
	cmd := &cobra.Command{
		Use:   "rewrap [flags] CIPHERDIR",
		Short: "After a key rotation, wrap all data keys anew",
		Long: "Wrap the names key and the data key of every file under the current material of\n" +
			"the key, or under another key. Headers are rewritten, bodies are not touched. It\n" +
			"may be interrupted at any time and run again, and run beside a mount.\n\n" +
			"A rewrap does not change data keys: it does not help against one that leaked.",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.mtime != "keep" && f.mtime != "touch":
				return usagef("--mtime: %q is not keep or touch", f.mtime)
			case f.jobs < 1 || f.jobs > 256:
				return usagef("--jobs: %d is not between 1 and 256", f.jobs)
			}
			return exactArgs("CIPHERDIR")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			report, err := rewrapDirectory(cmd.Context(), s, f, args[0])
			if report != nil {
				if perr := printRewrap(cmd.OutOrStdout(), cmd.ErrOrStderr(), report, f.asJSON); perr != nil {
					return errors.Join(err, perr)
				}
			}
			return rewrapOutcome(report, err)
		},
	}
	a.settings.AddFlags(cmd.Flags(), "kms", "kms-passphrase-file")
	fl := cmd.Flags()
	fl.StringVar(&f.to, "to", "", "wrap under this `KEY` from now on (id, ARN or alias/NAME); default: the key in use")
	fl.StringVar(&f.from, "from", "", "only what is wrapped under this `KEY`")
	fl.IntVar(&f.jobs, "jobs", 4, "files looked at in parallel")
	fl.BoolVar(&f.dryRun, "dry-run", false, "tell what would be done, and do nothing")
	fl.StringVar(&f.changed, "changed-list", "", "write the changed ciphertext files to `FILE`, NUL-separated, for rsync --from0 --files-from")
	fl.StringVar(&f.mtime, "mtime", "keep", "`keep|touch` the modification times of changed files")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func rewrapDirectory(ctx context.Context, s config.Settings, f rewrapFlags, dir string) (_ *rewrap.Report, err error) {
	if dir, err = realPath(dir); err != nil {
		return nil, err
	}
	d, err := openKeyed(s, dir, f.dryRun)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	o := rewrap.Options{
		To: f.to, From: f.from, Provider: d.kms.tag, Jobs: f.jobs, DryRun: f.dryRun, Touch: f.mtime == "touch",
		OnConfig: func() { tellMount(ctx, dir) },
		Log:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if f.changed != "" && !f.dryRun {
		list, err := os.Create(f.changed)
		if err != nil {
			return nil, fmt.Errorf("list of changed files: %w", err)
		}
		defer func() { err = errors.Join(err, list.Close()) }()
		o.ChangedList = list
	}
	p := newProgress(f.asJSON)
	defer p.done()
	o.Progress = func(r rewrap.Progress) {
		p.say("pass %d: %d files seen, %d rewrapped", r.Pass, r.FilesScanned, r.FilesRewrapped)
	}
	report, err := rewrap.Run(ctx, d.store, d.kms, o)
	return report, inDir(dir, err)
}

// tellMount has a live mount of dir make its new files under the new key. A
// mount that cannot be told notices by itself within a second or so.
func tellMount(ctx context.Context, dir string) {
	if _, err := ask(ctx, dir, "reload"); err != nil && !errors.Is(err, errNoMount) {
		fmt.Fprintf(os.Stderr, "kmsfs: the mount was not told of the new key: %v\n", err)
	}
}

// rewrapOutcome decides what a run amounts to.
func rewrapOutcome(r *rewrap.Report, err error) error {
	switch {
	case err != nil && errors.Is(err, rewrap.ErrBusy):
		return withHint(err, "wait for the other one, or stop it: a rewrap may be interrupted")
	case err != nil && (errors.Is(err, context.Canceled) || errors.Is(err, rewrap.ErrRotated)):
		return fmt.Errorf("%w: %w", errPartly, err)
	case err != nil:
		return err
	case len(r.Errors) > 0:
		return withHint(fmt.Errorf("%w: %s left as they are", errPartly, count(len(r.Errors), "file")),
			"kmsfs fsck tells more of damaged files; then run the same command again")
	}
	return nil
}

func printRewrap(out, stderr io.Writer, r *rewrap.Report, asJSON bool) error {
	if asJSON {
		return printJSON(out, r)
	}
	for _, e := range r.Errors {
		fmt.Fprintf(stderr, "kmsfs: %v\n", e)
	}
	if r.KeyID == "" { // it ended before there was anything to tell
		return nil
	}
	verb, names := "rewrapped", "rewrapped"
	if r.DryRun {
		verb, names = "would rewrap", "would be rewrapped"
	}
	calls := uint64(0)
	for _, n := range r.KMSCalls {
		calls += n
	}
	if !r.NamesKeyRewrapped {
		names = "current already"
	}
	_, err := fmt.Fprintf(out, "%s %s of %d, %s; %d current already, %d empty; names key %s\nkey: %s\n",
		verb, count(r.FilesRewrapped, "file"), r.FilesScanned, count(r.DataKeys, "data key"), r.FilesCurrent, r.FilesEmpty, names, r.KeyID)
	if r.Material != "" {
		fmt.Fprintf(out, "key material: %s\n", r.Material)
	}
	fmt.Fprintf(out, "KMS calls: %d\n", calls)
	if r.Recovered > 0 {
		fmt.Fprintf(out, "finished what an earlier run left: %s checked\n", count(r.Recovered, "header"))
	}
	return err
}

// count is a number with its noun: "1 file", "2 files".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
