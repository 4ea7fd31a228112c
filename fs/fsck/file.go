package fsck

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
)

// object is what findings about a file or symlink say of it.
type object struct {
	path, plain string
	badName     bool // which has been reported
}

// inspection is one look at one file.
type inspection struct {
	c *checker
	object
	node     backing.Node
	f        backing.File
	size     int64 // of the ciphertext
	header   *envelope.Header
	keys     *envelope.FileKeys // nil: structure only
	ciphers  map[uint16]*envelope.PageCipher
	text     [envelope.PageSize]byte // plaintext of the page looked at last; wiped at the end
	pages    int64                   // looked at
	unopened bool                    // has a header, and no key to open it
	holeEnd  int64                   // page behind the hole reported last
	findings []Finding
}

func (i *inspection) found(class Class, offset int64, format string, args ...any) {
	i.findings = append(i.findings, Finding{
		Class: class, Path: i.path, Plain: i.plain, Offset: offset, Detail: fmt.Sprintf(format, args...),
	})
}

// file checks a regular file. What is found in a file that changed meanwhile may
// be a write in flight, so such a file is looked at again, a few times.
func (c *checker) file(n backing.Node, o object) {
	var i *inspection
	for range 4 {
		before, err := n.Stat()
		if err != nil {
			c.unreadable(o.path, err)
			return
		}
		i = &inspection{c: c, object: o, node: n, ciphers: map[uint16]*envelope.PageCipher{}}
		if err := i.run(); err != nil {
			c.unreadable(o.path, err)
			return
		}
		after, err := n.Stat()
		if len(i.findings) == 0 || err != nil || before.Size == after.Size && before.Ctim == after.Ctim {
			break
		}
	}
	c.found(i.findings...)
	c.progress(1, i.pages)
	if i.unopened {
		c.mu.Lock()
		c.report.Unchecked++
		c.mu.Unlock()
	}
}

// run looks at everything once. The error is the store's.
func (i *inspection) run() error {
	f, err := i.node.Open(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	i.f, i.size = f, st.Size
	if i.size < int64(i.c.layout.H) { // never written, or its creation was cut short
		if i.size > 0 {
			i.found(SizeRemainder, 0, "%d bytes, less than a header: reads as empty", i.size)
		}
		return nil
	}
	if ok, err := i.readHeader(); err != nil || !ok {
		return err
	}
	i.oldKey()
	if pages := i.c.layout.Pages(i.size); pages == 0 && i.size > int64(i.c.layout.H) {
		i.found(SizeRemainder, int64(i.c.layout.H), "%d bytes after the header, less than a page", i.size-int64(i.c.layout.H))
	} else if pages > 0 && i.size%envelope.PageSize != 0 {
		i.found(SizeRemainder, pages*envelope.PageSize, "%d bytes after the last page", i.size%envelope.PageSize)
	}
	keys, class, err := i.c.unwrap(i.header)
	if err := i.c.ctx.Err(); err != nil {
		return nil
	}
	switch class {
	case BadCommitment, BadHeader:
		i.found(class, 0, "%v", err)
		return nil
	case KeyUnavailable:
		i.found(class, 0, "%v", err)
	}
	i.keys, i.unopened = keys, keys == nil
	if keys != nil {
		defer keys.Wipe()
		defer clear(i.text[:])
	}
	if err := i.checkPages(); err != nil {
		return err
	}
	return i.checkXattrs()
}

// readHeader reads the header. ok is false where there is nothing more to check.
func (i *inspection) readHeader() (ok bool, err error) {
	h, err := cipherdir.ReadHeader(i.f, i.c.layout, i.c.cfg.FSID)
	switch {
	case err == nil:
		i.header = h
		return h != nil, nil
	case i.badName && headerFault(err):
		return false, nil // not ours at all, and reported
	case errors.Is(err, envelope.ErrForeign):
		i.found(Foreign, 0, "%v", err)
		return false, nil
	case headerFault(err):
		i.found(BadHeader, 0, "%v", err)
		return false, nil
	}
	return false, err
}

// headerFault tells damage from an error of the store.
func headerFault(err error) bool {
	return slices.ContainsFunc([]error{
		envelope.ErrMagic, envelope.ErrVersion, envelope.ErrFlags, envelope.ErrHeader, envelope.ErrForeign,
	}, func(e error) bool { return errors.Is(err, e) })
}

// oldKey compares the recipients with those of the names key.
func (i *inspection) oldKey() {
	for _, r := range i.header.Recipients {
		current := slices.ContainsFunc(i.c.cfg.Recipients, func(k envelope.ConfigRecipient) bool {
			return kmsclient.KeyTag(k.KeyID) == r.KeyTag && k.Material == r.Material
		})
		if !current {
			i.found(OldKey, 0, "wrapped under key tag %x, material %.8x…", r.KeyTag, r.Material)
			return
		}
	}
}

// checkXattrs checks the encrypted extended attributes.
func (i *inspection) checkXattrs() error {
	if i.keys == nil {
		return nil
	}
	return i.c.xattrs(i.node, i.keys.XattrCipher(), func(detail string) { i.found(BadXattr, 0, "%s", detail) })
}

// xattrs checks the encrypted extended attributes of an inode.
func (c *checker) xattrs(n backing.Node, cipher *envelope.XattrCipher, bad func(detail string)) error {
	if c.o.Quick || c.names == nil {
		return nil
	}
	names, err := n.Listxattr()
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, envelope.XattrPrefix) {
			continue
		}
		value, err := n.Getxattr(name)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err = c.names.DecryptXattrName(name); err == nil {
			_, err = cipher.Open(value, name)
		}
		if err != nil {
			bad(name + ": " + err.Error())
		}
	}
	return nil
}

// read is ReadAt that tells how much there is.
func (i *inspection) read(p []byte, off int64) (int, error) {
	n, err := i.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
