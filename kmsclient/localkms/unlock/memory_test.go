package unlock

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vmFlags reads what the kernel says of the mapping that holds an address; "" is
// no mapping. Source: proc_pid_smaps(5).
func vmFlags(t *testing.T, addr uintptr) string {
	f, err := os.Open("/proc/self/smaps")
	ok(t, err)
	defer f.Close()
	inside := false
	for in := bufio.NewScanner(f); in.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(in.Text(), "%x-%x ", &from, &to); n == 2 {
			inside = from <= addr && addr < to
		}
		if flags, found := strings.CutPrefix(in.Text(), "VmFlags:"); inside && found {
			return flags + " "
		}
	}
	return ""
}

func TestRootKeyMemory(t *testing.T) {
	s, err := Read(file(t, vector(t, "key-file")))
	ok(t, err)
	k, err := s.Unlock(t.Context(), Secrets{})
	ok(t, err)
	addr := uintptr(unsafe.Pointer(k.Bytes()))
	flags := vmFlags(t, addr)
	for flag, what := range map[string]string{" lo ": "locked", " dd ": "left out of core dumps"} {
		if !strings.Contains(flags, flag) {
			t.Errorf("the key's memory is not %s: %q", what, flags)
		}
	}
	k.Wipe()
	k.Wipe()
	if flags := vmFlags(t, addr); strings.Contains(flags, " lo ") {
		t.Errorf("the key's memory is still there: %q", flags)
	}
	s.Wipe()
	if s.key != [32]byte{} {
		t.Error("Wipe leaves the key of a key file")
	}
}

const hardenEnv = "UNLOCK_TEST_HARDEN"

func TestHarden(t *testing.T) {
	if os.Getenv(hardenEnv) == "" { // for good: in a process of its own
		cmd := exec.Command(os.Args[0], "-test.run=^TestHarden$")
		cmd.Env = append(os.Environ(), hardenEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dumpable := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		ok(t, err)
		return n
	}
	if dumpable() != 1 {
		t.Error("not dumpable before")
	}
	ok(t, Harden())
	ok(t, Harden())
	var limit unix.Rlimit
	ok(t, unix.Getrlimit(unix.RLIMIT_CORE, &limit))
	if dumpable() != 0 || limit != (unix.Rlimit{}) {
		t.Errorf("dumpable %d, core limit %+v", dumpable(), limit)
	}
	f, err := os.Open(os.DevNull)
	ok(t, err)
	defer f.Close()
	again, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	ok(t, err)
	again.Close()
}
