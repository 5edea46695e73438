package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// groupWriter runs all writes of a process to SQLite, one after the other, on
// one connection. Writes that wait at the same time share one transaction and
// so one sync of the disk: a group commit (C27). Each still succeeds or fails
// alone, by a savepoint of its own.
type groupWriter struct {
	db    *sql.DB
	now   func() time.Time
	queue chan job
	done  chan struct{}
	stop  sync.Once
	quit  chan struct{}
	conn  *prepared // nil until the first write, and after a failure
	// broken says that the last batch was abandoned.
	broken atomic.Bool
}

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

func newGroupWriter(db *sql.DB, now func() time.Time) *groupWriter {
	w := &groupWriter{db: db, now: now, queue: make(chan job, queueSize), done: make(chan struct{}), quit: make(chan struct{})}
	go w.loop()
	return w
}

func (w *groupWriter) loop() {
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
func (w *groupWriter) gather(batch []job) []job {
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
func (w *groupWriter) do(ctx context.Context, run closure) error {
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
func (w *groupWriter) commit(batch []job) {
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
func (w *groupWriter) transact(batch []job, results []error) error {
	// The writer's own context: a caller that leaves must not interrupt SQL
	// that others wait for.
	ctx := context.Background()
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.conn.run(ctx, `BEGIN IMMEDIATE`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for i, j := range batch {
		if results[i] = j.caller.Err(); results[i] != nil {
			continue
		}
		var err error
		if results[i], err = w.attempt(j, len(batch) > 1); err != nil {
			return errors.Join(err, w.conn.run(ctx, `ROLLBACK`))
		}
		if results[i] != nil && len(batch) == 1 {
			if err := w.conn.run(ctx, `ROLLBACK`); err != nil {
				return fmt.Errorf("roll back: %w", err)
			}
			return nil
		}
	}
	if err := w.conn.run(ctx, `COMMIT`); err != nil {
		return errors.Join(fmt.Errorf("commit: %w", err), w.conn.run(ctx, `ROLLBACK`))
	}
	return nil
}

func (w *groupWriter) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	w.conn = &prepared{conn: conn, statements: map[string]*sql.Stmt{}}
	return nil
}

// discard closes the connection for good, so that nothing of a failed
// transaction can reach the next one.
func (w *groupWriter) discard() {
	if w.conn == nil {
		return
	}
	w.conn.finalize()
	_ = w.conn.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = w.conn.conn.Close()
	w.conn = nil
}

func (w *groupWriter) close() error {
	w.stop.Do(func() { close(w.quit) })
	<-w.done
	if w.conn != nil {
		w.conn.finalize()
		if err := w.conn.conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			return errors.Join(err, w.db.Close())
		}
	}
	return w.db.Close()
}

// failing tells whether the last batch was abandoned.
func (w *groupWriter) failing() bool { return w.broken.Load() }

func (w *groupWriter) clock() time.Time { return w.now() }

// redo is do: whether a COMMIT of a file was done is always known.
func (w *groupWriter) redo(ctx context.Context, _ *iam.Event, run closure) error {
	return w.do(ctx, run)
}

// attempt runs one job. refused is the job's own failure, whose changes are
// rolled back if it has a savepoint; err is one that ends the whole batch.
func (w *groupWriter) attempt(j job, savepoint bool) (refused, err error) {
	ctx := context.WithoutCancel(j.caller)
	if savepoint {
		if err := w.conn.run(ctx, `SAVEPOINT job`); err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
	}
	tx := &txn{session: w.conn, at: w.now()}
	if refused = tx.call(ctx, j.run); refused != nil && !harmless(refused) {
		return nil, refused
	}
	if !savepoint {
		return translate(refused), nil
	}
	if refused != nil {
		if err := w.conn.run(ctx, `ROLLBACK TO job`); err != nil {
			return nil, fmt.Errorf("roll back: %w", err)
		}
	}
	if err := w.conn.run(ctx, `RELEASE job`); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	return translate(refused), nil
}

// harmless tells whether an error says nothing about the connection: a broken
// constraint, a missing row, or a refusal that the closure made itself. Any
// other (a full disk, an interrupt, a panic) may have ended the transaction
// behind our back, so the batch is abandoned.
func harmless(err error) bool {
	var engine *sqlite.Error
	return refusal(err) || errors.As(err, &engine) && engine.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}

// prepared is the writer's connection. It keeps its statements prepared:
// parsing SQL would cost more than running it.
type prepared struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

// finalize closes the statements. A connection with open ones stays open in the
// engine after its Close: with its locks, and without the checkpoint that
// leaves the database in one file.
func (p *prepared) finalize() {
	for _, s := range p.statements {
		_ = s.Close()
	}
	clear(p.statements)
}

func (p *prepared) run(ctx context.Context, query string) error {
	_, err := p.ExecContext(ctx, query)
	return err
}

// ExecContext runs a statement.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext runs a query.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext runs a query for one row.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := p.prepare(ctx, query)
	if err != nil {
		return p.conn.QueryRowContext(ctx, query, args...) // fails in the same way, in the row
	}
	return s.QueryRowContext(ctx, args...)
}

func (p *prepared) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.statements[query]; ok {
		return s, nil
	}
	s, err := p.conn.PrepareContext(ctx, query)
	if err == nil {
		p.statements[query] = s
	}
	return s, err
}
