package fsck

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/rewrap"
	"kmsfs/fs/rewrap/scan"
	"kmsfs/kmsclient"
)

const (
	defaultJobs        = 4
	defaultMaxFindings = 1000
	// A check runs once over each file, so keys are kept for as long as it takes.
	keyTTL     = 24 * time.Hour
	keyCaching = 1 << 20
)

// checker is one check.
type checker struct {
	ctx    context.Context
	store  backing.Store
	o      Options
	cfg    *envelope.Config
	layout envelope.Layout
	names  *envelope.NameKeys // nil without names key
	kms    *kmsclient.Counting
	cache  *kmsclient.KeyCache // nil without KMS

	mu       sync.Mutex // guards all below
	report   *Report
	listed   map[Class]int
	seen     map[inode]bool  // inodes with several names
	sidecars map[string]bool // named by symlinks
	refused  map[[32]byte]error
	said     time.Time
}

type inode struct{ dev, ino uint64 }

// Check checks. Errors are those that prevent a check: cipherdir.ErrNotCipherDir,
// the end of ctx, an unreadable control directory. Whatever else is wrong, a
// refusal by the KMS included, is in the report.
func Check(ctx context.Context, store backing.Store, o Options) (*Report, error) {
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	if o.MaxFindings <= 0 {
		o.MaxFindings = defaultMaxFindings
	}
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		return nil, err
	}
	c := &checker{
		ctx: ctx, store: store, o: o, cfg: cfg, layout: cfg.Layout(),
		listed: map[Class]int{}, seen: map[inode]bool{}, sidecars: map[string]bool{}, refused: map[[32]byte]error{},
		report: &Report{
			FSID: hex.EncodeToString(cfg.FSID[:]), Quick: o.Quick,
			Counts: map[Class]int{}, Findings: []Finding{}, KMSCalls: map[string]uint64{},
		},
	}
	if o.KMS != nil {
		c.kms = kmsclient.NewCounting(o.KMS)
		c.cache = kmsclient.NewKeyCache(c.kms, keyTTL, keyCaching)
		defer c.cache.Clear()
	}
	if err := c.run(); err != nil {
		return nil, err
	}
	return c.report, nil
}

func (c *checker) run() error {
	if err := c.unlockNames(); err != nil {
		return err
	}
	clean, before, err := c.state()
	if err != nil {
		return err
	}
	if n, err := rewrap.Pending(c.store); err != nil {
		return fmt.Errorf("read the journal of rewrap: %w", err)
	} else if n > 0 {
		c.found(Finding{
			Class: PendingJournal, Path: envelope.ControlName + "/rewrap/journal",
			Detail: fmt.Sprintf("%d headers may be half written: a rewrap is running, or was cut short and must be run again", n),
		})
	}
	tree := &scan.Tree[dir]{Jobs: c.o.Jobs, Enter: c.enter, Visit: c.visit, Fail: c.unreadable}
	if err := tree.Walk(c.ctx, c.store.Root(), ""); err != nil {
		return err
	}
	if err := c.checkSidecars(); err != nil {
		return err
	}
	still, after, err := c.state()
	if err != nil {
		return err
	}
	// A mount that wrote meanwhile has left "unclean", or another record.
	c.finish(clean && still && before == after)
	return context.Cause(c.ctx)
}

// unlockNames has the KMS open the names key, if there is one to ask.
func (c *checker) unlockNames() error {
	if c.kms == nil {
		return nil
	}
	path := envelope.ControlName + "/" + envelope.ConfigName
	names, _, err := cipherdir.UnlockNames(c.ctx, c.cfg, c.kms)
	switch {
	case err == nil:
		c.names = names
		c.report.NamesKnown = true
	case context.Cause(c.ctx) != nil:
		return context.Cause(c.ctx)
	case errors.Is(err, envelope.ErrConfig), errors.Is(err, kmsclient.ErrInvalidCiphertext):
		c.found(Finding{Class: BadConfig, Path: path, Detail: err.Error()})
	default:
		c.found(Finding{Class: KeyUnavailable, Path: path, Detail: err.Error()})
	}
	return nil
}

