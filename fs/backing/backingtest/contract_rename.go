package backingtest

import (
	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

var renameCases = []contractCase{
	{"Rename", func(x *contract) {
		n, f := x.create(x.root, "a", "data")
		d := x.mkdir(x.root, "d")
		ino := x.stat(n).Ino
		x.ok(x.root.Rename("a", x.root, "b", 0))
		x.ok(x.root.Rename("b", d, "c", 0))
		x.gone(x.root, "a")
		x.gone(x.root, "b")
		equal(x, "inode", x.stat(x.lookup(d, "c")).Ino, ino)
		// The node and the file are on the inode, not on the name.
		x.create(x.root, "a", "another")
		equal(x, "inode", x.stat(n).Ino, ino)
		x.content(x.file(n, unix.O_RDWR), "data")
		x.content(f, "data")
		x.ok(n.Chmod(0o640))
		st, err := d.StatAt("c")
		x.ok(err)
		equal(x, "mode", st.Mode, unix.S_IFREG|0o640)
	}},
	{"Rename/Over", func(x *contract) {
		x.create(x.root, "a", "new")
		old, _ := x.create(x.root, "b", "old")
		x.ok(x.root.Rename("a", x.root, "b", 0))
		x.gone(x.root, "a")
		x.content(x.file(x.lookup(x.root, "b"), unix.O_RDONLY), "new")
		equal(x, "links of what was there", x.stat(old).Nlink, 0)
		x.content(x.file(old, unix.O_RDONLY), "old")
	}},
	{"Rename/Directory", func(x *contract) {
		d := x.mkdir(x.root, "d")
		sub := x.mkdir(d, "sub")
		x.create(sub, "f", "")
		x.want("into itself", x.root.Rename("d", sub, "d", 0), unix.EINVAL)
		x.ok(x.root.Mkdir("empty", 0o700))
		full := x.mkdir(x.root, "full")
		x.create(full, "f", "")
		x.create(x.root, "file", "")
		x.want("over a full one", x.root.Rename("d", x.root, "full", 0), unix.ENOTEMPTY)
		x.want("over a file", x.root.Rename("d", x.root, "file", 0), unix.ENOTDIR)
		x.want("a file over it", x.root.Rename("file", x.root, "d", 0), unix.EISDIR)
		x.ok(x.root.Rename("d", x.root, "empty", 0))
		x.gone(x.root, "d")
		equal(x, "entries", len(x.names(sub)), 1)
		equal(x, "inode", x.stat(x.lookup(x.root, "empty")).Ino, x.stat(d).Ino)
	}},
	{"Rename/Same", func(x *contract) {
		n, _ := x.create(x.root, "a", "data")
		x.ok(x.root.Rename("a", x.root, "a", 0))
		x.ok(x.root.Link(n, "b"))
		x.ok(x.root.Rename("a", x.root, "b", 0)) // rename(2): two names of one file both stay
		equal(x, "entries", len(x.names(x.root)), 2)
	}},
	{"Rename/NoReplace", func(x *contract) {
		x.create(x.root, "a", "a")
		x.create(x.root, "b", "b")
		x.ok(x.root.Mkdir("d", 0o700))
		for _, to := range []string{"a", "b", "d"} {
			x.want("onto "+to, x.root.Rename("a", x.root, to, unix.RENAME_NOREPLACE), unix.EEXIST)
		}
		x.content(x.file(x.lookup(x.root, "b"), unix.O_RDONLY), "b")
		x.ok(x.root.Rename("a", x.root, "c", unix.RENAME_NOREPLACE))
		x.gone(x.root, "a")
		x.content(x.file(x.lookup(x.root, "c"), unix.O_RDONLY), "a")
	}},
	{"Rename/Exchange", func(x *contract) {
		a, _ := x.create(x.root, "a", "a")
		d := x.mkdir(x.root, "d")
		sub := x.mkdir(d, "sub")
		x.create(sub, "f", "")
		x.want("with nothing", x.root.Rename("a", x.root, "none", unix.RENAME_EXCHANGE), unix.ENOENT)
		x.want("both flags", x.root.Rename("a", d, "sub", unix.RENAME_EXCHANGE|unix.RENAME_NOREPLACE), unix.EINVAL)
		x.ok(x.root.Rename("a", d, "sub", unix.RENAME_EXCHANGE))
		equal(x, "the file", x.stat(x.lookup(d, "sub")).Ino, x.stat(a).Ino)
		equal(x, "the directory", x.stat(x.lookup(x.root, "a")).Ino, x.stat(sub).Ino)
		equal(x, "entries", len(x.names(x.lookup(x.root, "a"))), 1)
		x.want("into itself", x.root.Rename("d", d, "sub", unix.RENAME_EXCHANGE), unix.EINVAL)
	}},
	{"Rename/Foreign", func(x *contract) {
		x.create(x.root, "a", "")
		var to backing.Node = foreign{x.root}
		x.want("to a foreign directory", x.root.Rename("a", to, "b", 0), unix.EXDEV)
		x.want("flags unknown", x.root.Rename("a", x.root, "b", 1<<30), unix.EINVAL)
	}},
}
