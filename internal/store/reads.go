package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"
	"time"
)

// fileReader is the pool of SQLite connections that only read. It keeps its
// statements prepared, one a text: there are some dozens, all written in this
// package.
type fileReader struct {
	pool       *sql.DB
	now        func() time.Time
	statements sync.Map // query → *sql.Stmt
}

// QueryContext runs a query.
func (r *fileReader) QueryContext(ctx context.Context, query string, args ...any) (*rows, error) {
	s, err := r.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	all, err := s.QueryContext(ctx, resolve(args, r.now())...)
	if err != nil {
		return nil, err
	}
	return &rows{Rows: all}, nil
}

// QueryRowContext runs a query for one row.
func (r *fileReader) QueryRowContext(ctx context.Context, query string, args ...any) *row {
	args = resolve(args, r.now())
	s, err := r.prepare(ctx, query)
	if err != nil {
		return &row{r.pool.QueryRowContext(ctx, query, args...).Scan} // fails in the same way, in the row
	}
	return &row{s.QueryRowContext(ctx, args...).Scan}
}

func (r *fileReader) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
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

func (r *fileReader) texts() []string {
	all := map[string]bool{}
	r.statements.Range(func(query, _ any) bool { all[query.(string)] = true; return true })
	return slices.Sorted(maps.Keys(all))
}

func (r *fileReader) close() error { return r.pool.Close() }
