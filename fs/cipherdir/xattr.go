package cipherdir

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
)

const userPrefix = "user."

// xattrName gives the stored name of an attribute and whether its value is
// encrypted: those of the user namespace are; system, security and trusted
// attributes, which the kernel reads, pass in clear (rule X1).
func (n *Inode) xattrName(name string) (string, bool, error) {
	plain, ok := strings.CutPrefix(name, userPrefix)
	if !ok {
		return name, false, nil
	}
	s, err := n.fs.names.EncryptXattrName(plain)
	if errors.Is(err, envelope.ErrNameTooLong) {
		err = unix.ERANGE
	}
	return s, true, err
}

// xattrCipher gives the cipher of attribute values: the file's own, or that of the
// names key for directories. With create a file gets its header first; without,
// a file that has none has no attribute either: ENODATA.
func (n *Inode) xattrCipher(ctx context.Context, create bool) (*envelope.XattrCipher, error) {
	if n.kind != unix.S_IFREG {
		return n.fs.names.DirXattr(), nil
	}
	h, err := n.Open(ctx, create, false)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	f := &n.file
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.hdr {
		if !create {
			return nil, unix.ENODATA
		}
		header, err := f.makeHeader(ctx, false)
		if err != nil {
			return nil, err
		}
		if err := f.writeHeader(header); err != nil {
			return nil, err
		}
	}
	if err := f.ready(ctx); err != nil {
		return nil, err
	}
	return f.keys.XattrCipher(), nil
}

// Getxattr reads an extended attribute; ENODATA if there is none.
func (n *Inode) Getxattr(ctx context.Context, name string) ([]byte, error) {
	s, encrypted, err := n.xattrName(name)
	if err != nil {
		return nil, err
	}
	value, err := n.node.Getxattr(s)
	if err != nil || !encrypted {
		return value, err
	}
	c, err := n.xattrCipher(ctx, false)
	if err != nil {
		return nil, err
	}
	return c.Open(value, s)
}

// Setxattr sets one; flags are XATTR_CREATE or XATTR_REPLACE.
func (n *Inode) Setxattr(ctx context.Context, name string, value []byte, flags int) error {
	if err := n.fs.beginWrite(); err != nil {
		return err
	}
	s, encrypted, err := n.xattrName(name)
	if err != nil {
		return err
	}
	if encrypted {
		c, err := n.xattrCipher(ctx, true)
		if err != nil {
			return err
		}
		value = c.Seal(value, s)
	}
	return n.node.Setxattr(s, value, flags)
}

// Listxattr names the attributes. A name of ours that does not verify is hidden.
func (n *Inode) Listxattr() ([]string, error) {
	names, err := n.node.Listxattr()
	if err != nil {
		return nil, err
	}
	out := names[:0]
	for _, s := range names {
		if !strings.HasPrefix(s, userPrefix) {
			out = append(out, s)
		} else if plain, err := n.fs.names.DecryptXattrName(s); err == nil {
			out = append(out, userPrefix+plain)
		}
	}
	return out, nil
}

// Removexattr removes one; ENODATA if there is none.
func (n *Inode) Removexattr(name string) error {
	if err := n.fs.beginWrite(); err != nil {
		return err
	}
	s, _, err := n.xattrName(name)
	if err != nil {
		return err
	}
	return n.node.Removexattr(s)
}
