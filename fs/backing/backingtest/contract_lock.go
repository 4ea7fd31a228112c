package backingtest

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/fs/backing"
)

// waits requires lock to wait for release, and to end after it.
func (x *contract) waits(what string, lock, release func() error) {
	x.Helper()
	var released atomic.Bool
	started, done := make(chan struct{}), make(chan error, 1)
	go func() {
		close(started)
		err := lock()
		if err == nil && !released.Load() {
			err = errors.New("did not wait")
		}
		done <- err
	}()
	<-started
	time.Sleep(5 * time.Millisecond) // a lock that does not wait is caught most of the time
	released.Store(true)
	x.ok(release())
	if err := <-done; err != nil {
		x.Errorf("%s: %v", what, err)
	}
}

const tryExclusive = unix.LOCK_EX | unix.LOCK_NB

var lockCases = []contractCase{
	{"Flock", func(x *contract) {
		d := x.mkdir(x.root, "d")
		other := x.lookup(x.reopen().Root(), "d")
		x.ok(d.Flock(tryExclusive))
		x.ok(d.Flock(tryExclusive)) // it is ours
		x.want("the second store", other.Flock(tryExclusive), unix.EWOULDBLOCK)
		x.want("the second store, shared", other.Flock(unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
		x.ok(d.Flock(unix.LOCK_UN))
		x.ok(other.Flock(unix.LOCK_SH | unix.LOCK_NB))
		x.ok(d.Flock(unix.LOCK_SH | unix.LOCK_NB))
		x.want("exclusive beside shared", d.Flock(tryExclusive), unix.EWOULDBLOCK)
		x.ok(d.Flock(unix.LOCK_UN))
		x.waits("exclusive", func() error { return d.Flock(unix.LOCK_EX) }, func() error { return other.Flock(unix.LOCK_UN) })
		x.ok(d.Flock(unix.LOCK_UN))
		x.ok(d.Flock(unix.LOCK_UN)) // nothing to give back
	}},
	{"Flock/Handles", func(x *contract) {
		x.mkdir(x.root, "d")
		n, _, err := x.root.Lookup("d")
		x.ok(err)
		clone, err := n.Clone()
		x.ok(err)
		closing(x, clone)
		x.ok(n.Flock(tryExclusive))
		x.want("a clone", clone.Flock(tryExclusive), unix.EWOULDBLOCK)
		again := x.lookup(x.root, "d")
		x.want("another handle", again.Flock(tryExclusive), unix.EWOULDBLOCK)
		x.ok(x.root.Flock(tryExclusive)) // of another directory
		x.ok(x.root.Flock(unix.LOCK_UN))
		x.ok(n.Close())
		x.ok(clone.Flock(tryExclusive))
	}},
	{"Flock/StoreClosed", func(x *contract) {
		first := x.open(x.T)
		x.ok(first.Root().Flock(tryExclusive))
		x.want("while it is open", x.root.Flock(tryExclusive), unix.EWOULDBLOCK)
		x.ok(first.Close())
		x.ok(x.root.Flock(tryExclusive))
	}},
	{"Lock", func(x *contract) {
		n, a := x.create(x.root, "f", "")
		b := x.file(x.lookup(x.reopen().Root(), "f"), unix.O_RDWR)
		same := x.file(n, unix.O_RDWR)
		r := x.file(n, unix.O_RDONLY)
		for _, off := range []int64{0, 7, 1 << 62, 1<<62 + 1<<60, 1<<62 + 1<<60 + 1} {
			x.ok(a.Lock(off, true))
			x.ok(a.Lock(off, true)) // it is ours
			x.ok(b.Lock(off+2, true))
			x.waits("exclusive after exclusive", func() error { return b.Lock(off, true) }, func() error { return a.Unlock(off) })
			x.waits("exclusive, another File of the store", func() error { return same.Lock(off, true) }, func() error { return b.Unlock(off) })
			x.waits("shared after exclusive", func() error { return a.Lock(off, false) }, func() error { return same.Unlock(off) })
			x.ok(b.Lock(off, false))
			x.ok(r.Lock(off, false))
			x.ok(r.Unlock(off))
			x.ok(a.Unlock(off))
			x.waits("exclusive after shared", func() error { return a.Lock(off, true) }, func() error { return b.Unlock(off) })
			x.waits("shared after a conversion", func() error { return b.Lock(off, false) }, func() error { return a.Lock(off, false) })
			for _, f := range []backing.File{a, b} {
				x.ok(f.Unlock(off))
				x.ok(f.Unlock(off)) // nothing to give back
			}
			x.ok(b.Unlock(off + 2))
		}
		x.want("exclusive, opened for reading", r.Lock(0, true), unix.EBADF)
		x.want("negative offset", a.Lock(-1, true), unix.EINVAL)
		x.content(a, "")
	}},
	{"Lock/Close", func(x *contract) {
		n, f := x.create(x.root, "f", "")
		g, err := n.Open(unix.O_RDWR)
		x.ok(err)
		h := x.file(n, unix.O_RDWR)
		x.ok(f.Lock(0, true))
		x.ok(g.Lock(1, true))
		// Unlike POSIX locks: closing another File of the inode frees nothing.
		x.waits("lock of a closed File", func() error { return h.Lock(1, true) }, g.Close)
		x.waits("lock of an open File", func() error { return h.Lock(0, true) }, func() error { return f.Unlock(0) })
	}},
}

// together runs test in several goroutines at once.
func (x *contract) together(test func(g int) error) {
	x.Helper()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			if err := test(g); err != nil {
				x.Errorf("goroutine %d: %v", g, err)
			}
		})
	}
	wg.Wait()
}

