package tests

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// TestMain fails a run that leaves a mount below the directory of its tests.
func TestMain(m *testing.M) {
	code := m.Run()
	if builtDir != "" {
		os.RemoveAll(builtDir)
	}
	points.Range(func(point, _ any) bool {
		for _, m := range mountsBelow(point.(string)) {
			fmt.Fprintln(os.Stderr, "mount left behind:", m)
			unix.Unmount(m, unix.MNT_DETACH)
			code = max(code, 1)
		}
		return true
	})
	os.Exit(code)
}

// points are the mountpoints this process made.
var points sync.Map

// mountsBelow lists the kmsfs mounts whose mountpoint starts with prefix.
func mountsBelow(prefix string) (list []string) {
	mounts, _ := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return m.FSType != "fuse.kmsfs" || !strings.HasPrefix(m.Mountpoint, prefix), false
	})
	for _, m := range mounts {
		list = append(list, m.Mountpoint)
	}
	return list
}

var (
	builtDir string
	// binary builds kmsfs, once.
	binary = sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "kmsfs-bin-")
		if err != nil {
			return "", err
		}
		builtDir = dir
		bin := filepath.Join(dir, "kmsfs")
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./cmd/kmsfs")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build kmsfs: %w\n%s", err, out)
		}
		return bin, nil
	})
)

// house is a cipher directory c, a mountpoint m and a key store of their own, for
// one test.
type house struct {
	*testing.T
	dir, bin string
	env      []string
}

// newHouse makes the directories; nothing is initialised yet. A missing
// /dev/fuse fails the test.
func newHouse(t *testing.T) *house {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Fatalf("end to end tests need FUSE: %v", err)
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, dir: dir, bin: bin, env: []string{
		"HOME=" + dir, "XDG_DATA_HOME=" + dir + "/data", "XDG_CONFIG_HOME=" + dir + "/settings",
		"PATH=" + filepath.Dir(bin) + ":" + os.Getenv("PATH"), "LC_ALL=C", "TMPDIR=" + os.TempDir(),
	}}
	if err := os.Mkdir(h.path("m"), 0o777); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) path(elem ...string) string {
	return filepath.Join(append([]string{h.dir}, elem...)...)
}

func (h *house) kmsDir() string { return h.path("data", "kmsfs", "kms") }

// command is kmsfs with the environment of the house, in its directory.
func (h *house) command(args ...string) *exec.Cmd {
	cmd := exec.Command(h.bin, args...)
	cmd.Dir, cmd.Env = h.dir, h.env
	return cmd
}

// try runs kmsfs and gives its exit code.
func (h *house) try(args ...string) (stdout, stderr string, code int) {
	h.Helper()
	cmd := h.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			h.Fatalf("kmsfs %v: %v", args, err)
		}
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

// kmsfs runs kmsfs, which must succeed, and gives its stdout.
func (h *house) kmsfs(args ...string) string {
	h.Helper()
	out, errs, code := h.try(args...)
	if code != 0 {
		h.Fatalf("kmsfs %s: exit code %d\n%s", strings.Join(args, " "), code, errs)
	}
	return out
}

// json runs kmsfs and decodes what it prints.
func (h *house) json(v any, args ...string) {
	h.Helper()
	out := h.kmsfs(args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		h.Fatalf("kmsfs %s: %v in %s", strings.Join(args, " "), err, out)
	}
}

// createKey makes a CMK and gives its ARN.
func (h *house) createKey() string {
	h.Helper()
	var out struct{ KeyMetadata struct{ Arn string } }
	h.json(&out, "kms", "create-key")
	return out.KeyMetadata.Arn
}

// mount mounts c at m until the end of the test.
func (h *house) mount(flags ...string) {
	h.Helper()
	h.kmsfs(append(append([]string{"mount"}, flags...), "c", "m")...)
	m := h.path("m")
	if _, known := points.LoadOrStore(m, true); known {
		return
	}
	h.Cleanup(func() {
		if len(mountsBelow(m)) == 0 {
			return
		}
		if _, errs, code := h.try("umount", "m"); code != 0 {
			h.Errorf("the mount does not end: %s", errs)
			unix.Unmount(m, unix.MNT_DETACH)
		}
	})
}

