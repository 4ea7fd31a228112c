package tests

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"kmsfs/kmsclient/localkms"
)

// fleet is many workers on one store, held up and let go together, and what their
// requests were answered.
type fleet struct {
	t       *testing.T
	dir     string // of the store
	workers []*worker
	opened  atomic.Int64 // ciphertexts that opened
	mayFail bool         // the server may have to answer that it failed; set before start

	mu       sync.Mutex
	resumed  *sync.Cond // over all below
	round    int        // counts the times they were let go
	parked   int        // workers that wait for the next round
	failed   bool
	ending   bool
	expect   bool            // the server is about to be killed: calls may be lost
	answered map[string]note // request id -> what the audit log must say of it
	total    int             // answered calls
	lostN    int             // calls without an answer
	last     uint64          // audit records that were compared
	order    map[*worker]int // the worker's number of its last record
	wg       sync.WaitGroup
}

// note is an answered call.
type note struct {
	w      *worker
	number int // of the worker's calls
	op     string
	code   string
}

func newFleet(t *testing.T, dir string) *fleet {
	f := &fleet{t: t, dir: dir, answered: map[string]note{}, order: map[*worker]int{}}
	f.resumed = sync.NewCond(&f.mu)
	return f
}

// recruit makes workers, who share out the access keys. servers are where each of
// them calls.
func (f *fleet) recruit(seed uint64, n int, keys []*caller, servers ...*kmsServer) {
	for i := range n {
		var callers []*caller
		for _, s := range servers {
			callers = append(callers, keys[i%len(keys)].at(s))
		}
		f.workers = append(f.workers, newWorker(f, fmt.Sprintf("w%d", i), seed, uint64(i+1), callers...))
	}
}

// start lets the workers go.
func (f *fleet) start() {
	for _, w := range f.workers {
		f.wg.Go(func() { f.work(w) })
	}
}

// work is a worker's life: after each interruption it looks whether all is as it
// was, and goes on.
func (f *fleet) work(w *worker) {
	for round := 0; ; {
		err := w.settle()
		if err == nil {
			err = w.populate()
		}
		for err == nil && !f.stopping() {
			if err = w.step(); err == nil && w.rnd.IntN(20) == 0 {
				err = w.settle()
			}
		}
		if err != nil && !errors.Is(err, errUnanswered) && !errors.Is(err, errFailed) {
			f.t.Error(err)
			f.mu.Lock()
			f.failed = true
			f.mu.Unlock()
			w.doubt = nil // it goes on, to be there when others are waited for
		}
		if !f.park(&round) {
			return
		}
	}
}

// stopping tells the workers to stop.
func (f *fleet) stopping() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ending || f.failed
}

// park waits for the next round; false ends the worker.
func (f *fleet) park(round *int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parked++
	f.resumed.Broadcast()
	for f.round == *round && !f.ending {
		f.resumed.Wait()
	}
	*round = f.round
	return !f.ending
}

// await waits until every worker has lost the server, or been failed by it.
func (f *fleet) await() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.parked < len(f.workers) {
		f.resumed.Wait()
	}
}

// resume lets the workers go again.
func (f *fleet) resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parked, f.expect = 0, false
	f.round++
	f.resumed.Broadcast()
}

// end stops the workers while the server is there.
func (f *fleet) end() {
	f.mu.Lock()
	f.ending = true
	f.resumed.Broadcast()
	f.mu.Unlock()
	f.wg.Wait()
}

// openAll has every worker, after the end, look at its keys and open every
// ciphertext it has left.
func (f *fleet) openAll() {
	var wg sync.WaitGroup
	for _, w := range f.workers {
		wg.Go(func() {
			if err := w.settle(); err != nil {
				f.t.Error(err)
			} else if err := w.openAll(); err != nil {
				f.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// expectLoss announces that calls may go unanswered until resume.
func (f *fleet) expectLoss() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expect = true
}

// lost notes a call without an answer.
func (f *fleet) lost(w *worker, op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lostN++
	if !f.expect {
		f.failed = true
		f.t.Errorf("%s: %s: %v, and the server was alive", w.name, op, err)
	}
}

// note remembers an answered call for checkAudit.
func (f *fleet) note(w *worker, op string, a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total++
	if _, twice := f.answered[a.id]; twice || a.id == "" {
		f.t.Errorf("%s: %s: request id %q, as another answer", w.name, op, a.id)
	}
	f.answered[a.id] = note{w, w.calls, op, a.code()}
}

// checkAudit compares the audit log from where it was compared last with the
// answered calls: each has one record, those of a worker in its order. The workers
// are parked.
func (f *fleet) checkAudit() {
	f.t.Helper()
	store, err := localkms.Open(f.dir, localkms.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	defer store.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[string]bool{}
	for r, err := range store.AuditEvents(context.Background(), localkms.AuditFilter{After: f.last}) {
		if err != nil {
			f.t.Fatal(err)
		}
		if r.Seq != f.last+1 {
			f.t.Errorf("audit record %d comes after %d", r.Seq, f.last)
		}
		f.last = r.Seq
		n, ok := f.answered[r.Event.RequestID]
		if !ok { // the answer was lost, or another client's
			continue
		}
		if n.code == "KMSInternalException" {
			f.t.Errorf("audit record %d, %s, is of a call that was answered to have failed", r.Seq, n.op)
		}
		if seen[r.Event.RequestID] {
			f.t.Errorf("audit record %d repeats request %s", r.Seq, r.Event.RequestID)
		}
		seen[r.Event.RequestID] = true
		if r.Event.EventName != n.op || r.Event.ErrorCode != n.code || r.Event.UserIdentity.AccessKeyID != n.w.callers[0].id {
			f.t.Errorf("audit record %d: %+v, of %s %s by %s", r.Seq, r.Event, n.op, n.code, n.w.name)
		}
		if n.number <= f.order[n.w] {
			f.t.Errorf("audit record %d: call %d of %s after call %d", r.Seq, n.number, n.w.name, f.order[n.w])
		}
		f.order[n.w] = n.number
		delete(f.answered, r.Event.RequestID)
	}
	for id, n := range f.answered {
		if n.code == "KMSInternalException" {
			continue
		}
		f.t.Errorf("call %d of %s, %s %s, was answered and has no audit record (request %s)", n.number, n.w.name, n.op, n.code, id)
	}
	clear(f.answered)
}

// seeded gives the seed of a test and the generator for what it draws itself. A
// seed of 0 is drawn.
func seeded(seed uint64) (uint64, *rand.Rand) {
	for seed == 0 {
		seed = rand.Uint64()
	}
	return seed, rand.New(rand.NewPCG(seed, 0))
}
