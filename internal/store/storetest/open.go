package storetest

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the engines, for Raw
	_ "modernc.org/sqlite"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// Postgres tells whether this run of the tests is on PostgreSQL.
func Postgres() bool { return pgtest.Asked() }

// Open opens a new store of the engine that the environment names: SQLite, or
// PostgreSQL with GATEHOUSE_TEST_DATABASE=postgres. now is its clock, nil the
// engine's own. The test closes it, or its end does.
func Open(tb testing.TB, now func() time.Time) *store.DB {
	tb.Helper()
	return OpenAt(tb, tb.TempDir(), now)
}

// OpenAt is Open for a folder: whoever opens the same folder again, in the same
// test, meets the same records.
func OpenAt(tb testing.TB, dir string, now func() time.Time) *store.DB {
	tb.Helper()
	db, err := store.Open(context.Background(), Config(tb, dir, now))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Config is what OpenAt opens.
func Config(tb testing.TB, dir string, now func() time.Time) store.Config {
	tb.Helper()
	return store.Config{Dir: dir, Database: Database(tb, dir), Connections: 12, Now: now}
}

// Database is the address of the PostgreSQL database that belongs to a folder,
// made when it is new and gone when the test is over; "" on SQLite.
func Database(tb testing.TB, dir string) string {
	tb.Helper()
	if !Postgres() {
		return ""
	}
	databases.Lock()
	defer databases.Unlock()
	if databases.byDir == nil {
		databases.byDir = map[string]string{}
	}
	if databases.byDir[dir] == "" {
		databases.byDir[dir] = pgtest.Start(tb).DatabaseFrom(tb, "schema", migrate)
	}
	return databases.byDir[dir]
}

var databases struct {
	sync.Mutex
	byDir map[string]string
}

// migrate makes the database that the others are copies of: a copy takes a
// tenth of the time.
func migrate(address string) error {
	db, err := store.Open(context.Background(), store.Config{Database: address})
	if err != nil {
		return err
	}
	return db.Close()
}

// Raw is a connection to the records that OpenAt opens, past the store: for
// tests that damage them.
func Raw(tb testing.TB, dir string) *sql.DB {
	tb.Helper()
	driver, source := "sqlite", filepath.Join(dir, "gatehouse.db")
	if address := Database(tb, dir); address != "" {
		driver, source = "pgx", address
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}
