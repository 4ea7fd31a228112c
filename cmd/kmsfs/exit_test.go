package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/fs/cipherdir"
	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("anything"), 1},
		{usagef("x"), 2},
		{fmt.Errorf("mount: %w", usageError{errors.New("x")}), 2},
		{&kmsclient.Error{Op: "Decrypt", Kind: kmsclient.ErrDisabled}, 3},
		{awsError{&kmsclient.Error{Kind: kmsclient.ErrNotFound}}, 3},
		{fmt.Errorf("%w: %w", errNoKMS, os.ErrNotExist), 3},
		{fmt.Errorf("%w: %w", errNoKMS, localkms.ErrRootKey), 3},
		{kmsclient.Interrupted(context.Canceled), 3},
		{inDir("c", fmt.Errorf("%w: checksum", envelope.ErrHeader)), 4},
		{withHint(fmt.Errorf("%w: 2 damaged", errIntegrity), "restore"), 4},
		{localkms.ErrAuditBroken, 4},
		{fmt.Errorf("%w: %w", errPartly, kmsclient.ErrDisabled), 5},
		{inDir("c", cipherdir.ErrNotCipherDir), 10},
		{inDir("c", cipherdir.ErrLocked), 1},
		{&os.PathError{Op: "write", Err: unix.ENOSPC}, 1},
		{daemonError{Text: "x", Exit: 3}, 3},
		{errors.Join(errReported, envelope.ErrConfig), 4},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

// The table of README.md and the constants are the same.
func TestExitCodesDocumented(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{exitDone, exitFailed, exitUsage, exitKMS, exitIntegrity, exitPartly, exitNotCipherDir} {
		if !bytes.Contains(readme, fmt.Appendf(nil, "\n| %d | ", code)) {
			t.Errorf("README.md does not name exit code %d", code)
		}
	}
	for _, cmd := range newRootCommand().Commands() {
		if !bytes.Contains(readme, []byte("`kmsfs "+cmd.Name())) {
			t.Errorf("README.md does not name the verb %s", cmd.Name())
		}
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	report(&out, withHint(errors.New("it failed"), "do this"))
	report(&out, errors.New("two\nlines"))
	report(&out, errors.Join(errReported, errors.New("told before")))
	report(&out, nil)
	want := "kmsfs: it failed\nhint: do this\nkmsfs: two\nkmsfs: lines\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
