package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// pgReader runs queries on PostgreSQL, each in at most pgPatience.
type pgReader struct {
	pool *sql.DB
	pgTexts
}

// pgTexts puts the database's clock into queries.
type pgTexts struct {
	// hand is the clock that a test moves; nil: the database's.
	hand    func() time.Time
	written sync.Map // query → the same for PostgreSQL
}

const (
	// pgPatience bounds a query, and a transaction with all its retries: a
	// server that hangs never answers by itself. It must stay well below
	// gapPatience, in which a poll still waits for late rows.
	pgPatience = 5 * time.Second
	// pgWait bounds the wait for a free connection.
	pgWait = 3 * time.Second
	// pgReconnects is how often a broken connection is replaced for one caller.
	pgReconnects = 3
)

// QueryContext runs a query. A caller who leaves does not cost a connection:
// the query runs to its end, which is near.
func (r *pgReader) QueryContext(ctx context.Context, query string, args ...any) (*rows, error) {
	text, args := r.write(query, args)
	deadline := time.Now().Add(pgPatience)
	for try := 1; ; try++ {
		all, err := r.query(ctx, deadline, text, args)
		if err == nil {
			return all, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if try >= pgReconnects || !pgAgain(err) {
			return nil, unavailable(err)
		}
		pause(ctx, try)
	}
}

func (r *pgReader) query(ctx context.Context, deadline time.Time, text string, args []any) (*rows, error) {
	conn, err := acquire(ctx, r.pool, deadline)
	if err != nil {
		return nil, err
	}
	work, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	all, err := conn.QueryContext(work, text, args...)
	if err != nil {
		cancel()
		_ = conn.Close()
		return nil, err
	}
	return &rows{Rows: all, done: func() { cancel(); _ = conn.Close() }}, nil
}

// QueryRowContext runs a query for one row.
func (r *pgReader) QueryRowContext(ctx context.Context, query string, args ...any) *row {
	all, err := r.QueryContext(ctx, query, args...)
	return &row{func(into ...any) error {
		if err != nil {
			return err
		}
		defer all.Close()
		if !all.Next() {
			if err := all.Err(); err != nil {
				return err
			}
			return sql.ErrNoRows
		}
		return all.Scan(into...)
	}}
}

// acquire waits for a connection, not for ever.
func acquire(ctx context.Context, pool *sql.DB, deadline time.Time) (*sql.Conn, error) {
	if wait := time.Now().Add(pgWait); wait.Before(deadline) {
		deadline = wait
	}
	wait, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := pool.Conn(wait)
	if err == nil || ctx.Err() != nil {
		return conn, err
	}
	if stats := pool.Stats(); wait.Err() != nil && stats.InUse >= stats.MaxOpenConnections {
		return nil, fmt.Errorf("%w: all its %d connections are in use. Look at the load of the database, or raise database_connections: %w", iam.ErrUnavailable, stats.MaxOpenConnections, err)
	}
	return nil, fmt.Errorf("connect: %w", err)
}

var parameter = regexp.MustCompile(`\$\d+`)

// pgNow is the database's clock in microseconds: the start of the statement,
// so that an index can be asked about it.
const pgNow = `(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::BIGINT`

// write puts the database's clock into a query in the place of instants.
func (r *pgTexts) write(query string, args []any) (string, []any) {
	if r.hand != nil {
		r.written.Store(query, query)
		return query, plain(resolve(args, r.hand()))
	}
	counted := map[string]bool{}
	for i, a := range args {
		if d, ok := a.(instant); ok {
			counted[fmt.Sprint("$", i+1)] = true
			args[i] = time.Duration(d).Microseconds()
		}
	}
	args = plain(args)
	if text, ok := r.written.Load(query); ok {
		return text.(string), args
	}
	text := parameter.ReplaceAllStringFunc(query, func(p string) string {
		if counted[p] {
			return `(` + pgNow + ` + ` + p + `)`
		}
		return p
	})
	r.written.Store(query, text)
	return text, args
}

// plain turns values of our own types into those that every driver knows, so
// that both engines store the same. PostgreSQL holds no NUL and no broken UTF-8:
// a replacement character stands for each. No name has one, so what a stranger
// asks for with such bytes is not found, and what the journal repeats of it can
// be written.
func plain(args []any) []any {
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			continue // the driver says why
		}
		if s, ok := v.(string); ok && (strings.Contains(s, "\x00") || !utf8.ValidString(s)) {
			v = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
		args[i] = v
	}
	return args
}

func (r *pgReader) texts() []string {
	all := map[string]bool{}
	r.written.Range(func(_, text any) bool { all[text.(string)] = true; return true })
	return slices.Sorted(maps.Keys(all))
}

func (r *pgReader) close() error { return r.pool.Close() }
