package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The reader in tests/reader was written from docs/format.md and shares no line
// with this package.
func python(t *testing.T, args ...string) []byte {
	t.Helper()
	if err := exec.Command("python3", "-c", "import cryptography").Run(); err != nil {
		t.Skip("needs python3 with the package cryptography")
	}
	var stderr bytes.Buffer
	cmd := exec.Command("python3", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	return out
}

func TestForeignReaderVectors(t *testing.T) {
	t.Log(string(python(t, "../tests/reader/vectors.py", vectorDir)))
}

// tree makes a cipher directory and notes what a reader has to find in it.
type tree struct {
	t    *testing.T
	k    *NameKeys
	l    Layout
	want map[string]string // path to what is printed about it
}

func (tr *tree) check(err error) {
	tr.t.Helper()
	if err != nil {
		tr.t.Fatal(err)
	}
}

// place gives the stored path of a plaintext path, making long name links.
func (tr *tree) place(dir string, iv DirIV, name string) string {
	enc, err := tr.k.EncryptName(iv, name)
	tr.check(err)
	if !IsLong(enc) {
		return filepath.Join(dir, enc)
	}
	data, link := LongNames(enc)
	tr.check(os.Symlink(enc, filepath.Join(dir, link)))
	return filepath.Join(dir, data)
}

func (tr *tree) file(path, name string, b, plain []byte, xattrs string) {
	tr.check(os.WriteFile(path, b, 0o600))
	tr.want[name] = fmt.Sprintf("file %d %x %s", len(plain), sha256.Sum256(plain), xattrs)
}

func (tr *tree) mkdir(path string, iv DirIV) {
	tr.check(os.MkdirAll(path, 0o700))
	tr.check(os.Symlink(tr.k.DirIVTarget(iv), filepath.Join(path, DirIVName)))
}

func TestForeignReaderTree(t *testing.T) {
	root := t.TempDir()
	tr := &tree{t, testNames(), Layout{512}, map[string]string{".": "directory "}}
	tr.mkdir(root, testIV)
	control := filepath.Join(root, ControlName)
	tr.check(os.MkdirAll(filepath.Join(control, LinksDir), 0o700))
	tr.check(os.WriteFile(filepath.Join(control, ConfigName), testConfig().Marshal(), 0o600))
	tr.check(os.WriteFile(filepath.Join(control, "state"), State{Clean: true}.Marshal(tr.k), 0o600))
	at := func(name string) string { return tr.place(root, testIV, name) }

	header := func(flags uint32) *Header {
		h := testHeader(512)
		h.FileID, h.Flags = FileID(random(32)), flags
		return h
	}
	short, full, long := random(100), random(3552), random(20000)
	small := writeFile(tr.l, header(0), &testDK, short)
	tr.file(at("never written"), "never written", nil, nil, "")
	tr.file(at("empty"), "empty", small[:512], nil, "")
	tr.file(at("small"), "small", small, short, "")
	tr.file(at("full page"), "full page", writeFile(tr.l, header(0), &testDK, full), full, "")
	tr.file(at("long"), "long", writeFile(tr.l, header(0), &testDK, split(tr.l, long)...), long, "")
	name := strings.Repeat("long name ", 25)
	tr.file(at(name), name, small, short, "")
	odd := "not utf8 \xff"
	tr.file(at(odd), odd, small, short, "")
	holes := make([]byte, tr.l.PageStart(2)+5)
	copy(holes, "first")
	copy(holes[tr.l.PageStart(2):], "third")
	tr.file(at("sparse"), "sparse", writeFile(tr.l, header(FlagSparse), &testDK, []byte("first"), nil, []byte("third")), holes, "")

	for name, c := range map[string]struct {
		err    error
		damage func([]byte) []byte
	}{
		"bad header": {ErrHeader, func(b []byte) []byte { b[300] ^= 1; return b }},
		"bad page":   {ErrPage, func(b []byte) []byte { b[600] ^= 1; return b }},
		"bad meta":   {ErrMeta, func(b []byte) []byte { b[512] |= 0x80; return b }},
		"dense hole": {errHole, func([]byte) []byte { return writeFile(tr.l, header(0), &testDK, nil, []byte("x")) }},
		"wrong key":  {ErrCommitment, func([]byte) []byte { return writeFile(tr.l, header(0), &DataKey{}, short) }},
	} {
		tr.check(os.WriteFile(at(name), c.damage(bytes.Clone(small)), 0o600))
		tr.want[name] = classOf(c.err)
	}

	tr.check(os.Symlink(tr.k.SealTarget("../elsewhere"), at("link")))
	tr.want["link"] = "symlink 12 ../elsewhere"
	sidecar, target := NewSidecarName([16]byte(random(16))), strings.Repeat("/far", 900)
	tr.check(os.Symlink(sidecar, at("far link")))
	tr.check(os.WriteFile(filepath.Join(control, LinksDir, sidecar), writeFile(tr.l, header(0), &testDK, split(tr.l, []byte(target))...), 0o600))
	tr.want["far link"] = "symlink 3600 " + target
	tr.check(os.Symlink(NewSidecarName([16]byte{}), at("lost link")))
	tr.want["lost link"] = "bad-target"
	tr.check(syscall.Mkfifo(at("fifo"), 0o600))
	tr.want["fifo"] = "fifo "

	iv := DirIV(random(16))
	sub := at("sub")
	tr.mkdir(sub, iv)
	tr.file(tr.place(sub, iv, "inner"), "sub/inner", small, short, "")
	tr.check(os.WriteFile(tr.place(sub, testIV, "of another directory"), small, 0o600)) // hidden
	tr.check(os.WriteFile(filepath.Join(sub, "+L"+strings.Repeat("A", 43)), small, 0o600))
	tr.want["sub"] = "directory "
	tr.check(os.Mkdir(at("cut short"), 0o700))
	tr.want["cut short"] = "directory "
	tr.check(os.MkdirAll(filepath.Join(at("without IV"), "x"), 0o700))
	tr.want["without IV"] = "bad-diriv"
	tr.xattrs(at("with xattr"), sub)

	keys := filepath.Join(t.TempDir(), "keys.json")
	text, err := json.Marshal(map[string]any{"names": hex.EncodeToString(testNK[:]), "data": map[string]string{hex.EncodeToString(testDKID[:]): hex.EncodeToString(testDK[:])}})
	tr.check(err)
	tr.check(os.WriteFile(keys, text, 0o600))
	tr.compare(python(t, "../tests/reader/kmsfs_reader.py", root, keys))
}

// xattrs puts one on a file and one on a directory, where the store takes them.
func (tr *tree) xattrs(path, dir string) {
	stored, err := tr.k.EncryptXattrName("mime_type")
	tr.check(err)
	if err := syscall.Setxattr(dir, stored, tr.k.DirXattr().Seal([]byte("dir"), stored), 0); errors.Is(err, syscall.ENOTSUP) {
		return
	}
	tr.want["sub"] = "directory user.mime_type=" + hex.EncodeToString([]byte("dir"))
	plain := []byte("plaintext")
	h := testHeader(512)
	tr.file(path, "with xattr", writeFile(tr.l, h, &testDK, plain), plain, "user.mime_type="+hex.EncodeToString([]byte("file")))
	tr.check(syscall.Setxattr(path, stored, testFileKeys().XattrCipher().Seal([]byte("file"), stored), 0))
	tr.check(syscall.Setxattr(path, "user.plain", []byte("hidden"), 0))
}

func (tr *tree) compare(out []byte) {
	got, last := map[string]string{}, ""
	for line := range bytes.Lines(out) {
		var r struct {
			Path, Type, Sha256, Target, Error string
			Size                              int64
			Xattrs                            map[string]string
		}
		tr.check(json.Unmarshal(bytes.ReplaceAll(line, []byte(`\udcff`), []byte(`\u00ff`)), &r))
		path := strings.ReplaceAll(r.Path, "\u00ff", "\xff") // surrogateescape
		if path != "." && path <= last {
			tr.t.Errorf("%q comes after %q", path, last)
		}
		last = path
		var xattrs []string
		for _, name := range slices.Sorted(maps.Keys(r.Xattrs)) {
			xattrs = append(xattrs, name+"="+r.Xattrs[name])
		}
		switch {
		case r.Error != "":
			got[path] = r.Error
		case r.Type == "file":
			got[path] = fmt.Sprintf("file %d %s %s", r.Size, r.Sha256, strings.Join(xattrs, " "))
		case r.Type == "symlink":
			got[path] = fmt.Sprintf("symlink %d %s", r.Size, r.Target)
		default:
			got[path] = r.Type + " " + strings.Join(xattrs, " ")
		}
	}
	for path, want := range tr.want {
		if got[path] != want {
			tr.t.Errorf("%q: %.200q, want %.200q", path, got[path], want)
		}
		delete(got, path)
	}
	for path, what := range got {
		tr.t.Errorf("%q should not be there: %.200s", path, what)
	}
}
