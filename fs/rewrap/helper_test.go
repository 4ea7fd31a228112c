package rewrap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

// world is a cipher directory with its embedded KMS.
type world struct {
	testing.TB
	dir   string
	kms   *localkms.Client
	keyA  string // ARN of the key the directory was made under
	files map[string]string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir(), files: map[string]string{}}
	ks, err := localkms.Open(filepath.Join(t.TempDir(), "kms"), localkms.Options{Create: true})
	w.ok(err)
	t.Cleanup(func() { ks.Close() })
	w.kms = ks.Client()
	w.keyA = w.newKey()
	_, err = cipherdir.Init(t.Context(), w.store(), w.kms,
		cipherdir.InitOptions{KMSURI: "local:", KeyID: w.keyA, Provider: envelope.ProviderLocal})
	w.ok(err)
	return w
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) newKey() string {
	w.Helper()
	out, err := w.kms.CreateKey(context.Background(), localkms.CreateKeyInput{})
	w.ok(err)
	return out.KeyMetadata.Arn
}

func (w *world) rotate() {
	w.Helper()
	_, err := w.kms.RotateKeyOnDemand(context.Background(), localkms.RotateKeyOnDemandInput{KeyID: w.keyA})
	w.ok(err)
}

func (w *world) store() backing.Store {
	w.Helper()
	s, err := backing.OpenOS(w.dir, false)
	w.ok(err)
	w.Cleanup(func() { s.Close() })
	return s
}

// mount opens the view.
func (w *world) mount(o cipherdir.Options) *cipherdir.FS {
	w.Helper()
	o.KMS, o.Provider = w.kms, envelope.ProviderLocal
	v, err := cipherdir.Open(context.Background(), w.store(), o)
	w.ok(err)
	return v
}

// put writes a file of the view, with its directories.
func (w *world) put(v *cipherdir.FS, path, content string) {
	w.Helper()
	d := w.mkdirs(v, path)
	n, h, _, err := d.Create(context.Background(), filepath.Base(path), 0o644, cipherdir.Owner{})
	w.ok(err)
	defer n.Forget(1)
	defer h.Close()
	if content != "" {
		_, err = h.Write(context.Background(), []byte(content), 0)
		w.ok(err)
	}
	w.files[path] = content
}

func (w *world) mkdirs(v *cipherdir.FS, path string) *cipherdir.Inode {
	w.Helper()
	d := v.Root()
	for name := range strings.SplitSeq(filepath.Dir(path), "/") {
		if name == "." {
			continue
		}
		next, _, err := d.Lookup(name)
		if err != nil {
			next, _, err = d.Mkdir(name, 0o755, cipherdir.Owner{})
		}
		w.ok(err)
		d = next
	}
	return d
}

// zoo fills the directory with one of each kind: eight inodes of regular files,
// seven with a header, at most two of them under one data key.
func (w *world) zoo() {
	w.Helper()
	v := w.mount(cipherdir.Options{FilesPerDataKey: 2})
	w.put(v, "small", "hello")
	w.put(v, "empty", "")
	w.put(v, "dir/two pages", strings.Repeat("two pages ", 600))
	w.put(v, "dir/deep/er/file", "deep")
	w.put(v, "dir/"+strings.Repeat("long name ", 20), "under a long name")
	w.put(v, strings.Repeat("long directory ", 15)+"/inside", "inside")
	w.put(v, "linked", "two names")
	n, _, err := v.Root().Lookup("linked")
	w.ok(err)
	d := w.mkdirs(v, "dir/x")
	_, err = d.Link(n, "other name")
	w.ok(err)
	w.files["dir/other name"] = "two names"
	_, _, err = v.Root().Symlink(context.Background(), strings.Repeat("/target", 500), "symlink with a sidecar", cipherdir.Owner{})
	w.ok(err)
	_, _, err = v.Root().Symlink(context.Background(), "small", "symlink", cipherdir.Owner{})
	w.ok(err)
	_, _, err = v.Root().Mknod("fifo", unix.S_IFIFO|0o600, 0, cipherdir.Owner{})
	w.ok(err)
	w.ok(v.Close())
	w.settle()
}

