package cipherdir

// Place is where an inode was last met: a name in a directory, by node id.
type Place struct {
	Parent uint64
	Name   string
}

// Inodes is how many inodes are held, each by a descriptor.
func (fs *FS) Inodes() int {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return len(fs.byID)
}

// Idle gives places of at most n inodes, in no order, that are no directories and
// not open: whoever caches names may let go of them to spare descriptors.
func (fs *FS) Idle(n int) []Place {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	out := make([]Place, 0, n)
	for _, i := range fs.byID {
		if len(out) == n {
			break
		}
		if p := i.lastMet.Load(); p != nil && i.open == 0 {
			out = append(out, *p)
		}
	}
	return out
}

// met notes where an inode was found.
func (n *Inode) met(d *Inode, name string) {
	if !n.IsDir() {
		n.lastMet.Store(&Place{d.id, name})
	}
}
