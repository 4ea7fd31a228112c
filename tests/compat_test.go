package tests

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A cipher directory of every format that was ever released, with its key store,
// lies in testdata/cipherdirs as vN.tar, beside vN.json, the list of what it
// shows. They are made once and opened for ever: these tests and files never
// change, there will only be further ones.
//
// In the tar file: c, the cipher directory, and kms, the key store.

var generateV1 = flag.Bool("generate-v1", false, "make testdata/cipherdirs/v1.tar and v1.json, unless they are there")

const cipherdirs = "testdata/cipherdirs"

// TestCompatV1 opens a cipher directory of format 1 and its key store.
func TestCompatV1(t *testing.T) {
	if *generateV1 {
		generateCompat(t, "v1")
	}
	h := newHouse(t)
	h.untar(filepath.Join(cipherdirs, "v1.tar"))
	text, err := os.ReadFile(filepath.Join(cipherdirs, "v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]object{}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) < 50 {
		t.Fatalf("the list has %d objects", len(want))
	}
	h.env = append(h.env, "KMSFS_KMS=local:"+h.path("kms"))
	h.kmsfs("fsck", "c")
	h.mount("--ro")
	compareViews(t, h.view(), want)
	h.umount()
	h.mount()
	compareViews(t, h.view(), want)
	h.write("new", []byte("written by a later version"))
	h.umount()
	h.kmsfs("rewrap", "--to", h.createKey(), "c")
	if got := h.kmsfs("cat", "c", "new"); got != "written by a later version" {
		t.Errorf("new file: %q", got)
	}
	h.mount("--ro")
	got := h.view()
	delete(got, "new")
	compareViews(t, got, want)
	h.umount()
}

// generateCompat makes the files of one format; it never replaces them.
func generateCompat(t *testing.T, version string) {
	base := filepath.Join(cipherdirs, version)
	if _, err := os.Stat(base + ".tar"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s.tar is there, and is for ever: %v", base, err)
	}
	h := newHouse(t)
	h.env = append(h.env, "KMSFS_KMS=local:"+h.path("kms"))
	key := h.createKey()
	h.kmsfs("init", "--key", key, "c")
	h.mount("--files-per-data-key", "5")
	h.furnish()
	h.umount()
	// Some headers that were rewrapped and some that were not, and old key material.
	h.kmsfs("kms", "rotate-key-on-demand", "--key-id", key)
	h.kmsfs("rewrap", "c")
	h.kmsfs("kms", "rotate-key-on-demand", "--key-id", key)
	h.mount("--files-per-data-key", "5")
	h.write("after-rotation", pattern("after-rotation", 12345))
	want := h.view()
	h.umount()
	text, err := json.MarshalIndent(want, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(cipherdirs, 0o755); err != nil {
		t.Fatal(err)
	}
	h.tar(base+".tar", "c", "kms")
	if err := os.WriteFile(base+".json", append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("made %s.tar and %s.json with %d objects: commit them, and never change them", base, base, len(want))
}

// tar packs directories of the house: types, modes, times to the second, xattrs,
// hard links.
func (h *house) tar(file string, tops ...string) {
	h.Helper()
	out, err := os.Create(file)
	if err != nil {
		h.Fatal(err)
	}
	defer out.Close()
	w := tar.NewWriter(out)
	seen := map[uint64]string{}
	for _, top := range tops {
		err := filepath.WalkDir(h.path(top), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if strings.HasSuffix(p, "-shm") || strings.HasSuffix(p, "/lock") {
				return nil
			}
			return h.tarOne(w, p, seen)
		})
		if err != nil {
			h.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		h.Fatal(err)
	}
}

func (h *house) tarOne(w *tar.Writer, p string, seen map[uint64]string) error {
	fi, err := os.Lstat(p)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(h.dir, p)
	if err != nil {
		return err
	}
	target := ""
	if fi.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(p); err != nil {
			return err
		}
	}
	hd, err := tar.FileInfoHeader(fi, target)
	if err != nil {
		return err
	}
	hd.Name, hd.Format = rel, tar.FormatPAX
	hd.Uid, hd.Gid, hd.Uname, hd.Gname = 0, 0, "", ""
	hd.ModTime, hd.AccessTime, hd.ChangeTime = fi.ModTime().Truncate(time.Second), time.Time{}, time.Time{}
	hd.PAXRecords = map[string]string{}
	var st unix.Stat_t
	if err := unix.Lstat(p, &st); err != nil {
		return err
	}
	if first := seen[st.Ino]; first != "" && fi.Mode().IsRegular() {
		hd.Typeflag, hd.Linkname, hd.Size = tar.TypeLink, first, 0
		return w.WriteHeader(hd)
	}
	seen[st.Ino] = rel
	names, value := make([]byte, 64<<10), make([]byte, 64<<10)
	if n, err := unix.Llistxattr(p, names); err == nil {
		for _, name := range strings.Split(string(names[:n]), "\x00") {
			if !strings.HasPrefix(name, "user.") {
				continue
			}
			n, err := unix.Lgetxattr(p, name, value)
			if err != nil {
				return err
			}
			hd.PAXRecords["SCHILY.xattr."+name] = string(value[:n])
		}
	}
	if err := w.WriteHeader(hd); err != nil || !fi.Mode().IsRegular() {
		return err
	}
	b, err := os.ReadFile(p)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

// untar unpacks what tar packed into the house.
func (h *house) untar(file string) {
	h.Helper()
	in, err := os.Open(file)
	if err != nil {
		h.Fatal(err)
	}
	defer in.Close()
	for r := tar.NewReader(in); ; {
		hd, err := r.Next()
		if err == io.EOF {
			return
		}
		if err == nil {
			err = h.untarOne(hd, r)
		}
		if err != nil {
			h.Fatalf("%s: %v", file, err)
		}
	}
}

func (h *house) untarOne(hd *tar.Header, r io.Reader) error {
	p := h.path(hd.Name)
	mode := fs.FileMode(hd.Mode) & 0o777
	var err error
	switch hd.Typeflag {
	case tar.TypeDir:
		err = os.MkdirAll(p, 0o700)
	case tar.TypeSymlink:
		return os.Symlink(hd.Linkname, p)
	case tar.TypeLink:
		return os.Link(h.path(hd.Linkname), p)
	case tar.TypeFifo:
		err = unix.Mkfifo(p, 0o600)
	case tar.TypeReg:
		var b []byte
		if b, err = io.ReadAll(r); err == nil {
			err = os.WriteFile(p, b, 0o600)
		}
	default:
		return errors.New(hd.Name + ": unexpected type")
	}
	if err != nil {
		return err
	}
	for name, value := range hd.PAXRecords {
		if attr, ok := strings.CutPrefix(name, "SCHILY.xattr."); ok {
			if err := unix.Lsetxattr(p, attr, []byte(value), 0); err != nil {
				return err
			}
		}
	}
	return errors.Join(os.Chmod(p, mode), os.Chtimes(p, hd.ModTime, hd.ModTime))
}
