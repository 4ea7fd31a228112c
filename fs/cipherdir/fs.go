package cipherdir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/kmsclient"
)

// Defaults of Options, from the design's measured reasons: a data key lives 15
// minutes in memory, and one serves 1000 new files or 300 seconds.
const (
	DefaultKeyTTL          = 15 * time.Minute
	DefaultDataKeyAge      = 300 * time.Second
	DefaultFilesPerDataKey = 1000
	keyCacheSize           = 4096 // unwrapped data keys held at most
	configCheckEvery       = time.Second
)

// Options says how to open a cipher directory.
type Options struct {
	KMS             kmsclient.KMS
	Provider        byte          // what new recipients name, envelope.ProviderLocal
	KeyTTL          time.Duration // how long an unwrapped data key lives, 0 = default
	DataKeyAge      time.Duration // how long one data key serves new files
	FilesPerDataKey int           // how many new files it serves
	ReadOnly        bool
	NoLock          bool // beside a mount: needs ReadOnly
	Log             *slog.Logger
}

// FS is one open cipher directory: the plaintext view and everything it holds.
// All methods may be called by several goroutines at once.
type FS struct {
	store  backing.Store
	o      Options
	log    *slog.Logger
	layout envelope.Layout
	fsid   envelope.FSID
	names  *envelope.NameKeys
	calls  *kmsclient.Counting
	cache  *kmsclient.KeyCache
	keys   *keySource
	lock   backing.Node // holds the mount's flock; nil with NoLock

	// crashed: the directory was unclean when opened, so a hole in a dense file is
	// taken for what a power cut left, not for tampering (rule P7).
	crashed bool
	marked  atomic.Bool // the state record says unclean
	stateMu sync.Mutex  // guards writing of the state record
	state   envelope.State

	moves sync.Mutex // held by what locks the names of more than one directory

	mu     sync.RWMutex // guards the inode tables and reference counts; a leaf
	byID   map[uint64]*Inode
	byKey  map[inodeKey]*Inode
	nextID uint64
	root   *Inode

	openMu sync.Mutex // guards open
	open   map[*Inode]struct{}

	config configWatch

	created, badNames atomic.Uint64
}

type inodeKey struct{ dev, ino uint64 }

// Open opens a cipher directory: configuration, names key, state, and, unless
// NoLock, the lock of the single mount (ErrLocked). The store stays the
// caller's.
func Open(ctx context.Context, store backing.Store, o Options) (*FS, error) {
	if o.NoLock && !o.ReadOnly {
		return nil, errors.New("opening without the mount lock needs read only")
	}
	if o.KeyTTL == 0 {
		o.KeyTTL = DefaultKeyTTL
	}
	if o.DataKeyAge == 0 {
		o.DataKeyAge = DefaultDataKeyAge
	}
	if o.FilesPerDataKey == 0 {
		o.FilesPerDataKey = DefaultFilesPerDataKey
	}
	fs := &FS{store: store, o: o, log: logger(o.Log), byID: map[uint64]*Inode{}, byKey: map[inodeKey]*Inode{}, open: map[*Inode]struct{}{}}
	if !o.NoLock {
		var err error
		if fs.lock, err = lockControl(store); err != nil {
			return nil, err
		}
	}
	if err := fs.unlock(ctx); err != nil {
		fs.unlockControl()
		return nil, err
	}
	return fs, nil
}

func (fs *FS) unlock(ctx context.Context) error {
	seen, err := fs.configStat()
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	cfg, err := ReadConfig(fs.store)
	if err != nil {
		return err
	}
	fs.layout = cfg.Layout()
	fs.fsid, fs.config.seen, fs.config.checked = cfg.FSID, seen, time.Now()
	fs.calls = kmsclient.NewCounting(fs.o.KMS)
	names, w, err := UnlockNames(ctx, cfg, fs.calls)
	if err != nil {
		return err
	}
	fs.names = names
	if fs.state, err = ReadState(fs.store, names); err != nil {
		return err
	}
	fs.crashed = !fs.state.Clean && !fs.o.NoLock
	if fs.crashed {
		fs.log.Warn("the directory was not unmounted cleanly; kmsfs fsck --mark-clean ends that")
	}
	fs.cache = kmsclient.NewKeyCache(fs.calls, fs.o.KeyTTL, keyCacheSize)
	fs.keys = newKeySource(fs.calls, fs.cache, fs.fsid, w.KeyID, fs.o)
	st, err := fs.store.Root().Stat()
	if err != nil {
		return err
	}
	fs.root = fs.intern(fs.store.Root(), st)
	_, err = fs.root.dirIV()
	return err
}

func (fs *FS) unlockControl() {
	if fs.lock != nil {
		fs.lock.Close()
	}
}

