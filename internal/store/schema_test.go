package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

func names(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	must(t, err)
	defer rows.Close()
	all := map[string]bool{}
	for rows.Next() {
		var name string
		must(t, rows.Scan(&name))
		all[name] = true
	}
	must(t, rows.Err())
	return slices.Sorted(maps.Keys(all))
}

// Both engines have the same tables, columns and indexes.
func TestBothSchemasAreTheSame(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	must(t, open(t, dir, nil).Close())
	file := storetest.Raw(t, dir)
	onPostgres(t)
	must(t, storetest.OpenAt(t, other, nil).Close())
	pg := storetest.Raw(t, other)
	for what, queries := range map[string][2]string{
		"columns": {`SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'goose_db_version'`,
			`SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT IN ('goose_db_version', 'migration_lock')`},
		"indexes": {`SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'`,
			`SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE '%_key'`},
	} {
		if a, b := names(t, file, queries[0]), names(t, pg, queries[1]); fmt.Sprint(a) != fmt.Sprint(b) || len(a) < 15 {
			t.Errorf("%s:\nSQLite     %v\nPostgreSQL %v", what, a, b)
		}
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	ctx := context.Background()
	for _, engine := range []string{"", "postgres"} {
		if engine != "" {
			onPostgres(t)
		}
		dir := t.TempDir()
		must(t, storetest.OpenAt(t, dir, nil).Close())
		raw := storetest.Raw(t, dir)
		_, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, ` + map[string]string{"": "1", "postgres": "true"}[engine] + `)`)
		must(t, err)
		must(t, raw.Close())
		var newer *store.NewerSchema
		if db, err := store.Open(ctx, storetest.Config(t, dir, nil)); !errors.As(err, &newer) || newer.Stored != 9999 {
			t.Errorf("%s: %v", engine, err)
			if err == nil {
				db.Close()
			}
		}
	}
}

// Servers that start at once on a new database do not hinder one another.
func TestServersThatStartAtOnce(t *testing.T) {
	address := pgtest.Start(t).Database(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			db, err := store.Open(context.Background(), store.Config{Database: address, Connections: 4})
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Bind(context.Background(), "https://auth.example.com"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// No error shows the password of a database.
func TestNoErrorShowsThePassword(t *testing.T) {
	for _, address := range []string{"postgres://g:s3cret@127.0.0.1:1/x", "postgres://g:s3cret@db.invalid/x?sslmode=foo", "postgres://g:s3cret@/x?port=s3cret", "mysql://g:s3cret@h/x", "postgres://g:s3cret@h:port/x", "postgres://g:s3cret%zz@h/x", "postgres://g@127.0.0.1:1/x?password=s3cret"} {
		db, err := store.Open(context.Background(), store.Config{Database: address})
		if err == nil {
			db.Close()
			t.Fatalf("%s was opened", address)
		}
		if strings.Contains(strings.ReplaceAll(err.Error(), "port=s3cret", ""), "s3cret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
