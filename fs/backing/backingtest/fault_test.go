package backingtest_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
	"kmsfs/fs/backing/backingtest"
)

func newFault(t *testing.T) *backingtest.Fault {
	t.Helper()
	inner, err := backing.OpenOS(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	s := backingtest.NewFault(inner, nil)
	t.Cleanup(func() { s.Close() })
	return s
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func create(t *testing.T, s backing.Store, name, data string) (backing.Node, backing.File) {
	t.Helper()
	n, f, err := s.Root().Create(name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(); f.Close() })
	if _, err := f.WriteAt([]byte(data), 0); err != nil {
		t.Fatal(err)
	}
	return n, f
}

func read(t *testing.T, f backing.File) string {
	t.Helper()
	buf := make([]byte, 100)
	n, err := f.ReadAt(buf, 0)
	if err != io.EOF {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func is(t *testing.T, what string, err error, errno unix.Errno) {
	t.Helper()
	if !errors.Is(err, errno) {
		t.Errorf("%s: got error %v, want %v", what, err, errno)
	}
}

func named(names ...string) func(backingtest.Op) bool {
	return func(op backingtest.Op) bool { return slices.Contains(names, op.Name) }
}

// everything calls each method once and gives the first error. It goes on nowhere
// after an error, and closes what it opened.
func everything(s backing.Store) (err error) {
	root := s.Root()
	var steps []error
	step := func(err error) bool { steps = append(steps, err); return err == nil }
	closeLater := []io.Closer{}
	defer func() {
		for _, c := range closeLater {
			steps = append(steps, c.Close())
		}
		err = errors.Join(steps...)
	}()
	n, f, err := root.Create("f", 0o600)
	if !step(err) {
		return
	}
	closeLater = append(closeLater, n, f)
	m, _, err := root.Lookup("f")
	if !step(err) {
		return
	}
	closeLater = append(closeLater, m)
	c, err := n.Clone()
	if !step(err) {
		return
	}
	closeLater = append(closeLater, c)
	g, err := n.Open(unix.O_RDWR)
	if !step(err) {
		return
	}
	closeLater = append(closeLater, g)
	temp, err := root.CreateTemp(0o600)
	if !step(err) {
		return
	}
	closeLater = append(closeLater, temp)
	omit := unix.Timespec{Nsec: unix.UTIME_OMIT}
	for _, call := range []func() error{
		func() error { _, err := f.WriteAt([]byte("data"), 0); return err },
		func() error { _, err := g.ReadAt(make([]byte, 4), 0); return err },
		func() error { return f.Truncate(5) },
		func() error { return f.Fallocate(0, 0, 10) },
		func() error { _, err := f.Stat(); return err },
		f.Sync,
		f.Datasync,
		func() error { return f.WaitWriteback(0, 1) },
		func() error { _, err := f.SeekData(0); return err },
		func() error { _, err := f.SeekHole(0); return err },
		func() error { return f.Lock(0, true) },
		func() error { return f.Unlock(0) },
		func() error { _, err := n.Stat(); return err },
		func() error { return n.Chmod(0o640) },
		func() error { return n.Chown(-1, -1) },
		func() error { return n.Utimens(omit, omit) },
		func() error { return n.Setxattr("user.a", []byte("v"), 0) },
		func() error { _, err := n.Getxattr("user.a"); return err },
		func() error { _, err := n.Listxattr(); return err },
		func() error { return n.Removexattr("user.a") },
		func() error { _, err := root.StatAt("f"); return err },
		func() error { return root.Mkdir("d", 0o700) },
		func() error { return root.Mknod("p", unix.S_IFIFO|0o600, 0) },
		func() error { return root.Symlink("t", "l") },
		func() error { _, err := root.ReadlinkAt("l"); return err },
		func() error {
			l, _, err := root.Lookup("l")
			if err != nil {
				return err
			}
			_, err = l.Readlink()
			return errors.Join(err, l.Close())
		},
		func() error { return root.Link(n, "f2") },
		func() error { return root.Rename("f2", root, "f3", unix.RENAME_NOREPLACE) },
		func() error { return root.Unlink("f3") },
		func() error { return root.Rmdir("d") },
		func() error { _, err := root.ReadDir(); return err },
		root.SyncDir,
		func() error { return root.Flock(unix.LOCK_EX | unix.LOCK_NB) },
		func() error { return root.Flock(unix.LOCK_UN) },
		s.Sync,
		func() error { _, err := s.Statfs(); return err },
	} {
		if !step(call()) {
			return
		}
	}
	return
}

// TestEveryOperationFails fails operation 1, 2, 3 and so on until a run is clean:
// each method gives the error that was injected.
func TestEveryOperationFails(t *testing.T) {
	seen := map[string]bool{}
	for _, after := range []bool{false, true} {
		clean := false
		for n := int64(1); !clean; n++ {
			before := descriptors(t)
			s := newFault(t)
			nth := backingtest.FailNth(n, unix.EIO)
			s.Inject(func(op backingtest.Op) *backingtest.Action {
				seen[fmt.Sprintf("%s %v", op.Name, op.File)] = true
				if op.N > 1000 {
					t.Fatal("no end")
				}
				a := nth(op)
				if a != nil {
					a.After = after
				}
				return a
			})
			err := everything(s)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if left := descriptors(t) - before; left != 0 {
				t.Errorf("operation %d (after: %v) left %d descriptors open", n, after, left)
			}
			if clean = s.Injected() == 0; clean {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			is(t, fmt.Sprintf("operation %d of %d", n, s.Ops()), err, unix.EIO)
		}
	}
	if len(seen) < 24+12+2 {
		t.Errorf("%d methods called: %v", len(seen), seen)
	}
}

func TestFailAfter(t *testing.T) {
	s := newFault(t)
	s.Inject(backingtest.Only(named("StatAt"), backingtest.FailAfter(2, unix.EIO)))
	create(t, s, "f", "")
	for i := range 5 {
		_, err := s.Root().StatAt("f")
		if (err != nil) != (i >= 2) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestShort(t *testing.T) {
	s := newFault(t)
	_, f := create(t, s, "f", "old data")
	s.Inject(func(op backingtest.Op) *backingtest.Action {
		return &backingtest.Action{Err: unix.EIO, Short: 3}
	})
	n, err := f.WriteAt([]byte("NEW DATA"), 0)
	is(t, "WriteAt", err, unix.EIO)
	if n != 3 {
		t.Errorf("wrote %d", n)
	}
	buf := make([]byte, 8)
	n, err = f.ReadAt(buf, 0)
	is(t, "ReadAt", err, unix.EIO)
	if string(buf[:n]) != "NEW" || buf[3] != 0 {
		t.Errorf("read %q, %d", buf, n)
	}
	s.Inject(nil)
	if got := read(t, f); got != "NEW data" {
		t.Errorf("content %q", got)
	}
}

func TestFlipAndDrop(t *testing.T) {
	s := newFault(t)
	n, f := create(t, s, "f", "old data")
	s.Inject(func(op backingtest.Op) *backingtest.Action {
		switch op.Name {
		case "ReadAt":
			return &backingtest.Action{Flip: []int{5, 7*8 + 5, 8 * 8}} // the last is past the data
		case "WriteAt", "Sync", "Chmod":
			return &backingtest.Action{Drop: true}
		}
		return nil
	})
	if got := read(t, f); got != "Old datA" {
		t.Errorf("content %q", got)
	}
	if n, err := f.WriteAt([]byte("lost"), 0); n != 4 || err != nil {
		t.Errorf("a lost write: %d, %v", n, err)
	}
	if err := errors.Join(f.Sync(), n.Chmod(0o777)); err != nil {
		t.Error(err)
	}
	s.Inject(nil)
	if got := read(t, f); got != "old data" {
		t.Errorf("content %q", got)
	}
	if st, err := n.Stat(); err != nil || st.Mode&0o777 != 0o600 {
		t.Errorf("mode %o, %v", st.Mode, err)
	}
}

func TestAfter(t *testing.T) {
	s := newFault(t)
	create(t, s, "f", "")
	s.Inject(func(op backingtest.Op) *backingtest.Action {
		if op.Name == "Rename" || op.Name == "Create" {
			return &backingtest.Action{Err: unix.EIO, After: true}
		}
		return nil
	})
	is(t, "Rename", s.Root().Rename("f", s.Root(), "g", 0), unix.EIO)
	is(t, "Rename again", s.Root().Rename("f", s.Root(), "g", 0), unix.ENOENT)
	_, _, err := s.Root().Create("h", 0o600)
	is(t, "Create", err, unix.EIO)
	for _, name := range []string{"g", "h"} {
		if _, err := s.Root().StatAt(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoSpaceAfter(t *testing.T) {
	s := newFault(t)
	n, f := create(t, s, "f", "")
	s.Inject(backingtest.NoSpaceAfter(10))
	if _, err := f.WriteAt([]byte("123456"), 0); err != nil {
		t.Fatal(err)
	}
	is(t, "Fallocate", f.Fallocate(0, 0, 5), unix.ENOSPC)
	if err := f.Fallocate(unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 100, 50); err != nil {
		t.Error(err)
	}
	if err := s.Root().Mkdir("d", 0o700); err != nil {
		t.Error(err)
	}
	k, err := f.WriteAt([]byte("789abc"), 6)
	is(t, "WriteAt", err, unix.ENOSPC)
	if k != 4 {
		t.Errorf("wrote %d", k)
	}
	k, err = f.WriteAt([]byte("x"), 0)
	is(t, "WriteAt when full", err, unix.ENOSPC)
	if k != 0 {
		t.Errorf("wrote %d", k)
	}
	is(t, "Mkdir", s.Root().Mkdir("e", 0o700), unix.ENOSPC)
	is(t, "Setxattr", n.Setxattr("user.a", nil, 0), unix.ENOSPC)
	if got := read(t, f); got != "123456789a" {
		t.Errorf("content %q", got)
	}
	if err := errors.Join(f.Truncate(1), s.Root().Unlink("f")); err != nil {
		t.Error(err)
	}
}

func TestOp(t *testing.T) {
	s := newFault(t)
	var ops []string
	last := int64(0)
	s.Inject(func(op backingtest.Op) *backingtest.Action {
		if op.N != last+1 {
			t.Errorf("operation %d after %d", op.N, last)
		}
		last = op.N
		ops = append(ops, fmt.Sprintf("%s %v %s %d %d %#x", op.Name, op.File, op.Path, op.Off, op.Len, op.Flags))
		return nil
	})
	root := s.Root()
	if err := root.Mkdir("d", 0o700); err != nil {
		t.Fatal(err)
	}
	d, _, err := root.Lookup("d")
	if err != nil {
		t.Fatal(err)
	}
	n, f, err := d.Create("f", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	g, err := n.Open(unix.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	g.WriteAt([]byte("data"), 7)
	f.Truncate(9)
	f.Fallocate(unix.FALLOC_FL_KEEP_SIZE, 1, 2)
	d.Rename("f", root, "g", unix.RENAME_NOREPLACE)
	f.Close()
	g.Close()
	n.Close()
	d.Close()
	s.Sync()
	want := `Mkdir false /d 0 0 0x0
Lookup false /d 0 0 0x0
Create false /d/f 0 0 0x0
Open false /d/f 0 0 0x2
WriteAt true /d/f 7 4 0x0
Truncate true /d/f 9 0 0x0
Fallocate true /d/f 1 2 0x1
Rename false /d/f 0 0 0x1
Close true /d/f 0 0 0x0
Close true /d/f 0 0 0x0
Close false /d/f 0 0 0x0
Close false /d 0 0 0x0
Sync false / 0 0 0x0`
	if got := strings.Join(ops, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestTwoFaults: a node of one fault store is foreign to another.
func TestTwoFaults(t *testing.T) {
	s, other := newFault(t), newFault(t)
	n, _ := create(t, s, "f", "")
	is(t, "Link", other.Root().Link(n, "f"), unix.EXDEV)
	is(t, "Rename", s.Root().Rename("f", other.Root(), "f", 0), unix.EXDEV)
}
