package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
)

const (
	typeName     = "kmsfs" // /proc/mounts shows fuse.kmsfs
	maxWrite     = 1 << 20 // bytes of one read or write request; go-fuse's most
	defaultSweep = 10 * time.Second
	sweepLimit   = 30 * time.Second // for all questions to the KMS of one sweep
)

// capabilities are asked of the kernel besides go-fuse's usual ones: the umask is
// ours, O_TRUNC comes with OPEN, and attributes come with names (READDIRPLUS) only
// to those who have asked for some.
const capabilities = fuse.CAP_DONT_MASK | fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_READDIRPLUS_AUTO

// MountOptions say where and how to mount.
type MountOptions struct {
	Mountpoint string
	Source     string // shown in /proc/mounts as the device
	ReadOnly   bool
	AllowOther bool // other users may enter; the kernel then checks permissions
	// Debug logs every request at level debug, with names and first bytes of data.
	Debug bool
	// Extra are options as of mount -o: noexec, noatime, suid, default_permissions
	// and so on. nosuid and nodev hold unless suid or dev is among them.
	Extra []string
	Log   *slog.Logger // nil: nothing is logged
	// SweepEvery is how often keys of open files are looked after, about a quarter
	// of the data keys' TTL; 0 is ten seconds.
	SweepEvery time.Duration
}

// Server is a mounted cipher directory. Several goroutines may use it.
type Server struct {
	fuse    *fuse.Server
	adapter *adapter
	point   string
	done    chan struct{} // closed when the mount is gone and all is closed

	mu sync.Mutex // one Unmount at a time
}

// Mount serves cd at a directory, and returns when the mount is usable. Root
// mounts by itself, anybody else through fusermount3. cd stays the caller's, to be
// closed after Wait.
//
// Mount sets the umask of the process to 0, because requests bring their own. The caller
// raises the limit of open files (backing.RaiseFileLimit), because every inode the
// kernel knows holds a descriptor. It refuses with ErrNoDevice, ErrDevice,
// ErrNoFusermount, ErrAllowOther, ErrDeadMount or ErrOption; other errors match
// the errno of mount(2).
func Mount(cd *cipherdir.FS, o MountOptions) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := mount(cd, o)
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", o.Mountpoint, err)
	}
	return s, nil
}

func mount(cd *cipherdir.FS, o MountOptions) (*Server, error) {
	point, err := filepath.Abs(o.Mountpoint)
	if err != nil {
		return nil, err
	}
	direct := os.Geteuid() == 0
	opts, err := parseOptions(o)
	if err != nil {
		return nil, err
	}
	if err := preflight(point, direct, opts.allowOther); err != nil {
		return nil, err
	}
	a := newAdapter(cd, newReporter(o.Log))
	a.judgeModes = !direct && !slices.Contains(opts.data, optPermissions)
	unix.Umask(0)

	server, err := fuse.NewServer(a, point, a.fuseOptions(o, opts, direct))
	if err != nil {
		return nil, err
	}
	s := &Server{fuse: server, adapter: a, point: point, done: make(chan struct{})}
	go s.serve(o)
	if err := server.WaitMount(); err != nil {
		return nil, errors.Join(err, s.Unmount())
	}
	return s, nil
}

func (a *adapter) fuseOptions(o MountOptions, opts options, direct bool) *fuse.MountOptions {
	level := slog.LevelWarn
	if o.Debug {
		level = slog.LevelDebug
	}
	f := &fuse.MountOptions{
		FsName: o.Source, Name: typeName, AllowOther: opts.allowOther,
		MaxWrite: maxWrite, DisableSplice: true,
		EnableSymlinkCaching: true, ExplicitDataCacheControl: true,
		ExtraCapabilities: capabilities,
		PanicHandler:      a.panicked,
		Debug:             o.Debug, Logger: slog.NewLogLogger(o.Log.Handler(), level),
	}
	if f.FsName == "" {
		f.FsName = typeName
	}
	if direct {
		f.DirectMountStrict, f.DirectMountFlags, f.Options = true, opts.flags, opts.data
		if f.DirectMountFlags == 0 {
			f.DirectMountFlags = unix.MS_MGC_VAL // go-fuse takes 0 for its default
		}
	} else {
		f.Options = append(opts.words, opts.data...)
	}
	return f
}

// serve answers requests until the mount is gone, and sweeps keys meanwhile.
func (s *Server) serve(o MountOptions) {
	defer close(s.done)
	ctx, stop := context.WithCancel(context.Background())
	var sweeper sync.WaitGroup
	sweeper.Go(func() { s.sweep(ctx, o.SweepEvery) })
	sweeper.Go(func() { s.adapter.prune.run(ctx, s.fuse) })
	s.fuse.Serve()
	stop()
	sweeper.Wait()
}

func (s *Server) sweep(ctx context.Context, every time.Duration) {
	if every <= 0 {
		every = defaultSweep
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.sweepOnce(ctx)
		}
	}
}

func (s *Server) sweepOnce(ctx context.Context) {
	defer func() {
		if v := recover(); v != nil {
			s.adapter.report.panicked("sweep", v)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, sweepLimit) // a KMS that hangs must not keep lapsed pages alive
	defer cancel()
	s.Invalidate(s.adapter.cd.Sweep(ctx))
}

// Invalidate makes the kernel forget the pages and attributes of inodes, so that
// the next read asks cipherdir: after their keys are gone.
func (s *Server) Invalidate(inodes []*cipherdir.Inode) {
	for _, n := range inodes {
		if st := s.fuse.InodeNotify(n.ID(), 0, -1); !st.Ok() && st != fuse.ENOENT {
			s.adapter.report.log.Warn("the kernel keeps cached pages", "node", n.ID(), "err", st.String())
		}
	}
}

// Wait returns when the mount is gone, whoever unmounted it, and all handles are
// closed.
func (s *Server) Wait() { <-s.done }

// Unmount ends the mount and waits for that. It is an error if files are in use
// (it matches EBUSY where root mounted), and none if the mount is gone already.
func (s *Server) Unmount() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone() {
		return nil
	}
	if err := s.fuse.Unmount(); err != nil && !s.gone() {
		return fmt.Errorf("unmount %s: %w", s.point, err)
	}
	s.Wait()
	return nil
}

func (s *Server) gone() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
