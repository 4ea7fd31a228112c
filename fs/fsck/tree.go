package fsck

import (
	"encoding/base64"
	"errors"
	"path"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/rewrap/scan"
)

// dir is what the check of a directory leaves for the check of what is in it.
type dir struct {
	plain string            // path in the view
	known bool              // plain is known
	names map[string]string // stored name to plaintext name, of those that verify
	bad   map[string]bool   // stored names that do not
}

// plainOf is the path in the view of an entry, "" if it is not known.
func (d *dir) plainOf(stored string) string {
	if name, ok := d.names[stored]; ok && d.known {
		return path.Join(d.plain, name)
	}
	return ""
}

// enter checks a directory itself: its IV and all its names.
func (c *checker) enter(parent, d *scan.Dir[dir]) bool {
	if d.Path == envelope.ControlName {
		return false
	}
	has := map[string]bool{}
	for _, e := range d.Entries {
		has[e.Name] = true
	}
	d.Value = dir{known: c.names != nil, names: map[string]string{}, bad: map[string]bool{}}
	if parent != nil {
		stored := path.Base(d.Path)
		if parent.Value.bad[stored] && !has[envelope.DirIVName] {
			return false // not ours at all: its name has been reported
		}
		d.Value.plain = parent.Value.plainOf(stored)
		d.Value.known = d.Value.plain != ""
	}
	c.mu.Lock()
	c.report.Directories++
	c.mu.Unlock()
	if c.names != nil {
		err := c.xattrs(d.Node, c.names.DirXattr(), func(detail string) {
			c.found(Finding{Class: BadXattr, Path: d.Path, Plain: d.Value.plain, Detail: detail})
		})
		if err != nil {
			c.unreadable(d.Path, err)
		}
	}
	iv, ok := c.dirIV(d, has)
	if !ok {
		d.Value.known = false
		return true
	}
	for _, e := range d.Entries {
		c.name(d, e, iv, has)
	}
	return true
}

// dirIV reads a directory's IV; without the names key it looks at the form of it.
// ok is false where the names of the directory cannot be checked.
func (c *checker) dirIV(d *scan.Dir[dir], has map[string]bool) (iv envelope.DirIV, ok bool) {
	detail := ""
	text, err := d.Node.ReadlinkAt(envelope.DirIVName)
	switch {
	case errors.Is(err, unix.ENOENT):
		// An empty directory without an IV is what a crash in mkdir leaves: sound.
		now, err := d.Node.ReadDir()
		if err != nil || len(now) == 0 {
			return iv, false
		}
		detail = "the directory has entries and no " + envelope.DirIVName
		if _, err := d.Node.StatAt(envelope.DirIVName); err == nil {
			return c.dirIV(d, has) // made meanwhile
		}
	case errors.Is(err, unix.EINVAL):
		detail = envelope.DirIVName + " is no symlink"
	case err != nil:
		c.unreadable(d.Join(envelope.DirIVName), err)
		return iv, false
	case c.names != nil:
		if iv, err = c.names.ParseDirIV(text); err == nil {
			return iv, true
		}
		detail = err.Error()
	case len(text) == len("k1:")+22+1+11 && text[:3] == "k1:":
		return iv, true
	default:
		detail = envelope.DirIVName + " has an impossible text"
	}
	c.found(Finding{Class: DirIVMissing, Path: d.Path, Plain: d.Value.plain, Detail: detail})
	return iv, false
}

