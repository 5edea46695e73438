package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// writer runs all writes of a process, one after the other, on one connection.
// Writes that wait at the same time share one transaction and so one sync of
// the disk: a group commit (C27). Each still succeeds or fails alone, by a
// savepoint of its own.
type writer struct {
	db    *sql.DB
	queue chan job
	done  chan struct{}
	stop  sync.Once
	quit  chan struct{}
	tx    *txn // nil until the first write, and after a failure
	// broken says that the last batch was abandoned.
	broken atomic.Bool
}

// closure does SQL only. What it returns as an error rolls back what it did;
// values leave through the variables it closes over, after the COMMIT.
type closure func(ctx context.Context, tx *txn) error

type job struct {
	caller context.Context
	run    closure
	answer chan error
}

const (
	// maxBatch bounds how much work one COMMIT carries, and so how long the
	// first caller of a batch waits for the last.
	maxBatch  = 256
	queueSize = 2 * maxBatch
)

var errClosed = fmt.Errorf("%w: it is closed", iam.ErrUnavailable)

func newWriter(db *sql.DB) *writer {
	w := &writer{db: db, queue: make(chan job, queueSize), done: make(chan struct{}), quit: make(chan struct{})}
	go w.loop()
	return w
}

func (w *writer) loop() {
	defer close(w.done)
	batch := make([]job, 0, maxBatch)
	for {
		select {
		case j := <-w.queue:
			batch = w.gather(append(batch[:0], j))
			w.commit(batch)
			clear(batch)
		case <-w.quit:
			return
		}
	}
}

// gather adds what waits already; it never waits for more.
func (w *writer) gather(batch []job) []job {
	for len(batch) < maxBatch {
		select {
		case j := <-w.queue:
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// do queues a closure and waits for its COMMIT. A caller that gives up before
// its turn is skipped; once its transaction runs, it runs to its end and the
// caller learns how it ended: a commit is never torn by a deadline.
func (w *writer) do(ctx context.Context, run closure) error {
	j := job{caller: ctx, run: fenced(ctx, run), answer: make(chan error, 1)}
	select {
	case w.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	select {
	case err := <-j.answer:
		return err
	case <-w.done:
	}
	select {
	case err := <-j.answer: // the last batch was answered just before the end
		return err
	default:
		return errClosed
	}
}

// commit runs a batch in one transaction. No answer leaves before the COMMIT.
func (w *writer) commit(batch []job) {
	results := make([]error, len(batch))
	err := w.transact(batch, results)
	if err != nil {
		w.discard()
		err = unavailable(err)
	}
	w.broken.Store(err != nil)
	for i, j := range batch {
		if err != nil {
			results[i] = err
		}
		j.answer <- results[i]
	}
}

// transact writes how each job ended to results. An error means that nothing
// of the batch was done, or that nobody knows: the connection must go.
func (w *writer) transact(batch []job, results []error) error {
	// The writer's own context: a caller that leaves must not interrupt SQL
	// that others wait for.
	ctx := context.Background()
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.tx.run(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for i, j := range batch {
		if results[i] = j.caller.Err(); results[i] != nil {
			continue
		}
		var err error
		if results[i], err = w.tx.attempt(j, len(batch) > 1); err != nil {
			return errors.Join(err, w.tx.run(ctx, `ROLLBACK`))
		}
		if results[i] != nil && len(batch) == 1 {
			if err := w.tx.run(ctx, `ROLLBACK`); err != nil {
				return fmt.Errorf("roll back: %w", err)
			}
			return nil
		}
	}
	if err := w.tx.run(ctx, `COMMIT`); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), w.tx.run(ctx, `ROLLBACK`))
	}
	return nil
}

func (w *writer) connect(ctx context.Context) error {
	if w.tx != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	w.tx = &txn{conn: conn, statements: map[string]*sql.Stmt{}}
	return nil
}

// discard closes the connection for good, so that nothing of a failed
// transaction can reach the next one.
func (w *writer) discard() {
	if w.tx == nil {
		return
	}
	w.tx.finalize()
	_ = w.tx.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.tx.conn.Close()
	w.tx = nil
}

func (w *writer) close() error {
	w.stop.Do(func() { close(w.quit) })
	<-w.done
	if w.tx != nil {
		w.tx.finalize()
		if err := w.tx.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			return errors.Join(err, w.db.Close())
		}
	}
	return w.db.Close()
}

// txn is the writer's connection inside a transaction. It keeps its statements
// prepared: parsing SQL would cost more than running it.
type txn struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

// finalize closes the statements. A connection with open ones stays open in the
// engine after its Close: with its locks, and without the checkpoint that
// leaves the database in one file.
func (t *txn) finalize() {
	for _, s := range t.statements {
		_ = s.Close()
	}
	clear(t.statements)
}

// attempt runs one job. refused is the job's own failure, whose changes are
// rolled back if it has a savepoint; err is one that ends the whole batch.
func (t *txn) attempt(j job, savepoint bool) (refused, err error) {
	ctx := context.WithoutCancel(j.caller)
	if savepoint {
		if err := t.run(ctx, `SAVEPOINT job`); err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
	}
	if refused = t.call(ctx, j.run); refused != nil && !harmless(refused) {
		return nil, refused
	}
	if !savepoint {
		return translate(refused), nil
	}
	if refused != nil {
		if err := t.run(ctx, `ROLLBACK TO job`); err != nil {
			return nil, fmt.Errorf("roll back: %w", err)
		}
	}
	if err := t.run(ctx, `RELEASE job`); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	return translate(refused), nil
}

func (t *txn) call(ctx context.Context, run closure) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v", p)
		}
	}()
	return run(ctx, t)
}

// harmless tells whether an error says nothing about the connection: a broken
// constraint, a missing row, or a refusal that the closure made itself. Any
// other (a full disk, an interrupt, a panic) may have ended the transaction
// behind our back, so the batch is abandoned.
func harmless(err error) bool {
	for _, own := range []error{sql.ErrNoRows, iam.ErrNotFound, iam.ErrConflict, iam.ErrExists, iam.ErrLeaseLost, errRefused} {
		if errors.Is(err, own) {
			return true
		}
	}
	var engine *sqlite.Error
	return errors.As(err, &engine) && engine.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}

func (t *txn) run(ctx context.Context, query string) error {
	_, err := t.ExecContext(ctx, query)
	return err
}

// ExecContext runs a statement.
func (t *txn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext runs a query.
func (t *txn) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := t.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext runs a query for one row.
func (t *txn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := t.prepare(ctx, query)
	if err != nil {
		return t.conn.QueryRowContext(ctx, query, args...) // fails in the same way, in the row
	}
	return s.QueryRowContext(ctx, args...)
}

func (t *txn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := t.statements[query]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(ctx, query)
	if err == nil {
		t.statements[query] = s
	}
	return s, err
}
