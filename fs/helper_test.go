package fs

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kmsfs/envelope"
	"kmsfs/fs/backing"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

// mounted is a cipher directory, its embedded KMS and its mount.
type mounted struct {
	t      testing.TB
	root   string // the mount point
	cipher string // the store
	cd     *cipherdir.FS
	kms    *localkms.Client
	key    string
	server *Server
	log    *lines
}

// setup is what a test may want otherwise.
type setup struct {
	cipher string // directory of the store; "" = a new one
	mount  MountOptions
	view   cipherdir.Options
	fill   func(root string) // run on a first, writable mount
	kms    func(kmsclient.KMS) kmsclient.KMS
}

// mountT mounts a new cipher directory, and unmounts at the end of the test: a
// mount that stays behind fails it. A missing /dev/fuse fails it too.
func mountT(t testing.TB, s setup) *mounted {
	t.Helper()
	m := &mounted{t: t, cipher: s.cipher, root: t.TempDir(), log: &lines{}}
	if m.cipher == "" {
		m.cipher = t.TempDir()
	}
	ks, err := localkms.Open(filepath.Join(t.TempDir(), "kms"), localkms.Options{Create: true})
	ok(t, err)
	t.Cleanup(func() { ks.Close() })
	m.kms = ks.Client()
	key, err := m.kms.CreateKey(t.Context(), localkms.CreateKeyInput{})
	ok(t, err)
	m.key = key.KeyMetadata.KeyID
	store, err := backing.OpenOS(m.cipher, false)
	ok(t, err)
	t.Cleanup(func() { store.Close() })
	_, err = cipherdir.Init(t.Context(), store, m.kms, cipherdir.InitOptions{KMSURI: "local:", KeyID: m.key, Provider: envelope.ProviderLocal})
	ok(t, err)
	if s.fill != nil {
		m.mount(store, setup{})
		s.fill(m.root)
		m.unmount()
	}
	m.mount(store, s)
	t.Cleanup(m.unmount)
	return m
}

func (m *mounted) mount(store backing.Store, s setup) {
	m.t.Helper()
	var err error
	s.view.KMS, s.view.Provider = m.kms, envelope.ProviderLocal
	if s.kms != nil {
		s.view.KMS = s.kms(m.kms)
	}
	m.cd, err = cipherdir.Open(context.Background(), store, s.view)
	ok(m.t, err)
	s.mount.Mountpoint, s.mount.Log = m.root, slog.New(slog.NewTextHandler(m.log, nil))
	if s.mount.Source == "" {
		s.mount.Source = m.cipher
	}
	if m.server, err = Mount(m.cd, s.mount); err != nil {
		m.cd.Close()
		m.t.Fatal(err)
	}
}

func (m *mounted) unmount() {
	m.t.Helper()
	if err := m.server.Unmount(); err != nil {
		m.t.Errorf("leftover mount: %v", err)
		exec.Command("umount", "-l", m.root).Run()
		return
	}
	m.server.Wait()
	if line := mountLine(m.t, m.root); line != "" {
		m.t.Errorf("leftover mount: %s", line)
	}
	if s := m.cd.Stats(); s.OpenFiles != 0 {
		m.t.Errorf("%d files open after unmounting", s.OpenFiles)
	}
	ok(m.t, m.cd.Close())
}

// path names a file of the mount.
func (m *mounted) path(names ...string) string {
	return filepath.Join(append([]string{m.root}, names...)...)
}

// mountLine is the line of /proc/mounts for a mount point.
func mountLine(t testing.TB, point string) string {
	b, err := os.ReadFile("/proc/mounts")
	ok(t, err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == point {
			return line
		}
	}
	return ""
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eq[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for a condition that the kernel or a ticker brings about.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Errorf("never: %s", what)
}

// only drops an answer, and leaves the error.
func only[T any](_ T, err error) error { return err }
