package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// pgWriter runs writes on PostgreSQL, many at once. Each is SERIALIZABLE: its
// closure was written for a writer that is alone, and the database lets it
// commit only if it might have been. What loses a race begins again.
type pgWriter struct {
	pool *sql.DB
	pgTexts
	history history
	heard   atomic.Pointer[reading]
	began   string // what begins a transaction
	closed  atomic.Bool
	broken  atomic.Bool
	unknown atomic.Int64 // COMMITs that ended nobody knows how
	settled atomic.Int64 // how many of them are settled
	seen    sync.Map     // statements that ran
}

// pgRaces bounds how often a transaction that lost a race begins again.
const pgRaces = 40

// do runs a closure in a transaction of its own.
func (w *pgWriter) do(ctx context.Context, run closure) error { return w.perform(ctx, nil, run) }

// redo runs a closure once more when nobody knows how its COMMIT ended.
func (w *pgWriter) redo(ctx context.Context, event *iam.Event, run closure) error {
	if event.ID == "" {
		event.ID = iam.NewEventID()
	}
	return w.perform(ctx, event, run)
}

func (w *pgWriter) failing() bool { return w.broken.Load() }

func (w *pgWriter) perform(ctx context.Context, event *iam.Event, run closure) error {
	return w.performBy(ctx, time.Now().Add(pgPatience), event, false, run)
}

// performBy runs a closure until a deadline; again, when it may have run before.
func (w *pgWriter) performBy(ctx context.Context, deadline time.Time, event *iam.Event, again bool, run closure) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	run = fenced(ctx, run)
	var races, reconnects int
	retried := false
	for {
		err := w.calm(ctx, deadline)
		if err != nil && again {
			err = unknown(err)
		}
		if err == nil {
			err = w.attempt(ctx, deadline, func(ctx context.Context, tx *txn) (err error) {
				if tx.restart, err = w.history.since(tx.line); err != nil {
					return err
				}
				if again {
					if err := w.recall(ctx, tx, event); err != nil {
						return err
					}
				}
				return tx.call(ctx, run)
			})
		}
		if errors.Is(err, errNewHistory) {
			if err = w.learn(ctx, deadline); err == nil {
				continue
			}
		}
		if errors.Is(err, errUnknown) {
			w.unknown.Add(1)
		}
		switch {
		case err == nil, w.harmless(err):
			w.broken.Store(false)
			return translate(err)
		case w.closed.Load():
			return errClosed
		case ctx.Err() != nil && !errors.Is(err, errUnknown):
			return ctx.Err()
		case time.Now().After(deadline):
		case errors.Is(err, errUnknown) && event != nil && !retried:
			again, retried = true, true
			pause(ctx, 5)
			continue
		case errors.Is(err, errUnknown):
		case pgCode(err, pgSerialization, pgDeadlock) && races < pgRaces:
			races++
			pause(ctx, min(races, 6))
			continue
		case pgAgain(err) && reconnects < pgReconnects:
			reconnects++
			pause(ctx, 5+reconnects)
			continue
		}
		err = unavailable(err)
		w.broken.Store(errors.Is(err, iam.ErrUnavailable))
		return err
	}
}

// harmless tells whether an error is an answer: a broken constraint, or a
// refusal that the closure made itself.
func (w *pgWriter) harmless(err error) bool {
	return refusal(err) || pgCode(err, pgConstraint, pgNoSuchText)
}

// pause lets others go first, for a random time that grows with each try.
func pause(ctx context.Context, try int) {
	select {
	case <-time.After(rand.N(time.Millisecond << try)):
	case <-ctx.Done():
	}
}

// attempt runs a closure once. A caller who leaves while it runs interrupts
// nothing: how it ended would then be unknown.
func (w *pgWriter) attempt(ctx context.Context, deadline time.Time, run closure) error {
	conn, err := acquire(ctx, w.pool, deadline)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	tx, err := w.begin(ctx, conn)
	if err == nil {
		err = run(ctx, tx)
	}
	if err == nil {
		if err = commit(ctx, conn); err == nil || errors.Is(err, errUnknown) {
			return err
		}
	}
	w.rollback(ctx, conn, err)
	return err
}