// name checks one name.
func (c *checker) name(d *scan.Dir[dir], e backing.Entry, iv envelope.DirIV, has map[string]bool) {
	if e.Name == envelope.DirIVName || d.Path == "" && e.Name == envelope.ControlName {
		return
	}
	enc := e.Name
	if e.Name[0] == envelope.Reserved {
		if data, ok := envelope.DataNameOf(e.Name); ok {
			if !has[data] && c.there(d, e.Name) && !c.there(d, data) {
				c.found(Finding{
					Class: OrphanLongName, Severity: Info, Path: d.Join(e.Name),
					Detail: "a long name with nothing under it, as a crash leaves it",
				})
			}
			return
		}
		link, ok := envelope.LongNameOf(e.Name)
		if !ok {
			c.badName(d, e.Name, "a reserved name that this version does not know")
			return
		}
		var err error
		if enc, err = d.Node.ReadlinkAt(link); err != nil {
			if errors.Is(err, unix.ENOENT) && c.there(d, e.Name) {
				d.Value.bad[e.Name] = true
				c.found(Finding{Class: OrphanLongName, Path: d.Join(e.Name), Detail: "its long name is gone"})
			} else {
				c.unreadable(d.Join(link), err)
			}
			return
		}
		if err := envelope.CheckLongName(e.Name, enc); err != nil {
			c.badName(d, e.Name, err.Error())
			return
		}
	}
	if c.names == nil {
		if b, err := base64.RawURLEncoding.Strict().DecodeString(enc); err != nil || len(b) < 32 || len(b)%16 != 0 {
			c.badName(d, e.Name, "not an encrypted name")
		}
		return
	}
	plain, err := c.names.DecryptName(iv, enc)
	if err != nil {
		c.badName(d, e.Name, err.Error())
		return
	}
	d.Value.names[e.Name] = plain
}

func (c *checker) badName(d *scan.Dir[dir], stored, detail string) {
	d.Value.bad[stored] = true
	c.found(Finding{Class: BadName, Path: d.Join(stored), Detail: detail})
}

func (c *checker) there(d *scan.Dir[dir], name string) bool {
	_, err := d.Node.StatAt(name)
	return err == nil
}

// visit checks one entry that is not a directory.
func (c *checker) visit(d *scan.Dir[dir], e backing.Entry) {
	if e.Name == envelope.DirIVName {
		return
	}
	if _, isLink := envelope.DataNameOf(e.Name); isLink {
		return
	}
	o := object{path: d.Join(e.Name), plain: d.Value.plainOf(e.Name), badName: d.Value.bad[e.Name]}
	switch e.Type {
	case unix.S_IFREG:
		n, st, err := d.Node.Lookup(e.Name)
		if err != nil {
			c.unreadable(o.path, err)
			return
		}
		defer n.Close()
		if st.Mode&unix.S_IFMT == unix.S_IFREG && c.first(st) {
			c.file(n, o)
		}
	case unix.S_IFLNK:
		c.mu.Lock()
		c.report.Symlinks++
		c.mu.Unlock()
		c.symlink(d, e.Name, o)
	default:
		c.mu.Lock()
		c.report.Others++
		c.mu.Unlock()
	}
}

// first tells whether this is the first name of an inode.
func (c *checker) first(st backing.Stat) bool {
	if st.Nlink < 2 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := inode{st.Dev, st.Ino}
	if c.seen[id] {
		return false
	}
	c.seen[id] = true
	return true
}

// symlink checks a target, or remembers the sidecar that holds it.
func (c *checker) symlink(d *scan.Dir[dir], name string, o object) {
	if o.badName {
		return
	}
	text, err := d.Node.ReadlinkAt(name)
	if err != nil {
		c.unreadable(o.path, err)
		return
	}
	if envelope.IsSidecar(text) {
		c.mu.Lock()
		c.sidecars[text] = true
		c.mu.Unlock()
		if !c.sidecarThere(text) && c.there(d, name) {
			c.found(Finding{Class: BadTarget, Path: o.path, Plain: o.plain, Detail: "its sidecar " + text + " is gone"})
		}
		return
	}
	if c.names == nil {
		return
	}
	if _, err := c.names.OpenTarget(text); err != nil {
		c.found(Finding{Class: BadTarget, Path: o.path, Plain: o.plain, Detail: err.Error()})
	}
}
