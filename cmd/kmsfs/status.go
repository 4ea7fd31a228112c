package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kmsfs/config"
	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/rewrap"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	var keys []string
	cmd := &cobra.Command{
		Use:   "status [flags] CIPHERDIR|MOUNTPOINT",
		Short: "Tell how many files need which key",
		Long: "Count the files of a cipher directory by the key and key material that wrap them.\n" +
			"Counting needs no key, so it works on a backup too. Before a key is disabled or\n" +
			"deleted, ask for every copy whether it still needs the key. Of a mount it tells\n" +
			"the counters as well.",
		Args: exactArgs("CIPHERDIR|MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			st, err := takeStatus(cmd.Context(), s, args[0], keys, asJSON)
			if err != nil {
				return err
			}
			if st.note != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "kmsfs: states of keys are not known: %v\n", st.note)
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), st)
			} else {
				for _, e := range st.Errors {
					fmt.Fprintf(cmd.ErrOrStderr(), "kmsfs: %v\n", e)
				}
				err = st.print(cmd.OutOrStdout())
			}
			return errors.Join(err, st.outcome())
		},
	}
	a.settings.AddFlags(cmd.Flags(), "kms", "kms-passphrase-file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringArrayVar(&keys, "key", nil, "tell whether this `KEY` is still needed (id, ARN or alias/NAME); repeatable")
	return cmd
}

// status is what the verb tells.
type status struct {
	Dir   string     `json:"cipher_directory"`
	Mount *liveState `json:"mount"` // null if it is not mounted, or the mount is not ours
	*rewrap.StatusReport
	Asked []askedKey `json:"asked,omitempty"`

	note error // why the KMS could not be asked
}

// askedKey answers --key.
type askedKey struct {
	Key    string `json:"key"` // as the user wrote it
	KeyID  string `json:"key_id"`
	Needed bool   `json:"needed"`
	Files  int    `json:"files"`
}

func takeStatus(ctx context.Context, s config.Settings, path string, keys []string, quiet bool) (*status, error) {
	dir, err := realPath(path)
	if err != nil {
		return nil, err
	}
	if m, err := mountAt(path); err == nil {
		dir = m.Source
	} else if !errors.Is(err, errNotMounted) {
		return nil, err
	}
	st := &status{Dir: dir}
	store, err := openStore(dir, true)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		return nil, inDir(dir, err)
	}
	if a, err := ask(ctx, dir, "status"); err == nil {
		st.Mount = a.Status
	}
	o := rewrap.StatusOptions{}
	kms, err := statusKMS(ctx, s, cfg)
	if err == nil {
		defer kms.Close()
		o.KMS = kms
	} else if len(keys) > 0 {
		return nil, err // a key by that name: only the KMS knows which
	}
	st.note = err
	p := newProgress(quiet)
	o.Progress = func(r rewrap.Progress) { p.say("%d files seen", r.FilesScanned) }
	st.StatusReport, err = rewrap.Status(ctx, store, o)
	p.done()
	if err != nil {
		return nil, inDir(dir, err)
	}
	if kms == nil {
		return st, nil
	}
	if kms.local != nil { // in AWS there may be very many, of others
		if err := st.nameKeys(ctx, kms.local); err != nil {
			return nil, err
		}
	}
	return st, st.answer(ctx, kms, keys)
}

// statusKMS opens the KMS of a cipher directory; nil with the reason if it is
// not to be had. Whether AWS is, only a call tells.
func statusKMS(ctx context.Context, s config.Settings, cfg *envelope.Config) (*provider, error) {
	uri, err := chooseKMS(s, cfg)
	if err != nil {
		return nil, err
	}
	kms, err := openProvider(s, uri)
	if err != nil || kms.local != nil {
		return kms, err
	}
	if _, err := kms.DescribeKey(ctx, cfg.Recipients[0].KeyID); err != nil {
		kms.Close()
		return nil, err
	}
	return kms, nil
}

// nameKeys finds the keys of the KMS behind tags that the configuration does not
// name: those in use before a rewrap.
func (st *status) nameKeys(ctx context.Context, kms *localkms.Client) error {
	unknown := func(k rewrap.KeyUse) bool { return k.KeyID == "" }
	var page localkms.Page
	for slices.ContainsFunc(st.Keys, unknown) {
		out, err := kms.ListKeys(ctx, localkms.ListKeysInput{Page: page})
		if err != nil {
			return err
		}
		for _, entry := range out.Keys {
			tag := kmsclient.KeyTag(entry.KeyArn)
			for i := range st.Keys {
				k := &st.Keys[i]
				if k.KeyTag != hex.EncodeToString(tag[:]) || k.KeyID != "" {
					continue
				}
				info, err := kms.DescribeKey(ctx, entry.KeyArn)
				if err != nil {
					return err
				}
				k.KeyID, k.State = info.KeyID, info.State
			}
		}
		if !out.Truncated {
			break
		}
		page.Marker = out.NextMarker
	}
	return nil
}

