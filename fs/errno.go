package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/envelope"
	"kmsfs/kmsclient"
)

// rule maps one kind of error to what the program sees, and to what the log says
// of it; an empty say is not worth a line.
type rule struct {
	err   error
	errno unix.Errno
	xattr unix.Errno // in calls on extended attributes, where another one is due
	say   string
	hint  string
}

const (
	sayRefused = "the KMS refused a key"
	sayAway    = "the KMS did not answer"
	sayDamaged = "damaged data"
	saySick    = "the store failed"

	hintRefused = "enable the key or grant its use; reads and writes work again at the next try"
	hintAway    = "check the KMS and the way to it; the program may try again"
	hintDamaged = "run kmsfs fsck; restore the file from a backup"
)

// errnos is the one table from errors to errno, the first match counts. An
// interrupted call comes before what it interrupted, a refusal or damage before
// the errno it may wrap. What matches nothing is EIO.
var errnos = []rule{
	{err: context.Canceled, errno: unix.EINTR},

	{err: kmsclient.ErrDenied, errno: unix.EACCES, say: sayRefused, hint: hintRefused},
	{err: kmsclient.ErrDisabled, errno: unix.EACCES, say: sayRefused, hint: hintRefused},
	{err: kmsclient.ErrPendingDeletion, errno: unix.EACCES, say: sayRefused, hint: hintRefused},
	{err: kmsclient.ErrNotFound, errno: unix.EACCES, say: sayRefused, hint: hintRefused},
	{err: kmsclient.ErrInvalidCiphertext, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: kmsclient.ErrInvalidRequest, errno: unix.EIO, say: "the KMS found a request invalid"},
	{err: kmsclient.ErrThrottled, errno: unix.EAGAIN, say: sayAway, hint: hintAway},
	{err: kmsclient.ErrUnavailable, errno: unix.EAGAIN, say: sayAway, hint: hintAway},
	{err: context.DeadlineExceeded, errno: unix.EAGAIN, say: sayAway, hint: hintAway},

	{err: envelope.ErrNameTooLong, errno: unix.ENAMETOOLONG, xattr: unix.ERANGE},
	{err: envelope.ErrSize, errno: unix.EFBIG},
	{err: envelope.ErrMagic, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrVersion, errno: unix.EIO, say: "a newer format", hint: "use a newer kmsfs"},
	{err: envelope.ErrFlags, errno: unix.EIO, say: "a newer format", hint: "use a newer kmsfs"},
	{err: envelope.ErrHeader, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrForeign, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrCommitment, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrPage, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrMeta, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrName, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrDirIV, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrTarget, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrXattr, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrConfig, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},
	{err: envelope.ErrState, errno: unix.EIO, say: sayDamaged, hint: hintDamaged},

	// ENOSYS would make the kernel never ask again.
	{err: unix.ENOSYS, errno: unix.EOPNOTSUPP},
	{err: unix.EIO, errno: unix.EIO, say: saySick, hint: "look at the kernel's log"},
	{err: unix.EROFS, errno: unix.EROFS},
	{err: iofs.ErrClosed, errno: unix.EBADF},
}

// ruleOf finds the rule for an error that is not nil.
func ruleOf(err error) rule {
	for i := range errnos {
		if errors.Is(err, errnos[i].err) {
			return errnos[i]
		}
	}
	var e unix.Errno
	if errors.As(err, &e) && e != 0 {
		return rule{err: e, errno: e}
	}
	return rule{err: err, errno: unix.EIO, say: "unexpected error"}
}

// plain reports whether err is an errno that goes to the program as it is: most
// errors of a busy file system, so they never walk the table.
func plain(err error) (unix.Errno, bool) {
	e, ok := err.(unix.Errno)
	return e, ok && e != 0 && e != unix.ENOSYS && e != unix.EIO
}

// status is what the kernel is told of err. op and node say in the log what it
// happened to: the node's id, never a name.
func (a *adapter) status(op string, node uint64, err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	if e, ok := plain(err); ok {
		return fuse.Status(e)
	}
	r := ruleOf(err)
	a.report.line(op, node, r, err)
	return fuse.Status(r.errno)
}

// xattrStatus is status for calls on extended attributes.
func (a *adapter) xattrStatus(op string, node uint64, err error) fuse.Status {
	if err != nil {
		if r := ruleOf(err); r.xattr != 0 {
			return fuse.Status(r.xattr)
		}
	}
	return a.status(op, node, err)
}

// panicked is go-fuse's panic handler: EIO for the program, a line in the log
// without the panic's value unless the run time made it (an index, a nil
// pointer), because values may be data.
func (a *adapter) panicked(v any) fuse.Status {
	a.report.panicked("request", v)
	return fuse.EIO
}

// reportEvery is how often one kind of trouble gets a line in the log.
const reportEvery = 5 * time.Second

// reporter writes what is wrong into the log, each kind at most every
// reportEvery.
type reporter struct {
	log *slog.Logger

	mu   sync.Mutex // guards seen
	seen map[error]*sighting
}

type sighting struct {
	last    time.Time
	skipped int
}

func newReporter(l *slog.Logger) *reporter {
	return &reporter{log: l, seen: map[error]*sighting{}}
}

func (r *reporter) line(op string, node uint64, kind rule, err error) {
	if kind.say == "" {
		return
	}
	r.log.Debug("request failed", "op", op, "node", node, "err", err)
	skipped, due := r.due(kind)
	if !due {
		return
	}
	args := []any{"op", op, "node", node, "errno", kind.errno.Error(), "cause", cause(kind, err)}
	if kind.hint != "" {
		args = append(args, "hint", kind.hint)
	}
	if skipped > 0 {
		args = append(args, "since_last", skipped)
	}
	r.log.Warn(kind.say, args...)
}

// cause names what failed without any name of a file: the KMS's own words (with
// the key), or the kind.
func cause(kind rule, err error) string {
	var k *kmsclient.Error
	if errors.As(err, &k) {
		return k.Error()
	}
	for i := range errnos {
		if errnos[i].err == kind.err {
			return kind.err.Error()
		}
	}
	return "of a kind without a rule; see the debug log"
}

func (r *reporter) due(kind rule) (skipped int, due bool) {
	key := kind.err
	if kind.errno == unix.EIO && kind.say == "unexpected error" {
		key = nil // errors made on the spot are one kind
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seen[key]
	if s == nil {
		s = &sighting{}
		r.seen[key] = s
	}
	if now := time.Now(); now.Sub(s.last) >= reportEvery {
		skipped, s.last, s.skipped = s.skipped, now, 0
		return skipped, true
	}
	s.skipped++
	return 0, false
}

func (r *reporter) panicked(where string, v any) {
	text := "value withheld"
	if e, ok := v.(runtime.Error); ok {
		text = e.Error()
	}
	r.log.Error("panic", "in", where, "panic", text, "stack", string(debug.Stack()))
}
