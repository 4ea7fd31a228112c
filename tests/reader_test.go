package tests

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient/localkms"
)

// object is one object of the plaintext view, as tests/reader/kmsfs_reader.py
// prints it and as the mount shows it.
type object struct {
	Path   string            `json:"path"`
	Type   string            `json:"type"`
	Size   int64             `json:"size"`
	SHA256 string            `json:"sha256"`
	Target string            `json:"target"`
	Xattrs map[string]string `json:"xattrs"` // values in hex
	Error  string            `json:"error"`
}

func (o object) String() string {
	b, _ := json.Marshal(o)
	return string(b)
}

// furnish makes one of everything below the mountpoint.
func (h *house) furnish() {
	h.Helper()
	must := func(err error) {
		h.Helper()
		if err != nil {
			h.Fatal(err)
		}
	}
	m := h.path("m")
	h.grow(30)
	h.write("empty", nil)
	h.write("ünïcode/+plus/.hidden", []byte("names are bytes"))
	long := strings.Repeat("long-", 51) // 255 bytes
	h.write(long, []byte("a long name"))
	h.write("deep/"+long+"/"+long+"/end", []byte("two long directories"))
	h.write(strings.Repeat("n", 160), []byte("the longest short name"))
	h.write(strings.Repeat("n", 161), []byte("the shortest long name"))
	must(os.Mkdir(filepath.Join(m, "nothing-in-it"), 0o700))
	must(os.Link(filepath.Join(m, "dir0/file0"), filepath.Join(m, "hard")))
	must(os.Symlink("dir0/file0", filepath.Join(m, "soft")))
	must(os.Symlink(strings.Repeat("x/", 1500), filepath.Join(m, "soft-3000")))
	must(os.Symlink(strings.Repeat("y/", 2000), filepath.Join(m, "soft-4000"))) // a sidecar
	must(os.Symlink("t", filepath.Join(m, strings.Repeat("s", 255))))
	must(unix.Mkfifo(filepath.Join(m, "fifo"), 0o600))

	sparse, err := os.Create(filepath.Join(m, "sparse"))
	must(err)
	_, err = sparse.WriteAt([]byte("in the middle"), 100<<10)
	must(errors.Join(err, sparse.Truncate(300<<10), sparse.Close()))
	must(os.Truncate(filepath.Join(m, "dir1/file8"), 5000)) // down
	must(os.Truncate(filepath.Join(m, "dir2/file9"), 0))    // to nothing
	must(os.Truncate(filepath.Join(m, "dir3/file3"), 9999)) // up

	for _, name := range []string{"hard", "empty", "nothing-in-it"} {
		must(unix.Setxattr(filepath.Join(m, name), "user.comment", []byte("of "+name), 0))
		must(unix.Setxattr(filepath.Join(m, name), "user.empty", nil, 0))
		must(unix.Setxattr(filepath.Join(m, name), "user.bytes", []byte{0, 1, 254, 255}, 0))
	}
}

// view lists what the mount shows.
func (h *house) view() map[string]object {
	h.Helper()
	all := map[string]object{}
	m := h.path("m")
	err := filepath.WalkDir(m, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(m, p)
		if err != nil {
			return err
		}
		o, err := look(p)
		o.Path = rel
		all[rel] = o
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return all
}

func look(p string) (o object, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return o, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		o.Type = "directory"
	case unix.S_IFREG:
		o.Type, o.Size = "file", st.Size
		b, err := os.ReadFile(p)
		if err != nil {
			return o, err
		}
		if int64(len(b)) != st.Size {
			return o, fmt.Errorf("%s: stat says %d bytes, reading gives %d", p, st.Size, len(b))
		}
		sum := sha256.Sum256(b)
		o.SHA256 = hex.EncodeToString(sum[:])
	case unix.S_IFLNK:
		o.Type, o.Size = "symlink", st.Size
		o.Target, err = os.Readlink(p)
		return o, err
	case unix.S_IFIFO:
		o.Type = "fifo"
		return o, nil
	}
	o.Xattrs = map[string]string{}
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(p, buf)
	if err != nil {
		return o, err
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(p, name, value)
		if err != nil {
			return o, err
		}
		o.Xattrs[name] = hex.EncodeToString(value[:n])
	}
	return o, nil
}

