package tests

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNothingInClear writes markers into contents, names, symlink targets and
// xattrs, provokes errors, rewraps and kills the mount, and then looks for the
// markers, and for every key, in all that is on the disk and in all that was
// logged or printed.
func TestNothingInClear(t *testing.T) {
	h := newHouse(t)
	key1, key2 := h.createKey(), h.createKey()
	h.kmsfs("init", "--key", key1, "c")
	h.mount("--log", "log", "--log-level", "debug", "--key-ttl", "200ms")
	m := h.path("m")
	secrets := map[string]string{ // what for: marker
		"content": "QzContentMarkerQz", "large content": "QzLargeMarkerQz", "file name": "QzFileNameQz",
		"directory": "QzDirectoryQz", "long name": "QzLongNameQz", "target": "QzTargetQz", "long target": "QzLongTargetQz",
		"xattr name": "QzXattrNameQz", "xattr value": "QzXattrValueQz", "renamed": "QzRenamedQz", "deleted": "QzDeletedQz",
		"directory xattr": "QzDirValueQz",
	}
	s := func(name string) string { return secrets[name] }
	h.write(s("file name"), []byte(strings.Repeat(s("content"), 3)))
	h.write(s("directory")+"/inside", bytes.Repeat([]byte(s("large content")), 20000))
	h.write(s("long name")+strings.Repeat("x", 220), []byte("x"))
	h.write(s("deleted"), []byte(s("content")))
	var errs []error
	errs = append(errs,
		os.Symlink(s("target"), filepath.Join(m, "link")),
		os.Symlink(s("long target")+strings.Repeat("/y", 1900), filepath.Join(m, "link2")),
		unix.Setxattr(filepath.Join(m, s("file name")), "user."+s("xattr name"), []byte(s("xattr value")), 0),
		unix.Setxattr(filepath.Join(m, s("directory")), "user.x", []byte(s("directory xattr")), 0),
		os.Rename(filepath.Join(m, s("directory"), "inside"), filepath.Join(m, s("directory"), s("renamed"))),
		os.Remove(filepath.Join(m, s("deleted"))),
	)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	var printed bytes.Buffer
	note := func(args ...string) {
		out, errs, _ := h.try(args...)
		printed.WriteString(out + errs)
	}

	// Errors, with their lines in the log: a key that is refused, a damaged page,
	// names that are too long or not there.
	h.kmsfs("kms", "disable-key", "--key-id", key1)
	h.kmsfs("lock", "m")
	if _, err := os.ReadFile(filepath.Join(m, s("file name"))); err == nil {
		t.Error("a disabled key opens a file")
	}
	h.kmsfs("kms", "enable-key", "--key-id", key1)
	os.ReadFile(filepath.Join(m, "none-"+s("file name")))
	os.WriteFile(filepath.Join(m, s("file name")+strings.Repeat("z", 255)), nil, 0o600)
	largest := ""
	h.eachCipherFile(func(p string, b []byte) {
		if len(b) > 100000 {
			largest = p
		}
	})
	flipByte(t, largest, 50000)
	h.kmsfs("umount", "m")
	h.mount("--log", "log", "--log-level", "debug", "--key-ttl", "200ms")
	if _, err := os.ReadFile(filepath.Join(m, s("directory"), s("renamed"))); err == nil {
		t.Error("a damaged file reads")
	}
	note("fsck", "--json", "--no-kms", "c")
	flipByte(t, largest, 50000)
	note("status", "m")
	note("inspect", largest)
	note("rewrap", "--to", key2, "c")
	note("cat", "c", "none")
	note("kms", "audit", "--json")
	if st := h.status(); st.Mount == nil {
		t.Error("no live status")
	} else if err := unix.Kill(st.Mount.PID, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	h.umount()

	// The keys themselves, as the embedded KMS opens them.
	var keys struct {
		Names string
		Data  map[string]string
	}
	if err := json.Unmarshal(h.keys(), &keys); err != nil {
		t.Fatal(err)
	}
	secrets["names key"] = string(unhex(t, keys.Names))
	for id, k := range keys.Data {
		secrets["data key "+id] = string(unhex(t, k))
	}

	h.seek("output of kmsfs", printed.Bytes(), secrets)
	for _, top := range []string{"c", "data", "log"} {
		err := filepath.WalkDir(h.path(top), func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			h.seek("name of "+p, []byte(d.Name()), secrets)
			switch {
			case d.Type().IsRegular():
				b, err := os.ReadFile(p)
				if err != nil {
					return err
				}
				h.seek(p, b, secrets)
			case d.Type()&fs.ModeSymlink != 0:
				target, err := os.Readlink(p)
				if err != nil {
					return err
				}
				h.seek("target of "+p, []byte(target), secrets)
			}
			h.seekXattrs(p, secrets)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if log, err := os.ReadFile(h.path("log")); err != nil || !bytes.Contains(log, []byte("refused")) {
		t.Errorf("the log has no trace of the errors: %v", err)
	}
}

// seek looks for secrets in b, as they are and in the usual encodings.
func (h *house) seek(where string, b []byte, secrets map[string]string) {
	h.Helper()
	for what, secret := range secrets {
		for _, form := range []string{
			secret, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
			base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		} {
			if bytes.Contains(b, []byte(form)) {
				h.Errorf("%s shows the %s", where, what)
			}
		}
	}
}

func (h *house) seekXattrs(p string, secrets map[string]string) {
	names, value := make([]byte, 64<<10), make([]byte, 64<<10)
	n, err := unix.Llistxattr(p, names)
	if err != nil {
		return
	}
	h.seek("xattrs of "+p, names[:n], secrets)
	for _, name := range strings.Split(string(names[:n]), "\x00") {
		if n, err := unix.Lgetxattr(p, name, value); err == nil {
			h.seek("xattr "+name+" of "+p, value[:n], secrets)
		}
	}
}

func flipByte(t testing.TB, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		t.Fatalf("not a key: %d bytes, %v", len(b), err)
	}
	return b
}
