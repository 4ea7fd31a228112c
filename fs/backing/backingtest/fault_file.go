package backingtest

import "kmsfs/fs/backing"

type faultFile struct {
	s     *Fault
	inner backing.File
	path  string
}

var _ backing.File = (*faultFile)(nil)

func (f *faultFile) op(method string, off, n int64) Op {
	return Op{Name: method, File: true, Path: f.path, Off: off, Len: n}
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	a := f.s.ask(f.op("ReadAt", off, int64(len(p))))
	n, err := a.transfer(p, off, f.inner.ReadAt)
	for _, bit := range a.Flip {
		if bit/8 < n {
			p[bit/8] ^= 1 << (bit % 8)
		}
	}
	return n, err
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	a := f.s.ask(f.op("WriteAt", off, int64(len(p))))
	if a.Drop {
		return len(p), nil
	}
	return a.transfer(p, off, f.inner.WriteAt)
}

// transfer calls ReadAt or WriteAt, for Short bytes if there is an error to give.
// The inner store's own error comes first.
func (a Action) transfer(p []byte, off int64, call func([]byte, int64) (int, error)) (int, error) {
	if a.Err != 0 && !a.After {
		p = p[:min(a.Short, len(p))]
		if len(p) == 0 {
			return 0, a.Err
		}
	}
	n, err := call(p, off)
	if err != nil {
		return n, err
	}
	return n, a.fault()
}

func (f *faultFile) Truncate(size int64) error {
	return f.s.do(f.op("Truncate", size, 0), func() error { return f.inner.Truncate(size) })
}

func (f *faultFile) Fallocate(mode uint32, off, n int64) error {
	op := f.op("Fallocate", off, n)
	op.Flags = int(mode)
	return f.s.do(op, func() error { return f.inner.Fallocate(mode, off, n) })
}

func (f *faultFile) Stat() (backing.Stat, error) {
	return get(f.s, f.op("Stat", 0, 0), f.inner.Stat)
}

func (f *faultFile) Sync() error { return f.s.do(f.op("Sync", 0, 0), f.inner.Sync) }

func (f *faultFile) Datasync() error { return f.s.do(f.op("Datasync", 0, 0), f.inner.Datasync) }

func (f *faultFile) WaitWriteback(off, n int64) error {
	return f.s.do(f.op("WaitWriteback", off, n), func() error { return f.inner.WaitWriteback(off, n) })
}

func (f *faultFile) TrackAtime() error { return f.s.do(f.op("TrackAtime", 0, 0), f.inner.TrackAtime) }

func (f *faultFile) SeekData(off int64) (int64, error) {
	return get(f.s, f.op("SeekData", off, 0), func() (int64, error) { return f.inner.SeekData(off) })
}

func (f *faultFile) SeekHole(off int64) (int64, error) {
	return get(f.s, f.op("SeekHole", off, 0), func() (int64, error) { return f.inner.SeekHole(off) })
}

func (f *faultFile) Lock(off int64, exclusive bool) error {
	return f.s.do(f.op("Lock", off, 1), func() error { return f.inner.Lock(off, exclusive) })
}

func (f *faultFile) Unlock(off int64) error {
	return f.s.do(f.op("Unlock", off, 1), func() error { return f.inner.Unlock(off) })
}

func (f *faultFile) Close() error { return f.s.close(f.op("Close", 0, 0), f.inner.Close) }
