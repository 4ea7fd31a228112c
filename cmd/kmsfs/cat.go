package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kmsfs/config"
	"kmsfs/fs/cipherdir"
)

func (a *app) catCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cat [flags] CIPHERDIR PATH",
		Short: "Print one file without mounting",
		Long: "Print one file of a cipher directory, named by its plaintext path, without\n" +
			"mounting. It works beside a mount, and on a backup. Symlinks are not followed.",
		Args: exactArgs("CIPHERDIR", "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.load(cmd)
			if err != nil {
				return err
			}
			return catFile(cmd.Context(), s, args[0], args[1], cmd.OutOrStdout())
		},
	}
	a.settings.AddFlags(cmd.Flags(), "kms", "kms-passphrase-file")
	return cmd
}

func catFile(ctx context.Context, s config.Settings, dir, path string, out io.Writer) error {
	d, err := openKeyed(s, dir, true)
	if err != nil {
		return err
	}
	defer d.Close()
	cd, err := cipherdir.Open(ctx, d.store, cipherdir.Options{KMS: d.kms, Provider: d.kms.tag, ReadOnly: true, NoLock: true})
	if err != nil {
		return inDir(dir, err)
	}
	defer cd.Close()
	n, err := lookupPath(ctx, cd, path)
	if err != nil {
		return err
	}
	defer n.Forget(1)
	if err := copyFile(ctx, n, out); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// lookupPath walks a plaintext path from the root; the inode has one more
// reference. A symlink on the way is an error that names its target.
func lookupPath(ctx context.Context, cd *cipherdir.FS, path string) (*cipherdir.Inode, error) {
	n, mode := cd.Root(), uint32(unix.S_IFDIR)
	var walked []string
	fail := func(err error) (*cipherdir.Inode, error) {
		if n != cd.Root() {
			n.Forget(1)
		}
		return nil, fmt.Errorf("%s: %w", strings.Join(walked, "/"), err)
	}
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		walked = append(walked, name)
		if name == ".." {
			return fail(errors.New("paths of cat do not go up"))
		}
		if mode != unix.S_IFDIR {
			return fail(unix.ENOTDIR)
		}
		next, st, err := n.Lookup(name)
		if err != nil {
			return fail(err)
		}
		if n != cd.Root() {
			n.Forget(1)
		}
		n, mode = next, st.Mode&unix.S_IFMT
		if mode == unix.S_IFLNK {
			target, err := n.Readlink(ctx)
			if err != nil {
				return fail(err)
			}
			return fail(fmt.Errorf("a symlink to %q, which cat does not follow", target))
		}
	}
	switch mode {
	case unix.S_IFREG:
		return n, nil
	case unix.S_IFDIR:
		if len(walked) == 0 {
			walked = []string{"/"}
		}
		return fail(unix.EISDIR)
	}
	return fail(errors.New("no regular file"))
}

func copyFile(ctx context.Context, n *cipherdir.Inode, out io.Writer) error {
	h, err := n.Open(ctx, false, false)
	if err != nil {
		return err
	}
	defer h.Close()
	buf := make([]byte, 1<<20)
	for off := int64(0); ; {
		got, err := h.Read(ctx, buf, off)
		if err != nil {
			return err
		}
		if got == 0 {
			return nil
		}
		if _, err := out.Write(buf[:got]); err != nil {
			return err
		}
		off += int64(got)
	}
}
