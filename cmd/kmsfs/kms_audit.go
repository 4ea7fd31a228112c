package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kmsfs/kmsclient/localkms"
)

// auditVerb is `kmsfs kms audit`: who used which key, and whether the log is
// whole. Damage to the log matches localkms.ErrAuditBroken.
func auditVerb(open openKMS) *cobra.Command {
	var f localkms.AuditFilter
	var verify, asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who used which key",
		Long: "Show the audit log, oldest first: every operation, done or refused.\n" +
			"With --json one record per line, in the shape of CloudTrail's.\n" +
			"With --verify check the whole log instead, and show nothing of it.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown argument %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			kms, done, err := open()
			if err != nil {
				return err
			}
			defer done()
			switch out := cmd.OutOrStdout(); {
			case verify:
				return verifyAudit(cmd.Context(), out, kms, asJSON)
			case asJSON:
				for r, err := range kms.AuditEvents(cmd.Context(), f) {
					if err != nil {
						return err
					}
					if _, err := fmt.Fprintf(out, "%s\n", r.JSON); err != nil {
						return err
					}
				}
				return nil
			default:
				return showAudit(cmd.Context(), out, kms, f)
			}
		},
	}
	cmd.Flags().StringVar(&f.KeyID, "key", "", "only operations on this `KEY` (id, ARN or alias/NAME)")
	cmd.Flags().BoolVar(&verify, "verify", false, "check that no record was edited or removed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func verifyAudit(ctx context.Context, out io.Writer, kms *localkms.Client, asJSON bool) error {
	n, err := kms.VerifyAudit(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, map[string]any{"Records": n, "Verified": true})
	}
	_, err = fmt.Fprintf(out, "%d records, all as written\n", n)
	return err
}

// auditBlock is how many records are aligned with each other at a time, so that
// a long log is neither held in memory nor delayed.
const auditBlock = 100

func showAudit(ctx context.Context, out io.Writer, kms *localkms.Client, f localkms.AuditFilter) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	for r, err := range kms.AuditEvents(ctx, f) {
		if err != nil {
			w.Flush()
			return err
		}
		e := r.Event
		who, outcome, keys := e.UserIdentity.PrincipalID, "ok", []string{}
		if who == "" {
			who = e.UserIdentity.InvokedBy
		}
		if e.ErrorCode != "" {
			outcome = e.ErrorCode
		}
		for _, k := range e.Resources {
			keys = append(keys, k.ARN[strings.LastIndex(k.ARN, "/")+1:])
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", r.Seq, e.EventTime.Local().Format("2006-01-02T15:04:05.000-07:00"),
			who, e.EventName, outcome, strings.Join(keys, " -> "))
		if n++; n%auditBlock == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}
