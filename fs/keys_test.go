package fs

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/kmstest"
	"kmsfs/kmsclient/localkms"
)

func TestDisabledKey(t *testing.T) {
	data := random(100000)
	const ttl = 400 * time.Millisecond
	m := mountT(t, setup{
		mount: MountOptions{SweepEvery: ttl / 4},
		view:  cipherdir.Options{KeyTTL: ttl},
		fill: func(root string) {
			for _, name := range []string{"open", "closed"} {
				ok(t, os.WriteFile(filepath.Join(root, name), data, 0o600))
			}
		},
	})
	f, err := os.OpenFile(m.path("open"), os.O_RDWR, 0)
	ok(t, err)
	defer f.Close()
	read := func() error {
		_, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		return err
	}
	ok(t, read()) // all of it is in the page cache now
	time.Sleep(3 * ttl)
	ok(t, read()) // renewed

	ok(t, only(m.kms.DisableKey(t.Context(), localkms.DisableKeyInput{KeyID: m.key})))
	eventually(t, "an open file is refused", func() bool { return read() != nil })
	wantErr(t, "read", read(), unix.EACCES)
	_, err = f.WriteAt([]byte("x"), 0)
	wantErr(t, "write", err, unix.EACCES)
	_, err = os.Open(m.path("closed"))
	wantErr(t, "open", err, unix.EACCES)
	if err := os.WriteFile(m.path("new"), data, 0o600); err == nil {
		t.Error("a new file under a disabled key")
	}
	if _, err := os.Stat(m.path("closed")); err != nil {
		t.Errorf("stat: %v", err)
	}
	if log := m.log.String(); !strings.Contains(log, "refused") || !strings.Contains(log, m.key) || strings.Contains(log, "closed") {
		t.Errorf("log: %s", log)
	}

	ok(t, only(m.kms.EnableKey(t.Context(), localkms.EnableKeyInput{KeyID: m.key})))
	ok(t, read())
	contents(t, m.path("closed"), data)
	contents(t, m.path("open"), data)
}

func TestDroppedKeys(t *testing.T) {
	m := mountT(t, setup{})
	data := random(50000)
	ok(t, os.WriteFile(m.path("f"), data, 0o600))
	f, err := os.Open(m.path("f"))
	ok(t, err)
	defer f.Close()
	before := m.cd.Stats().KMSCallsTotal
	open := m.cd.OpenInodes()
	m.cd.DropKeys()
	m.server.Invalidate(open)
	got, err := io.ReadAll(f)
	ok(t, err)
	eq(t, "bytes", len(got), len(data))
	eq(t, "KMS calls", m.cd.Stats().KMSCallsTotal, before+1)
}

func TestKMSCallsPerFile(t *testing.T) {
	const n = 10000
	m := mountT(t, setup{})
	before := m.cd.Stats().KMSCallsTotal
	begin := time.Now()
	for i := range n {
		dir := m.path(fmt.Sprint(i % 10))
		if i < 10 {
			ok(t, os.Mkdir(dir, 0o700))
		}
		ok(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("contents"), 0o600))
	}
	s := m.cd.Stats()
	t.Logf("%d files in %v: %v, %d inodes", n, time.Since(begin), s.KMSCalls, s.Inodes)
	eq(t, "files", s.FilesCreated, n)
	if calls := s.KMSCallsTotal - before; calls > 11 {
		t.Errorf("%d KMS calls for %d files", calls, n)
	}
}

func TestUnmount(t *testing.T) {
	m := mountT(t, setup{})
	f, err := os.Create(m.path("f"))
	ok(t, err)
	wantErr(t, "unmount in use", m.server.Unmount(), unix.EBUSY)
	_, err = f.WriteString("still there")
	ok(t, err)
	ok(t, f.Close())
	ok(t, unix.Unmount(m.root, 0)) // somebody else does
	m.server.Wait()
	ok(t, m.server.Unmount())
	_, err = os.Stat(m.path("f"))
	wantErr(t, "stat", err, unix.ENOENT)
}

// TestInterrupted kills a program that waits for a KMS without an answer.
func TestInterrupted(t *testing.T) {
	var hang atomic.Bool
	reached := make(chan struct{}, 16)
	m := mountT(t, setup{
		fill: func(root string) { ok(t, os.WriteFile(filepath.Join(root, "f"), []byte("x"), 0o600)) },
		kms: func(kms kmsclient.KMS) kmsclient.KMS {
			return kmstest.NewFaulty(kms, func(ctx context.Context, c kmstest.Call) error {
				if c.After || !hang.Load() {
					return nil
				}
				reached <- struct{}{}
				<-ctx.Done()
				return kmsclient.Interrupted(ctx.Err())
			})
		},
	})
	hang.Store(true)
	for _, sig := range []os.Signal{unix.SIGTERM, unix.SIGKILL} {
		cat := exec.Command("cat", m.path("f"))
		ok(t, cat.Start())
		<-reached
		ok(t, cat.Process.Signal(sig))
		done := make(chan error, 1)
		go func() { done <- cat.Wait() }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%v does not end a program that waits for the KMS", sig)
		}
	}
	hang.Store(false)
	contents(t, m.path("f"), []byte("x"))
}

func TestPanicInRequest(t *testing.T) {
	var panics atomic.Bool
	m := mountT(t, setup{
		fill: func(root string) { ok(t, os.WriteFile(filepath.Join(root, "f"), []byte("x"), 0o600)) },
		kms:  func(kms kmsclient.KMS) kmsclient.KMS { return &panicky{kms, &panics} },
	})
	panics.Store(true)
	err := os.WriteFile(m.path("g"), []byte("secret"), 0o600)
	wantErr(t, "write", err, unix.EIO)
	panics.Store(false)
	ok(t, os.WriteFile(m.path("h"), []byte("alive"), 0o600))
	if log := m.log.String(); !strings.Contains(log, "panic") || strings.Contains(log, "secret") {
		t.Errorf("log: %s", log)
	}
}

type panicky struct {
	kmsclient.KMS
	on *atomic.Bool
}

func (p *panicky) GenerateDataKey(ctx context.Context, key string, ec kmsclient.EncryptionContext) ([]byte, kmsclient.Wrapped, error) {
	if p.on.Load() {
		panic("secret")
	}
	return p.KMS.GenerateDataKey(ctx, key, ec)
}
