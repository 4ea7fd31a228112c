package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kmsfs/config"
	"kmsfs/fs"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient/localkms/unlock"
)

// mountFlags are the flags of mount that are no settings.
type mountFlags struct {
	foreground, readOnly, allowOther, debug bool
	options                                 []string
	logFile                                 string
	readyFD                                 int // set when kmsfs started itself, see daemon.go
}

func (a *app) mountCommand() *cobra.Command {
	var f mountFlags
	cmd := &cobra.Command{
		Use:   "mount [flags] CIPHERDIR MOUNTPOINT",
		Short: "Show the plaintext of a cipher directory at a mountpoint",
		Long: "Show the plaintext of a cipher directory at an empty directory. The file system\n" +
			"runs in the background, and mount returns when it is usable. `kmsfs umount`,\n" +
			"SIGTERM and SIGINT end it in good order.",
		Args: exactArgs("CIPHERDIR", "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			if f.readyFD < 0 && !f.foreground {
				passphrase, err := daemonPassphrase(s, args[0])
				if err != nil {
					return err
				}
				return startDaemon(cmd.Context(), passphrase)
			}
			m := &mounting{settings: s, flags: f, log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: s.LogLevel}))}
			if f.readyFD >= 0 {
				return m.runDaemon(cmd.Context(), args[0], args[1])
			}
			return m.run(cmd.Context(), args[0], args[1], func() error { return nil })
		},
	}
	a.settings.AddFlags(cmd.Flags(), "kms", "kms-passphrase-file", "key-ttl", "data-key-age", "files-per-data-key", "log-level")
	fl := cmd.Flags()
	fl.BoolVar(&f.foreground, "foreground", false, "stay in the foreground and log to stderr")
	fl.BoolVar(&f.readOnly, "ro", false, "read only")
	fl.BoolVar(&f.allowOther, "allow-other", false, "let other users in, as the permissions say")
	fl.StringSliceVarP(&f.options, "options", "o", nil, "mount `OPTS` as of mount(8): noexec, noatime, …")
	fl.StringVar(&f.logFile, "log", "", "append the log to `FILE`; in the background it is dropped otherwise")
	fl.BoolVar(&f.debug, "debug", false, "log every request, with names of files; needs --foreground and --log-level debug")
	fl.IntVar(&f.readyFD, "ready-fd", -1, "")
	fl.MarkHidden("ready-fd")
	fl.MarkHidden("debug")
	return cmd
}

// mounting is one mount, from the checks to its end.
type mounting struct {
	settings config.Settings
	flags    mountFlags
	log      *slog.Logger
}

// run mounts, calls ready when the mount is usable, and returns when it is gone.
func (m *mounting) run(ctx context.Context, dir, point string, ready func() error) (err error) {
	if m.flags.debug && !m.flags.foreground {
		return usagef("--debug shows names of files: it needs --foreground")
	}
	if err := prepareProcess(); err != nil {
		return err
	}
	m.flags.readOnly = m.flags.readOnly || slices.Contains(m.flags.options, "ro")
	if dir, err = realPath(dir); err != nil {
		return err
	}
	store, err := openStore(dir, false)
	if err != nil {
		return err
	}
	defer store.Close()
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		return inDir(dir, err)
	}
	if point, err = checkMountpoint(dir, point); err != nil {
		return err
	}
	if err := m.checkWritable(store, dir); err != nil {
		return err
	}
	uri, err := chooseKMS(m.settings, cfg)
	if err != nil {
		return err
	}
	kms, err := openProvider(m.settings, uri)
	if err != nil {
		return err
	}
	defer kms.Close()
	cd, err := cipherdir.Open(ctx, store, cipherdir.Options{
		KMS: kms, Provider: kms.tag,
		KeyTTL: m.settings.KeyTTL, DataKeyAge: m.settings.DataKeyAge, FilesPerDataKey: m.settings.FilesPerDataKey,
		ReadOnly: m.flags.readOnly, Log: m.log,
	})
	if errors.Is(err, cipherdir.ErrLocked) {
		return lockedAt(dir, err)
	}
	if err != nil {
		return inDir(dir, err)
	}
	defer func() {
		if cerr := cd.Close(); cerr != nil {
			m.log.Error("closing the cipher directory", "err", cerr)
			err = errors.Join(err, inDir(dir, cerr))
		}
	}()
	return m.serve(cd, dir, point, ready)
}

