package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // what makes and drops databases

	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// Postgres tells whether this run of the tests is on PostgreSQL.
func Postgres() bool { return os.Getenv("GATEHOUSE_TEST_DATABASE") == "postgres" }

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
	databases.mu.Lock()
	defer databases.mu.Unlock()
	if databases.byDir == nil {
		databases.byDir = map[string]string{}
	}
	if address := databases.byDir[dir]; address != "" {
		return address
	}
	if databases.template == "" {
		databases.template = template(tb)
	}
	address := create(tb, " TEMPLATE "+name(databases.template))
	tb.Cleanup(func() { drop(tb, address) })
	databases.byDir[dir] = address
	return address
}

var databases struct {
	mu       sync.Mutex
	template string // a database with the schema and nothing else
	byDir    map[string]string
}

// template makes the database that the others are copies of: a copy takes a
// tenth of the time of the migrations.
func template(tb testing.TB) string {
	tb.Helper()
	address := create(tb, "")
	db, err := store.Open(context.Background(), store.Config{Database: address})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return address
}

func create(tb testing.TB, how string) string {
	tb.Helper()
	made := "gh_" + strings.ToLower(rand.Text()[:16])
	administer(tb, "CREATE DATABASE "+made+how)
	u, err := url.Parse(server(tb))
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + made
	return u.String()
}

func drop(tb testing.TB, address string) {
	tb.Helper()
	administer(tb, "DROP DATABASE IF EXISTS "+name(address)+" WITH (FORCE)")
}

func name(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

func administer(tb testing.TB, statement string) {
	tb.Helper()
	db, err := sql.Open("pgx", server(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// server is the address of a PostgreSQL server's first database.
func server(tb testing.TB) string {
	tb.Helper()
	address := os.Getenv("GATEHOUSE_TEST_SERVER")
	if address == "" {
		tb.Fatal("GATEHOUSE_TEST_SERVER is not set")
	}
	return address
}