// keys unwraps the names key and all data keys of c in the embedded KMS, in the
// form that the reader wants.
func (h *house) keys() []byte {
	h.Helper()
	kms, err := localkms.Open(h.kmsDir(), localkms.Options{})
	if err != nil {
		h.Fatal(err)
	}
	defer kms.Close()
	client := kms.Client()
	store, err := backing.OpenOS(h.path("c"), true)
	if err != nil {
		h.Fatal(err)
	}
	defer store.Close()
	cfg, err := cipherdir.ReadConfig(store)
	if err != nil {
		h.Fatal(err)
	}
	nk, _, err := client.Decrypt(h.Context(), cfg.Recipients[0].Blob, envelope.NamesContext(cfg.FSID))
	if err != nil {
		h.Fatal(err)
	}
	data := map[string]string{}
	add := func(path string, b []byte) {
		if len(b) < cfg.HeaderSize {
			return
		}
		hd, err := envelope.ParseHeader(b, cfg.HeaderSize)
		if err != nil {
			h.Fatalf("%s: %v", path, err)
		}
		id := hex.EncodeToString(hd.DataKeyID[:])
		if data[id] != "" {
			return
		}
		dk, _, err := client.Decrypt(h.Context(), hd.Recipients[0].Blob, envelope.DataContext(cfg.FSID, hd.DataKeyID))
		if err != nil {
			h.Fatalf("%s: %v", path, err)
		}
		data[id] = hex.EncodeToString(dk)
	}
	h.eachCipherFile(add)
	sidecars, _ := filepath.Glob(h.path("c", "+kmsfs", "*", "+T*"))
	for _, p := range sidecars {
		b, err := os.ReadFile(p)
		if err != nil {
			h.Fatal(err)
		}
		add(p, b)
	}
	out, err := json.Marshal(map[string]any{"names": hex.EncodeToString(nk), "data": data})
	if err != nil {
		h.Fatal(err)
	}
	return out
}

// readerPython finds a Python that can import cryptography.
func readerPython(t testing.TB) string {
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import cryptography").Run() == nil {
			return p
		}
	}
	t.Fatal("no python3 that imports cryptography (Debian: python3-cryptography)")
	return ""
}

// independentView lists what the independent reader shows.
func (h *house) independentView() map[string]object {
	h.Helper()
	keys := h.path("KEYS.json")
	if err := os.WriteFile(keys, h.keys(), 0o600); err != nil {
		h.Fatal(err)
	}
	cmd := exec.Command(readerPython(h), "reader/kmsfs_reader.py", h.path("c"), keys)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.Fatalf("reader: %v\n%s%s", err, out, stderr.String())
	}
	all := map[string]object{}
	for line := range strings.Lines(string(out)) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			h.Fatalf("reader: %v in %s", err, line)
		}
		all[o.Path] = o
	}
	return all
}

// compareViews finds where two views differ.
func compareViews(t testing.TB, got, want map[string]object) {
	t.Helper()
	for _, p := range sortedKeys(want) {
		if g, w := got[p].String(), want[p].String(); g != w {
			t.Errorf("%s:\n got %s\nwant %s", p, g, w)
		}
	}
	for _, p := range sortedKeys(got) {
		if _, ok := want[p]; !ok {
			t.Errorf("%s is there, and should not be", p)
		}
	}
}

// TestIndependentReader compares the mount with a reader that was written from
// docs/format.md alone, on one of everything, before and after a rotation.
func TestIndependentReader(t *testing.T) {
	h := newHouse(t)
	h.kmsfs("init", "c")
	h.mount("--files-per-data-key", "7")
	h.furnish()
	want := h.view()
	h.umount()
	compareViews(t, h.independentView(), want)

	h.kmsfs("rewrap", "--to", h.createKey(), "c")
	compareViews(t, h.independentView(), want)
	h.mount("--ro")
	compareViews(t, h.view(), want)
	h.umount()
	h.kmsfs("fsck", "c")
}
