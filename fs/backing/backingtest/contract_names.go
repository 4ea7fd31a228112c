package backingtest

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// byName has every operation that takes a name, on a directory with none.
func byName(x *contract, dir backing.Node, name string) map[string]error {
	n, _ := x.create(x.root, "for-link", "")
	defer x.root.Unlink("for-link")
	x.create(x.root, "for-rename", "")
	defer x.root.Unlink("for-rename")
	errs := map[string]error{}
	_, _, errs["Lookup"] = dir.Lookup(name)
	_, errs["StatAt"] = dir.StatAt(name)
	_, errs["ReadlinkAt"] = dir.ReadlinkAt(name)
	_, _, errs["Create"] = dir.Create(name, 0o600)
	errs["Mkdir"] = dir.Mkdir(name, 0o700)
	errs["Mknod"] = dir.Mknod(name, unix.S_IFIFO|0o600, 0)
	errs["Symlink"] = dir.Symlink("target", name)
	errs["Link"] = dir.Link(n, name)
	errs["Unlink"] = dir.Unlink(name)
	errs["Rmdir"] = dir.Rmdir(name)
	errs["Rename from"] = dir.Rename(name, x.root, "new", 0)
	errs["Rename to"] = x.root.Rename("for-rename", dir, name, 0)
	return errs
}

// foreign is a node of no store.
type foreign struct{ backing.Node }

