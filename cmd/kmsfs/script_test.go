package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// The scripts call kmsfs: this test binary under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kmsfs": main})
}

// TestScripts runs testdata/script/*.txtar, in the notation of
// https://pkg.go.dev/github.com/rogpeppe/go-internal/testscript, with the
// commands of scriptCommands. A script that leaves a mount behind fails.
func TestScripts(t *testing.T) {
	var mu sync.Mutex // guards left
	var left []string
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, l := range left {
			t.Errorf("a script left a mount: %s", l)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Cmds:                scriptCommands,
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "data"))
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "settings"))
			e.Setenv("KMSDIR", filepath.Join(e.WorkDir, "data", "kmsfs", "kms"))
			e.Setenv("LC_ALL", "C")
			e.Defer(func() {
				points := unmountBelow(e.WorkDir)
				mu.Lock()
				defer mu.Unlock()
				for _, p := range points {
					left = append(left, p.Mountpoint+" ("+p.FSType+")")
				}
			})
			return nil
		},
	})
}

// unmountBelow unmounts all below dir, and tells what that was. A tmpfs of the
// command tmpfs does not count: it is made to be left.
func unmountBelow(dir string) (left []*mountinfo.Info) {
	mounts, _ := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	for _, m := range slices.Backward(mounts) {
		if m.FSType != "tmpfs" {
			left = append(left, m)
		}
		if os.Geteuid() == 0 {
			unix.Unmount(m.Mountpoint, unix.MNT_DETACH)
		} else {
			exec.Command("fusermount3", "-uz", m.Mountpoint).Run()
		}
	}
	return left
}

// scriptCommands are the commands that scripts have besides testscript's.
var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"code":      scriptCode,
	"value":     scriptValue,
	"equal":     scriptEqual,
	"mounted":   scriptMounted,
	"killmount": scriptKillMount,
	"largest":   scriptLargest,
	"flip":      scriptFlip,
	"tmpfs":     scriptTmpfs,
}

func usage(ts *testscript.TestScript, ok bool, text string) {
	if !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// code N PROGRAM [ARG...]: the program ends with exit code N.
func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) >= 2, "code N PROGRAM [ARG...]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// value NAME PATH: put a field of the JSON on stdout into $NAME; PATH has its
// names, or the index in a list, between dots.
func scriptValue(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "value NAME PATH")
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	d.UseNumber()
	var v any
	ts.Check(d.Decode(&v))
	for part := range strings.SplitSeq(args[1], ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i, err := strconv.Atoi(part)
			ts.Check(err)
			if i >= len(x) {
				ts.Fatalf("%s: %d entries", args[1], len(x))
			}
			v = x[i]
		default:
			ts.Fatalf("%s: nothing there", args[1])
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// equal A B: two values are the same. Unlike exec test, it keeps stdout.
func scriptEqual(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, "[!] equal A B")
	if (args[0] == args[1]) == neg {
		ts.Fatalf("%q and %q", args[0], args[1])
	}
}

func kmsfsMountAt(path string) bool {
	m, _ := topMount(path)
	return m != nil && m.FSType == fsType
}

// mounted DIR: a kmsfs is mounted there; with !, none is.
func scriptMounted(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, "[!] mounted DIR")
	if kmsfsMountAt(ts.MkAbs(args[0])) == neg {
		ts.Fatalf("mounted: %v", !neg)
	}
}

// killmount DIR: kill -9 the process of the mount, and wait for its end.
func scriptKillMount(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 1, "killmount DIR")
	m, err := topMount(ts.MkAbs(args[0]))
	ts.Check(err)
	if m == nil {
		ts.Fatalf("nothing is mounted there")
	}
	c, err := dialControl(m.Source)
	ts.Check(err)
	defer c.Close()
	a, err := ask(context.Background(), m.Source, "status")
	ts.Check(err)
	ts.Check(unix.Kill(a.Status.PID, unix.SIGKILL))
	c.SetDeadline(time.Now().Add(30 * time.Second))
	ts.Check(waitGone(context.Background(), c))
}

// largest NAME DIR: put the path of the largest ciphertext file into $NAME.
func scriptLargest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "largest NAME DIR")
	var path string
	most := int64(-1)
	err := filepath.WalkDir(ts.MkAbs(args[1]), func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == "+kmsfs":
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		fi, err := d.Info()
		if err == nil && fi.Size() > most {
			path, most = p, fi.Size()
		}
		return err
	})
	ts.Check(err)
	if path == "" {
		ts.Fatalf("no file")
	}
	ts.Setenv(args[0], path)
}

// flip FILE OFFSET: change one byte of a file.
func scriptFlip(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "flip FILE OFFSET")
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	ts.Check(err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b[:], off)
	ts.Check(err)
}

// tmpfs DIR SIZE: mount a small disk there, until the script ends. Needs root.
func scriptTmpfs(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) == 2, "tmpfs DIR SIZE")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o777))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]))
}
