package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// firstPostgres is the version that a PostgreSQL database begins with: one file
// for what SQLite came to in several. Later ones are the files of both.
const firstPostgres = 6

// Migration is one change of the schema.
type Migration struct {
	Version int64     `json:"version"`
	Name    string    `json:"name"`
	Applied time.Time `json:"applied,omitzero"` // zero: not yet
	SQL     string    `json:"sql,omitempty"`    // of one that is not applied yet
}

// NewerSchema says that a newer Gatehouse has changed the schema: this one
// would read and write it wrongly.
type NewerSchema struct{ Stored, Known int64 }

func (e *NewerSchema) Error() string {
	return fmt.Sprintf("the database has the schema %d and this Gatehouse knows %d: a newer Gatehouse has used it. Run that one, or restore the backup of before", e.Stored, e.Known)
}

// engine is what migrating needs to know of one.
type engine struct {
	dialect goose.Dialect
	scripts fs.FS
	options func() ([]goose.ProviderOption, error)
}

func sqliteEngine() engine {
	scripts, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic("store: the migrations are built in: " + err.Error())
	}
	return engine{dialect: goose.DialectSQLite3, scripts: scripts, options: func() ([]goose.ProviderOption, error) { return nil, nil }}
}

// postgresEngine locks by a row that is leased, not by an advisory lock: those
// belong to a connection, and PgBouncer shares connections.
func postgresEngine() engine {
	return engine{dialect: goose.DialectPostgres, scripts: postgresScripts(), options: func() ([]goose.ProviderOption, error) {
		locker, err := lock.NewPostgresTableLocker(lock.WithTableName("migration_lock"), lock.WithTableLeaseDuration(20*time.Second), lock.WithTableHeartbeatInterval(4*time.Second),
			lock.WithTableLockTimeout(300*time.Millisecond, 400), lock.WithTableLogger(slog.New(slog.DiscardHandler)))
		return []goose.ProviderOption{goose.WithLocker(locker)}, err
	}}
}

// postgresScripts are those of PostgreSQL and the later ones of both. None of
// them waits long for a lock while everybody else waits behind it.
func postgresScripts() fs.FS {
	scripts := fstest.MapFS{}
	for _, pattern := range []string{"migrations/postgres/*.sql", "migrations/*.sql"} {
		paths, err := fs.Glob(migrations, pattern)
		if err != nil {
			panic("store: " + err.Error())
		}
		for _, path := range paths {
			name := path[strings.LastIndex(path, "/")+1:]
			if _, ours := scripts[name]; ours || versionOf(name) < firstPostgres || versionOf(name) == firstPostgres && pattern == "migrations/*.sql" {
				continue
			}
			text, err := fs.ReadFile(migrations, path)
			if err != nil {
				panic("store: the migrations are built in: " + err.Error())
			}
			scripts[name] = &fstest.MapFile{Data: []byte(strings.Replace(string(text), "-- +goose Up\n", "-- +goose Up\nSET LOCAL lock_timeout = '3s';\n", 1))}
		}
	}
	return scripts
}

func versionOf(name string) int64 {
	digits, _, _ := strings.Cut(name, "_")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		panic("store: a migration without a version: " + name)
	}
	return n
}

func (e engine) provider(db *sql.DB) (*goose.Provider, error) {
	options, err := e.options()
	if err != nil {
		return nil, fmt.Errorf("prepare the migrations: %w", err)
	}
	provider, err := goose.NewProvider(e.dialect, db, e.scripts, append(options, goose.WithLogger(goose.NopLogger()))...)
	if err != nil {
		return nil, fmt.Errorf("prepare the migrations: %w", err)
	}
	return provider, nil
}

// newest is the version that this Gatehouse brings a database to.
func (e engine) newest() (newest int64) {
	names, _ := fs.Glob(e.scripts, "*.sql")
	for _, name := range names {
		newest = max(newest, versionOf(name))
	}
	return newest
}

