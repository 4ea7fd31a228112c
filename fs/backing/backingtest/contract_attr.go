package backingtest

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// each runs test on a file, a directory, a symlink and an unlinked file.
func each(x *contract, test func(kind string, n backing.Node)) {
	file, _ := x.create(x.root, "file", "data")
	test("file", file)
	test("directory", x.mkdir(x.root, "dir"))
	test("symlink", x.symlink(x.root, "nowhere", "link"))
	unlinked, _ := x.create(x.root, "unlinked", "data")
	x.ok(x.root.Unlink("unlinked"))
	test("unlinked file", unlinked)
}

func at(ts unix.Timespec) time.Time { return time.Unix(ts.Unix()) }

var attrCases = []contractCase{
	{"Stat", func(x *contract) {
		root := x.stat(x.root)
		seen := map[uint64]string{root.Ino: "root"}
		each(x, func(kind string, n backing.Node) {
			st := x.stat(n)
			equal(x, "device of "+kind, st.Dev, root.Dev)
			equal(x, "owner of "+kind, st.Uid, root.Uid)
			if other, twice := seen[st.Ino]; twice {
				x.Errorf("%s and %s have one inode number", kind, other)
			}
			seen[st.Ino] = kind
			if st.Blksize <= 0 {
				x.Errorf("block size of %s: %d", kind, st.Blksize)
			}
			for _, ts := range []unix.Timespec{st.Atim, st.Mtim, st.Ctim} {
				if d := time.Since(at(ts)); d > time.Hour || d < -time.Hour {
					x.Errorf("a time of a new %s: %v", kind, at(ts))
				}
			}
			if st.Btim != (unix.Timespec{}) && at(st.Btim).After(at(st.Ctim)) {
				x.Errorf("%s born at %v, after %v", kind, at(st.Btim), at(st.Ctim))
			}
		})
	}},
	{"Chmod", func(x *contract) {
		each(x, func(kind string, n backing.Node) {
			if kind == "symlink" {
				x.want("chmod", n.Chmod(0o600), unix.EOPNOTSUPP)
				return
			}
			before := x.stat(n)
			for _, mode := range []uint32{0, 0o777, 0o4711, 0o1755, 0o700} {
				x.ok(n.Chmod(mode))
				equal(x, "mode of "+kind, x.stat(n).Mode, before.Mode&unix.S_IFMT|mode)
			}
			after := x.stat(n)
			equal(x, "mtime", after.Mtim, before.Mtim)
			if at(after.Ctim).Before(at(before.Ctim)) {
				x.Error("ctime went back")
			}
		})
	}},
	{"Chown", func(x *contract) {
		each(x, func(kind string, n backing.Node) {
			before := x.stat(n)
			x.ok(n.Chown(-1, -1))
			x.ok(n.Chown(int(before.Uid), int(before.Gid)))
			if os.Geteuid() != 0 {
				return
			}
			x.ok(n.Chown(12345, -1))
			x.ok(n.Chown(-1, 54321))
			st := x.stat(n)
			equal(x, "owner of "+kind, st.Uid, 12345)
			equal(x, "group of "+kind, st.Gid, 54321)
		})
	}},
	{"Utimens", func(x *contract) {
		a, m := unix.Timespec{Sec: 1_000_000_000, Nsec: 123_456_789}, unix.Timespec{Sec: -86400, Nsec: 987_654_321}
		omit, now := unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_NOW}
		each(x, func(kind string, n backing.Node) {
			x.ok(n.Utimens(a, m))
			st := x.stat(n)
			equal(x, "atime of "+kind, st.Atim, a)
			equal(x, "mtime of "+kind, st.Mtim, m)

			x.ok(n.Utimens(omit, a))
			st = x.stat(n)
			equal(x, "atime left alone of "+kind, st.Atim, a)
			equal(x, "mtime of "+kind, st.Mtim, a)
			x.ok(n.Utimens(m, omit))
			x.ok(n.Utimens(omit, omit))
			st = x.stat(n)
			equal(x, "atime of "+kind, st.Atim, m)
			equal(x, "mtime left alone of "+kind, st.Mtim, a)

			x.ok(n.Utimens(omit, now))
			st = x.stat(n)
			equal(x, "atime left alone of "+kind, st.Atim, m)
			if d := time.Since(at(st.Mtim)); d > time.Hour || d < -time.Hour {
				x.Errorf("mtime of %s set to now: %v", kind, at(st.Mtim))
			}
			x.want("a second of 1e9 ns", n.Utimens(unix.Timespec{Nsec: 1e9}, omit), unix.EINVAL)
		})
	}},
	{"Times", func(x *contract) {
		past := unix.Timespec{Sec: 1}
		reset := func(n backing.Node) { x.ok(n.Utimens(past, past)) }
		moved := func(what string, n backing.Node) {
			if x.stat(n).Mtim == past {
				x.Errorf("%s left mtime alone", what)
			}
			reset(n)
		}
		n, f := x.create(x.root, "f", "data")
		reset(n)
		x.write(f, "x", 0)
		moved("WriteAt", n)
		x.ok(f.Truncate(1))
		moved("Truncate", n)
		equal(x, "mtime by the file", x.stat(f).Mtim, past)

		d := x.mkdir(x.root, "d")
		reset(d)
		x.create(d, "a", "")
		moved("Create", d)
		x.ok(d.Rename("a", d, "b", 0))
		moved("Rename", d)
		x.ok(d.Link(n, "c"))
		moved("Link", d)
		x.ok(d.Unlink("c"))
		moved("Unlink", d)
		x.ok(d.Symlink("t", "s"))
		moved("Symlink", d)
		x.ok(d.Mkdir("e", 0o700))
		moved("Mkdir", d)
	}},
	{"Xattr", func(x *contract) {
		each(x, func(kind string, n backing.Node) {
			if kind == "symlink" {
				return // user.* attributes are for files and directories only
			}
			_, err := n.Getxattr("user.none")
			x.want("Getxattr", err, unix.ENODATA)
			x.want("Removexattr", n.Removexattr("user.none"), unix.ENODATA)
			x.want("replace", n.Setxattr("user.none", []byte("v"), unix.XATTR_REPLACE), unix.ENODATA)
			for _, value := range [][]byte{[]byte("v"), {}, {0, 0xff, 0}, bytes.Repeat([]byte("long"), 256)} {
				x.ok(n.Setxattr("user.a", value, 0))
				got, err := n.Getxattr("user.a")
				x.ok(err)
				if !bytes.Equal(got, value) {
					x.Errorf("attribute of %s: got %q, want %q", kind, got, value)
				}
			}
			x.want("create", n.Setxattr("user.a", []byte("v"), unix.XATTR_CREATE), unix.EEXIST)
			x.ok(n.Setxattr("user.a", []byte("replaced"), unix.XATTR_REPLACE))
			x.ok(n.Setxattr("user.b", nil, unix.XATTR_CREATE))
			list, err := n.Listxattr()
			x.ok(err)
			if !slices.Contains(list, "user.a") || !slices.Contains(list, "user.b") {
				x.Errorf("attributes of %s: %q", kind, list)
			}
			x.ok(n.Removexattr("user.a"))
			list, err = n.Listxattr()
			x.ok(err)
			if slices.Contains(list, "user.a") || !slices.Contains(list, "user.b") {
				x.Errorf("attributes of %s: %q", kind, list)
			}
			_, err = n.Getxattr("user.a")
			x.want("Getxattr", err, unix.ENODATA)
			x.want("too long a value", n.Setxattr("user.c", make([]byte, 1<<16+1), 0), unix.E2BIG)
			x.want("too long a name", n.Setxattr("user."+long, []byte("v"), 0), unix.ERANGE)
			_, err = n.Getxattr("user." + long)
			x.want("too long a name", err, unix.ERANGE)
		})
	}},
	{"Xattr/Many", func(x *contract) {
		n, _ := x.create(x.root, "f", "")
		for i := range 20 { // names of 1 KiB in all
			x.ok(n.Setxattr("user."+strings.Repeat(string(rune('a'+i)), 50), nil, 0))
		}
		list, err := n.Listxattr()
		x.ok(err)
		list = slices.DeleteFunc(list, func(name string) bool { return !strings.HasPrefix(name, "user.") })
		equal(x, "attributes", len(list), 20)
	}},
}