// Close makes everything durable, marks the directory clean (unless it was
// unclean when opened: that is for fsck to end), drops the keys and gives back the
// lock. The caller has closed all handles.
func (fs *FS) Close() error {
	var err error
	if fs.marked.Load() {
		err = fs.store.Sync()
		if err == nil && !fs.crashed {
			fs.stateMu.Lock()
			fs.state.Clean = true
			err = writeState(fs.store, fs.state, fs.names)
			fs.stateMu.Unlock()
		}
	}
	fs.DropKeys()
	fs.mu.Lock()
	for _, n := range fs.byID {
		n.closeNode()
	}
	clear(fs.byID)
	clear(fs.byKey)
	fs.mu.Unlock()
	fs.unlockControl()
	return err
}

// beginWrite refuses writing on a read-only view and, before the first write,
// marks the directory unclean, durably.
func (fs *FS) beginWrite() error {
	if fs.o.ReadOnly {
		return unix.EROFS
	}
	if fs.marked.Load() {
		return nil
	}
	fs.stateMu.Lock()
	defer fs.stateMu.Unlock()
	if fs.marked.Load() {
		return nil
	}
	next := envelope.State{Counter: fs.state.Counter + 1}
	rand.Read(next.MountID[:])
	if err := writeState(fs.store, next, fs.names); err != nil {
		return fmt.Errorf("marking the directory unclean: %w", err)
	}
	fs.state = next
	fs.marked.Store(true)
	return nil
}

// Root is the root directory of the view.
func (fs *FS) Root() *Inode { return fs.root }

// Statfs reports on the store; names of the view have up to 255 bytes.
func (fs *FS) Statfs() (unix.Statfs_t, error) {
	st, err := fs.store.Statfs()
	st.Namelen = envelope.MaxName
	return st, err
}

// DropKeys wipes every data key now, of open files too: the next access asks the
// KMS again.
func (fs *FS) DropKeys() {
	fs.keys.retire("")
	fs.cache.Clear()
	var busy []*Inode
	for _, n := range fs.OpenInodes() {
		if !n.file.mu.TryLock() {
			busy = append(busy, n)
			continue
		}
		n.file.dropKeys()
		n.file.mu.Unlock()
	}
	for _, n := range busy { // last: one that waits for the KMS keeps no other its key
		n.file.mu.Lock()
		n.file.dropKeys()
		n.file.mu.Unlock()
	}
}

// OpenInodes lists the inodes with open handles.
func (fs *FS) OpenInodes() []*Inode {
	fs.openMu.Lock()
	defer fs.openMu.Unlock()
	out := make([]*Inode, 0, len(fs.open))
	for n := range fs.open {
		out = append(out, n)
	}
	return out
}

// Sweep enforces the TTL of data keys on open files: those about to lapse are
// asked of the KMS again, once per data key; where it refuses or is out of reach
// at the end of the TTL, the file loses its keys. It returns those inodes: what
// the kernel has cached of them must go. Call it about every KeyTTL/4.
func (fs *FS) Sweep(ctx context.Context) (lost []*Inode) {
	defer fs.cache.Sweep()
	soon := time.Now().Add(fs.o.KeyTTL / 2)
	asked := map[string]bool{}
	for _, n := range fs.OpenInodes() {
		if n.file.lapses(soon) {
			n.renew(ctx, asked)
		}
		if n.id != 0 && n.file.lost.Swap(false) {
			lost = append(lost, n)
		}
	}
	return lost
}

// Stats are the counters of one mount since it began.
type Stats struct {
	FSID          string            `json:"fs_id"`
	KeyID         string            `json:"key_id"`
	KMSCalls      map[string]uint64 `json:"kms_calls"`
	KMSCallsTotal uint64            `json:"kms_calls_total"`
	DataKeys      int               `json:"data_keys_cached"`
	OpenFiles     int               `json:"open_files"`
	Inodes        int               `json:"inodes"`
	FilesCreated  uint64            `json:"files_created"`
	BadNames      uint64            `json:"bad_names"`
	ReadOnly      bool              `json:"read_only"`
	Unclean       bool              `json:"was_unclean"`
}

// Stats gives the counters.
func (fs *FS) Stats() Stats {
	fs.mu.RLock()
	inodes := len(fs.byID)
	fs.mu.RUnlock()
	fs.openMu.Lock()
	open := len(fs.open)
	fs.openMu.Unlock()
	fs.keys.mu.Lock()
	key := fs.keys.keyID
	fs.keys.mu.Unlock()
	return Stats{FSID: fmt.Sprintf("%x", fs.fsid), KeyID: key, KMSCalls: fs.calls.Counts(), KMSCallsTotal: fs.calls.Total(),
		DataKeys: fs.cache.Len(), OpenFiles: open, Inodes: inodes, FilesCreated: fs.created.Load(),
		BadNames: fs.badNames.Load(), ReadOnly: fs.o.ReadOnly, Unclean: fs.crashed}
}
