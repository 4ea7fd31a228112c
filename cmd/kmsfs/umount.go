package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func umountCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "umount MOUNTPOINT",
		Aliases: []string{"unmount"},
		Short:   "End a mount, and wait until all of it is on the disk",
		Args:    exactArgs("MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return umountAndWait(cmd.Context(), args[0])
		},
	}
}

func umountAndWait(ctx context.Context, path string) error {
	m, err := mountAt(path)
	if err != nil {
		return err
	}
	daemon, err := dialControl(m.Source)
	switch {
	case err == nil:
		defer daemon.Close()
	case errors.Is(err, errNoMount): // killed: only the mountpoint is left
	default:
		// The cipher directory may be out of reach; unmounting still works.
		fmt.Fprintf(os.Stderr, "kmsfs: cannot wait for the end of the mount: %v\n", err)
	}
	if err := unmount(m.Mountpoint, false); err != nil {
		return err
	}
	if daemon == nil {
		return nil
	}
	return waitGone(ctx, daemon)
}

// errBusy is a mount with files in use.
var errBusy = errors.New("files are in use")

// unmount takes a mount out of the tree: root by system call, others through
// fusermount3. With lazy, files in use stay usable until they are closed.
func unmount(point string, lazy bool) error {
	busy := withHint(fmt.Errorf("%s: %w", point, errBusy), "fuser -vm "+point+" lists who uses them")
	if os.Geteuid() == 0 {
		flags := unix.UMOUNT_NOFOLLOW
		if lazy {
			flags |= unix.MNT_DETACH
		}
		err := unix.Unmount(point, flags)
		if errors.Is(err, unix.EBUSY) {
			return busy
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
		return nil
	}
	args := []string{"-u", "--", point}
	if lazy {
		args[0] = "-uz"
	}
	out, err := exec.Command("fusermount3", args...).CombinedOutput()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return withHint(fmt.Errorf("unmount %s: fusermount3 not found", point), "install the package fuse3")
	case strings.Contains(string(out), "busy"):
		return busy
	}
	return fmt.Errorf("unmount %s: %w: %s", point, err, strings.TrimSpace(string(out)))
}
