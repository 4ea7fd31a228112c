package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kmsfs/kmsclient/localkms"
)

// auditVerb is `kmsfs kms audit`: who used which key, and whether the log is
// whole. Damage to the log matches localkms.ErrAuditBroken.
func auditVerb(open openKMS) *cobra.Command {
	var f localkms.AuditFilter
	var verify, checkpoint, asJSON bool
	var against []string
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who used which key",
		Long: "Show the audit log, oldest first: every operation, done or refused.\n" +
			"With --json one record per line, in the shape of CloudTrail's.\n" +
			"With --verify check the whole log instead, and show nothing of it.\n" +
			"A checkpoint kept elsewhere shows that no record before it was changed, not\n" +
			"even by whoever can replace the whole store.",
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
				return unlockHint(kms, verifyAudit(cmd.Context(), out, kms, against, asJSON))
			case checkpoint:
				c, err := kms.Checkpoint(cmd.Context())
				if err != nil {
					return unlockHint(kms, err)
				}
				return printJSON(out, c)
			case asJSON:
				for r, err := range kms.AuditEvents(cmd.Context(), f) {
					if err != nil {
						return err
					}
					if err := json.NewEncoder(out).Encode(r.Event); err != nil {
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
	cmd.Flags().StringVar(&f.Principal, "principal", "", "only by this `PRINCIPAL`: user/NAME, role/NAME, an ARN or an access key id")
	cmd.Flags().StringVar(&f.Operation, "operation", "", "only this `OPERATION`, as Decrypt")
	cmd.Flags().StringVar(&f.FileSystem, "file-system", "", "only for the cipher directory with this `FSID`")
	cmd.Flags().BoolVar(&f.Errors, "errors", false, "only what was refused")
	cmd.Flags().Var((*timeValue)(&f.Since), "since", "not before this `DATE` (2006-01-02T15:04:05Z) or that long ago (24h)")
	cmd.Flags().Var((*timeValue)(&f.Until), "until", "before this `DATE`, or that long ago")
	cmd.Flags().BoolVar(&verify, "verify", false, "check that no record was edited or removed")
	cmd.Flags().StringSliceVar(&against, "against", nil, "with --verify: checkpoints kept in these `FILE`s")
	cmd.Flags().BoolVar(&checkpoint, "checkpoint", false, "sign the log as it is now, to be kept elsewhere and verified against")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func verifyAudit(ctx context.Context, out io.Writer, kms *localkms.Client, against []string, asJSON bool) error {
	kept := make([]localkms.Checkpoint, len(against))
	for i, path := range against {
		text, err := readFile(path)
		if err != nil {
			return err
		}
		if err := strictJSON(string(text), &kept[i]); err != nil {
			return fmt.Errorf("%s is not a checkpoint", path)
		}
	}
	n, err := kms.VerifyAudit(ctx, kept...)
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
		outcome, keys := "ok", []string{}
		if e.ErrorCode != "" {
			outcome = e.ErrorCode
		}
		for _, k := range e.Resources {
			keys = append(keys, k.ARN[strings.LastIndex(k.ARN, "/")+1:])
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Seq, e.EventTime.Local().Format("2006-01-02T15:04:05.000-07:00"),
			auditWho(e.UserIdentity), e.EventName, outcome, strings.Join(keys, " -> "), auditContext(e.RequestParameters))
		if n++; n%auditBlock == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// auditWho names a principal shortly: "user/alice", "assumed-role/backup/nightly".
func auditWho(i localkms.Identity) string {
	if _, name, ok := strings.Cut(i.ARN, "::"+i.AccountID+":"); ok {
		return name
	}
	return cmp.Or(i.AccessKeyID, i.InvokedBy, i.Type)
}

// auditContext shows the encryption context of a request, which names the file
// system: "k=v k2=v2".
func auditContext(request json.RawMessage) string {
	var p struct{ EncryptionContext, SourceEncryptionContext map[string]string }
	json.Unmarshal(request, &p) // of another form: no context
	var pairs []string
	for _, ec := range []map[string]string{p.EncryptionContext, p.SourceEncryptionContext} {
		for _, k := range slices.Sorted(maps.Keys(ec)) {
			pairs = append(pairs, fmt.Sprintf("%s=%s", printable(k), printable(ec[k])))
		}
	}
	return strings.Join(pairs, " ")
}

// printable quotes what would upset a terminal or a column: contexts are chosen
// by callers.
func printable(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` || strings.ContainsRune(s, ' ') {
		return q
	}
	return s
}

// timeValue is a flag of a point in time: a date, or how long ago.
type timeValue time.Time

func (t *timeValue) String() string { return "" }

// Type implements pflag.Value.
func (t *timeValue) Type() string { return "time" }

// Set implements pflag.Value.
func (t *timeValue) Set(s string) error {
	if ago, err := time.ParseDuration(s); err == nil {
		*t = timeValue(time.Now().Add(-ago))
		return nil
	}
	at, err := parseTime(s)
	*t = timeValue(at)
	return err
}
