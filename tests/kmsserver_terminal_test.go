package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal, with all that was shown on it.
type terminal struct {
	master, slave *os.File

	mu    sync.Mutex
	shown bytes.Buffer // guarded by mu
}

func newTerminal(t testing.TB) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, slave: slave}
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			term.mu.Lock()
			term.shown.Write(b[:n])
			term.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		slave.Close()
		master.Close()
	})
	return term
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown.String()
}

// reply is what a user types when a prompt has appeared.
type reply struct{ prompt, typed string }

// dialog runs kmsfs with a terminal of its own, which neither standard input nor
// output are, and types the replies. What was shown on the terminal must not hold
// what was typed.
func (h *kmsHouse) dialog(replies []reply, args ...string) (stdout, stderr string, code int) {
	h.Helper()
	term := newTerminal(h)
	cmd := exec.Command(h.bin, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = h.dir, h.env, &out, &errs
	cmd.ExtraFiles = []*os.File{term.slave} // descriptor 3
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	cmd.WaitDelay = patience // of a daemon that inherits the pipes
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	after := 0
	for _, r := range replies {
		h.eventually("prompt "+r.prompt, func() error {
			text := term.text()
			i := strings.Index(text[after:], r.prompt)
			if i < 0 {
				return fmt.Errorf("on the terminal: %q", text)
			}
			after += i + len(r.prompt)
			return nil
		})
		if _, err := term.master.WriteString(r.typed); err != nil {
			h.Fatal(err)
		}
	}
	select {
	case err := <-ended:
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			h.Fatal(err)
		}
	case <-time.After(patience):
		cmd.Process.Kill()
		h.Fatalf("kmsfs %v goes on; on the terminal: %q", args, term.text())
	}
	for _, r := range replies {
		if typed := strings.TrimSpace(r.typed); typed != "" && strings.Contains(term.text(), typed) {
			h.Errorf("the terminal shows what was typed: %q", term.text())
		}
	}
	if echoes, err := unix.IoctlGetTermios(int(term.slave.Fd()), unix.TCGETS); err != nil || echoes.Lflag&unix.ECHO == 0 {
		h.Errorf("the terminal does not echo any more: %v", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestPassphraseOnTerminal: a passphrase is asked for on the terminal, whatever
// standard input and output are, by mount before its daemon leaves the terminal.
func TestPassphraseOnTerminal(t *testing.T) {
	const passphrase, another = "tYpEd correct horse", "tYpEd battery staple"
	h := newKMSHouse(t)
	h.secret("passphrase", passphrase)
	h.secret("new passphrase", another)
	key := h.passphraseStore(passphrase)
	encrypt := []string{"kms", "encrypt", "--key-id", key, "--plaintext", "aGk="}
	const prompt, first, again = "Passphrase of the key store: ", "New passphrase: ", "The same again: "

	if out, errs, code := h.dialog([]reply{{prompt, passphrase + "\n"}}, encrypt...); code != 0 || !strings.Contains(out, "CiphertextBlob") {
		t.Errorf("encrypt: exit code %d, %s%s", code, out, errs)
	}
	if _, errs, code := h.dialog([]reply{{prompt, another + "\n"}}, encrypt...); code != 3 || !strings.Contains(errs, "passphrase does not open the root key") || !strings.Contains(errs, "hint:") {
		t.Errorf("wrong passphrase: exit code %d, %s", code, errs)
	}
	for _, nothing := range []string{"\n", "\x04"} {
		if _, errs, code := h.dialog([]reply{{prompt, nothing}}, encrypt...); code != 1 || !strings.Contains(errs, "it is empty") {
			t.Errorf("no passphrase: exit code %d, %s", code, errs)
		}
	}
	if _, errs, code := h.dialog([]reply{{prompt, "half\x03"}}, encrypt...); code != 3 || !strings.Contains(errs, "passphrase: interrupted") {
		t.Errorf("interrupted: exit code %d, %s", code, errs)
	}

	h.kmsfs("init", "--kms-passphrase-file", h.path("passphrase"), "c")
	if _, errs, code := h.dialog([]reply{{prompt, passphrase + "\n"}}, "mount", "c", "m"); code != 0 {
		t.Fatalf("mount: exit code %d, %s", code, errs)
	}
	points.Store(h.path("m"), true)
	h.write("file", []byte("content"))
	h.umount()

	if _, errs, code := h.dialog([]reply{{prompt, passphrase + "\n"}, {first, another + "\n"}, {again, "other\n"}},
		"kms", "set-unlock", "--method", "passphrase"); code != 1 || !strings.Contains(errs, "the two passphrases differ") {
		t.Errorf("two new passphrases: exit code %d, %s", code, errs)
	}
	if _, errs, code := h.dialog([]reply{{prompt, passphrase + "\n"}, {first, another + "\n"}, {again, another + "\n"}},
		"kms", "set-unlock", "--method", "passphrase"); code != 0 {
		t.Errorf("a new passphrase: exit code %d, %s", code, errs)
	}
	if out, errs, code := h.dialog([]reply{{prompt, another + "\n"}}, "cat", "c", "file"); code != 0 || out != "content" {
		t.Errorf("cat: exit code %d, %s%s", code, out, errs)
	}
}