// up brings a database up to date.
func (e engine) up(ctx context.Context, db *sql.DB) (err error) {
	// Two processes that start at once on a new database both try; each
	// migration is a transaction, so the one that loses finds it done the next
	// time.
	for try := range migrateAttempts {
		if try > 0 {
			select {
			case <-time.After(migratePause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		var stored int64
		if stored, err = storedVersion(ctx, db); err != nil {
			if err = fmt.Errorf("open the database: %w", unavailable(err)); pgCode(err, "28", "3D") {
				return err // neither password nor database comes by asking again
			}
			continue
		}
		if stored > e.newest() {
			return &NewerSchema{Stored: stored, Known: e.newest()}
		}
		if stored == e.newest() {
			return nil
		}
		provider, err1 := e.provider(db)
		if err1 != nil {
			return err1
		}
		if _, err = provider.Up(ctx); err == nil {
			return nil
		}
		if err = fmt.Errorf("bring the database up to date: %w", unavailable(err)); pgCode(err, pgReadOnly, "42501") {
			return err
		}
	}
	return err
}

const (
	migrateAttempts = 8
	migratePause    = 100 * time.Millisecond
)

func migrateSQLite(ctx context.Context, db *sql.DB) error   { return sqliteEngine().up(ctx, db) }
func migratePostgres(ctx context.Context, db *sql.DB) error { return postgresEngine().up(ctx, db) }

// storedVersion is the schema of a database, 0 of an empty one.
func storedVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, pgPatience)
	defer cancel()
	err = db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	if err != nil && noTable(err) {
		return 0, nil
	}
	return version, err
}

// noTable tells whether a query failed because its table is not there yet.
func noTable(err error) bool {
	return pgCode(err, "42P01") || strings.Contains(err.Error(), "no such table")
}

// Migrations lists the changes of the schema that this Gatehouse knows, and
// which of them a store has. It changes nothing.
func Migrations(ctx context.Context, c Config) (all []Migration, err error) {
	err = c.withSchema(ctx, func(e engine, db *sql.DB) (err error) {
		all, err = e.list(ctx, db)
		return err
	})
	return all, err
}

// Migrate brings a store up to date and says what was new.
func Migrate(ctx context.Context, c Config) (done []Migration, err error) {
	err = c.withSchema(ctx, func(e engine, db *sql.DB) error {
		before, err := e.list(ctx, db)
		if err != nil {
			return err
		}
		if err := e.up(ctx, db); err != nil {
			return err
		}
		for _, m := range before {
			if m.Applied.IsZero() {
				done = append(done, m)
			}
		}
		return nil
	})
	return done, err
}

// withSchema opens a database without looking at what is in it.
func (c Config) withSchema(ctx context.Context, work func(engine, *sql.DB) error) error {
	if c.Database == "" {
		if err := c.prepareFolder(); err != nil {
			return err
		}
		db, err := openFile(c.file(), "immediate", false)
		if err != nil {
			return err
		}
		return errors.Join(work(sqliteEngine(), db), db.Close())
	}
	config, err := pgConfig(c)
	if err != nil {
		return err
	}
	db := pgPool(*config, 3)
	return errors.Join(work(postgresEngine(), db), db.Close())
}

func (e engine) list(ctx context.Context, db *sql.DB) ([]Migration, error) {
	applied := map[int64]time.Time{}
	stored, err := storedVersion(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read the version of the database: %w", unavailable(err))
	}
	if stored > e.newest() {
		return nil, &NewerSchema{Stored: stored, Known: e.newest()}
	}
	if stored > 0 {
		all, err := db.QueryContext(ctx, `SELECT version_id, tstamp FROM goose_db_version WHERE is_applied`)
		if err != nil {
			return nil, fmt.Errorf("read the version of the database: %w", unavailable(err))
		}
		defer all.Close()
		for all.Next() {
			var version int64
			var at time.Time
			if err := all.Scan(&version, &at); err != nil {
				return nil, err
			}
			applied[version] = at
		}
		if err := all.Err(); err != nil {
			return nil, unavailable(err)
		}
	}
	names, err := fs.Glob(e.scripts, "*.sql")
	if err != nil {
		return nil, err
	}
	var list []Migration
	for _, name := range names {
		m := Migration{Version: versionOf(name), Name: migrationName.ReplaceAllString(name, "$1"), Applied: applied[versionOf(name)]}
		if m.Applied.IsZero() {
			text, err := fs.ReadFile(e.scripts, name)
			if err != nil {
				return nil, err
			}
			up, _, _ := strings.Cut(string(text), "-- +goose Down")
			m.SQL = strings.TrimSpace(strings.Replace(up, "-- +goose Up\n", "", 1))
		}
		list = append(list, m)
	}
	return list, nil
}

var migrationName = regexp.MustCompile(`^\d+_(.*)\.sql$`)
