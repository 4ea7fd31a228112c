package cipherdir_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
)

var ctx = context.Background()

const pageSize = envelope.PageSize

// layout is that of every test: H = 512, so page 0 holds 3552 bytes of plaintext
// and any other 4064.
var layout = envelope.Layout{H: 512}

// fataler is what testing.TB and rapid.T have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openWith opens the world's directory through another store, or with options of
// the test's own.
func (w *world) openWith(t fataler, store backing.Store, o cipherdir.Options) *cipherdir.FS {
	t.Helper()
	if o.KMS == nil {
		o.KMS = w.kms
	}
	o.Provider = envelope.ProviderLocal
	v, err := cipherdir.Open(ctx, store, o)
	must(t, err)
	return v
}

// path finds the store's path of an inode.
func (w *world) path(t fataler, n *cipherdir.Inode) string {
	t.Helper()
	a, err := n.Attr()
	must(t, err)
	found := ""
	must(t, filepath.WalkDir(w.dir, func(p string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && unix.Lstat(p, &st) == nil && st.Ino == a.Ino {
			found = p
		}
		return err
	}))
	if found == "" {
		t.Fatalf("inode %d has no name in the store", a.Ino)
	}
	return found
}

// pages are the raw records of a ciphertext file, with its header (nil if none).
func pages(t fataler, path string) (*envelope.Header, [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if len(b) == 0 {
		return nil, nil
	}
	h, err := envelope.ParseHeader(b, layout.H)
	must(t, err)
	if len(b)%pageSize != 0 && len(b) != layout.H {
		t.Fatalf("ciphertext has %d bytes", len(b))
	}
	var out [][]byte
	for i := int64(0); i < layout.Pages(int64(len(b))); i++ {
		out = append(out, b[i*pageSize+int64(layout.RecordOffset(i)):(i+1)*pageSize])
	}
	return h, out
}

// checkFile checks what the format asks of a ciphertext file at rest: the last
// page is FINAL, no other is, and only a SPARSE file has holes.
func checkFile(t fataler, path string) {
	t.Helper()
	h, records := pages(t, path)
	for i, r := range records {
		last := i == len(records)-1
		hole, err := envelope.IsHole(r)
		if err != nil {
			t.Fatalf("page %d: %v", i, err)
		}
		if hole {
			if last || h.Flags&envelope.FlagSparse == 0 {
				t.Fatalf("page %d of %d is a hole, flags %#x", i, len(records), h.Flags)
			}
			continue
		}
		m, err := envelope.CheckRecord(r)
		if err != nil || m.Final() != last {
			t.Fatalf("page %d of %d: %08x, %v", i, len(records), uint32(m), err)
		}
	}
}

// checkNames fails if the store holds a record that nothing needs: +N without +L
// and the other way, a directory without +dir, a sidecar that no symlink names.
func (w *world) checkNames(t fataler) {
	t.Helper()
	named, sidecars := map[string]bool{}, map[string]bool{}
	must(t, filepath.WalkDir(w.dir, func(p string, d fs.DirEntry, err error) error {
		must(t, err)
		base, dir := filepath.Base(p), filepath.Dir(p)
		control := strings.HasPrefix(p, filepath.Join(w.dir, envelope.ControlName))
		switch {
		case control && strings.HasPrefix(base, "+T"):
			sidecars[base] = true
		case control && strings.Contains(base, ".tmp-"):
			t.Fatalf("%s is left behind", p)
		case strings.HasPrefix(base, "+N"), strings.HasPrefix(base, "+L"):
			other := map[byte]string{'N': "+L", 'L': "+N"}[base[1]] + base[2:]
			if _, err := os.Lstat(filepath.Join(dir, other)); err != nil {
				t.Fatalf("%s without its other half", p)
			}
		}
		if d.IsDir() && !control {
			if _, err := os.Readlink(filepath.Join(p, envelope.DirIVName)); err != nil {
				t.Fatal(err)
			}
		}
		if d.Type()&fs.ModeSymlink != 0 {
			text, err := os.Readlink(p)
			must(t, err)
			if envelope.IsSidecar(text) {
				named[text] = true
			}
		}
		return nil
	}))
	for s := range sidecars {
		if !named[s] {
			t.Fatalf("sidecar %s is an orphan", s)
		}
	}
	for s := range named {
		if !sidecars[s] {
			t.Fatalf("sidecar %s is gone", s)
		}
	}
}

// create makes a file with contents and closes it.
func create(t fataler, d *cipherdir.Inode, name string, data []byte) *cipherdir.Inode {
	t.Helper()
	n, h, _, err := d.Create(ctx, name, 0o644, cipherdir.Owner{})
	must(t, err)
	k, err := h.Write(ctx, data, 0)
	if k != len(data) || err != nil {
		t.Fatal(k, err)
	}
	must(t, h.Close())
	return n
}

// contents reads a whole file by name. With an error it gives the pages before it.
func contents(d *cipherdir.Inode, name string) ([]byte, error) {
	n, a, err := d.Lookup(name)
	if err != nil {
		return nil, err
	}
	defer n.Forget(1)
	h, err := n.Open(ctx, false, false)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	b := make([]byte, a.Size)
	k, err := h.Read(ctx, b, 0)
	if err == nil {
		return b[:k], nil
	}
	for t := int64(0); ; t++ { // what is readable before the damage
		from := layout.PageStart(t)
		to := min(layout.PageStart(t+1), a.Size)
		if n, err := h.Read(ctx, b[from:to], from); err != nil || from+int64(n) == a.Size {
			return b[:from], err
		}
	}
}

func openFDs(t fataler) int {
	t.Helper()
	e, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(e)
}

// noLeaks fails the test if it ends with more descriptors open than it began with.
func noLeaks(t *testing.T) {
	before := openFDs(t)
	t.Cleanup(func() {
		if after := openFDs(t); after > before {
			t.Errorf("%d descriptors are open, %d were at the start", after, before)
		}
	})
}
