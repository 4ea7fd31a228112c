package fsck

import (
	"errors"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/fs/rewrap/scan"
)

// links opens the directory of sidecars; ENOENT if there never was one.
func (c *checker) links() (backing.Node, error) {
	control, err := cipherdir.ControlDir(c.store)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	n, _, err := control.Lookup(envelope.LinksDir)
	return n, err
}

func (c *checker) sidecarThere(name string) bool {
	links, err := c.links()
	if err != nil {
		return false
	}
	defer links.Close()
	_, err = links.StatAt(name)
	return err == nil
}

// checkSidecars checks the files that hold long symlink targets, after the
// symlinks.
func (c *checker) checkSidecars() error {
	links, err := c.links()
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer links.Close()
	t := &scan.Tree[dir]{
		Jobs: c.o.Jobs, Fail: c.unreadable,
		Enter: func(parent, _ *scan.Dir[dir]) bool { return parent == nil },
		Visit: func(d *scan.Dir[dir], e backing.Entry) {
			p := d.Join(e.Name)
			if !envelope.IsSidecar(e.Name) || e.Type != unix.S_IFREG {
				c.found(Finding{Class: BadName, Path: p, Detail: "not a sidecar"})
				return
			}
			n, st, err := d.Node.Lookup(e.Name)
			if err != nil {
				c.unreadable(p, err)
				return
			}
			defer n.Close()
			if c.first(st) {
				c.file(n, object{path: p})
			}
			c.mu.Lock()
			used := c.sidecars[e.Name]
			c.mu.Unlock()
			if !used && c.there(d, e.Name) {
				c.found(Finding{Class: OrphanSidecar, Path: p, Detail: "no symlink names it"})
			}
		},
	}
	return t.Walk(c.ctx, links, envelope.ControlName+"/"+envelope.LinksDir)
}
