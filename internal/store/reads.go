package store

import (
	"context"
	"database/sql"
	"sync"
)

// reader is the pool of connections that only read. It keeps its statements
// prepared, one a text: there are some dozens, all written in this package.
type reader struct {
	pool       *sql.DB
	statements sync.Map // query → *sql.Stmt
}

// QueryContext runs a query.
func (r *reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := r.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// QueryRowContext runs a query for one row.
func (r *reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	s, err := r.prepare(ctx, query)
	if err != nil {
		return r.pool.QueryRowContext(ctx, query, args...) // fails in the same way, in the row
	}
	return s.QueryRowContext(ctx, args...)
}

func (r *reader) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := r.statements.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := r.pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, raced := r.statements.LoadOrStore(query, s); raced {
		_ = s.Close()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

func (r *reader) Close() error { return r.pool.Close() }
