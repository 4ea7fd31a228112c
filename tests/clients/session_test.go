//go:build clients

package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPage runs docs/kms-clients.md, from its first command to its last in one
// shell, with every aws there is.
func TestPage(t *testing.T) {
	blocks := readPage(t)
	once := true
	for _, cli := range findAWS(t) {
		withSDKs := once && cli.recent
		once = once && !withSDKs
		t.Run("aws-"+cli.version, func(t *testing.T) {
			t.Parallel()
			s := newSession(t, cli)
			for i, b := range blocks {
				if (b.recent && !cli.recent) || (b.once && !withSDKs) {
					continue
				}
				s.add(i, b)
			}
			s.run(blocks)
		})
	}
}

// session is a shell that runs blocks of the page.
type session struct {
	*testing.T
	dir    string // where it works
	out    string // a file for the output of each block
	env    []string
	script strings.Builder
}

// newSession makes the directories, with cli as the aws in the PATH.
func newSession(t *testing.T, cli awsCLI) *session {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	top, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{T: t, dir: filepath.Join(dir, "work"), out: filepath.Join(dir, "out")}
	for _, d := range []string{s.dir, s.out} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// The page's Go program is no module, and gets the versions of ours; the
	// JavaScript one is where npm would have put it.
	s.write(filepath.Join(s.dir, "go.mod"), "module diary\n", 0o600)
	if err := os.Symlink(filepath.Join(top, "bin/clients/js/node_modules"), filepath.Join(s.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	s.write(filepath.Join(dir, "aws"), "#!/bin/sh\nexec "+cli.command+" \"$@\"\n", 0o700)
	s.env = environment(t, dir, "GOFLAGS=-modfile="+filepath.Join(top, "go.mod"))
	for i, e := range s.env {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			s.env[i] = "PATH=" + dir + ":" + path
		}
	}
	s.script.WriteString("set -e -o pipefail\n")
	return s
}

// add appends block number i.
func (s *session) add(i int, b block) {
	if b.file != "" {
		s.write(filepath.Join(s.dir, b.file), b.code, 0o600)
		return
	}
	fmt.Fprintf(&s.script, "exec > %s 2>&1\n%s", s.output(i), b.code)
}

// output is the file for the output of block number i.
func (s *session) output(i int) string { return filepath.Join(s.out, fmt.Sprint(i)) }

func (s *session) write(path, text string, mode os.FileMode) {
	s.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.Fatal(err)
	}
}

// run runs the script and checks what each of its blocks has printed. The shell
// stops at the first that fails, so that later ones have printed nothing.
func (s *session) run(blocks []block) {
	s.Helper()
	cmd := inGroup(s.T, s.dir, s.env, "bash", "-c", s.script.String())
	err := cmd.Run()
	if cmd.Process != nil {
		cmd.Cancel() // the server, if the shell did not come to its end
	}
	ran := 0
	for i, b := range blocks {
		got, missing := os.ReadFile(s.output(i))
		if missing != nil {
			continue
		}
		ran++
		if e := prints(b.output, string(got)); e != nil {
			s.Errorf("docs/kms-clients.md:%d: %s: %v", b.line, b.section, e)
		}
	}
	if err != nil {
		s.Errorf("the shell ended in the block before: %v", err)
	}
	if ran == 0 {
		s.Error("nothing was run")
	}
	s.Logf("%d blocks", ran)
	if log, err := os.ReadFile(filepath.Join(s.dir, "serve.log")); err != nil || strings.Contains(string(log), "panic") {
		s.Errorf("the server's log: %v\n%s", err, log)
	}
}
