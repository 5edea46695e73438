package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
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

// PlanPostgres is how PostgreSQL would run a statement for any values, in JSON,
// when it avoids reading whole tables wherever an index lets it.
func (db *DB) PlanPostgres(query string) (plan string, err error) {
	ctx := context.Background()
	conn, err := db.reads.(*pgReader).pool.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", parameters(query)), ", ")
	if nulls != "" {
		nulls = "(" + nulls + ")"
	}
	err = conn.Raw(func(c any) error {
		script := "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan; PREPARE plan AS " + query +
			"; EXPLAIN (FORMAT JSON) EXECUTE plan" + nulls + "; DEALLOCATE plan; ROLLBACK"
		pg := c.(*stdlib.Conn).Conn().PgConn()
		results, err := pg.Exec(ctx, script).ReadAll()
		if err != nil {
			_, _ = pg.Exec(ctx, "ROLLBACK; DEALLOCATE ALL").ReadAll()
			return err
		}
		for _, r := range results {
			for _, row := range r.Rows {
				plan += string(row[0])
			}
		}
		return nil
	})
	return plan, err
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

// MigrateTo makes the schema of an earlier version.
func MigrateTo(ctx context.Context, c Config, version int64) error {
	return c.withSchema(ctx, func(e engine, db *sql.DB) error {
		provider, err := e.provider(db)
		if err != nil {
			return err
		}
		_, err = provider.UpTo(ctx, version)
		return err
	})
}
