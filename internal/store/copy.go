package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNotEmpty says that a store to copy into holds something already.
var ErrNotEmpty = errors.New("the database to copy into is not empty: name a new one, or drop and create it again")

// ErrInUse says that another process has the data folder open.
var ErrInUse = errors.New("a server or another command still works on the data folder. Stop it first: what it wrote during the copy would be lost")

// CopiedTable says what was copied of one table, and the SHA-256 over its rows,
// which is the same on both sides.
type CopiedTable struct {
	Name string `json:"table"`
	Rows int64  `json:"rows"`
	Hash string `json:"sha256"`
}

// Copy copies all records of a data folder into an empty PostgreSQL database,
// all or nothing, and marks the folder: to open it again is *Moved. It holds the
// folder for itself meanwhile; ErrInUse when it cannot. ErrNotEmpty: the database
// is not empty.
func Copy(ctx context.Context, from, to Config) (done []CopiedTable, err error) {
	if from.Database != "" || to.Database == "" {
		return nil, errors.New("copy: from a data folder to a PostgreSQL database")
	}
	if err := from.prepareFolder(); err != nil {
		return nil, err
	}
	source, err := openAlone(ctx, from)
	if err != nil {
		return nil, err
	}
	defer source.close()
	config, err := pgConfig(to)
	if err != nil {
		return nil, err
	}
	pool := pgPool(*config, 3)
	defer pool.Close()
	if err := migratePostgres(ctx, pool); err != nil {
		return nil, err
	}
	target, err := pool.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("copy: %w", unavailable(err))
	}
	defer target.Close()
	c := &copier{from: source.conn, to: target, dir: from.Dir, address: to.Database}
	if done, err = c.run(ctx); err != nil {
		return nil, fmt.Errorf("copy: %w", unavailable(err))
	}
	return done, nil
}

// alone is a data folder that nobody else has open.
type alone struct {
	db   *sql.DB
	conn *sql.Conn
}