const (
	zooFiles = 8 // inodes of regular files
	zooKeyed = 7 // of them with a header
	zooKeys  = 4 // data keys
)

// settle makes all mtimes old, so that a change of one is seen.
func (w *world) settle() {
	w.Helper()
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	for path := range w.regular() {
		w.ok(os.Chtimes(path, old, old))
	}
}

// regular gives the files of the store that may have a header.
func (w *world) regular() func(yield func(string, fs.FileInfo) bool) {
	return func(yield func(string, fs.FileInfo) bool) {
		filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
			w.ok(err)
			rel, _ := filepath.Rel(w.dir, path)
			if strings.HasPrefix(rel, "+kmsfs/") && !strings.HasPrefix(rel, "+kmsfs/links") {
				return nil
			}
			if !e.Type().IsRegular() {
				return nil
			}
			fi, err := e.Info()
			w.ok(err)
			if !yield(path, fi) {
				return filepath.SkipAll
			}
			return nil
		})
	}
}

// bodies hashes what a walker must not touch: everything from H on, and mtimes.
func (w *world) bodies() map[string]string {
	w.Helper()
	m := map[string]string{}
	for path, fi := range w.regular() {
		b, err := os.ReadFile(path)
		w.ok(err)
		m[path] = fmt.Sprintf("%x %v", sha256.Sum256(b[min(len(b), envelope.MinHeaderSize):]), fi.ModTime())
	}
	return m
}

func (w *world) sameBodies(before map[string]string) {
	w.Helper()
	after := w.bodies()
	for path, sum := range before {
		if after[path] != sum {
			w.Errorf("%s: body or mtime changed: %s, was %s", path, after[path], sum)
		}
	}
	if len(after) != len(before) {
		w.Errorf("%d files, were %d", len(after), len(before))
	}
}

// readable reads every file through the view.
func (w *world) readable() {
	w.Helper()
	v := w.mount(cipherdir.Options{ReadOnly: true, NoLock: true})
	defer v.Close()
	for path, content := range w.files {
		d := w.mkdirs(v, path)
		n, _, err := d.Lookup(filepath.Base(path))
		if err != nil {
			w.Errorf("%s: %v", path, err)
			continue
		}
		h, err := n.Open(context.Background(), false, false)
		if err != nil {
			w.Errorf("open %s: %v", path, err)
			continue
		}
		b := make([]byte, len(content)+1)
		k, err := h.Read(context.Background(), b, 0)
		if err != nil || string(b[:k]) != content {
			w.Errorf("read %s: %d bytes, %v", path, k, err)
		}
		h.Close()
	}
}

// clone copies the directory; the copy shares KMS and expectations.
func (w *world) clone() *world {
	w.Helper()
	c := *w
	c.dir = filepath.Join(w.TempDir(), "copy")
	var out bytes.Buffer
	cp := exec.Command("cp", "-a", w.dir, c.dir)
	cp.Stderr = &out
	if err := cp.Run(); err != nil {
		w.Fatal(err, out.String())
	}
	return &c
}

func (w *world) run(kms kmsclient.KMS, o Options) *Report {
	w.Helper()
	r, err := Run(context.Background(), w.store(), kms, o)
	w.ok(err)
	for _, e := range r.Errors {
		w.Errorf("reported: %v", e)
	}
	return r
}

func (w *world) status(keys ...string) *StatusReport {
	w.Helper()
	r, err := Status(context.Background(), w.store(), StatusOptions{KMS: w.kms, Keys: keys})
	w.ok(err)
	return r
}

// find gives the store's path of a file that holds content of the view, by its
// plaintext path.
func (w *world) find(path string) string {
	w.Helper()
	v := w.mount(cipherdir.Options{ReadOnly: true, NoLock: true})
	defer v.Close()
	_, a, err := w.mkdirs(v, path).Lookup(filepath.Base(path))
	w.ok(err)
	for p, fi := range w.regular() {
		if fi.Sys().(*syscall.Stat_t).Ino == a.Ino {
			return p
		}
	}
	w.Fatalf("%s: not in the store", path)
	return ""
}

// only drops an answer, and leaves the error.
func only[T any](_ T, err error) error { return err }
