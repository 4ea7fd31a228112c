package unlock

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// RootKey is a root key in a page of memory of its own, outside Go's heap: left
// out of core dumps, and locked, so that it is never swapped out, as far as
// RLIMIT_MEMLOCK allows. Its owner wipes it, and lets nobody use it meanwhile. What
// the implementations of Argon2id and AES keep of their keys on the heap is beyond
// reach, and not wiped.
type RootKey struct{ page []byte }

func newRootKey() (*RootKey, error) {
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for the root key: %w", err)
	}
	// Without these the key is as safe as it would be on the heap.
	_ = unix.Madvise(page, unix.MADV_DONTDUMP)
	_ = unix.Mlock(page)
	return &RootKey{page}, nil
}

// Bytes is the key in place, to be read only. It is gone after Wipe: any use of
// the pointer then ends the process.
func (k *RootKey) Bytes() *[32]byte { return (*[32]byte)(k.page) }

// Wipe clears the key and gives its memory back. A second Wipe does nothing.
func (k *RootKey) Wipe() {
	if k.page == nil {
		return
	}
	clear(k.page)
	_ = unix.Munmap(k.page) // fails only for what is not mapped
	k.page = nil
}

// Harden keeps the memory of this process out of core dumps and away from other
// processes of the same user, until it ends. It cannot be undone; programs that
// it executes inherit the first of its two halves only.
//
//   - RLIMIT_CORE of 0: no core file is written. The kernel does not heed it where
//     core_pattern is a pipe to a program.
//   - PR_SET_DUMPABLE of 0: no core dump at all, and no ptrace and no reading of
//     /proc/PID/mem without CAP_SYS_PTRACE. The files of /proc/PID belong to root
//     from then on, so that a process without privileges cannot read its own
//     environ, mem and io any more, nor write its uid_map, comm and oom_score_adj;
//     a debugger or profiler of the same user cannot attach. Opening
//     /proc/self/fd/N still works, and so do mounting and serving a file system:
//     fusermount3 is a program of its own.
//
// Sources: prctl(2), core(5), proc(5).
func Harden() error {
	var errs []error
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		errs = append(errs, fmt.Errorf("forbid core files: %w", err))
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		errs = append(errs, fmt.Errorf("forbid core dumps: %w", err))
	}
	return errors.Join(errs...)
}