// answer fills Asked.
func (st *status) answer(ctx context.Context, kms kmsclient.KMS, keys []string) error {
	for _, key := range keys {
		info, err := kms.DescribeKey(ctx, key)
		if err != nil {
			return fmt.Errorf("--key %s: %w", key, err)
		}
		a := askedKey{Key: key, KeyID: info.KeyID, Needed: st.StillNeeds(info.KeyID)}
		tag := kmsclient.KeyTag(info.KeyID)
		for _, k := range st.Keys {
			if k.KeyTag == hex.EncodeToString(tag[:]) {
				a.Files += k.Files
			}
		}
		st.Asked = append(st.Asked, a)
	}
	return nil
}

// outcome is an error where files could not be counted: damage, or else a part
// of the work that was not done.
func (st *status) outcome() error {
	if len(st.Errors) == 0 {
		return nil
	}
	kind := errPartly
	for _, e := range st.Errors {
		if exitCode(e) == exitIntegrity {
			kind = errIntegrity
		}
	}
	return withHint(fmt.Errorf("%w: %s could not be counted, and may need any key", kind, count(len(st.Errors), "file")), "kmsfs fsck tells more")
}

func (st *status) print(out io.Writer) error {
	fmt.Fprintf(out, "cipher directory: %s\n", st.Dir)
	if m := st.Mount; m != nil {
		how := "read-write"
		if m.ReadOnly {
			how = "read only"
		}
		fmt.Fprintf(out, "mounted: at %s, %s, by process %d since %s\n", m.Mountpoint, how, m.PID, m.Since.Local().Format("2006-01-02 15:04:05"))
		fmt.Fprintf(out, "  KMS calls %d, data keys in memory %d, open files %d, files created %d\n",
			m.KMSCallsTotal, m.DataKeys, m.OpenFiles, m.FilesCreated)
		if m.Unclean {
			fmt.Fprintln(out, "  the directory was not unmounted cleanly before: run kmsfs fsck")
		}
		if m.BadNames > 0 {
			fmt.Fprintf(out, "  %s that do not verify are hidden: run kmsfs fsck\n", count(int(m.BadNames), "name"))
		}
	}
	fmt.Fprintf(out, "files: %d, of them never written: %d; %d bytes of plaintext\n\n", st.FilesScanned, st.FilesEmpty, st.Bytes)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tMATERIAL\tSTATE\tFILES\tDATA KEYS\tNAMES KEY\t")
	for _, k := range st.Keys {
		names, note := "no", ""
		if k.NamesKey {
			names = "yes"
		}
		if k.Current {
			note = "current"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", keyName(k), orDash(short(k.Material)), orDash(string(k.State)), k.Files, k.DataKeys, names, note)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	st.printNeeds(out)
	return nil
}

// printNeeds says which keys must not go yet.
func (st *status) printNeeds(out io.Writer) {
	old := 0
	for _, k := range st.Keys {
		if k.Current {
			continue
		}
		old++
		what := count(k.Files, "file")
		if k.NamesKey {
			what += " and the names key"
		}
		if k.KeyID == st.KeyID && k.Material != "" {
			fmt.Fprintf(out, "old material %s of key %s still wraps %s: kmsfs rewrap moves them\n", short(k.Material), keyName(k), what)
			continue
		}
		fmt.Fprintf(out, "key %s is still needed by %s\n", keyName(k), what)
	}
	for _, a := range st.Asked {
		switch {
		case !a.Needed:
			fmt.Fprintf(out, "no file needs key %s\n", a.KeyID)
		case a.Files == 0:
			fmt.Fprintf(out, "key %s may still be needed\n", a.KeyID)
		default:
			fmt.Fprintf(out, "key %s is needed by %s\n", a.KeyID, count(a.Files, "file"))
		}
	}
	if old == 0 && len(st.Errors) == 0 {
		fmt.Fprintf(out, "no file needs any key but %s\n", st.KeyID)
	}
	if st.JournalPending > 0 {
		fmt.Fprintln(out, "a rewrap is running, or was cut short: run kmsfs rewrap to finish it")
	}
}

// keyName is the id of a key, or its tag where the id is not known.
func keyName(k rewrap.KeyUse) string {
	if k.KeyID == "" {
		return "with tag " + k.KeyTag
	}
	return k.KeyID
}

// short gives the first eight digits of a hexadecimal id.
func short(hex string) string { return hex[:min(8, len(hex))] }
