package scan_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
	"kmsfs/fs/backing/backingtest"
	"kmsfs/fs/rewrap/scan"
)

// tree makes 400 files in one directory, 300 directories below each other, and a
// symlink to the root; it returns all paths.
func tree(t *testing.T) (dir string, want map[string]bool) {
	dir, want = t.TempDir(), map[string]bool{}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "wide"), 0o755))
	want["wide/"] = true
	for i := range 400 {
		p := fmt.Sprintf("wide/%d", i)
		must(os.WriteFile(filepath.Join(dir, p), nil, 0o644))
		want[p] = true
	}
	for i := 1; i <= 300; i++ {
		p := strings.Repeat("d/", i)
		must(os.Mkdir(filepath.Join(dir, p), 0o755))
		want[p] = true
	}
	must(os.Symlink(dir, filepath.Join(dir, "loop")))
	want["loop"] = true
	want["/"] = true
	return dir, want
}

type visits struct {
	sync.Mutex
	seen   map[string]int
	failed map[string]error
}

// walk visits everything; the value of a directory is its depth.
func walk(ctx context.Context, s backing.Store, jobs int) (*visits, error) {
	v := &visits{seen: map[string]int{}, failed: map[string]error{}}
	note := func(p string) {
		v.Lock()
		defer v.Unlock()
		v.seen[p]++
	}
	err := (&scan.Tree[int]{
		Jobs: jobs,
		Enter: func(parent, d *scan.Dir[int]) bool {
			if parent != nil {
				d.Value = parent.Value + 1
			}
			if n := strings.Count(d.Path, "/"); d.Path != "" && d.Value != n+1 {
				note("wrong depth of " + d.Path)
			}
			note(d.Path + "/")
			return true
		},
		Visit: func(d *scan.Dir[int], e backing.Entry) {
			if _, err := d.Node.StatAt(e.Name); err != nil {
				note("closed: " + err.Error())
			}
			note(d.Join(e.Name))
		},
		Fail: func(path string, err error) {
			v.Lock()
			defer v.Unlock()
			v.failed[path] = err
		},
	}).Walk(ctx, s.Root(), "")
	return v, err
}

func open(t *testing.T, dir string) backing.Store {
	s, err := backing.OpenOS(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestEverythingOnce(t *testing.T) {
	dir, want := tree(t)
	for _, jobs := range []int{0, 1, 4, 100} {
		v, err := walk(t.Context(), open(t, dir), jobs)
		if err != nil || len(v.failed) != 0 {
			t.Fatal(err, v.failed)
		}
		for p, n := range v.seen {
			if n != 1 || !want[p] {
				t.Errorf("jobs %d: %s visited %d times", jobs, p, n)
			}
		}
		if len(v.seen) != len(want) {
			t.Errorf("jobs %d: %d visited, want %d", jobs, len(v.seen), len(want))
		}
	}
}

// What cannot be read is told, the rest is visited.
func TestErrors(t *testing.T) {
	dir, want := tree(t)
	s := backingtest.NewFault(open(t, dir), func(op backingtest.Op) *backingtest.Action {
		if op.Name == "ReadDir" && op.Path == "/wide" || op.Name == "Lookup" && op.Path == "/d/d/d" {
			return &backingtest.Action{Err: unix.EACCES}
		}
		return nil
	})
	v, err := walk(t.Context(), s, 3)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]error{"wide": unix.EACCES, "d/d/d": unix.EACCES}
	if !maps.EqualFunc(v.failed, failed, errors.Is) {
		t.Errorf("failed: %v", v.failed)
	}
	if n := len(v.seen); n != len(want)-401-298 {
		t.Errorf("%d visited", n)
	}
}

func TestCancel(t *testing.T) {
	dir, _ := tree(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if v, err := walk(ctx, open(t, dir), 4); !errors.Is(err, cause) || len(v.seen) != 0 {
		t.Errorf("%v, %d visited", err, len(v.seen))
	}
}
