package backing_test

import (
	"fmt"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func BenchmarkOS(b *testing.B) {
	s := openOS(b, b.TempDir(), false)
	defer s.Close()
	root := s.Root()
	n, f, err := root.Create("file", 0o600)
	check(b, err)
	defer n.Close()
	defer f.Close()
	_, err = f.WriteAt(make([]byte, 4096), 0)
	check(b, err)
	check(b, n.Setxattr("user.a", make([]byte, 64), 0))
	check(b, root.Mkdir("dir", 0o700))
	for i := range 1000 {
		check(b, root.Mknod(fmt.Sprintf("%064d", i), unix.S_IFREG|0o600, 0))
	}
	buf := make([]byte, 4096)
	closed := func(c io.Closer, err error) error {
		if err != nil {
			return err
		}
		return c.Close()
	}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"Lookup", func() error { n, _, err := root.Lookup("file"); return closed(n, err) }},
		{"LookupDir", func() error { n, _, err := root.Lookup("dir"); return closed(n, err) }},
		{"StatAt", func() error { _, err := root.StatAt("file"); return err }},
		{"Stat", func() error { _, err := n.Stat(); return err }},
		{"Open", func() error { f, err := n.Open(unix.O_RDWR); return closed(f, err) }},
		{"Clone", func() error { n, err := n.Clone(); return closed(n, err) }},
		{"CreateUnlink", func() error {
			n, f, err := root.Create("new", 0o600)
			if err != nil {
				return err
			}
			f.Close()
			n.Close()
			return root.Unlink("new")
		}},
		{"Getxattr", func() error { _, err := n.Getxattr("user.a"); return err }},
		{"ReadDir1000", func() error { _, err := root.ReadDir(); return err }},
		{"ReadAt4096", func() error { _, err := f.ReadAt(buf, 0); return err }},
		{"WriteAt4096", func() error { _, err := f.WriteAt(buf, 0); return err }},
		{"LockUnlock", func() error {
			if err := f.Lock(1<<62, true); err != nil {
				return err
			}
			return f.Unlock(1 << 62)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