// state tells whether the directory is clean, and the text that says so. Without
// the names key the text is believed.
func (c *checker) state() (clean bool, text string, err error) {
	control, err := cipherdir.ControlDir(c.store)
	if err != nil {
		return false, "", err
	}
	defer control.Close()
	n, _, err := control.Lookup("state")
	if errors.Is(err, unix.ENOENT) {
		return false, "", nil
	}
	if err != nil {
		return false, "", err
	}
	defer n.Close()
	f, err := n.Open(unix.O_RDONLY)
	if err != nil {
		return false, "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<10))
	if err != nil {
		return false, "", err
	}
	if c.names == nil {
		return strings.HasPrefix(string(b), "kmsfs-state 1 clean "), string(b), nil
	}
	s, err := envelope.ParseState(b, c.names)
	return err == nil && s.Clean, string(b), nil
}

// found notes a finding; its severity, unless it has one, follows from the class
// when the check is over.
func (c *checker) found(fs ...Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range fs {
		if f.Path == "" {
			f.Path = "."
		}
		c.report.Counts[f.Class]++
		if c.listed[f.Class]++; c.listed[f.Class] > c.o.MaxFindings {
			c.report.Omitted++
			// It still has to be weighed: a finding without a path stands for it.
			f = Finding{Class: f.Class, Severity: f.Severity}
		}
		c.report.Findings = append(c.report.Findings, f)
	}
}

// finish weighs the findings and sorts those that are listed.
func (c *checker) finish(clean bool) {
	r := c.report
	r.Clean = clean
	listed := r.Findings[:0]
	for _, f := range r.Findings {
		if f.Severity == "" {
			f.Severity = severity(f.Class, clean)
		}
		switch f.Severity {
		case Error:
			r.Errors++
		case Suspicious:
			r.Suspicious++
		}
		if f.Path != "" {
			listed = append(listed, f)
		}
	}
	r.Findings = listed
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Offset, b.Offset), strings.Compare(string(a.Class), string(b.Class)))
	})
	if c.kms != nil {
		r.KMSCalls = c.kms.Counts()
	}
}

// unreadable notes an error of the store, unless the object has vanished.
func (c *checker) unreadable(path string, err error) {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ESTALE) {
		return
	}
	c.found(Finding{Class: Unreadable, Path: path, Detail: err.Error()})
}

// unwrap has the data key of a header opened, by the first recipient that the
// KMS accepts, and checks that it belongs to the file. Keys are nil where there
// is none; then the class, unless it is "", says why.
func (c *checker) unwrap(h *envelope.Header) (*envelope.FileKeys, Class, error) {
	if c.cache == nil {
		return nil, "", nil
	}
	var refusal error
	for i := range h.Recipients {
		dk, err := c.dataKey(h.Recipients[i].Blob, h.DataKeyID)
		if err != nil {
			if refusal == nil || errors.Is(refusal, kmsclient.ErrInvalidCiphertext) {
				refusal = err
			}
			continue
		}
		keys := envelope.DeriveFileKeys(&dk, c.cfg.FSID, h.FileID)
		clear(dk[:])
		if err := h.Verify(keys); err != nil {
			keys.Wipe()
			return nil, BadCommitment, err
		}
		return keys, "", nil
	}
	if errors.Is(refusal, kmsclient.ErrInvalidCiphertext) {
		return nil, BadHeader, fmt.Errorf("no wrapped key is genuine: %w", refusal)
	}
	return nil, KeyUnavailable, refusal
}

// dataKey opens a blob, and asks the KMS no second time after a refusal.
func (c *checker) dataKey(blob []byte, id envelope.DataKeyID) (envelope.DataKey, error) {
	h := sha256.New()
	h.Write(id[:])
	h.Write(blob)
	key := [32]byte(h.Sum(nil))
	c.mu.Lock()
	err := c.refused[key]
	c.mu.Unlock()
	if err != nil {
		return envelope.DataKey{}, err
	}
	dk, _, err := c.cache.Get(c.ctx, blob, envelope.DataContext(c.cfg.FSID, id))
	if err != nil {
		c.mu.Lock()
		c.refused[key] = err
		c.mu.Unlock()
	}
	return dk, err
}

// progress counts a file, pages, and tells about it now and then.
func (c *checker) progress(files int, pages int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Files += files
	c.report.Pages += pages
	if t := time.Now(); c.o.Progress != nil && t.Sub(c.said) >= 100*time.Millisecond {
		c.said = t
		c.o.Progress(Progress{c.report.Files, c.report.Pages})
	}
}
