package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/kmsclient"
)

func TestErrno(t *testing.T) {
	log := &lines{}
	a := newAdapter(nil, newReporter(slog.New(slog.NewTextHandler(log, nil))))
	for _, c := range []struct {
		err         error
		want, xattr unix.Errno
	}{
		{nil, 0, 0},
		{unix.ENOENT, unix.ENOENT, unix.ENOENT},
		{unix.ENOSPC, unix.ENOSPC, unix.ENOSPC},
		{unix.EDQUOT, unix.EDQUOT, unix.EDQUOT},
		{unix.ENODATA, unix.ENODATA, unix.ENODATA},
		{unix.ENOSYS, unix.EOPNOTSUPP, unix.EOPNOTSUPP},
		{unix.EIO, unix.EIO, unix.EIO},
		{fmt.Errorf("marking: %w", unix.EROFS), unix.EROFS, unix.EROFS},
		{&os.PathError{Op: "open", Path: "secret", Err: unix.ENOTDIR}, unix.ENOTDIR, unix.ENOTDIR},
		{os.ErrClosed, unix.EBADF, unix.EBADF},
		{unix.Errno(0), unix.EIO, unix.EIO},
		{errors.New("secret"), unix.EIO, unix.EIO},
		{context.Canceled, unix.EINTR, unix.EINTR},
		{kmsclient.Interrupted(context.Canceled), unix.EINTR, unix.EINTR},
		{kmsclient.Interrupted(context.DeadlineExceeded), unix.EAGAIN, unix.EAGAIN},
		{&kmsclient.Error{Op: "Decrypt", KeyID: "arn:key", Kind: kmsclient.ErrDisabled}, unix.EACCES, unix.EACCES},
		{kmsclient.ErrDenied, unix.EACCES, unix.EACCES},
		{kmsclient.ErrPendingDeletion, unix.EACCES, unix.EACCES},
		{kmsclient.ErrNotFound, unix.EACCES, unix.EACCES},
		{kmsclient.ErrInvalidCiphertext, unix.EIO, unix.EIO},
		{kmsclient.ErrInvalidRequest, unix.EIO, unix.EIO},
		{kmsclient.ErrThrottled, unix.EAGAIN, unix.EAGAIN},
		{fmt.Errorf("%w: %w", kmsclient.ErrUnavailable, unix.ECONNREFUSED), unix.EAGAIN, unix.EAGAIN},
		{envelope.ErrNameTooLong, unix.ENAMETOOLONG, unix.ERANGE},
		{envelope.ErrSize, unix.EFBIG, unix.EFBIG},
		{fmt.Errorf("page 3 of secret: %w", envelope.ErrPage), unix.EIO, unix.EIO},
		{errors.Join(unix.ENOSPC, errors.New("x")), unix.ENOSPC, unix.ENOSPC},
	} {
		eq(t, fmt.Sprint(c.err), a.status("op", 7, c.err), fuse.Status(c.want))
		eq(t, fmt.Sprint(c.err, " in xattr"), a.xattrStatus("op", 7, c.err), fuse.Status(c.xattr))
	}
	if s := log.String(); strings.Contains(s, "secret") || !strings.Contains(s, "arn:key") {
		t.Errorf("log: %s", s)
	}
	for range 100 {
		a.status("op", 7, envelope.ErrPage)
	}
	eq(t, "lines about pages", strings.Count(log.String(), envelope.ErrPage.Error()), 1)
}

// TestErrnoTableIsWhole looks for errors of the format that nobody has sorted.
func TestErrnoTableIsWhole(t *testing.T) {
	src, err := os.ReadFile("../envelope/errors.go")
	ok(t, err)
	for line := range strings.Lines(string(src)) {
		if _, text, is := strings.Cut(line, "errors.New(\""); is {
			text, _, _ = strings.Cut(text, "\")")
			if !slices.ContainsFunc(errnos, func(r rule) bool { return r.err.Error() == text }) {
				t.Errorf("no rule for %q", text)
			}
		}
	}
}

func TestPanicIsEIO(t *testing.T) {
	log := &lines{}
	a := newAdapter(nil, newReporter(slog.New(slog.NewTextHandler(log, nil))))
	eq(t, "status", a.panicked("secret"), fuse.EIO)
	if s := log.String(); strings.Contains(s, "secret") || !strings.Contains(s, "panic") {
		t.Errorf("log: %s", s)
	}
}

func TestOptions(t *testing.T) {
	p, err := parseOptions(MountOptions{ReadOnly: true, Extra: []string{"suid", "noexec", "rw", "noatime", "x-systemd.automount", "allow_other"}})
	ok(t, err)
	eq(t, "flags", p.flags, unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME|unix.MS_RDONLY)
	eq(t, "allow_other", p.allowOther, true)
	eq(t, "data", strings.Join(p.data, ","), "default_permissions")
	_, err = parseOptions(MountOptions{Extra: []string{"uid=0"}})
	wantErr(t, "uid=0", err, ErrOption)

	conf := filepath.Join(t.TempDir(), "fuse.conf")
	for text, want := range map[string]bool{"": false, "#user_allow_other\n": false, "mount_max = 1\n user_allow_other \n": true} {
		ok(t, os.WriteFile(conf, []byte(text), 0o600))
		eq(t, text, userAllowOther(conf), want)
	}
}

func TestMountRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	ok(t, os.WriteFile(file, nil, 0o600))
	_, err := Mount(nil, MountOptions{Mountpoint: file})
	wantErr(t, "a file", err, unix.ENOTDIR)
	_, err = Mount(nil, MountOptions{Mountpoint: file + "x"})
	wantErr(t, "nothing", err, unix.ENOENT)
	eq(t, "message", err.Error(), "mount "+file+"x: no such file or directory")
}