// serve mounts an open cipher directory and waits for the end.
func (m *mounting) serve(cd *cipherdir.FS, dir, point string, ready func() error) error {
	signals := make(chan os.Signal, 2)
	notify(signals)
	server, err := fs.Mount(cd, fs.MountOptions{
		Mountpoint: point, Source: dir, ReadOnly: m.flags.readOnly, AllowOther: m.flags.allowOther,
		Debug: m.flags.debug, Extra: m.flags.options, Log: m.log,
		SweepEvery: max(m.settings.KeyTTL/4, 100*time.Millisecond),
	})
	if err != nil {
		return mountHint(err)
	}
	since := time.Now()
	control, err := listenControl(dir, map[string]func(context.Context) controlAnswer{
		"status": func(context.Context) controlAnswer {
			return controlAnswer{Status: &liveState{
				Mountpoint: point, PID: os.Getpid(), Since: since, Version: version, Stats: cd.Stats(),
			}}
		},
		"lock": func(context.Context) controlAnswer {
			open := cd.OpenInodes()
			cd.DropKeys()
			server.Invalidate(open)
			return controlAnswer{}
		},
		"reload": func(ctx context.Context) controlAnswer { return outcome(cd.Reload(ctx)) },
	}, m.log)
	if err != nil {
		m.log.Warn("no control channel: status, lock and rewrap cannot reach this mount", "err", err)
	} else {
		defer control.End()
	}
	m.log.Info("mounted", "source", dir, "mountpoint", point, "read_only", m.flags.readOnly)
	if err := ready(); err != nil {
		return errors.Join(err, server.Unmount())
	}
	go endOnSignal(signals, server, point, m.log)
	server.Wait()
	m.log.Info("unmounted", "mountpoint", point)
	return nil
}

// outcome is the answer that says how something went.
func outcome(err error) controlAnswer {
	if err == nil {
		return controlAnswer{}
	}
	return controlAnswer{Error: err.Error(), Exit: exitCode(err)}
}

// checkWritable turns a mount on a read-only disk into a read-only mount.
func (m *mounting) checkWritable(store backing.Store, dir string) error {
	st, err := store.Statfs()
	if err != nil {
		return inDir(dir, err)
	}
	if st.Flags&unix.ST_RDONLY != 0 && !m.flags.readOnly {
		fmt.Fprintf(os.Stderr, "kmsfs: %s is on a read-only disk: mounting read only\n", dir)
		m.flags.readOnly = true
	}
	return nil
}

// checkMountpoint refuses what nobody wants to mount over. It gives the real path.
func checkMountpoint(dir, point string) (string, error) {
	fi, err := os.Stat(point)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return "", withHint(fmt.Errorf("mountpoint %s: a mount lies here whose process is gone", point),
			"kmsfs umount "+point+" removes it; what was written is in the cipher directory")
	case errors.Is(err, iofs.ErrNotExist):
		return "", withHint(fmt.Errorf("mountpoint %s does not exist", point), "mkdir "+point)
	case err != nil:
		return "", fmt.Errorf("mountpoint: %w", err)
	case !fi.IsDir():
		return "", fmt.Errorf("mountpoint %s is not a directory", point)
	}
	if point, err = realPath(point); err != nil {
		return "", err
	}
	switch {
	case point == dir:
		return "", fmt.Errorf("mountpoint %s is the cipher directory itself", point)
	case within(point, dir):
		return "", fmt.Errorf("mountpoint %s is inside the cipher directory %s", point, dir)
	case within(dir, point):
		return "", fmt.Errorf("mountpoint %s contains the cipher directory %s", point, dir)
	}
	m, err := topMount(point)
	if err != nil {
		return "", err
	}
	if m != nil {
		return "", fmt.Errorf("mountpoint %s has a mount of type %s already", point, m.FSType)
	}
	entries, err := os.ReadDir(point)
	if err != nil {
		return "", fmt.Errorf("mountpoint: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("mountpoint %s is not empty", point)
	}
	return point, nil
}

// lockedAt says where a cipher directory is mounted already.
func lockedAt(dir string, err error) error {
	err = inDir(dir, err)
	points, merr := mountsOf(dir)
	if merr != nil || len(points) == 0 {
		return err
	}
	return withHint(fmt.Errorf("%w at %s", err, points[0]), "kmsfs umount "+points[0]+" ends that mount")
}

// mountHint adds advice to an error of fs.Mount.
func mountHint(err error) error {
	switch {
	case errors.Is(err, fs.ErrNoDevice):
		return withHint(err, "modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN")
	case errors.Is(err, fs.ErrDevice):
		return withHint(err, "its mode should be 0666: ask the administrator of this machine")
	case errors.Is(err, fs.ErrNoFusermount):
		return withHint(err, "install the package fuse3, or mount as root")
	case errors.Is(err, fs.ErrOption):
		return usageError{err}
	case errors.Is(err, unix.EPERM):
		return withHint(err, "in a container: --device /dev/fuse --cap-add SYS_ADMIN")
	}
	return err
}

// prepareProcess keeps keys out of core dumps and away from other processes of
// the user, and gives requests that wait for the disk company: with fewer than
// four threads running Go code, measured, a small machine serves them more slowly.
func prepareProcess() error {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < 4 {
		runtime.GOMAXPROCS(4)
	}
	backing.RaiseFileLimit() // every inode the kernel knows holds a descriptor
	return unlock.Harden()
}
