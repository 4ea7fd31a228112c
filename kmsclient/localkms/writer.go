package localkms

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"kmsfs/kmsclient"
	"kmsfs/kmsclient/localkms/policy"
)

// maxBatch is how many operations share a transaction at most.
const maxBatch = 256

// writer runs every operation of a Store. One goroutine takes all operations
// that are waiting, runs them one after another in one write transaction, commits
// it durably and only then lets the callers go on (group commit). The transaction
// takes SQLite's write lock at its start, so what an operation read about a key
// is still so when it commits, whatever other processes do.
type writer struct {
	store *Store
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	queue chan *job
	quit  chan struct{} // closed by close
	done  chan struct{} // closed when the goroutine has ended
	once  sync.Once

	// Of the goroutine alone: what the tables of IAM say, key policies by their ids.
	iam      iamCache
	policies map[int64]*policy.Policy

	wiped time.Time // when it was last tried to drop destroyed material from SQLite's log; zero if none is there
}

// job is an operation in the queue. Whoever moves state off jobQueued owns it:
// the writer to run it, or the caller to give up.
type job struct {
	run   func(*tx) error
	state atomic.Int32
	err   error // valid after done is closed
	done  chan struct{}
}

const (
	jobQueued = iota
	jobRunning
	jobAbandoned
)

// tx is the transaction a batch runs in. Not for use after the operation.
type tx struct {
	w     *writer
	now   time.Time
	head  chainHead
	start uint64 // length of the audit log before the transaction
	moved bool   // head has moved
	wiped bool   // material was destroyed

	iamFresh bool // the cache of IAM has been compared with the database
}

func newWriter(s *Store) (*writer, error) {
	conn, err := s.db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	w := &writer{
		store: s, conn: conn, stmts: map[string]*sql.Stmt{}, policies: map[int64]*policy.Policy{},
		queue: make(chan *job, maxBatch), quit: make(chan struct{}), done: make(chan struct{}),
	}
	go w.loop()
	return w, nil
}

func (w *writer) close() {
	w.once.Do(func() { close(w.quit) })
	<-w.done
}

// submit runs f in a durable transaction, together with others' operations. f
// returns an error only if the store failed; then nothing of it is kept. f may
// be run twice. When ctx ends before f began, f is never run.
func (w *writer) submit(ctx context.Context, f func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return kmsclient.Interrupted(err)
	}
	j := &job{run: f, done: make(chan struct{})}
	giveUp := func(err error) error {
		if j.state.CompareAndSwap(jobQueued, jobAbandoned) {
			return err
		}
		<-j.done // too late: it is running
		return j.err
	}
	select {
	case w.queue <- j:
	case <-w.quit:
		return errClosed
	case <-ctx.Done():
		return kmsclient.Interrupted(ctx.Err())
	}
	select {
	case <-j.done:
		return j.err
	case <-w.done:
		return giveUp(errClosed)
	case <-ctx.Done():
		return giveUp(kmsclient.Interrupted(ctx.Err()))
	}
}

func (w *writer) loop() {
	defer close(w.done)
	defer func() {
		for _, s := range w.stmts {
			s.Close()
		}
		w.conn.Close()
	}()
	for {
		select {
		case <-w.quit:
			return
		case first := <-w.queue:
			w.runBatch(w.gather(first))
		}
	}
}

// gather takes the jobs that wait right now, without those given up.
func (w *writer) gather(first *job) []*job {
	var batch []*job
	take := func(j *job) {
		if j.state.CompareAndSwap(jobQueued, jobRunning) {
			batch = append(batch, j)
		}
	}
	take(first)
	for len(batch) < maxBatch {
		select {
		case j := <-w.queue:
			take(j)
		default:
			return batch
		}
	}
	return batch
}

// runBatch commits the jobs together; if one of them fails, each on its own, so
// that no operation fails for another's sake.
func (w *writer) runBatch(batch []*job) {
	if len(batch) == 0 {
		return
	}
	failed, err := w.commit(batch)
	for _, j := range batch {
		j.err = err
		if failed && len(batch) > 1 {
			_, j.err = w.commit([]*job{j})
		}
		if j.err != nil {
			j.err = fmt.Errorf("%w: %w", kmsclient.ErrUnavailable, damaged(j.err))
		}
		close(j.done)
	}
}

// commit runs the jobs in one transaction. jobFailed tells a failure in a job
// from one in the transaction around them.
func (w *writer) commit(batch []*job) (jobFailed bool, err error) {
	t := &tx{w: w, now: w.store.now()}
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			w.conn.ExecContext(context.Background(), "ROLLBACK")       // may have happened already
			w.iam, w.policies = iamCache{}, map[int64]*policy.Policy{} // may hold what was taken back
		}
	}()
	if err := w.store.inPlace(); err != nil {
		return false, err
	}
	if err := t.loadHead(); err != nil {
		return false, err
	}
	if err := t.runDue(); err != nil {
		return false, err
	}
	for _, j := range batch {
		if err := j.try(t); err != nil {
			return true, err
		}
	}
	if t.moved {
		if err := t.storeHead(); err != nil {
			return false, err
		}
	}
	if err := t.exec("COMMIT"); err != nil {
		return false, err
	}
	if t.wiped || !w.wiped.IsZero() && time.Since(w.wiped) > time.Second {
		w.dropLog()
	}
	return false, nil
}

// dropLog empties SQLite's write-ahead log, in which old pages still hold what was
// destroyed. While a reader needs them that fails, at once, and is tried again after
// a later transaction.
func (w *writer) dropLog() {
	ctx := context.Background()
	w.wiped = time.Now()
	var wait, busy int
	if w.conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&wait) != nil {
		return
	}
	w.conn.ExecContext(ctx, "PRAGMA busy_timeout = 0")
	err := w.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, new(int), new(int))
	if err == nil && busy == 0 {
		w.wiped = time.Time{}
	}
	w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", wait))
}

// try runs a job. A panic would end the process with everybody's calls in it: it
// becomes a failure of this job. Its value is shown where the run time made it;
// another one may contain anything.
func (j *job) try(t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			what := fmt.Sprintf("%T", p)
			if e, ok := p.(runtime.Error); ok {
				what = e.Error()
			}
			err = fmt.Errorf("panic: %s\n%s", what, debug.Stack())
		}
	}()
	return j.run(t)
}

// stmt gives the prepared form of a query, made at its first use.
func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		t.w.stmts[query] = s
	}
	return s, err
}

func (t *tx) exec(query string, args ...any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	_, err = s.Exec(args...)
	return err
}

// row reads one row into dest; sql.ErrNoRows if there is none.
func (t *tx) row(query string, args, dest []any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	return s.QueryRow(args...).Scan(dest...)
}

// each calls f for every row of a query, with the row's Scan.
func (t *tx) each(query string, args []any, f func(scan func(...any) error) error) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