// openAlone locks the file of a data folder. SQLite holds a shared lock for
// every connection that is open, so the exclusive one proves that there is none.
func openAlone(ctx context.Context, c Config) (a alone, err error) {
	if a.db, err = openFile(c.file(), "immediate", false); err != nil {
		return a, err
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	a.db.SetMaxOpenConns(1)
	if err = migrateSQLite(ctx, a.db); err != nil {
		return a, err
	}
	if a.conn, err = a.db.Conn(ctx); err != nil {
		return a, err
	}
	for _, statement := range []string{`PRAGMA busy_timeout = 500`, `PRAGMA wal_checkpoint(TRUNCATE)`, `PRAGMA journal_mode = DELETE`, `PRAGMA locking_mode = EXCLUSIVE`, `BEGIN EXCLUSIVE`} {
		if _, err = a.conn.ExecContext(ctx, statement); err != nil {
			var busy *sqlite.Error
			if errors.As(err, &busy) && (busy.Code()&0xff == sqlite3.SQLITE_BUSY || busy.Code()&0xff == sqlite3.SQLITE_LOCKED) {
				err = ErrInUse
			}
			return a, err
		}
	}
	return a, nil
}

func (a alone) close() {
	if a.conn != nil {
		_, _ = a.conn.ExecContext(context.Background(), `ROLLBACK`)
		_ = a.conn.Close()
	}
	_ = a.db.Close()
}

// copier copies within one transaction of each side.
type copier struct {
	from, to     *sql.Conn
	dir, address string // of the two
}

func (c *copier) run(ctx context.Context) (done []CopiedTable, err error) {
	tables, err := c.tables(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.to.ExecContext(ctx, `BEGIN`); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_, _ = c.to.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
		}
	}()
	// Nobody writes before the copy is complete, and a server that starts waits.
	if _, err := c.to.ExecContext(ctx, `LOCK TABLE meta IN ACCESS EXCLUSIVE MODE`); err != nil {
		return nil, err
	}
	if err := c.empty(ctx, tables); err != nil {
		return nil, err
	}
	for _, t := range tables {
		copied, err := c.table(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		done = append(done, copied)
	}
	if err := c.sequences(ctx); err != nil {
		return nil, err
	}
	// The folder is marked first: should the process die here, no server starts
	// on either side unasked, instead of on both.
	if err := markMoved(c.dir, c.address); err != nil {
		return nil, err
	}
	if _, err := c.to.ExecContext(ctx, `COMMIT`); err != nil {
		if pgCode(err, "") { // an answer; without one the copy may be there
			err = errors.Join(err, unmarkMoved(c.dir))
		}
		return nil, err
	}
	_, err = c.to.ExecContext(ctx, `ANALYZE`) // a server that starts now plans well
	return done, err
}

// copied is a table as its columns have it.
type copied struct {
	name    string
	columns []string
	flags   []bool // which of them are true or false in PostgreSQL
	key     string // the columns of the primary key
	parents []string
}

// tables are those of the source, parents first.
func (c *copier) tables(ctx context.Context) ([]copied, error) {
	names, err := strs(c.from.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version' ORDER BY name`))
	if err != nil {
		return nil, err
	}
	var all []copied
	for _, name := range names {
		t := copied{name: name}
		if t.columns, err = strs(c.from.QueryContext(ctx, `SELECT name FROM pragma_table_info($1) ORDER BY cid`, name)); err != nil {
			return nil, err
		}
		key, err := strs(c.from.QueryContext(ctx, `SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk`, name))
		if err != nil {
			return nil, err
		}
		t.key = strings.Join(key, ", ")
		if t.parents, err = strs(c.from.QueryContext(ctx, `SELECT DISTINCT "table" FROM pragma_foreign_key_list($1)`, name)); err != nil {
			return nil, err
		}
		if err := c.match(ctx, &t); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return parentsFirst(all), nil
}

// match holds a table to the one of PostgreSQL.
func (c *copier) match(ctx context.Context, t *copied) error {
	kinds := map[string]string{}
	both, err := strs(c.to.QueryContext(ctx, `SELECT column_name || ' ' || data_type FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1`, t.name))
	if err != nil {
		return err
	}
	for _, b := range both {
		name, kind, _ := strings.Cut(b, " ")
		kinds[name] = kind
	}
	for _, column := range t.columns {
		if kinds[column] == "" {
			return fmt.Errorf("PostgreSQL has no column %s of the table %s", column, t.name)
		}
		t.flags = append(t.flags, kinds[column] == "boolean")
	}
	if len(kinds) != len(t.columns) {
		return fmt.Errorf("the table %s has %d columns here and %d in PostgreSQL", t.name, len(t.columns), len(kinds))
	}
	return nil
}

func parentsFirst(tables []copied) (sorted []copied) {
	placed := map[string]bool{}
	for len(sorted) < len(tables) {
		for _, t := range tables {
			if !placed[t.name] && !slices.ContainsFunc(t.parents, func(p string) bool { return !placed[p] && p != t.name }) {
				placed[t.name] = true
				sorted = append(sorted, t)
			}
		}
	}
	return sorted
}

// empty makes sure that nothing is there but what a start writes for itself.
func (c *copier) empty(ctx context.Context, tables []copied) error {
	if _, err := c.to.ExecContext(ctx, `DELETE FROM meta WHERE name IN ('timeline', 'probe') OR name LIKE 'settled.%'`); err != nil {
		return err
	}
	for _, t := range tables {
		var any bool
		if err := c.to.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+t.name+`)`).Scan(&any); err != nil {
			return err
		}
		if any {
			return fmt.Errorf("%w (there are rows in %s)", ErrNotEmpty, t.name)
		}
	}
	return nil
}

// table copies one table and compares what arrived with what was sent.
func (c *copier) table(ctx context.Context, t copied) (CopiedTable, error) {
	query := `SELECT ` + strings.Join(t.columns, ", ") + ` FROM ` + t.name + ` ORDER BY ` + t.key
	rows, err := c.from.QueryContext(ctx, query)
	if err != nil {
		return CopiedTable{}, err
	}
	defer rows.Close()
	sent := &digest{Hash: sha256.New()}
	err = c.to.Raw(func(conn any) error {
		_, err := conn.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
			if !rows.Next() {
				return nil, rows.Err()
			}
			return t.read(rows, sent)
		}))
		return err
	})
	if err != nil {
		return CopiedTable{}, err
	}
	back, err := c.to.QueryContext(ctx, query)
	if err != nil {
		return CopiedTable{}, err
	}
	defer back.Close()
	arrived := &digest{Hash: sha256.New()}
	for back.Next() {
		if _, err := t.read(back, arrived); err != nil {
			return CopiedTable{}, err
		}
	}
	if err := back.Err(); err != nil {
		return CopiedTable{}, err
	}
	if sent.rows != arrived.rows || sent.text() != arrived.text() {
		return CopiedTable{}, fmt.Errorf("%d rows were sent and %d arrived, or they differ", sent.rows, arrived.rows)
	}
	return CopiedTable{Name: t.name, Rows: sent.rows, Hash: sent.text()}, nil
}

// read reads a row in PostgreSQL's terms and adds it to a digest.
func (t copied) read(rows *sql.Rows, d *digest) ([]any, error) {
	values, into := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	for i, v := range values {
		switch v := v.(type) {
		case int64:
			if t.flags[i] {
				values[i] = v != 0
			}
		case []byte:
			values[i] = string(v)
		}
	}
	values = plain(values)
	d.add(values)
	return values, nil
}

// digest is a hash over rows.
type digest struct {
	hash.Hash
	rows int64
}

func (d *digest) add(values []any) {
	d.rows++
	for _, v := range values {
		text := fmt.Sprint(v)
		fmt.Fprintf(d, "%T %d:%s,", v, len(text), text)
	}
	fmt.Fprintln(d)
}

func (d *digest) text() string { return hex.EncodeToString(d.Sum(nil)) }

// sequences go on where the source was, also past rows that are gone: who
// follows a table by its numbers must not meet one twice.
func (c *copier) sequences(ctx context.Context) error {
	for _, table := range []string{"revocation", "events", "change"} {
		var high sql.NullInt64
		err := c.from.QueryRowContext(ctx, `SELECT MAX(seq) FROM sqlite_sequence WHERE name = $1`, table).Scan(&high)
		if err != nil {
			return err
		}
		if high.Int64 == 0 {
			continue
		}
		if _, err := c.to.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence($1, 'seq'), $2)`, table, high.Int64); err != nil {
			return err
		}
	}
	return nil
}

func strs(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, cmp.Or(rows.Err(), rows.Close())
}
