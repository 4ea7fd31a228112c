package cipherdir

import (
	"context"
	"crypto/rand"
	"errors"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
)

// Symlink makes a symlink. A target whose ciphertext no longer fits a symlink of
// the store lies in a sidecar, an encrypted file in the control directory
// (rule N7).
func (d *Inode) Symlink(ctx context.Context, target, name string, o Owner) (*Inode, Attr, error) {
	if target == "" {
		return nil, Attr{}, unix.ENOENT
	}
	if len(target) > envelope.MaxTarget {
		return nil, Attr{}, unix.ENAMETOOLONG
	}
	side := ""
	n, a, err := d.add(name, 0o777, o, func(entry string) (backing.Node, error) {
		err := error(unix.ENAMETOOLONG)
		if envelope.StoredTargetLength(len(target)) <= envelope.MaxDirectLink {
			err = d.node.Symlink(d.fs.names.SealTarget(target), entry)
		}
		if !errors.Is(err, unix.ENAMETOOLONG) {
			return nil, err
		}
		if side, err = d.fs.makeSidecar(ctx, target); err != nil {
			return nil, err
		}
		return nil, d.node.Symlink(side, entry)
	})
	if err != nil {
		d.fs.dropSidecar(side)
	}
	return n, a, err
}

// Readlink gives the target.
func (n *Inode) Readlink(ctx context.Context) (string, error) {
	text, err := n.node.Readlink()
	if err != nil {
		return "", err
	}
	if !envelope.IsSidecar(text) {
		return n.fs.names.OpenTarget(text)
	}
	target := ""
	err = n.fs.withSidecar(text, func(s *Inode) error {
		h, err := s.Open(ctx, false, false)
		if err != nil {
			return err
		}
		defer h.Close()
		buf := make([]byte, envelope.MaxTarget)
		k, err := h.Read(ctx, buf, 0)
		if err == nil && int64(k) != h.n.file.size || k == 0 {
			err = errors.Join(err, envelope.ErrTarget)
		}
		target = string(buf[:k])
		return err
	})
	return target, err
}

// targetSize is the plaintext length of a symlink: by arithmetic from the stored
// length, or the size of the sidecar.
func (n *Inode) targetSize(st backing.Stat) (int64, error) {
	if st.Size != int64(envelope.SidecarLength) {
		return envelope.TargetLength(st.Size)
	}
	text, err := n.node.Readlink()
	if err != nil {
		return 0, err
	}
	var size int64
	err = n.fs.withSidecar(text, func(s *Inode) error {
		a, err := s.Attr()
		size = a.Size
		return err
	})
	return size, err
}

// links opens the directory of sidecars; the caller closes it.
func (fs *FS) links(create bool) (backing.Node, error) {
	control, err := ControlDir(fs.store)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	if create {
		if err := control.Mkdir(envelope.LinksDir, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
	}
	dir, _, err := control.Lookup(envelope.LinksDir)
	return dir, err
}

func (fs *FS) withSidecar(name string, use func(*Inode) error) error {
	if !envelope.IsSidecar(name) {
		return envelope.ErrTarget
	}
	dir, err := fs.links(false)
	if err != nil {
		return err
	}
	defer dir.Close()
	node, _, err := dir.Lookup(name)
	if errors.Is(err, unix.ENOENT) {
		return envelope.ErrTarget
	}
	if err != nil {
		return err
	}
	defer node.Close()
	return use(fs.transient(node))
}

// makeSidecar writes a target to a new sidecar and makes it durable before the
// symlink that will name it.
func (fs *FS) makeSidecar(ctx context.Context, target string) (string, error) {
	dir, err := fs.links(true)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	var id [16]byte
	rand.Read(id[:])
	name := envelope.NewSidecarName(id)
	node, f, err := dir.Create(name, 0o600)
	if err != nil {
		return "", err
	}
	defer node.Close()
	h, err := fs.transient(node).adopt(f)
	if err != nil {
		return name, err
	}
	defer h.Close()
	k, err := h.Write(ctx, []byte(target), 0)
	if err == nil && k < len(target) {
		err = unix.ENOSPC
	}
	if err == nil {
		err = h.Sync(false)
	}
	if err == nil {
		err = dir.SyncDir()
	}
	return name, err
}

// sidecar is that of a symlink about to lose a name. A nil one is none.
type sidecar struct {
	fs   *FS
	link backing.Node
	name string
}

// sidecarOf finds the sidecar of the symlink at entry; close it.
func (d *Inode) sidecarOf(entry string) *sidecar {
	st, err := d.node.StatAt(entry)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFLNK || st.Size != int64(envelope.SidecarLength) {
		return nil
	}
	node, _, err := d.node.Lookup(entry)
	if err != nil {
		return nil
	}
	text, err := node.Readlink()
	if err != nil || !envelope.IsSidecar(text) {
		node.Close()
		return nil
	}
	return &sidecar{d.fs, node, text}
}

// drop removes the sidecar if the symlink has no name left, however many it had.
func (s *sidecar) drop() {
	if s == nil {
		return
	}
	if st, err := s.link.Stat(); err == nil && st.Nlink == 0 {
		s.fs.dropSidecar(s.name)
	}
}

func (s *sidecar) close() {
	if s != nil {
		s.link.Close()
	}
}

func (fs *FS) dropSidecar(name string) {
	if name == "" {
		return
	}
	dir, err := fs.links(false)
	if err == nil {
		err = dir.Unlink(name)
		dir.Close()
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		fs.log.Warn("a symlink's sidecar stays behind", "err", err)
	}
}
