package cipherdir_test

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
)

// victim is a file under faults. Operation i writes bytes of value i; may holds for
// every byte the values that it can have: one, until an operation on it fails.
type victim struct {
	h        *cipherdir.Handle
	may      []uint32 // bit i: value i is possible
	min, max int64    // possible sizes
	op       int
	failed   []error
}

func (v *victim) allow(from, to int64, mask uint32, only bool) {
	for n := int64(len(v.may)); n < to; n++ {
		v.may = append(v.may, 1)
	}
	for i := from; i < to; i++ {
		if only {
			v.may[i] = mask
		} else {
			v.may[i] |= mask
		}
	}
}

func (v *victim) write(off, n int64) {
	v.op++
	k, err := v.h.Write(ctx, bytes.Repeat([]byte{byte(v.op)}, int(n)), off)
	if end := off + int64(k); k > 0 {
		v.allow(off, end, 1<<v.op, true)
		v.min, v.max = max(v.min, end), max(v.max, end)
	}
	if err != nil {
		v.failed = append(v.failed, err)
		v.max = max(v.max, off+n)
	}
	v.allow(off+int64(k), min(off+n, max(v.max, int64(len(v.may)))), 1<<v.op, false)
}

func (v *victim) truncate(size int64) {
	err := v.h.Truncate(ctx, size)
	v.allow(0, size, 0, false)
	if err == nil {
		v.allow(size, int64(len(v.may)), 1, true)
		v.min, v.max = size, size
		return
	}
	v.failed = append(v.failed, err)
	v.allow(size, int64(len(v.may)), 1, false)
	v.min, v.max = min(v.min, size), max(v.max, size)
}

func (v *victim) punch(off, n int64) {
	err := v.h.Allocate(ctx, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if err != nil {
		v.failed = append(v.failed, err)
	}
	v.allow(off, min(off+n, int64(len(v.may))), 1, err == nil)
}

// check reads the file by h.
func (v *victim) check(h *cipherdir.Handle) error {
	a, err := h.Inode().Attr()
	if err != nil {
		return err
	}
	if a.Size < v.min || a.Size > v.max {
		return fmt.Errorf("size %d is not between %d and %d", a.Size, v.min, v.max)
	}
	b := make([]byte, a.Size)
	for at := 0; at < len(b); {
		k, err := h.Read(ctx, b[at:], int64(at))
		if err != nil {
			return fmt.Errorf("reading at %d: %w", at, err)
		}
		at += k
	}
	for i, c := range b {
		if v.may[i]&(1<<c) == 0 {
			return fmt.Errorf("byte %d has value %d, may be %b", i, c, v.may[i])
		}
	}
	return nil
}
