package fs

import (
	"context"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/fs/cipherdir"
)

// Every inode that the kernel knows holds a descriptor of ours, and the kernel
// forgets inodes when memory runs short, which descriptors may do long before. So
// past half of the descriptors we may have, the kernel is asked to drop names of
// files that are not open; they are looked up again when somebody wants them.

const (
	pruneBatch  = 256
	minInodes   = 256 // below this many nothing is pruned, whatever the limit
	pruneRounds = 64  // of a batch each, before the next signal
)

// pruner keeps the number of inodes below a bound.
type pruner struct {
	cd     *cipherdir.FS
	most   int // inodes beyond which pruning begins
	signal chan struct{}
	pruned atomic.Uint64 // names dropped
}

func newPruner(cd *cipherdir.FS) *pruner {
	var limit unix.Rlimit
	most := 1 << 19
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		most = int(min(limit.Cur/2, 1<<19))
	}
	return &pruner{cd: cd, most: max(most, minInodes), signal: make(chan struct{}, 1)}
}

// crowded reports whether there are too many inodes, and if so wakes the pruner.
func (p *pruner) crowded() bool {
	if p.cd.Inodes() <= p.most {
		return false
	}
	select {
	case p.signal <- struct{}{}:
	default:
	}
	return true
}

// run prunes when it is woken. It must not run in a request: the kernel holds the
// directory's lock during a lookup, and wants it for dropping a name.
func (p *pruner) run(ctx context.Context, kernel *fuse.Server) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.signal:
		}
		for range pruneRounds {
			if p.cd.Inodes() <= p.most*3/4 || ctx.Err() != nil {
				break
			}
			for _, place := range p.cd.Idle(pruneBatch) {
				if kernel.EntryNotify(place.Parent, place.Name).Ok() {
					p.pruned.Add(1)
				}
			}
		}
	}
}