var nameCases = []contractCase{
	{"Name/Invalid", func(x *contract) {
		for _, name := range []string{"", ".", "..", "/", "a/b", "a/", "/a", "../a", "a\x00b"} {
			for op, err := range byName(x, x.root, name) {
				x.want(fmt.Sprintf("%s of %q", op, name), err, unix.EINVAL)
			}
		}
	}},
	{"Name/TooLong", func(x *contract) {
		for op, err := range byName(x, x.root, long+"n") {
			x.want(op, err, unix.ENAMETOOLONG)
		}
	}},
	{"Name/NotADirectory", func(x *contract) {
		file, _ := x.create(x.root, "file", "")
		x.mkdir(x.root, "dir")
		link := x.symlink(x.root, "dir", "link")
		for what, n := range map[string]backing.Node{"file": file, "symlink": link} {
			for op, err := range byName(x, n, "name") {
				x.want(op+" in a "+what, err, unix.ENOTDIR)
			}
			_, err := n.ReadDir()
			x.want("ReadDir of a "+what, err, unix.ENOTDIR)
			_, err = n.CreateTemp(0o600)
			x.want("CreateTemp in a "+what, err, unix.ENOTDIR)
			x.want("SyncDir of a "+what, n.SyncDir(), unix.ENOTDIR)
			x.want("Flock of a "+what, n.Flock(unix.LOCK_EX|unix.LOCK_NB), unix.ENOTDIR)
		}
	}},
	{"Name/Missing", func(x *contract) {
		_, _, err := x.root.Lookup("none")
		x.want("Lookup", err, unix.ENOENT)
		_, err = x.root.StatAt("none")
		x.want("StatAt", err, unix.ENOENT)
		_, err = x.root.ReadlinkAt("none")
		x.want("ReadlinkAt", err, unix.ENOENT)
		x.want("Unlink", x.root.Unlink("none"), unix.ENOENT)
		x.want("Rmdir", x.root.Rmdir("none"), unix.ENOENT)
		x.want("Rename", x.root.Rename("none", x.root, "new", 0), unix.ENOENT)
	}},
	{"Name/Taken", func(x *contract) {
		n, _ := x.create(x.root, "file", "kept")
		x.mkdir(x.root, "dir")
		x.symlink(x.root, "nowhere", "dangling")
		for _, name := range []string{"file", "dir", "dangling"} {
			_, _, err := x.root.Create(name, 0o600)
			x.want("Create over "+name, err, unix.EEXIST)
			x.want("Mkdir over "+name, x.root.Mkdir(name, 0o700), unix.EEXIST)
			x.want("Mknod over "+name, x.root.Mknod(name, unix.S_IFIFO|0o600, 0), unix.EEXIST)
			x.want("Symlink over "+name, x.root.Symlink("t", name), unix.EEXIST)
			x.want("Link over "+name, x.root.Link(n, name), unix.EEXIST)
		}
		x.gone(x.root, "nowhere")
		equal(x, "entries", len(x.names(x.root)), 3)
	}},
	{"Name/Bytes", func(x *contract) {
		all := []string{long, "...", " ", "-", "a\nb", "\x01\xff\xfe", "\\", "ä", "a\u0308"}
		for _, name := range all {
			n, _ := x.create(x.root, name, "")
			equal(x, "inode", x.stat(x.lookup(x.root, name)).Ino, x.stat(n).Ino)
		}
		got := x.names(x.root)
		equal(x, "entries", len(got), len(all))
		for _, name := range all {
			if _, there := got[name]; !there {
				x.Errorf("%q is not listed", name)
			}
			x.ok(x.root.Unlink(name))
		}
	}},
	{"Name/Long", func(x *contract) {
		to := long[1:] + "m"
		n, f := x.create(x.root, long, "data")
		x.ok(x.root.Rename(long, x.root, to, 0))
		x.ok(x.root.Link(n, long))
		x.ok(x.root.Unlink(to))
		x.ok(x.root.Symlink(long, to))
		x.ok(x.root.Unlink(to))
		x.ok(x.root.Mkdir(to, 0o700))
		x.ok(x.root.Rmdir(to))
		x.content(f, "data")
	}},
	{"Name/BeyondPathMax", func(x *contract) {
		dir, err := x.root.Clone()
		x.ok(err)
		for range 20 {
			x.ok(dir.Mkdir(long, 0o700))
			next, _, err := dir.Lookup(long)
			x.ok(err)
			dir.Close()
			dir = next
		}
		closing(x, dir)
		n, f := x.create(dir, long, "deep")
		x.ok(n.Chmod(0o640))
		x.ok(n.Utimens(unix.Timespec{Sec: 1}, unix.Timespec{Sec: 2}))
		x.ok(dir.SyncDir())
		equal(x, "entries", len(x.names(dir)), 1)
		x.ok(dir.Rename(long, x.root, "up", 0))
		x.content(x.file(x.lookup(x.root, "up"), unix.O_RDONLY), "deep")
		x.content(f, "deep")
	}},

	{"Lookup", func(x *contract) {
		x.create(x.root, "file", "12345")
		x.ok(x.root.Mkdir("dir", 0o700))
		x.ok(x.root.Symlink("file", "link"))
		x.ok(x.root.Mknod("fifo", unix.S_IFIFO|0o600, 0))
		for name, typ := range map[string]uint32{"file": unix.S_IFREG, "dir": unix.S_IFDIR, "link": unix.S_IFLNK, "fifo": unix.S_IFIFO} {
			n, st, err := x.root.Lookup(name)
			x.ok(err)
			closing(x, n)
			equal(x, "type of "+name, st.Mode&unix.S_IFMT, typ)
			equal(x, "Lookup and Stat of "+name, st, x.stat(n))
			at, err := x.root.StatAt(name)
			x.ok(err)
			equal(x, "StatAt and Stat of "+name, at, st)
		}
	}},
	{"Create", func(x *contract) {
		for _, mode := range []uint32{0o600, 0o755, 0o400, 0} {
			name := fmt.Sprintf("%o", mode)
			n, f, err := x.root.Create(name, mode)
			x.ok(err)
			closing(x, n)
			closing(x, f)
			st := x.stat(n)
			equal(x, "mode", st.Mode, unix.S_IFREG|mode)
			equal(x, "links", st.Nlink, 1)
			equal(x, "inode of the file", x.stat(f).Ino, st.Ino)
			x.content(f, "")
			x.write(f, "whatever the mode", 0)
			x.content(f, "whatever the mode")
		}
	}},
	{"CreateTemp", func(x *contract) {
		f, err := x.root.CreateTemp(0o600)
		if err == unix.EOPNOTSUPP {
			x.Skip("the store has no files without names")
		}
		x.ok(err)
		closing(x, f)
		x.write(f, "temporary", 0)
		x.content(f, "temporary")
		st := x.stat(f)
		equal(x, "mode", st.Mode, unix.S_IFREG|0o600)
		equal(x, "links", st.Nlink, 0)
		equal(x, "entries", len(x.names(x.root)), 0)
	}},
	{"Mkdir", func(x *contract) {
		x.ok(x.root.Mkdir("d", 0o750))
		d := x.lookup(x.root, "d")
		equal(x, "mode", x.stat(d).Mode, unix.S_IFDIR|0o750)
		x.create(d, "f", "")
		equal(x, "entries", len(x.names(d)), 1)
		x.ok(d.SyncDir())
		x.ok(x.root.SyncDir())
	}},
	{"Mknod", func(x *contract) {
		x.ok(x.root.Mknod("file", unix.S_IFREG|0o600, 0))
		x.content(x.file(x.lookup(x.root, "file"), unix.O_RDONLY), "")
		x.ok(x.root.Mknod("fifo", unix.S_IFIFO|0o600, 0))
		x.ok(x.root.Mknod("socket", unix.S_IFSOCK|0o600, 0))
		for _, name := range []string{"fifo", "socket"} {
			n := x.lookup(x.root, name)
			for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR} {
				_, err := n.Open(flags) // must not wait for a writer
				x.want("Open of a "+name, err, unix.EINVAL)
			}
			x.ok(n.Chmod(0o640))
			x.ok(n.Utimens(unix.Timespec{Sec: 1}, unix.Timespec{Sec: 2}))
		}
		if os.Geteuid() == 0 {
			rdev := unix.Mkdev(7, 300)
			if err := x.root.Mknod("device", unix.S_IFBLK|0o600, rdev); err != unix.EPERM { // EPERM: in a user namespace
				x.ok(err)
				n := x.lookup(x.root, "device")
				equal(x, "device number", x.stat(n).Rdev, rdev)
				_, err := n.Open(unix.O_RDONLY)
				x.want("Open of a device", err, unix.EINVAL)
			}
		}
	}},
	{"Symlink", func(x *contract) {
		for i, target := range []string{"a", "../../x", "/", "\xff\n", strings.Repeat("t", 1023)} {
			name := fmt.Sprint(i)
			l := x.symlink(x.root, target, name)
			got, err := l.Readlink()
			x.ok(err)
			equal(x, "Readlink", got, target)
			got, err = x.root.ReadlinkAt(name)
			x.ok(err)
			equal(x, "ReadlinkAt", got, target)
			equal(x, "size", x.stat(l).Size, int64(len(target)))
			_, err = l.Open(unix.O_RDONLY)
			x.want("Open of a symlink", err, unix.EINVAL)
		}
		x.want("empty target", x.root.Symlink("", "empty"), unix.ENOENT)
		x.want("too long a target", x.root.Symlink(strings.Repeat("t", 4096), "4096"), unix.ENAMETOOLONG)
		n, _ := x.create(x.root, "file", "")
		_, err := n.Readlink()
		x.want("Readlink of a file", err, unix.EINVAL)
		_, err = x.root.ReadlinkAt("file")
		x.want("ReadlinkAt of a file", err, unix.EINVAL)
		_, err = x.root.Readlink()
		x.want("Readlink of a directory", err, unix.EINVAL)
	}},
	{"Symlink/NeverFollowed", func(x *contract) {
		d := x.mkdir(x.root, "dir")
		x.create(d, "inside", "")
		target, _ := x.create(x.root, "file", "data")
		before, dirBefore := x.stat(target), x.stat(d)
		link, toDir := x.symlink(x.root, "file", "link"), x.symlink(x.root, "dir", "todir")
		for _, n := range []backing.Node{link, toDir} {
			equal(x, "type", x.stat(n).Mode&unix.S_IFMT, unix.S_IFLNK)
			x.ok(n.Utimens(unix.Timespec{Sec: 1}, unix.Timespec{Sec: 2}))
			x.ok(n.Chown(-1, -1))
			equal(x, "time of the link", x.stat(n).Mtim, unix.Timespec{Sec: 2})
			x.want("chmod", n.Chmod(0o777), unix.EOPNOTSUPP)
		}
		_, _, err := toDir.Lookup("inside")
		x.want("Lookup through a symlink", err, unix.ENOTDIR)
		x.want("Rmdir of a symlink", x.root.Rmdir("todir"), unix.ENOTDIR)
		x.ok(x.root.Link(link, "hard"))
		equal(x, "type of a second name", x.stat(x.lookup(x.root, "hard")).Mode&unix.S_IFMT, unix.S_IFLNK)
		x.ok(x.root.Rename("link", x.root, "moved", 0))
		x.ok(x.root.Unlink("moved"))
		x.ok(x.root.Unlink("todir"))
		equal(x, "the file", x.stat(target), before)
		equal(x, "the directory", x.stat(d), dirBefore)
	}},
	{"Link", func(x *contract) {
		n, f := x.create(x.root, "a", "data")
		d := x.mkdir(x.root, "d")
		x.ok(d.Link(n, "b"))
		equal(x, "links", x.stat(n).Nlink, 2)
		equal(x, "inode", x.stat(x.lookup(d, "b")).Ino, x.stat(n).Ino)
		x.ok(x.root.Unlink("a"))
		x.ok(x.root.Link(n, "c")) // by the node, which has no name "a" any more
		equal(x, "links", x.stat(f).Nlink, 2)
		x.want("Link of a directory", x.root.Link(d, "dd"), unix.EPERM)
		x.want("Link of a foreign node", x.root.Link(foreign{n}, "x"), unix.EXDEV)
		x.ok(x.root.Unlink("c"))
		x.ok(d.Unlink("b"))
		x.want("Link of an unlinked file", x.root.Link(n, "e"), unix.ENOENT)
	}},
	{"Unlink", func(x *contract) {
		x.ok(x.root.Mkdir("d", 0o700))
		x.want("Unlink of a directory", x.root.Unlink("d"), unix.EISDIR)
		n, f := x.create(x.root, "f", "data")
		ino := x.stat(n).Ino
		x.ok(x.root.Unlink("f"))
		x.gone(x.root, "f")
		m, _ := x.create(x.root, "f", "another")
		if x.stat(m).Ino == ino {
			x.Error("the inode of an unlinked, open file was used again")
		}

		equal(x, "links", x.stat(n).Nlink, 0)
		x.ok(n.Chmod(0o640))
		x.ok(n.Utimens(unix.Timespec{Sec: 1}, unix.Timespec{Sec: 2}))
		x.write(f, "DA", 0)
		g := x.file(n, unix.O_RDWR)
		x.content(g, "DAta")
		x.ok(g.Truncate(2))
		x.content(f, "DA")
		x.ok(g.Sync())
		clone, err := n.Clone()
		x.ok(err)
		closing(x, clone)
		equal(x, "mode", x.stat(clone).Mode, unix.S_IFREG|0o640)
	}},
	{"Rmdir", func(x *contract) {
		x.create(x.root, "f", "")
		x.want("Rmdir of a file", x.root.Rmdir("f"), unix.ENOTDIR)
		d := x.mkdir(x.root, "d")
		x.create(d, "f", "")
		x.want("Rmdir of a full directory", x.root.Rmdir("d"), unix.ENOTEMPTY)
		x.ok(d.Unlink("f"))
		x.ok(x.root.Rmdir("d"))
		x.gone(x.root, "d")

		equal(x, "type once removed", x.stat(d).Mode&unix.S_IFMT, unix.S_IFDIR)
		equal(x, "entries once removed", len(x.names(d)), 0)
		x.ok(d.SyncDir())
		_, _, err := d.Create("f", 0o600)
		x.want("Create in a removed directory", err, unix.ENOENT)
		_, _, err = d.Lookup("f")
		x.want("Lookup in a removed directory", err, unix.ENOENT)
		x.want("Mkdir in a removed directory", d.Mkdir("d", 0o700), unix.ENOENT)
	}},
	{"ReadDir", func(x *contract) {
		d := x.mkdir(x.root, "d")
		equal(x, "entries of a new directory", len(x.names(d)), 0)
		x.create(d, "file", "")
		x.ok(d.Mkdir("dir", 0o700))
		x.ok(d.Symlink("file", "link"))
		x.ok(d.Mknod("fifo", unix.S_IFIFO|0o600, 0))
		got := x.names(d)
		equal(x, "entries", len(got), 4)
		for name, e := range got {
			st, err := d.StatAt(name)
			x.ok(err)
			equal(x, "inode of "+name, e.Ino, st.Ino)
			if e.Type != 0 {
				equal(x, "type of "+name, e.Type, st.Mode&unix.S_IFMT)
			}
		}
	}},
	{"ReadDir/Many", func(x *contract) {
		const many = 3000
		n, _ := x.create(x.root, "f", "")
		d := x.mkdir(x.root, "d")
		for i := range many {
			x.ok(d.Mknod(fmt.Sprintf("an entry with a longer name %d", i), unix.S_IFREG|0o600, 0))
		}
		for range 2 { // from the start each time
			equal(x, "entries", len(x.names(d)), many)
		}
		x.ok(d.Link(n, "last"))
		equal(x, "entries", len(x.names(d)), many+1)
	}},
	{"Clone", func(x *contract) {
		for _, name := range []string{"f", "d", "l"} {
			switch name {
			case "f":
				x.create(x.root, name, "data")
			case "d":
				x.ok(x.root.Mkdir(name, 0o700))
			case "l":
				x.ok(x.root.Symlink("target", name))
			}
			n, st, err := x.root.Lookup(name)
			x.ok(err)
			clone, err := n.Clone()
			x.ok(err)
			closing(x, clone)
			x.ok(n.Close())
			equal(x, "clone of "+name, x.stat(clone), st)
			x.ok(x.root.Rename(name, x.root, name+"2", 0))
			equal(x, "inode of a renamed "+name, x.stat(clone).Ino, st.Ino)
			switch name {
			case "f":
				x.content(x.file(clone, unix.O_RDONLY), "data")
			case "d":
				x.create(clone, "inside", "")
				equal(x, "entries", len(x.names(clone)), 1)
			case "l":
				target, err := clone.Readlink()
				x.ok(err)
				equal(x, "target", target, "target")
			}
		}
	}},
}
