package rewrap

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/rewrap/scan"
	"kmsfs/kmsclient"
)

// StatusOptions say how to count.
type StatusOptions struct {
	Jobs int // goroutines; 0 = 4
	// KMS, if not nil, tells the names and states of keys, and the current key
	// material; counting needs none.
	KMS kmsclient.KMS
	// Keys are further CMKs that a header may name by its tag alone: canonical
	// ids, or with a KMS also key ids and aliases. The keys in config.json need
	// not be given.
	Keys     []string
	Progress func(Progress)
}

// StatusReport says what of a cipher directory is wrapped under which key.
type StatusReport struct {
	FSID           string            `json:"fs_id"`
	KeyID          string            `json:"key_id"`        // the key in use: the names key's first recipient
	Keys           []KeyUse          `json:"keys"`          // sorted: those in use last, then by id
	FilesScanned   int               `json:"files_scanned"` // inodes of regular files
	FilesEmpty     int               `json:"files_empty"`   // no header, no key
	Bytes          int64             `json:"bytes"`         // of plaintext
	JournalPending int               `json:"journal_pending"`
	KMSCalls       map[string]uint64 `json:"kms_calls"`
	Errors         []FileError       `json:"errors"` // unreadable, damaged and foreign files
}

// KeyUse is what depends on one key material of one CMK. A file with several
// recipients counts under each.
type KeyUse struct {
	KeyID    string             `json:"key_id"`          // canonical, "" if only the tag is known
	KeyTag   string             `json:"key_tag"`         // hex
	Material string             `json:"material"`        // hex, "" if the provider names none
	State    kmsclient.KeyState `json:"state,omitempty"` // with a KMS
	Files    int                `json:"files"`
	DataKeys int                `json:"data_keys"` // distinct ones
	Bytes    int64              `json:"bytes"`     // of plaintext
	NamesKey bool               `json:"names_key"` // wraps the names key
	Current  bool               `json:"current"`   // what a rewrap would leave as it is
}

// StillNeeds reports whether a CMK, named by its canonical id, may still be
// needed to open something of this directory, under whatever key material:
// something names it, or there are errors, behind which anything may hide.
func (r *StatusReport) StillNeeds(keyID string) bool {
	tag := kmsclient.KeyTag(keyID)
	text := hex.EncodeToString(tag[:])
	return len(r.Errors) > 0 || slices.ContainsFunc(r.Keys, func(k KeyUse) bool { return k.KeyTag == text })
}

// wrapping is one key material of one CMK.
type wrapping struct{ tag, material string } // hex; material "" for none

func newWrapping(tag [16]byte, material [32]byte) wrapping {
	w := wrapping{tag: hex.EncodeToString(tag[:])}
	if material != [32]byte{} {
		w.material = hex.EncodeToString(material[:])
	}
	return w
}

// census is one counting.
type census struct {
	cfg    *envelope.Config
	layout envelope.Layout
	o      StatusOptions

	mu     sync.Mutex // guards all below
	report *StatusReport
	uses   map[wrapping]*KeyUse
	keys   map[wrapping]map[envelope.DataKeyID]bool
	seen   map[inode]bool
	said   time.Time
}

// Status counts. It changes nothing, takes no lock that others wait for, and
// works on a read-only store, on a backup and beside a mount. Errors are those
// of the store's root, of the KMS, and cipherdir.ErrNotCipherDir; whatever
// concerns single files is in the report.
func Status(ctx context.Context, store backing.Store, o StatusOptions) (*StatusReport, error) {
	if o.Jobs <= 0 {
		o.Jobs = defaultJobs
	}
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		return nil, err
	}
	c := &census{
		cfg: cfg, layout: cfg.Layout(), o: o,
		uses: map[wrapping]*KeyUse{}, keys: map[wrapping]map[envelope.DataKeyID]bool{}, seen: map[inode]bool{},
		report: &StatusReport{
			FSID: hex.EncodeToString(cfg.FSID[:]), KeyID: cfg.Recipients[0].KeyID,
			KMSCalls: map[string]uint64{}, Errors: []FileError{},
		},
	}
	for _, r := range cfg.Recipients {
		c.use(newWrapping(kmsclient.KeyTag(r.KeyID), r.Material)).NamesKey = true
	}
	if c.report.JournalPending, err = Pending(store); err != nil {
		return nil, err
	}
	if err := walkFiles(ctx, store, o.Jobs, c.visit, c.fail); err != nil {
		return nil, err
	}
	if err := c.name(ctx); err != nil {
		return nil, err
	}
	return c.finish(), nil
}

// use finds or makes the count of a wrapping. With c.mu held, or before the scan.
func (c *census) use(w wrapping) *KeyUse {
	u := c.uses[w]
	if u == nil {
		u = &KeyUse{KeyTag: w.tag, Material: w.material}
		c.uses[w], c.keys[w] = u, map[envelope.DataKeyID]bool{}
	}
	return u
}

func (c *census) fail(path string, err error) {
	if gone(err) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Errors = append(c.report.Errors, newFileError(path, err))
}

func (c *census) visit(d *scan.Dir[none], e backing.Entry) {
	if e.Type != unix.S_IFREG {
		return
	}
	n, st, err := d.Node.Lookup(e.Name)
	if err != nil {
		c.fail(d.Join(e.Name), err)
		return
	}
	defer n.Close()
	if st.Mode&unix.S_IFMT != unix.S_IFREG || !c.first(st) {
		return
	}
	_, h, err := readHeader(n, c.layout, c.cfg.FSID)
	var size int64
	if err == nil && h != nil {
		size, err = plainSize(n, c.layout)
		if errors.Is(err, envelope.ErrMeta) { // for fsck; the header is sound, and counts
			err = nil
		}
	}
	if err != nil {
		c.fail(d.Join(e.Name), err)
		return
	}
	c.count(h, size)
}

// first counts an inode, and tells whether this is the first name of it.
func (c *census) first(st backing.Stat) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id := (inode{st.Dev, st.Ino}); st.Nlink > 1 {
		if c.seen[id] {
			return false
		}
		c.seen[id] = true
	}
	c.report.FilesScanned++
	if t := time.Now(); c.o.Progress != nil && t.Sub(c.said) >= 100*time.Millisecond {
		c.said = t
		c.o.Progress(Progress{Pass: 1, FilesScanned: c.report.FilesScanned})
	}
	return true
}

func (c *census) count(h *envelope.Header, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h == nil {
		c.report.FilesEmpty++
		return
	}
	c.report.Bytes += size
	met := map[wrapping]bool{}
	for i := range h.Recipients {
		w := newWrapping(h.Recipients[i].KeyTag, h.Recipients[i].Material)
		if met[w] {
			continue
		}
		met[w] = true
		u := c.use(w)
		u.Files++
		u.Bytes += size
		c.keys[w][h.DataKeyID] = true
	}
}

// plainSize reads the plaintext size out of the last page's meta field.
func plainSize(n backing.Node, l envelope.Layout) (int64, error) {
	f, err := n.Open(unix.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	off, ok := l.PeekOffset(st.Size)
	if !ok {
		return 0, nil
	}
	var meta [4]byte
	if _, err := f.ReadAt(meta[:], off); err != nil {
		return 0, err
	}
	return l.PlainSize(st.Size, envelope.ReadMeta(meta[:]))
}