var raceCases = []contractCase{
	{"Concurrent/Names", func(x *contract) {
		d := x.mkdir(x.root, "d")
		x.create(d, "stays", "data")
		x.together(func(g int) error {
			name, other := fmt.Sprint("a", g), fmt.Sprint("b", g)
			for range 50 {
				n, f, err := d.Create(name, 0o600)
				if err != nil {
					return err
				}
				_, werr := f.WriteAt([]byte(name), 0)
				err = errors.Join(werr, f.Close(),
					d.Rename(name, d, other, 0), d.Link(n, name), d.Unlink(other),
					n.Chmod(0o640), n.Close(), d.Unlink(name))
				if err != nil {
					return err
				}
				list, err := d.ReadDir()
				if err != nil {
					return err
				}
				stays := 0
				for _, e := range list {
					if e.Name == "stays" {
						stays++
					}
				}
				if stays != 1 {
					return fmt.Errorf("an entry that stays is listed %d times", stays)
				}
			}
			return nil
		})
		equal(x, "entries", len(x.names(d)), 1)
	}},
	{"Concurrent/OneNode", func(x *contract) {
		n, _ := x.create(x.root, "f", "data")
		ino := x.stat(n).Ino
		x.together(func(int) error {
			for range 100 {
				m, st, err := x.root.Lookup("f")
				if err != nil {
					return err
				}
				f, ferr := n.Open(unix.O_RDWR)
				c, cerr := n.Clone()
				_, serr := n.Stat()
				if err := errors.Join(ferr, cerr, serr); err != nil {
					return err
				}
				if st.Ino != ino {
					return errors.New("another inode")
				}
				if err := errors.Join(m.Close(), f.Close(), c.Close()); err != nil {
					return err
				}
			}
			return nil
		})
	}},
	{"Concurrent/Create", func(x *contract) {
		var made atomic.Int32
		x.together(func(int) error {
			n, f, err := x.root.Create("f", 0o600)
			if err == nil {
				made.Add(1)
				return errors.Join(n.Close(), f.Close())
			}
			if err != unix.EEXIST {
				return err
			}
			return nil
		})
		equal(x, "files created", made.Load(), 1)
	}},
	{"Concurrent/OneFile", func(x *contract) {
		_, f := x.create(x.root, "f", "")
		const size = 4096
		x.together(func(g int) error {
			buf := make([]byte, size)
			for i := range 50 {
				for j := range buf {
					buf[j] = byte(g*50 + i)
				}
				off := int64(g * size)
				if _, err := f.WriteAt(buf, off); err != nil {
					return err
				}
				clear(buf)
				if _, err := f.ReadAt(buf, off); err != nil && err != io.EOF {
					return err
				}
				for j := range buf {
					if buf[j] != byte(g*50+i) {
						return fmt.Errorf("byte %d of a page of its own is %d", j, buf[j])
					}
				}
				_, herr := f.SeekHole(off)
				if err := errors.Join(herr, f.Lock(off, i%2 == 0), f.Unlock(off)); err != nil {
					return err
				}
			}
			return nil
		})
		equal(x, "size", x.stat(f).Size, 8*size)
	}},
}
