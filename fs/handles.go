package fs

import "sync"

// table gives out the numbers by which the kernel names open handles. Its zero
// value is ready; several goroutines may use it.
type table[T any] struct {
	mu   sync.RWMutex // guards what follows
	last uint64
	open map[uint64]*T
}

// add gives h a number that no handle had before.
func (t *table[T]) add(h *T) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]*T{}
	}
	t.last++
	t.open[t.last] = h
	return t.last
}

// get finds a handle, nil if there is none of that number.
func (t *table[T]) get(fh uint64) *T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.open[fh]
}

// take finds a handle and forgets its number.
func (t *table[T]) take(fh uint64) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.open[fh]
	delete(t.open, fh)
	return h
}

// drain takes all handles.
func (t *table[T]) drain() []*T {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*T, 0, len(t.open))
	for _, h := range t.open {
		all = append(all, h)
	}
	clear(t.open)
	return all
}
