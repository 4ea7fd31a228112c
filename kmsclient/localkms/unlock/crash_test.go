package unlock

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var errFault = errors.New("fault")

// failAt makes the n-th step fail; with crash, and every step after it, as where
// the process has died.
func failAt(n int, crash bool) (d disk, steps *int) {
	steps = new(int)
	return disk{func(string) error {
		*steps++
		if *steps == n || crash && *steps > n {
			return errFault
		}
		return nil
	}}, steps
}

// After a failure or a crash at any step of a change, the root key is there, the
// next change works, and what was left behind is gone.
func TestChangeFaults(t *testing.T) {
	for _, crash := range []bool{false, true} {
		for n := 1; ; n++ {
			path := file(t, vector(t, "key-file"))
			d, steps := failAt(n, crash)
			err := change(t.Context(), d, path, root(t), new(fakeKMS).method())
			if *steps < n {
				ok(t, err)
				if n < 8 {
					t.Errorf("only %d steps", n-1)
				}
				break
			}
			want(t, fmt.Sprintf("fault %d", n), err, errFault)
			opens(t, path, vectorRoot, secrets())
			if !crash {
				alone(t, path)
			}
			ok(t, Change(t.Context(), path, root(t), KeyFile{}))
			opens(t, path, vectorRoot, Secrets{})
			alone(t, path)
		}
	}
}

// After a failure or a crash at any step of a creation, there is no root key and
// one can be created, or there is a sound one.
func TestCreateFaults(t *testing.T) {
	for _, crash := range []bool{false, true} {
		for n := 1; ; n++ {
			path := filepath.Join(t.TempDir(), "root.key")
			d, steps := failAt(n, crash)
			k, err := create(t.Context(), d, path, KeyFile{})
			if *steps < n {
				ok(t, err)
				k.Wipe()
				break
			}
			want(t, fmt.Sprintf("fault %d", n), err, errFault)
			if k != nil {
				t.Errorf("fault %d: a key beside the error", n)
			}
			if !crash {
				ok(t, Clean(path)) // a failure of the last cleaning leaves it to do
				alone(t, path)
			}
			if _, err := os.Lstat(path); err == nil {
				s, err := Read(path)
				ok(t, err)
				s.Wipe()
				ok(t, Clean(path))
			} else {
				k, err := Create(t.Context(), path, KeyFile{})
				ok(t, err)
				k.Wipe()
			}
			alone(t, path)
		}
	}
}

// What survives a loss of power follows from the order of the steps: the new file
// is on disk before it has its name, and its name before Change returns.
func TestOrder(t *testing.T) {
	record := func(do func(d disk) error) (steps []string) {
		ok(t, do(disk{func(step string) error { steps = append(steps, step); return nil }}))
		return steps
	}
	path := filepath.Join(t.TempDir(), "root.key")
	for _, c := range []struct {
		do   func(disk) error
		want []string
	}{
		{
			func(d disk) error { _, err := create(t.Context(), d, path, KeyFile{}); return err },
			[]string{"clean", "create", "chown", "write", "sync", "close", "link", "clean", "sync directory"},
		},
		{
			func(d disk) error { return change(t.Context(), d, path, root(t), KeyFile{}) },
			[]string{"clean", "create", "chown", "write", "sync", "close", "rename", "sync directory"},
		},
	} {
		if got := record(c.do); !slices.Equal(got, c.want) {
			t.Errorf("steps %q, want %q", got, c.want)
		}
	}
}

// Whatever a loss of power left beside the file, reading does not mind it, and
// Clean and Change remove it.
func TestLeftovers(t *testing.T) {
	whole := vector(t, "passphrase")
	for name, left := range map[string]string{
		"nothing yet": "", "half": whole[:len(whole)/2], "whole": whole, "zeros": string(make([]byte, len(whole))),
	} {
		for how, clean := range map[string]func(path string) error{
			"clean":  Clean,
			"change": func(path string) error { return Change(t.Context(), path, root(t), new(fakeKMS).method()) },
		} {
			path := file(t, vector(t, "key-file"))
			ok(t, os.WriteFile(path+newSuffix, []byte(left), 0o600))
			opens(t, path, vectorRoot, Secrets{})
			if err := clean(path); err != nil {
				t.Errorf("%s, %s: %v", how, name, err)
			}
			opens(t, path, vectorRoot, secrets())
			alone(t, path)
		}
	}
	path := filepath.Join(t.TempDir(), "root.key")
	ok(t, Clean(path)) // nothing to do
	ok(t, os.WriteFile(path+newSuffix, []byte(whole), 0o600))
	k, err := Create(t.Context(), path, KeyFile{})
	ok(t, err)
	opens(t, path, *k.Bytes(), Secrets{})
	k.Wipe()
	alone(t, path)
}
