package rewrap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
)

// walker is one run.
type walker struct {
	store   backing.Store
	kms     *kmsclient.Counting
	o       Options
	log     *slog.Logger
	cfg     *envelope.Config
	layout  envelope.Layout
	choice  choice
	memo    *memo
	journal *logFile // nil in a dry run
	report  *Report
	stop    func(error) // ends the run with this cause

	mu      sync.Mutex // guards all below but batch, and report
	pass    *pass
	lasting []FileError // those that a later pass does not meet again
	said    time.Time   // when progress was last told

	batch batch
}

// Run rewraps. The report is never nil and holds what was done also when the run
// ended early with an error; the error is nil where all was dealt with or is in
// Report.Errors. Errors: ErrBusy, those of package kmsclient where the KMS
// refused or did not answer, cipherdir.ErrNotCipherDir, and those of the store.
//
// The tree is scanned until a pass finds nothing to do, five times at most: a
// mount that is not told (OnConfig) creates files under the old wrapping for a
// while, and renames may carry files from where the scan will be to where it was.
func Run(ctx context.Context, store backing.Store, kms kmsclient.KMS, o Options) (*Report, error) {
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	if o.batch <= 0 {
		o.batch = batchFiles
	}
	w := &walker{store: store, kms: kmsclient.NewCounting(kms), o: o, log: o.Log}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.report = &Report{DryRun: o.DryRun, Errors: []FileError{}}
	err := w.run(ctx)
	w.report.KMSCalls = w.kms.Counts()
	w.report.Interrupted = err != nil
	return w.report, err
}

func (w *walker) run(ctx context.Context) error {
	if !w.o.DryRun {
		dir, err := lockDir(w.store)
		if err != nil {
			return err
		}
		defer dir.Close()
		if w.journal, err = openLog(dir, journalName); err != nil {
			return fmt.Errorf("open the journal: %w", err)
		}
		defer w.journal.Close()
		return w.locked(ctx, dir)
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	w.report.NamesKeyRewrapped = len(w.choice.config(w.cfg)) > 0
	return w.passes(ctx)
}

// locked is a run that writes, with the lock on dir held.
func (w *walker) locked(ctx context.Context, dir backing.Node) (err error) {
	if w.cfg, err = cipherdir.ReadConfig(w.store); err != nil {
		return err
	}
	if err := w.recover(ctx); err != nil {
		return err
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	log, err := openLog(dir, memoName)
	if err != nil {
		return fmt.Errorf("open the memo: %w", err)
	}
	defer log.Close()
	if err := w.memo.load(log); err != nil {
		return err
	}
	if err := w.rewrapConfig(ctx); err != nil {
		return err
	}
	if err := w.passes(ctx); err != nil {
		return err
	}
	if len(w.report.Errors) > 0 {
		return nil // the memo will spare the next run some calls
	}
	return errors.Join(dir.Unlink(memoName), dir.Unlink(journalName))
}

// prepare finds out what is to become what.
func (w *walker) prepare(ctx context.Context) (err error) {
	if w.cfg, err = cipherdir.ReadConfig(w.store); err != nil {
		return err
	}
	w.layout = w.cfg.Layout()
	w.choice.provider = w.o.Provider
	if w.choice.provider == 0 {
		w.choice.provider = w.cfg.Recipients[0].Provider
	}
	to := w.o.To
	if to == "" {
		// The key id in config.json is under no MAC: whoever can write the directory
		// could name a CMK of theirs there. The KMS says which one opens the names key.
		_, opened, err := cipherdir.UnlockNames(ctx, w.cfg, w.kms)
		if err != nil {
			return fmt.Errorf("find the key in use: %w", err)
		}
		to = opened.KeyID
	}
	if w.choice.to, err = resolve(ctx, w.kms, to); err != nil {
		return err
	}
	if w.o.From != "" {
		info, err := w.kms.DescribeKey(ctx, w.o.From)
		if err != nil {
			return err
		}
		tag := kmsclient.KeyTag(info.KeyID)
		w.choice.from = &tag
	}
	w.memo = newMemo(w.kms, w.cfg.FSID, w.choice.to)
	w.report.KeyID = w.choice.to.KeyID
	if m := w.choice.to.Material; m != [32]byte{} {
		w.report.Material = hex.EncodeToString(m[:])
	}
	return nil
}

// rewrapConfig gives the names key its new wrapping, first of all, so that a
// mount makes new data keys under the new CMK.
func (w *walker) rewrapConfig(ctx context.Context) error {
	idx := w.choice.config(w.cfg)
	for _, i := range idx {
		old := &w.cfg.Recipients[i]
		answer, err := w.choice.to.reencrypt(ctx, w.kms, old.Blob, envelope.NamesContext(w.cfg.FSID))
		if err != nil {
			return fmt.Errorf("rewrap the names key: %w", err)
		}
		*old = envelope.ConfigRecipient{
			Provider: old.Provider, KeyID: answer.KeyID, Material: answer.Material, Blob: answer.Blob,
		}
	}
	if len(idx) > 0 {
		if err := cipherdir.WriteConfig(w.store, w.cfg); err != nil {
			return fmt.Errorf("write the configuration: %w", err)
		}
		w.report.NamesKeyRewrapped = true
		if err := w.changed(envelope.ControlName + "/" + envelope.ConfigName); err != nil {
			return err
		}
		w.log.Info("rewrapped the names key", "key", w.choice.to.KeyID)
	}
	if w.o.OnConfig != nil {
		w.o.OnConfig()
	}
	return nil
}

// passes scans until a scan has nothing to do.
func (w *walker) passes(ctx context.Context) error {
	for n := 1; n <= maxPasses; n++ {
		p, err := w.onePass(ctx, n)
		w.report.Passes = n
		w.report.FilesScanned, w.report.FilesEmpty = p.scanned, p.empty
		w.report.DataKeys = w.memo.dataKeys()
		w.report.Errors = append(append([]FileError{}, w.lasting...), p.errors...)
		slices.SortFunc(w.report.Errors, func(a, b FileError) int { return strings.Compare(a.Path, b.Path) })
		if n == 1 {
			w.report.FilesCurrent = p.current
		}
		if err != nil || w.o.DryRun || p.rewrapped == 0 && !p.moved {
			return err
		}
	}
	w.log.Warn("the directory keeps changing: run rewrap again", "passes", maxPasses)
	return nil
}

// changed writes a path to the list of changed files.
func (w *walker) changed(path string) error {
	if w.o.ChangedList == nil {
		return nil
	}
	if _, err := w.o.ChangedList.Write([]byte(path + "\x00")); err != nil {
		return fmt.Errorf("write the list of changed files: %w", err)
	}
	return nil
}
