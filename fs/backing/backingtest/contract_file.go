package backingtest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// block is a range that any store can make a hole of.
const block = 64 << 10

// fallocate reports whether the store has the mode.
func (x *contract) fallocate(f backing.File, mode uint32, off, n int64) bool {
	x.Helper()
	err := f.Fallocate(mode, off, n)
	if err == unix.EOPNOTSUPP {
		x.Logf("the store has no fallocate of mode %#x", mode)
		return false
	}
	x.ok(err)
	return true
}

func (x *contract) seek(what string, seek func(int64) (int64, error), off, want int64) {
	x.Helper()
	got, err := seek(off)
	x.ok(err)
	equal(x, what, got, want)
}

var fileCases = []contractCase{
	{"Open", func(x *contract) {
		n, f := x.create(x.root, "f", "data")
		r := x.file(n, unix.O_RDONLY)
		w := x.file(n, unix.O_RDWR)
		x.write(w, "D", 0)
		x.content(r, "Data")
		x.content(f, "Data")
		_, err := r.WriteAt([]byte("x"), 0)
		x.want("write to a file opened for reading", err, unix.EBADF)
		if r.Truncate(0) == nil {
			x.Error("a file opened for reading was truncated")
		}
		for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR | unix.O_TRUNC, unix.O_RDWR | unix.O_APPEND, unix.O_RDWR | unix.O_CREAT, unix.O_PATH} {
			_, err := n.Open(flags)
			x.want("other flags", err, unix.EINVAL)
		}
		_, err = x.root.Open(unix.O_RDONLY)
		x.want("Open of a directory", err, unix.EISDIR)
		x.content(f, "Data")
	}},
	{"Open/AnyMode", func(x *contract) {
		n, _ := x.create(x.root, "f", "data")
		for _, mode := range []uint32{0, 0o200, 0o400, 0o040, 0o2070} {
			x.ok(n.Chmod(mode))
			x.content(x.file(n, unix.O_RDONLY), "data")
			x.write(x.file(n, unix.O_RDWR), "data", 0)
			if mode&unix.S_ISGID == 0 { // which a write takes away
				equal(x, "mode after Open", x.stat(n).Mode, unix.S_IFREG|mode)
			}
		}
	}},
	{"File/SurvivesNode", func(x *contract) {
		n, f, err := x.root.Create("f", 0o600)
		x.ok(err)
		closing(x, f)
		g := x.file(n, unix.O_RDWR)
		x.ok(x.root.Unlink("f"))
		x.ok(n.Close())
		x.write(f, "data", 0)
		x.content(g, "data")
		x.ok(f.Sync())
	}},
	{"ReadAt", func(x *contract) {
		_, f := x.create(x.root, "f", "0123456789")
		for _, c := range []struct {
			off  int64
			n    int
			want string
			err  error
		}{
			{0, 10, "0123456789", nil},
			{0, 11, "0123456789", io.EOF},
			{3, 4, "3456", nil},
			{9, 1, "9", nil},
			{9, 2, "9", io.EOF},
			{10, 1, "", io.EOF},
			{1 << 40, 1, "", io.EOF},
			{5, 0, "", nil},
			{-1, 1, "", unix.EINVAL},
		} {
			buf := make([]byte, c.n)
			n, err := f.ReadAt(buf, c.off)
			if string(buf[:n]) != c.want || err != c.err {
				x.Errorf("read %d bytes at %d: got %q, %v; want %q, %v", c.n, c.off, buf[:n], err, c.want, c.err)
			}
		}
	}},
	{"WriteAt", func(x *contract) {
		_, f := x.create(x.root, "f", "")
		x.write(f, "", 100)
		equal(x, "size after writing nothing", x.stat(f).Size, 0)
		x.write(f, "end", 5)
		x.content(f, "\x00\x00\x00\x00\x00end")
		x.write(f, "middle", 1)
		x.content(f, "\x00middled")
		_, err := f.WriteAt([]byte("x"), -1)
		x.want("negative offset", err, unix.EINVAL)
		x.content(f, "\x00middled")
	}},
	{"WriteAt/Large", func(x *contract) {
		_, f := x.create(x.root, "f", "")
		data := make([]byte, 3<<20+1)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		x.write(f, string(data), 12345)
		x.ok(f.Datasync())
		got := make([]byte, len(data))
		n, err := f.ReadAt(got, 12345)
		x.ok(err)
		equal(x, "bytes read", n, len(data))
		if !bytes.Equal(got, data) {
			x.Error("other bytes were read than written")
		}
	}},
	{"Truncate", func(x *contract) {
		n, f := x.create(x.root, "f", strings.Repeat("x", 10000))
		x.ok(f.Truncate(5))
		x.content(f, "xxxxx")
		x.ok(f.Truncate(10000)) // what was cut off does not come back
		x.content(f, "xxxxx"+strings.Repeat("\x00", 9995))
		x.ok(f.Truncate(0))
		x.content(f, "")
		x.ok(f.Truncate(1 << 40))
		equal(x, "size", x.stat(n).Size, 1<<40)
		equal(x, "blocks", x.stat(n).Blocks, 0)
		x.want("negative size", f.Truncate(-1), unix.EINVAL)
	}},
	{"Fallocate", func(x *contract) {
		_, f := x.create(x.root, "f", "data")
		if x.fallocate(f, unix.FALLOC_FL_KEEP_SIZE, 0, 2*block) {
			x.content(f, "data")
			if got := x.stat(f).Blocks * 512; got < 2*block {
				x.Errorf("%d bytes allocated, want %d or more", got, 2*block)
			}
		}
		if x.fallocate(f, 0, 2, 10) {
			x.content(f, "data\x00\x00\x00\x00\x00\x00\x00\x00")
		}
		for _, c := range [][2]int64{{-1, 10}, {0, 0}, {0, -1}} {
			if err := f.Fallocate(0, c[0], c[1]); err != unix.EOPNOTSUPP {
				x.want("bad range", err, unix.EINVAL)
			}
		}
	}},
	{"Fallocate/PunchHole", func(x *contract) {
		_, f := x.create(x.root, "f", strings.Repeat("x", 4*block))
		want := []byte(strings.Repeat("x", 4*block))
		punch := func(off, n int) bool {
			clear(want[min(off, len(want)):min(off+n, len(want))])
			return x.fallocate(f, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(off), int64(n))
		}
		if !punch(block, block) {
			x.Skip()
		}
		x.content(f, string(want))
		x.seek("hole", f.SeekHole, 0, block)
		x.seek("data behind the hole", f.SeekData, block, 2*block)
		punch(10, 100) // within a page: zeros, whatever is allocated
		punch(3*block-7, 14)
		punch(4*block-3, 1000)
		x.content(f, string(want))
	}},
	{"Fallocate/ZeroRange", func(x *contract) {
		_, f := x.create(x.root, "f", strings.Repeat("x", 100))
		if x.fallocate(f, unix.FALLOC_FL_ZERO_RANGE, 90, 20) {
			x.content(f, strings.Repeat("x", 90)+strings.Repeat("\x00", 20))
		}
	}},
	{"Seek", func(x *contract) {
		n, f := x.create(x.root, "f", "")
		_, err := f.SeekData(0)
		x.want("data of an empty file", err, unix.ENXIO)
		_, err = f.SeekHole(0)
		x.want("hole of an empty file", err, unix.ENXIO)

		const at, size = 16 * block, 18 * block
		x.write(f, strings.Repeat("x", block), at)
		x.ok(f.Truncate(size))
		x.seek("first hole", f.SeekHole, 0, 0)
		x.seek("first data", f.SeekData, 0, at)
		x.seek("data in the data", f.SeekData, at+5, at+5)
		x.seek("hole behind the data", f.SeekHole, at+5, at+block)
		x.seek("hole in the hole", f.SeekHole, at+block+5, at+block+5)
		_, err = f.SeekData(at + block)
		x.want("data in the last hole", err, unix.ENXIO)
		for _, off := range []int64{size, size + 1, -1} {
			_, err = f.SeekData(off)
			x.want("data past the end", err, unix.ENXIO)
			_, err = f.SeekHole(off)
			x.want("hole past the end", err, unix.ENXIO)
		}
		if got := x.stat(n).Blocks * 512; got >= at {
			x.Errorf("%d bytes allocated for %d of data", got, block)
		}
		x.write(f, "x", size-1)
		x.seek("the end is a hole", f.SeekHole, size-1, size)
	}},
	{"Sync", func(x *contract) {
		n, f := x.create(x.root, "f", "data")
		x.ok(f.Sync())
		x.write(f, "more", 4)
		x.ok(f.Datasync())
		x.write(f, strings.Repeat("x", 100), 4000)
		for _, r := range [][2]int64{{0, 4096}, {4000, 1}, {0, 0}, {1 << 20, 4096}} {
			x.ok(f.WaitWriteback(r[0], r[1]))
		}
		x.ok(x.file(n, unix.O_RDONLY).Sync())
		x.ok(x.root.SyncDir())
	}},
}
