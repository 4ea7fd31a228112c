package fsck

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

var bg = context.Background()

// world is a cipher directory with its embedded KMS.
type world struct {
	testing.TB
	dir string
	kms *localkms.Client
	key string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir()}
	ks, err := localkms.Open(filepath.Join(t.TempDir(), "kms"), localkms.Options{Create: true})
	w.ok(err)
	t.Cleanup(func() { ks.Close() })
	w.kms = ks.Client()
	w.init()
	return w
}

func (w *world) init() {
	w.Helper()
	out, err := w.kms.CreateKey(bg, localkms.CreateKeyInput{})
	w.ok(err)
	w.key = out.KeyMetadata.Arn
	_, err = cipherdir.Init(bg, w.store(false), w.kms, cipherdir.InitOptions{KMSURI: "local:", KeyID: w.key, Provider: envelope.ProviderLocal})
	w.ok(err)
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) store(readOnly bool) backing.Store {
	w.Helper()
	s, err := backing.OpenOS(w.dir, readOnly)
	w.ok(err)
	w.Cleanup(func() { s.Close() })
	return s
}

func (w *world) mount() *cipherdir.FS { return w.mountWith(4) }

func (w *world) mountWith(filesPerDataKey int) *cipherdir.FS {
	w.Helper()
	v, err := cipherdir.Open(bg, w.store(false), cipherdir.Options{
		KMS: w.kms, Provider: envelope.ProviderLocal, FilesPerDataKey: filesPerDataKey,
	})
	w.ok(err)
	return v
}

// lookup finds an inode of the view.
func (w *world) lookup(v *cipherdir.FS, path string) (*cipherdir.Inode, uint64) {
	w.Helper()
	n, ino := v.Root(), uint64(0)
	for name := range strings.SplitSeq(path, "/") {
		next, a, err := n.Lookup(name)
		w.ok(err)
		n, ino = next, a.Ino
	}
	return n, ino
}

func (w *world) put(v *cipherdir.FS, path, content string) {
	w.Helper()
	d := v.Root()
	if dir := filepath.Dir(path); dir != "." {
		d, _ = w.lookup(v, dir)
	}
	n, h, _, err := d.Create(bg, filepath.Base(path), 0o644, cipherdir.Owner{})
	w.ok(err)
	if content != "" {
		_, err = h.Write(bg, []byte(content), 0)
		w.ok(err)
	}
	w.ok(h.Close())
	n.Forget(1)
}

const (
	longName = "a long name, longer than the 160 bytes that fit into one entry of a directory when they are encrypted: " +
		"so it is kept in a pair of entries, the contents in one and the name in another"
	pages = 6 // of the file "big"
)

// zoo fills the directory with one of each kind and unmounts it.
func (w *world) zoo() {
	w.Helper()
	v := w.mount()
	_, _, err := v.Root().Mkdir("dir", 0o755, cipherdir.Owner{})
	w.ok(err)
	d, _ := w.lookup(v, "dir")
	_, _, err = d.Mkdir("inner", 0o755, cipherdir.Owner{})
	w.ok(err)
	_, _, err = d.Mkdir("empty", 0o755, cipherdir.Owner{})
	w.ok(err)
	w.put(v, "small", "hello")
	w.put(v, "empty", "")
	w.put(v, "dir/big", strings.Repeat("x", pages*envelope.PageCapacity-1000))
	w.put(v, "dir/inner/file", "inner")
	w.put(v, longName, "long")
	w.put(v, "sparse", "start")
	n, _ := w.lookup(v, "sparse")
	w.ok(n.Truncate(bg, 10<<20))
	w.ok(n.Setxattr(bg, "user.comment", []byte("value"), 0))
	w.ok(d.Setxattr(bg, "user.comment", []byte("value"), 0))
	_, err = d.Link(n, "linked")
	w.ok(err)
	_, _, err = v.Root().Symlink(bg, "small", "symlink", cipherdir.Owner{})
	w.ok(err)
	_, _, err = v.Root().Symlink(bg, strings.Repeat("/target", 500), "long symlink", cipherdir.Owner{})
	w.ok(err)
	w.ok(v.Close())
}

// find gives the store's path of something in the view.
func (w *world) find(path string) string {
	w.Helper()
	v, err := cipherdir.Open(bg, w.store(true), cipherdir.Options{KMS: w.kms, ReadOnly: true, NoLock: true})
	w.ok(err)
	defer v.Close()
	_, ino := w.lookup(v, path)
	found := ""
	w.ok(filepath.WalkDir(w.dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err == nil && fi.Sys().(*syscall.Stat_t).Ino == ino {
			found = p
		}
		return err
	}))
	if found == "" {
		w.Fatalf("%s: not in the store", path)
	}
	return found
}

func (w *world) rel(path string) string {
	w.Helper()
	r, err := filepath.Rel(w.dir, path)
	w.ok(err)
	return r
}

func (w *world) clone(t testing.TB) *world {
	t.Helper()
	c := *w
	c.TB = t
	c.dir = filepath.Join(t.TempDir(), "copy")
	var out bytes.Buffer
	cp := exec.Command("cp", "-a", w.dir, c.dir)
	cp.Stderr = &out
	if err := cp.Run(); err != nil {
		t.Fatal(err, out.String())
	}
	return &c
}

// check runs Check on a read-only store.
func (w *world) check(o Options) *Report {
	w.Helper()
	r, err := Check(bg, w.store(true), o)
	w.ok(err)
	return r
}

// page reads and writes pages of a file of the store, sealed with its own keys.
type editor struct {
	*world
	path   string
	b      []byte
	layout envelope.Layout
	header *envelope.Header
	keys   *envelope.FileKeys
}

func (w *world) edit(path string, change func(e *editor)) {
	w.Helper()
	e := &editor{world: w, path: path, layout: envelope.Layout{H: envelope.MinHeaderSize}}
	var err error
	e.b, err = os.ReadFile(path)
	w.ok(err)
	e.header, err = envelope.ParseHeader(e.b, e.layout.H)
	w.ok(err)
	plain, _, err := w.kms.Decrypt(bg, e.header.Recipients[0].Blob, kmsclient.EncryptionContext(envelope.DataContext(e.header.FSID, e.header.DataKeyID)))
	w.ok(err)
	dk := envelope.DataKey(plain)
	e.keys = envelope.DeriveFileKeys(&dk, e.header.FSID, e.header.FileID)
	change(e)
	w.ok(os.WriteFile(path, e.b, 0o644))
}

func (e *editor) record(t int64) []byte {
	return e.b[t*envelope.PageSize+int64(e.layout.RecordOffset(t)) : (t+1)*envelope.PageSize]
}

func (e *editor) seal(t int64, n int, final bool) {
	e.keys.PageCipher(7).Seal(e.record(t), t, make([]byte, n), final)
}

func (e *editor) putHeader() {
	e.Helper()
	_, err := e.header.Marshal(e.b)
	e.ok(err)
}