// begin begins a transaction: its limits, and the clock and the timeline of the
// database, in one round trip.
func (w *pgWriter) begin(ctx context.Context, conn *sql.Conn) (*txn, error) {
	var answer []*pgconn.Result
	asked := time.Now()
	err := onPg(conn, func(c *pgconn.PgConn) (err error) {
		answer, err = c.Exec(ctx, w.began).ReadAll()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	last := answer[len(answer)-1]
	if len(last.Rows) != 1 || len(last.Rows[0]) != 2 {
		return nil, errors.New("begin: the database did not say what time it is")
	}
	µs, err := strconv.ParseInt(string(last.Rows[0][0]), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	tx := &txn{session: &pgSession{conn: conn, seen: &w.seen}, at: time.UnixMicro(µs), line: string(last.Rows[0][1])}
	w.heard.Store(&reading{tx.at, asked.Add(time.Since(asked) / 2)})
	if w.hand != nil {
		tx.at = w.hand()
	}
	return tx, nil
}

// reading is what the database's clock said, and when it did by ours, of which
// only what has passed since then counts: whatever time it tells, and however it
// jumps, its seconds are as long.
type reading struct{ said, when time.Time }

// clock is the database's clock, a round trip's half exact.
func (w *pgWriter) clock() time.Time {
	if w.hand != nil {
		return w.hand()
	}
	r := w.heard.Load()
	return r.said.Add(time.Since(r.when))
}

// calm waits, after a COMMIT of which nobody knows how it ended, until the
// standbys have what it did, and refuses while they have not. A COMMIT that was
// interrupted in its wait for them is seen by everybody on this server: whoever
// only reads what it did and answers for it would answer for what a failover
// forgets. And a rotation that cannot be answered must not be made: its client
// comes back later than the grace. To write a row and wait for that is enough;
// it is one of many, so that those who wait seldom meet.
func (w *pgWriter) calm(ctx context.Context, deadline time.Time) error {
	unknown := w.unknown.Load()
	if unknown == w.settled.Load() {
		return nil
	}
	for try := 1; ; try++ {
		err := w.attempt(ctx, deadline, func(ctx context.Context, tx *txn) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
				fmt.Sprint("settled.", rand.N(64)), fmt.Sprint(micros(tx.now())))
			return err
		})
		switch {
		case err == nil:
			w.settled.Store(unknown)
			return nil
		case !errors.Is(err, errUnknown):
			return err
		case ctx.Err() != nil || time.Now().After(deadline):
			return fmt.Errorf("%w: it does not confirm changes: do its standbys run? %w", iam.ErrUnavailable, context.DeadlineExceeded)
		}
		pause(ctx, min(5+try, 8))
	}
}

// recall finds out whether an earlier run was committed.
func (w *pgWriter) recall(ctx context.Context, tx *txn, event *iam.Event) error {
	err := tx.QueryRowContext(ctx, `SELECT kind FROM events WHERE id = $1`, event.ID).Scan(&tx.before)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// commit ends a transaction. errUnknown: the COMMIT was sent and nobody knows
// how it ended.
//
// No statement_timeout applies to it: one that strikes while the COMMIT waits
// for a standby makes PostgreSQL answer that all is well, with a warning.
func commit(ctx context.Context, conn *sql.Conn) error {
	return onPg(conn, func(c *pgconn.PgConn) error {
		if err := ctx.Err(); err != nil || c.IsClosed() {
			return fmt.Errorf("commit: %w", cmp.Or(err, driver.ErrBadConn)) // it was not sent
		}
		delete(c.CustomData(), warned)
		answer, err := c.Exec(ctx, `SET LOCAL statement_timeout = 0; COMMIT`).ReadAll()
		var refused *pgconn.PgError
		switch {
		case err == nil && c.CustomData()[warned] != nil:
			return unknown(fmt.Errorf("the database says: %v", c.CustomData()[warned]))
		case err == nil && answer[len(answer)-1].CommandTag.String() != "COMMIT":
			return errors.New("commit: the transaction had failed before")
		case err == nil:
			return nil
		case errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR":
			return fmt.Errorf("commit: %w", err) // it was rolled back
		}
		// Also where the driver calls it safe to retry: it does of a connection
		// that broke after the question was sent.
		return unknown(err)
	})
}

// warned is where a connection keeps a warning that came with a COMMIT.
const warned = "gatehouse.warned"

// onNotice notes that a COMMIT did not wait for its standbys.
func onNotice(c *pgconn.PgConn, n *pgconn.Notice) {
	if n.SeverityUnlocalized == "WARNING" && n.Code == pgWarning {
		c.CustomData()[warned] = n.Message
	}
}

// rollback gives a connection back as clean as it was. One that cannot be
// cleaned, or that an error says leads to the wrong server, is closed.
func (w *pgWriter) rollback(ctx context.Context, conn *sql.Conn, cause error) {
	err := onPg(conn, func(c *pgconn.PgConn) error {
		if c.IsClosed() || c.TxStatus() == 'I' {
			return nil
		}
		_, err := c.Exec(ctx, `ROLLBACK`).ReadAll()
		return err
	})
	if err != nil || pgCode(cause, pgReadOnly, pgShutdown) || errors.Is(cause, errOldServer) {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// onPg works on the connection below database/sql, in PostgreSQL's simple
// protocol: several statements in one round trip.
func onPg(conn *sql.Conn, work func(*pgconn.PgConn) error) error {
	return conn.Raw(func(c any) error { return work(c.(*stdlib.Conn).Conn().PgConn()) })
}

func (w *pgWriter) close() error {
	w.closed.Store(true)
	return w.pool.Close()
}

// pgSession is a connection with a transaction.
type pgSession struct {
	conn *sql.Conn
	seen *sync.Map
}

func (s *pgSession) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s.seen.Store(query, true)
	return s.conn.ExecContext(ctx, query, plain(args)...)
}

func (s *pgSession) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s.seen.Store(query, true)
	return s.conn.QueryContext(ctx, query, plain(args)...)
}

func (s *pgSession) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s.seen.Store(query, true)
	return s.conn.QueryRowContext(ctx, query, plain(args)...)
}

func (w *pgWriter) texts() []string {
	all := map[string]bool{}
	w.seen.Range(func(query, _ any) bool { all[query.(string)] = true; return true })
	w.written.Range(func(_, text any) bool { all[text.(string)] = true; return true })
	return slices.Sorted(maps.Keys(all))
}
