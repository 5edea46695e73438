package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Statements are all statements that this store has run so far.
func (db *DB) Statements() []string {
	all := map[string]bool{}
	for _, query := range db.reads.texts() {
		all[query] = true
	}
	switch w := db.writer.(type) {
	case *pgWriter:
		for _, query := range w.texts() {
			all[query] = true
		}
	case *groupWriter:
		read := func(context.Context, *txn) error {
			for query := range w.conn.statements {
				all[query] = true
			}
			return nil
		}
		if w.do(context.Background(), read) != nil && w.conn != nil {
			_ = read(context.Background(), nil) // closed: nobody else is there
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Plan is how the engine would run a statement.
func (db *DB) Plan(query string) (string, error) {
	pool := db.reads.(*fileReader).pool
	all, err := pool.Query("EXPLAIN QUERY PLAN "+query, make([]any, parameters(query))...)
	if err != nil {
		return "", err
	}
	lines, err := collect(&rows{Rows: all}, nil, func(r *sql.Rows) (string, error) {
		var a, b, c int
		var line string
		return line, r.Scan(&a, &b, &c, &line)
	})
	return strings.Join(lines, "\n"), err
}

// group is the writer of a store on SQLite.
func group(db *DB) *groupWriter { return db.writer.(*groupWriter) }

// parameters is the highest N of the $N in a query.
func parameters(query string) int {
	for n := 40; n > 0; n-- {
		if strings.Contains(query, fmt.Sprint("$", n)) {
			return n
		}
	}
	return 0
}

// Fill runs statements, each in a transaction of its own.
func (db *DB) Fill(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error { return tx.run(ctx, s) }); err != nil {
			return err
		}
	}
	return nil
}

// Count is how many rows a table has.
func (db *DB) Count(ctx context.Context, table string) (n int, err error) {
	err = db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n)
	return n, err
}

// KeepEnded is how long ended grants and sessions stay.
const KeepEnded = keepEnded
