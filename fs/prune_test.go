package fs

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFewDescriptors mounts with far fewer descriptors than there are files.
func TestFewDescriptors(t *testing.T) {
	var old unix.Rlimit
	ok(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	ok(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 2048, Max: old.Max}))
	t.Cleanup(func() { ok(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) })
	m := mountT(t, setup{})
	const dirs, files = 4, 1500
	content := func(d, i int) string { return fmt.Sprint("content ", d, i) }
	name := func(d, i int) string { return m.path(fmt.Sprint("d", d), fmt.Sprint("file", i)) }
	for d := range dirs {
		ok(t, os.Mkdir(m.path(fmt.Sprint("d", d)), 0o755))
		for i := range files {
			ok(t, os.WriteFile(name(d, i), []byte(content(d, i)), 0o644))
		}
	}
	for d := range dirs {
		list, err := os.ReadDir(m.path(fmt.Sprint("d", d)))
		ok(t, err)
		eq(t, "entries", len(list), files)
		for _, e := range list {
			_, err := e.Info()
			ok(t, err)
		}
		for i := range files {
			b, err := os.ReadFile(name(d, i))
			ok(t, err)
			eq(t, "content", string(b), content(d, i))
		}
	}
	most := m.server.adapter.prune.most
	for range 100 { // the last of it may still be under way
		if m.cd.Inodes() <= most {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := m.cd.Inodes(); n > most {
		t.Errorf("%d inodes held of %d files, want %d at most", n, dirs*files, most)
	}
	if m.server.adapter.prune.pruned.Load() == 0 {
		t.Error("nothing was pruned")
	}
}
