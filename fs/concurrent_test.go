package fs

import (
	"bytes"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWholeWrites has one file written and read at once, by O_DIRECT so that
// requests reach us as they are made: a read sees a write whole or not at all.
func TestWholeWrites(t *testing.T) {
	const size = 64 << 10
	m := mountT(t, setup{})
	p := m.path("f")
	ok(t, os.WriteFile(p, bytes.Repeat([]byte{1}, size), 0o600))
	for _, direct := range []int{unix.O_DIRECT, 0} {
		open := func(flags int) *os.File {
			f, err := os.OpenFile(p, flags|direct, 0)
			ok(t, err)
			return f
		}
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				f := open(os.O_RDWR)
				defer f.Close()
				for i := range 50 {
					if _, err := f.WriteAt(bytes.Repeat([]byte{byte(1 + w*100 + i)}, size), 0); err != nil {
						t.Error(err)
						return
					}
				}
			})
			wg.Go(func() {
				f := open(os.O_RDONLY)
				defer f.Close()
				buf := make([]byte, size)
				for range 100 {
					n, err := f.ReadAt(buf, 0)
					if err != nil || n != size {
						t.Errorf("read %d: %v", n, err)
						return
					}
					// Through the page cache, as on ext4, a page is the most.
					if direct != 0 && bytes.Count(buf, buf[:1]) != size || bytes.IndexByte(buf, 0) >= 0 {
						t.Error("a torn write was seen")
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// TestStatWhileChanging stats a file by name while it is opened, extended, cut and
// closed: its size is one it had, and never an error.
func TestStatWhileChanging(t *testing.T) {
	m := mountT(t, setup{})
	p := m.path("f")
	ok(t, os.WriteFile(p, nil, 0o600))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 300 {
			f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Error(err)
				return
			}
			f.Write(bytes.Repeat([]byte{'a'}, 1000))
			if i%10 == 9 {
				f.Truncate(0)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		var sx unix.Statx_t
		if err := unix.Statx(unix.AT_FDCWD, p, unix.AT_STATX_FORCE_SYNC, unix.STATX_SIZE, &sx); err != nil {
			t.Errorf("stat: %v", err)
			break
		}
		// A write over a page that the kernel has not cached comes in two requests.
		if sx.Size%1000 != 0 && sx.Size%4096 != 0 || sx.Size > 10000 {
			t.Errorf("size %d", sx.Size)
			break
		}
		select {
		case <-done:
			return
		default:
		}
	}
	<-done
}
