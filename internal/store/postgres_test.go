package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// onPostgres makes a test run on PostgreSQL, whatever the environment chooses
// for the others. It says so when there is none.
func onPostgres(t *testing.T) {
	t.Helper()
	pgtest.Start(t)
	t.Setenv(pgtest.Environment, "postgres")
}

func TestPostgres(t *testing.T) {
	onPostgres(t)
	storetest.Run(t, func(t *testing.T, dir string, now func() time.Time) *store.DB { return storetest.OpenAt(t, dir, now) })
}

// raw is a connection past the store.
func raw(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", address)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

// A transaction that takes its numbers first and commits last is not missed by
// those who have read past it.
func TestARevocationThatCommitsLateIsSeen(t *testing.T) {
	onPostgres(t)
	ctx, dir := context.Background(), t.TempDir()
	db := storetest.OpenAt(t, dir, nil)
	revocations, changes := db.TailRevocations(0), db.TailChanges(0)
	next := func(want ...string) {
		t.Helper()
		rows, _, err := revocations.Next(ctx)
		must(t, err)
		edits, _, err := changes.Next(ctx)
		must(t, err)
		got := []string{}
		for _, r := range rows {
			got = append(got, r.Subject)
		}
		for _, c := range edits {
			got = append(got, c.Subject)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	revoke := func(id iam.TokenID) { must(t, db.RevokeToken(ctx, id, time.Now(), iam.Event{Kind: "x"})) }
	revoke("a")
	next("a")

	late, err := raw(t, storetest.Database(t, dir)).BeginTx(ctx, nil)
	must(t, err)
	defer late.Rollback()
	for _, statement := range []string{
		`INSERT INTO revocation (at, kind, subject, min_epoch, drop_after) VALUES (1, 'jti', 'late', 0, 1)`,
		`INSERT INTO change (at, kind, subject) VALUES (1, 'client', 'late too')`,
	} {
		_, err = late.ExecContext(ctx, statement)
		must(t, err)
	}
	revoke("b")
	must(t, db.CreateClient(ctx, iam.Client{ID: "c", Type: iam.Public}))
	next("b", "c")
	next()
	if raw, err := db.Revocations(ctx, 0, 10); err != nil || len(raw) != 2 || raw[1].Seq != 3 {
		t.Fatalf("the late row should have the number 2 and not be visible: %+v %v", raw, err)
	}
	must(t, late.Commit())
	next("late", "late too")
	next()
	_, resume, err := revocations.Next(ctx)
	if must(t, err); resume != 3 {
		t.Errorf("resume at %d, want 3", resume)
	}
	// Who starts at the number to resume at, as after a restart, sees the same.
	revoke("d")
	if rows, _, err := db.TailRevocations(resume).Next(ctx); err != nil || len(rows) != 1 || rows[0].Subject != "d" {
		t.Errorf("from %d: %+v %v", resume, rows, err)
	}
}

// A table with very many rows, of which many were cleaned away, is read page by
// page, each row once.
func TestATailReadsWhatIsThere(t *testing.T) {
	ctx := context.Background()
	db := storetest.Open(t, nil)
	const rows = 2500
	for i := range rows {
		if i%25 == 0 {
			must(t, db.RevokeToken(ctx, iam.TokenID(fmt.Sprint("old", i)), time.Now().Add(-time.Hour), iam.Event{Kind: "x"}))
		}
	}
	users := make([]iam.User, rows)
	for i := range users {
		users[i] = iam.User{ID: iam.NewUserID(), Username: fmt.Sprint("u", i), Roles: []string{"r"}}
	}
	must(t, db.CreateRole(ctx, iam.Role{Name: "r"}))
	for part := range 5 {
		must(t, db.CreateUsers(ctx, users[part*rows/5:(part+1)*rows/5]))
	}
	must(t, db.BumpHolders(ctx, "r"))
	_, err := db.Clean(ctx, 500)
	must(t, err)
	tail, seen := db.TailRevocations(0), map[string]bool{}
	for range 10 {
		page, _, err := tail.Next(ctx)
		must(t, err)
		for _, r := range page {
			if seen[r.Subject] {
				t.Fatalf("%s comes twice", r.Subject)
			}
			seen[r.Subject] = true
		}
	}
	if len(seen) != rows {
		t.Errorf("%d rows, want %d", len(seen), rows)
	}
}
