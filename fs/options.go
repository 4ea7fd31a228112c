package fs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// What Mount may refuse before it asks the kernel.
var (
	ErrNoDevice     = errors.New("there is no FUSE device /dev/fuse")
	ErrDevice       = errors.New("FUSE device /dev/fuse may not be opened")
	ErrNoFusermount = errors.New("fusermount3 not found (it is in the package fuse3)")
	ErrAllowOther   = errors.New("allow_other needs the line user_allow_other in /etc/fuse.conf")
	ErrDeadMount    = errors.New("a mount whose program is gone lies there (fusermount3 -u removes it)")
	ErrOption       = errors.New("unknown mount option")
)

const (
	device         = "/dev/fuse"
	fuseConf       = "/etc/fuse.conf"
	optPermissions = "default_permissions"
	optAllowOther  = "allow_other"
)

// options are mount options sorted by who understands them.
type options struct {
	allowOther bool
	flags      uintptr  // of mount(2)
	words      []string // the same for fusermount3
	data       []string // for FUSE itself
}

// flagOptions are the options of mount(8) that are flags of mount(2).
var flagOptions = map[string]struct{ set, clear uintptr }{
	"ro": {set: unix.MS_RDONLY}, "rw": {clear: unix.MS_RDONLY},
	"nosuid": {set: unix.MS_NOSUID}, "suid": {clear: unix.MS_NOSUID},
	"nodev": {set: unix.MS_NODEV}, "dev": {clear: unix.MS_NODEV},
	"noexec": {set: unix.MS_NOEXEC}, "exec": {clear: unix.MS_NOEXEC},
	"noatime": {set: unix.MS_NOATIME}, "atime": {clear: unix.MS_NOATIME},
	"sync": {set: unix.MS_SYNCHRONOUS}, "async": {clear: unix.MS_SYNCHRONOUS},
	"dirsync": {set: unix.MS_DIRSYNC},
}

// ignoredOptions are for mount(8) and init systems, in /etc/fstab.
var ignoredOptions = map[string]bool{
	"": true, "defaults": true, "auto": true, "noauto": true, "user": true, "nouser": true,
	"users": true, "nofail": true, "_netdev": true,
}

func parseOptions(o MountOptions) (options, error) {
	p := options{allowOther: o.AllowOther, flags: unix.MS_NOSUID | unix.MS_NODEV}
	extra := append([]string{"nosuid", "nodev"}, o.Extra...)
	if o.ReadOnly {
		extra = append(extra, "ro") // last: nobody takes it back
	}
	for _, opt := range extra {
		f, isFlag := flagOptions[opt]
		switch {
		case isFlag:
			p.flags = p.flags&^f.clear | f.set
			p.words = append(p.words, opt)
		case opt == optAllowOther:
			p.allowOther = true
		case opt == optPermissions:
			p.data = append(p.data, opt)
		case ignoredOptions[opt] || strings.HasPrefix(opt, "x-"):
		default:
			return p, fmt.Errorf("%w %q", ErrOption, opt)
		}
	}
	if p.allowOther {
		p.data = append(p.data, optPermissions)
	}
	return p, nil
}

// preflight finds out, before mounting, what fusermount3 would put on stderr or
// mount(2) into an errno.
func preflight(point string, direct, allowOther bool) error {
	st, err := os.Stat(point)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return ErrDeadMount
	case err != nil:
		return errors.Unwrap(err) // the caller names the mount point
	case !st.IsDir():
		return unix.ENOTDIR
	}
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: %w", ErrNoDevice, errors.Unwrap(err))
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDevice, errors.Unwrap(err))
	}
	f.Close()
	if direct {
		return nil
	}
	if !haveFusermount() {
		return ErrNoFusermount
	}
	if allowOther && !userAllowOther(fuseConf) {
		return ErrAllowOther
	}
	return nil
}

// haveFusermount looks where go-fuse looks.
func haveFusermount() bool {
	for _, bin := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if _, err := exec.LookPath(bin); err == nil {
			return true
		}
	}
	return false
}

// userAllowOther reports whether fuse.conf lets users give allow_other.
func userAllowOther(conf string) bool {
	f, err := os.Open(conf)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}
