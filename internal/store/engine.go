package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// writer is where an engine runs transactions: SQLite one after the other with
// a shared sync (writer.go), PostgreSQL many at once, each serializable
// (pgwriter.go). To a closure both look like a writer that is alone.
type writer interface {
	// do runs a closure in a transaction and returns after its COMMIT. The
	// closure may run more than once, but only one run is ever committed: it
	// sets what it returns, it does not add to it. iam.ErrUnavailable may mean
	// that nobody knows whether it was done; the text says so.
	do(ctx context.Context, run closure) error
	// redo is do for a closure that writes the event. When nobody knows how its
	// COMMIT ended it runs once more, and tx.before says what the first run did.
	redo(ctx context.Context, event *iam.Event, run closure) error
	// clock is the time by which transactions count.
	clock() time.Time
	// failing tells whether the last write failed for the database's sake.
	failing() bool
	close() error
}

// reader is where an engine runs queries outside of transactions.
type reader interface {
	querier
	// texts are the statements that ran so far.
	texts() []string
	close() error
}

// closure does SQL only. What it returns as an error rolls back what it did;
// values leave through the variables it closes over, after the COMMIT.
type closure func(ctx context.Context, tx *txn) error

// querier is what reads run on: a reader, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *row
}

// rows are the answer of a query. Close ends the wait for the rest.
type rows struct {
	*sql.Rows
	done func()
}

// Close closes the rows, as often as wanted.
func (r *rows) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		r.done()
	}
	return err
}

// row is the answer of a query for one row.
type row struct {
	scan func(into ...any) error
}

// Scan reads the row; sql.ErrNoRows when there is none.
func (r *row) Scan(into ...any) error { return unavailable(r.scan(into...)) }

// instant is a time by the store's clock: so much after now. As an argument of
// a query it becomes a number of microseconds, which PostgreSQL counts from its
// own clock, in the statement itself (C26).
type instant time.Duration

func fromNow(d time.Duration) instant { return instant(d) }

// resolve puts times in the place of instants.
func resolve(args []any, now time.Time) []any {
	for i, a := range args {
		if d, ok := a.(instant); ok {
			args[i] = micros(now.Add(time.Duration(d)))
		}
	}
	return args
}

// session is a connection with a transaction.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// txn is a transaction as its closure sees it.
type txn struct {
	session session
	at      time.Time
	// restart is when the database began a new history, after a failover or a
	// restore: what was spent just before may be forgotten. Zero: never.
	restart time.Time
	// before is the kind of event that an earlier run of the closure wrote and
	// committed without hearing of it; "" for none.
	before string
	line   string // PostgreSQL's timeline, "" when it does not say
}

// now is the store's clock when the transaction began (C26).
func (t *txn) now() time.Time { return t.at }

// ExecContext runs a statement.
func (t *txn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.session.ExecContext(ctx, query, resolve(args, t.at)...)
}

// QueryContext runs a query.
func (t *txn) QueryContext(ctx context.Context, query string, args ...any) (*rows, error) {
	all, err := t.session.QueryContext(ctx, query, resolve(args, t.at)...)
	if err != nil {
		return nil, err
	}
	return &rows{Rows: all}, nil
}

// QueryRowContext runs a query for one row.
func (t *txn) QueryRowContext(ctx context.Context, query string, args ...any) *row {
	return &row{t.session.QueryRowContext(ctx, query, resolve(args, t.at)...).Scan}
}

func (t *txn) run(ctx context.Context, query string) error {
	_, err := t.ExecContext(ctx, query)
	return err
}

func (t *txn) call(ctx context.Context, run closure) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v", p)
		}
	}()
	return run(ctx, t)
}

var errClosed = fmt.Errorf("%w: it is closed", iam.ErrUnavailable)

// refusal tells whether an error is one that a closure made itself, or a
// missing row: it says nothing about the connection.
func refusal(err error) bool {
	for _, own := range []error{sql.ErrNoRows, iam.ErrNotFound, iam.ErrConflict, iam.ErrExists, iam.ErrLeaseLost, errRefused} {
		if errors.Is(err, own) {
			return true
		}
	}
	return false
}