func (h *house) umount() { h.Helper(); h.kmsfs("umount", "m") }

// keyStatus is the part of `kmsfs status --json` that tests look at.
type keyStatus struct {
	KeyID string `json:"key_id"`
	Keys  []struct {
		KeyID    string `json:"key_id"`
		Material string
		Files    int
		NamesKey bool `json:"names_key"`
		Current  bool
	}
	FilesScanned   int `json:"files_scanned"`
	FilesEmpty     int `json:"files_empty"`
	JournalPending int `json:"journal_pending"`
	Errors         []struct{ Path, Error string }
	Mount          *struct {
		PID           int
		KMSCallsTotal int `json:"kms_calls_total"`
	}
}

func (h *house) status() (s keyStatus) {
	h.Helper()
	h.json(&s, "status", "--json", "c")
	return s
}

// files is how many files are under a key, whatever its material.
func (s keyStatus) files(key string) (n int) {
	for _, k := range s.Keys {
		if k.KeyID == key {
			n += k.Files
		}
	}
	return n
}

// headerSize is H of the cipher directories that these tests make.
const headerSize = 512

// bodies gives the hash of all bytes from H on of every ciphertext file, by path.
func (h *house) bodies() map[string][32]byte {
	h.Helper()
	m := map[string][32]byte{}
	h.eachCipherFile(func(path string, b []byte) {
		m[path] = sha256.Sum256(b[min(headerSize, len(b)):])
	})
	return m
}

// headers gives bytes [0,H) of every ciphertext file, by path.
func (h *house) headers() map[string]string {
	h.Helper()
	m := map[string]string{}
	h.eachCipherFile(func(path string, b []byte) { m[path] = string(b[:min(headerSize, len(b))]) })
	return m
}

func (h *house) eachCipherFile(f func(path string, b []byte)) {
	h.Helper()
	err := filepath.WalkDir(h.path("c"), func(p string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed meanwhile
		case err != nil:
			return err
		case d.Name() == "+kmsfs":
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			f(p, b)
		}
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

// sameBodies compares what was with what is, for the paths in was.
func (h *house) sameBodies(was map[string][32]byte) {
	h.Helper()
	is := h.bodies()
	for p, sum := range was {
		if is[p] != sum {
			h.Errorf("the body of %s changed", p)
		}
	}
}

// write and read are os.WriteFile and os.ReadFile below the mountpoint.
func (h *house) write(name string, b []byte) {
	h.Helper()
	p := h.path("m", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, b, 0o644)); err != nil {
		h.Fatal(err)
	}
}

func (h *house) read(name string) []byte {
	h.Helper()
	b, err := os.ReadFile(h.path("m", name))
	if err != nil {
		h.Error(err)
	}
	return b
}

// pattern gives n bytes that tell name and offset apart.
func pattern(name string, n int) []byte {
	sum := sha256.Sum256([]byte(name))
	b := bytes.Repeat(sum[:], n/len(sum)+1)[:n]
	for i := 0; i+8 < n; i += 64 {
		copy(b[i:], fmt.Sprintf("%08x", i))
	}
	return b
}

// tree is what a test wrote: contents by name.
type tree map[string][]byte

// grow writes n files of sizes around the page edges.
func (h *house) grow(n int) tree {
	h.Helper()
	sizes := []int{1, 100, 3551, 3552, 3553, 4096, 7616, 7617, 20000, 100000}
	t := tree{}
	for i := range n {
		name := fmt.Sprintf("dir%d/file%d", i%7, i)
		t[name] = pattern(name, sizes[i%len(sizes)])
		h.write(name, t[name])
	}
	return t
}

// check reads everything back.
func (h *house) check(t tree) {
	h.Helper()
	bad := 0
	for name, want := range t {
		if got := h.read(name); !bytes.Equal(got, want) {
			if bad++; bad < 5 {
				h.Errorf("%s: %d bytes, want %d, or others", name, len(got), len(want))
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
