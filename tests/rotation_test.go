package tests

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// writers keep a mounted directory busy: each makes files, appends to them,
// renames and deletes some, and remembers what must be there.
type writers struct {
	stop func()
	wg   sync.WaitGroup
	mu   sync.Mutex // guards all below
	want tree
	errs []error
}

func (h *house) startWriters(n int) *writers {
	ctx, stop := context.WithCancel(context.Background())
	w := &writers{stop: stop, want: tree{}}
	for i := range n {
		w.wg.Go(func() {
			if err := w.run(ctx, h.path("m"), fmt.Sprintf("busy%d", i)); err != nil {
				w.mu.Lock()
				w.errs = append(w.errs, err)
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *writers) run(ctx context.Context, m, dir string) error {
	if err := os.MkdirAll(filepath.Join(m, dir), 0o755); err != nil {
		return err
	}
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("%s/f%d", dir, i)
		path := filepath.Join(m, name)
		content := pattern(name, 50+i%9000)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("appended")
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		content = append(content, "appended"...)
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, content) {
			return fmt.Errorf("%s reads back otherwise than written", name)
		}
		switch i % 4 {
		case 1:
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		case 2:
			to := name + ".renamed"
			if err := os.Rename(path, filepath.Join(m, to)); err != nil {
				return err
			}
			name = to
		}
		w.mu.Lock()
		w.want[name] = content
		w.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	return nil
}

// end stops the writers and gives what they wrote.
func (w *writers) end(t testing.TB) tree {
	t.Helper()
	w.stop()
	w.wg.Wait()
	for _, err := range w.errs {
		t.Errorf("writer: %v", err)
	}
	return w.want
}

// TestRotation is the whole of a rotation on a mounted directory that is being
// written: new material, then another key, then the old key goes.
func TestRotation(t *testing.T) {
	h := newHouse(t)
	key1, key2 := h.createKey(), h.createKey()
	h.kmsfs("init", "--key", key1, "c")
	h.mount("--files-per-data-key", "10")
	still := h.grow(60) // not written any more
	bodies := h.bodies()

	busy := h.startWriters(3)
	h.kmsfs("kms", "rotate-key-on-demand", "--key-id", key1)
	before := h.headers()
	h.kmsfs("rewrap", "c")
	all := busy.end(t)
	h.sameBodies(bodies)
	after := h.headers()
	for p := range bodies {
		if before[p] == after[p] {
			t.Errorf("the header of %s is the old one", p)
		}
	}
	h.kmsfs("rewrap", "c") // what was created under the old material meanwhile
	for _, k := range h.status().Keys {
		if !k.Current || k.KeyID != key1 {
			t.Errorf("after the rotation %d files are under %s %s", k.Files, k.KeyID, k.Material)
		}
	}
	h.check(still)
	h.check(all)

	// status before the move: every file with a header needs key 1.
	s := h.status()
	if n := s.files(key1); n != s.FilesScanned-s.FilesEmpty || n < len(still) {
		t.Errorf("status: %d of %d files need key 1", n, s.FilesScanned)
	}
	busy = h.startWriters(3)
	h.kmsfs("rewrap", "--to", key2, "c")
	for name, b := range busy.end(t) {
		all[name] = b
	}
	h.kmsfs("rewrap", "--to", key2, "c")
	h.sameBodies(bodies)
	s = h.status()
	if n := s.files(key1); n != 0 || s.KeyID != key2 {
		t.Errorf("status: %d files need key 1 after the rewrap to key 2, key in use %s", n, s.KeyID)
	}

	// A further run does nothing, at no call per file.
	var again struct {
		FilesRewrapped int            `json:"files_rewrapped"`
		KMSCalls       map[string]int `json:"kms_calls"`
	}
	h.json(&again, "rewrap", "--json", "c")
	if again.FilesRewrapped != 0 || again.KMSCalls["ReEncrypt"] != 0 || again.KMSCalls["Decrypt"] > 1 {
		t.Errorf("a run with nothing to do: %+v", again)
	}

	// Key 1 can go: the live mount and the next one open everything.
	h.kmsfs("kms", "schedule-key-deletion", "--key-id", key1, "--pending-window-in-days", "7")
	h.kmsfs("lock", "m")
	h.write("last", []byte("written after key 1 was gone"))
	h.check(still)
	h.check(all)
	h.umount()
	h.kmsfs("fsck", "c")
	h.mount()
	h.check(still)
	h.check(all)
	h.check(tree{"last": []byte("written after key 1 was gone")})
	h.umount()
}

var rotationSeed = flag.Uint64("rotation-seed", 0, "seed of TestKilledWalker; 0 = by the clock")

// TestKilledWalker kills the walker at random moments. After every kill every
// file reads, and the next run finishes.
func TestKilledWalker(t *testing.T) {
	seed := *rotationSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./tests -run TestKilledWalker -rotation-seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	h := newHouse(t)
	keys := []string{h.createKey(), h.createKey()}
	h.kmsfs("init", "--key", keys[0], "c")
	h.mount("--files-per-data-key", "3")
	all := h.grow(300)
	bodies := h.bodies()

	start := time.Now()
	h.kmsfs("rewrap", "--to", keys[1], "c")
	whole := time.Since(start)
	killed := 0
	for i := range 10 {
		to := keys[i%2]
		cmd := h.command("rewrap", "--to", to, "c")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(whole))))
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		h.kmsfs("lock", "m") // so that headers are read, and keys unwrapped, again
		h.check(all)
		if i%3 == 2 { // else the next one goes the other way, over what is left
			h.kmsfs("rewrap", "--to", to, "c")
			s := h.status()
			if s.files(to) != len(all) || len(s.Keys) != 1 || s.JournalPending != 0 {
				t.Fatalf("after the run that finishes: %+v", s)
			}
		}
	}
	t.Logf("killed %d of 10 runs of about %v", killed, whole)
	h.kmsfs("rewrap", "--to", keys[1], "c")
	h.sameBodies(bodies)
	h.kmsfs("kms", "disable-key", "--key-id", keys[0])
	h.umount()
	h.mount()
	h.check(all)
	h.umount()
	h.kmsfs("fsck", "c")
}
