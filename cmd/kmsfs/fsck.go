package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kmsfs/config"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/fsck"
)

// fsckFlags are the flags of fsck that are no settings.
type fsckFlags struct {
	quick, noKMS, asJSON, markClean bool
	jobs                            int
}

func (a *app) fsckCommand() *cobra.Command {
	var f fsckFlags
	cmd := &cobra.Command{
		Use:   "fsck [flags] CIPHERDIR",
		Short: "Check a cipher directory for damage and tampering; changes nothing",
		Long: `Check a cipher directory for damage and tampering. It changes nothing, but for one
thing that is asked for: after a power cut or a kill the directory counts as
unclean, and a page that never reached the disk reads as zeros, with a line in the
log. --mark-clean ends that if a full check finds no such page and nothing else
amiss; from then on such a page is an error again.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.jobs < 1 || f.jobs > 256 {
				return usagef("--jobs: %d is not between 1 and 256", f.jobs)
			}
			if f.markClean && (f.quick || f.noKMS) {
				return usagef("--mark-clean needs a full check: no --quick, no --no-kms")
			}
			return exactArgs("CIPHERDIR")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			report, err := checkDirectory(cmd.Context(), s, f, args[0])
			if err != nil {
				return err
			}
			if f.asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printFsck(cmd.OutOrStdout(), report)
			}
			if err = errors.Join(err, fsckOutcome(report)); err != nil || !f.markClean || report.Clean {
				return err
			}
			return markClean(cmd.Context(), s, args[0], report)
		},
	}
	a.settings.AddFlags(cmd.Flags(), "kms", "kms-passphrase-file")
	fl := cmd.Flags()
	fl.BoolVar(&f.quick, "quick", false, "headers, names and last pages only")
	fl.BoolVar(&f.noKMS, "no-kms", false, "without keys: check the structure only")
	fl.BoolVar(&f.markClean, "mark-clean", false, "after a crash, if all is sound: end the unclean state")
	fl.IntVar(&f.jobs, "jobs", 4, "files checked in parallel")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func checkDirectory(ctx context.Context, s config.Settings, f fsckFlags, dir string) (*fsck.Report, error) {
	store, err := openStore(dir, true)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		return nil, inDir(dir, err)
	}
	o := fsck.Options{Quick: f.quick, Jobs: f.jobs}
	if !f.noKMS {
		uri, err := chooseKMS(s, cfg)
		if err != nil {
			return nil, err
		}
		kms, err := openProvider(s, uri)
		if err != nil {
			return nil, withHint(err, "--no-kms checks what can be checked without keys")
		}
		defer kms.Close()
		o.KMS = kms
	}
	p := newProgress(f.asJSON)
	defer p.done()
	o.Progress = func(r fsck.Progress) { p.say("%d files, %d pages checked", r.Files, r.Pages) }
	report, err := fsck.Check(ctx, store, o)
	return report, inDir(dir, err)
}

// markClean ends the unclean state of a directory that a full check found to have
// nothing that only a crash would explain.
func markClean(ctx context.Context, s config.Settings, dir string, r *fsck.Report) error {
	for _, class := range []fsck.Class{fsck.HoleInDense, fsck.TailNotFinal, fsck.StaleFinal, fsck.SizeRemainder, fsck.PendingJournal} {
		if n := r.Counts[class]; n > 0 {
			return withHint(fmt.Errorf("%w: left unclean, for %d %s", errPartly, n, class),
				"write the files that are named anew, or run kmsfs rewrap for a pending journal")
		}
	}
	d, err := openKeyed(s, dir, false)
	if err != nil {
		return err
	}
	defer d.Close()
	return inDir(dir, cipherdir.MarkClean(ctx, d.store, d.kms))
}

func printFsck(out io.Writer, r *fsck.Report) error {
	for _, f := range r.Findings {
		fmt.Fprintln(out, f)
	}
	if r.Omitted > 0 {
		fmt.Fprintf(out, "%d more of the same kinds\n", r.Omitted)
	}
	state := "clean"
	if !r.Clean {
		state = "not unmounted cleanly, or mounted"
	}
	fmt.Fprintf(out, "%d directories, %d files, %d symlinks, %d others; %d pages; %s\n",
		r.Directories, r.Files, r.Symlinks, r.Others, r.Pages, state)
	if r.Unchecked > 0 {
		fmt.Fprintf(out, "not authenticated, for want of a key: %s\n", count(r.Unchecked, "file"))
	}
	verdict := "no damage found"
	if r.Bad() {
		verdict = fmt.Sprintf("damaged: %d, suspicious: %d", r.Errors, r.Suspicious)
	}
	_, err := fmt.Fprintln(out, verdict)
	return err
}

// fsckOutcome decides what a check amounts to. Contents that could not be
// checked because the KMS refused are no good news either.
func fsckOutcome(r *fsck.Report) error {
	switch {
	case r.Bad():
		return withHint(fmt.Errorf("%w: %d damaged, %d suspicious", errIntegrity, r.Errors, r.Suspicious),
			"restore what is damaged from a backup; everything else can be read")
	case r.Counts[fsck.KeyUnavailable] > 0:
		return withHint(fmt.Errorf("%w: the KMS refused keys, %s not authenticated", errPartly, count(r.Unchecked, "file")),
			"enable the keys and run it again, or use --no-kms")
	}
	return nil
}
