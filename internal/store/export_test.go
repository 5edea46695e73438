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
	db.reads.statements.Range(func(query, _ any) bool { all[query.(string)] = true; return true })
	read := func(_ context.Context, tx *txn) error {
		for query := range tx.statements {
			all[query] = true
		}
		return nil
	}
	if db.writer.do(context.Background(), read) != nil && db.writer.tx != nil {
		_ = read(context.Background(), db.writer.tx) // closed: nobody else is there
	}
	return slices.Sorted(maps.Keys(all))
}

// Plan is how the engine would run a statement.
func (db *DB) Plan(query string) (string, error) {
	rows, err := db.reads.pool.Query("EXPLAIN QUERY PLAN "+query, make([]any, parameters(query))...)
	lines, err := collect(rows, err, func(r *sql.Rows) (string, error) {
		var a, b, c int
		var line string
		return line, r.Scan(&a, &b, &c, &line)
	})
	return strings.Join(lines, "\n"), err
}

// parameters is the highest N of the $N in a query.
func parameters(query string) int {
	for n := 40; n > 0; n-- {
		if strings.Contains(query, fmt.Sprint("$", n)) {
			return n
		}
	}
	return 0
}
