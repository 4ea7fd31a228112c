package unlock

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ReadPassphraseFD reads a passphrase from a file descriptor, up to a line feed
// or the end, and gives it without the line feed; a carriage return belongs to
// the passphrase. It reads not a byte more, so that a second passphrase may
// follow. What cannot be a passphrase is ErrUnusable. The caller wipes the result,
// and closes fd.
func ReadPassphraseFD(fd int) ([]byte, error) {
	p := make([]byte, 0, MaxPassphrase+1) // never grows: a copy would not be wiped
	for len(p) < cap(p) {
		next := p[len(p) : len(p)+1]
		n, err := unix.Read(fd, next)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			clear(p)
			return nil, fmt.Errorf("read passphrase: %w", err)
		case n == 0 || next[0] == '\n':
			if err := checkPassphrase(p); err != nil {
				clear(p)
				return nil, err
			}
			return p, nil
		}
		p = p[:len(p)+1]
	}
	err := checkPassphrase(p) // too long
	clear(p)
	return nil, err
}
