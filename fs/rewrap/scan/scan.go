// Package scan walks the inodes of a store, several directories at a time: the
// common part of the walker, of status and of fsck. It knows no format and no
// key; what an entry means is up to the caller.
package scan

import (
	"context"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// chunk is how many entries of one directory a goroutine visits in one go, so
// that a single large directory keeps every goroutine busy.
const chunk = 64

// Dir is one directory during its visit. T is whatever the caller wants to hand
// from a directory to what lies in it: a plaintext path, a directory IV.
type Dir[T any] struct {
	Node    backing.Node    // open until the last Visit of the directory has returned
	Path    string          // of the store, "" for the root
	Entries []backing.Entry // Type is always set
	Value   T
}

// Join is the path of an entry.
func (d *Dir[T]) Join(name string) string { return path.Join(d.Path, name) }

// Tree says how to walk. All functions are called by several goroutines at once.
//
// Directories are taken depth first, so that the number of open descriptors
// grows with depth and Jobs, not with the size of the tree. They are held by
// descriptor: renaming one during the walk neither loses nor repeats it, unless
// it moves to a place that the walk has passed already.
type Tree[T any] struct {
	Jobs int // goroutines, at least 1
	// Enter is called for each directory before anything in it; parent is nil for
	// the first. It sets d.Value; false leaves out the directory and all below.
	Enter func(parent, d *Dir[T]) bool
	// Visit is called for each entry that is not a directory.
	Visit func(d *Dir[T], e backing.Entry)
	// Fail is told of directories, and of entries of unknown type, that cannot be
	// read; ENOENT is one that vanished meanwhile.
	Fail func(path string, err error)
}

// Walk visits the directory root, which is at path in the store, and all below.
// It does not close root. The error is that of ctx, after which some entries
// have not been visited.
func (t *Tree[T]) Walk(ctx context.Context, root backing.Node, path string) error {
	w := &walk[T]{Tree: t, ctx: ctx, slots: make(chan struct{}, max(t.Jobs-1, 0))}
	w.dir(nil, &Dir[T]{Node: root, Path: path})
	w.wg.Wait()
	return context.Cause(ctx)
}

type walk[T any] struct {
	*Tree[T]
	ctx   context.Context
	slots chan struct{} // one token per goroutine beside the caller's
	wg    sync.WaitGroup
}

// spawn runs f in a goroutine of its own if one may be had, else here and now.
// The two wait groups count it.
func (w *walk[T]) spawn(wg *sync.WaitGroup, f func()) {
	select {
	case w.slots <- struct{}{}:
		wg.Go(func() {
			defer func() { <-w.slots }()
			f()
		})
	default:
		f()
	}
}

func (w *walk[T]) dir(parent, d *Dir[T]) {
	if w.ctx.Err() != nil {
		return
	}
	entries, err := d.Node.ReadDir()
	if err != nil {
		w.Fail(d.Path, err)
		return
	}
	d.Entries = w.typed(d, entries)
	if !w.Enter(parent, d) {
		return
	}
	var files sync.WaitGroup // those that use d.Node
	for rest := d.Entries; len(rest) > 0; {
		n := min(len(rest), chunk)
		part := rest[:n]
		rest = rest[n:]
		w.spawn(&files, func() { w.visit(d, part) })
	}
	for _, e := range d.Entries {
		if e.Type != unix.S_IFDIR || w.ctx.Err() != nil {
			continue
		}
		sub, _, err := d.Node.Lookup(e.Name)
		if err != nil {
			w.Fail(d.Join(e.Name), err)
			continue
		}
		child := &Dir[T]{Node: sub, Path: d.Join(e.Name)}
		w.spawn(&w.wg, func() {
			defer sub.Close()
			w.dir(d, child)
		})
	}
	files.Wait()
}

func (w *walk[T]) visit(d *Dir[T], entries []backing.Entry) {
	for _, e := range entries {
		if w.ctx.Err() != nil {
			return
		}
		if e.Type != unix.S_IFDIR {
			w.Visit(d, e)
		}
	}
}

// typed completes the entries whose type the store does not tell.
func (w *walk[T]) typed(d *Dir[T], entries []backing.Entry) []backing.Entry {
	known := entries[:0]
	for _, e := range entries {
		if e.Type == 0 {
			st, err := d.Node.StatAt(e.Name)
			if err != nil {
				w.Fail(d.Join(e.Name), err)
				continue
			}
			e.Type = st.Mode & unix.S_IFMT
		}
		known = append(known, e)
	}
	return known
}
