package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	if os.Getenv(pgtest.Environment) == "sqlite" {
		t.Skip("NOT RUN here, on SQLite only: make postgres does")
	}
	pgtest.Start(t)
	t.Setenv(pgtest.Environment, "postgres")
}

func TestPostgres(t *testing.T) {
	onPostgres(t)
	var statements sync.Map
	storetest.Run(t, func(t *testing.T, dir string, now func() time.Time) *store.DB {
		db := storetest.OpenAt(t, dir, now)
		t.Cleanup(func() {
			for _, s := range db.Statements() {
				statements.Store(s, true)
			}
		})
		return db
	})
	t.Run("no statement reads a whole table that grows", func(t *testing.T) { noScansPostgres(t, &statements) })
}

// growing are the tables that have no bound.
var growing = strings.Fields("users user_roles grants sessions session_apps spent revocation events change clients client_roles pushed devices consents known_networks logout_deliveries client_origins")

// noScansPostgres asks PostgreSQL how it runs every statement of the suite, when
// it must use an index if there is one.
func noScansPostgres(t *testing.T, statements *sync.Map) {
	db := storetest.Open(t, nil)
	checked := 0
	for query := range statements.Range {
		query := query.(string)
		if !regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE)`).MatchString(query) {
			continue
		}
		if strings.Contains(query, "WHERE mac_key_id = ") || strings.Contains(query, "WHERE type <> ") {
			continue // an emergency reads all grants or ends all clients once; an index would cost every refresh
		}
		checked++
		text, err := db.PlanPostgres(query)
		if err != nil {
			t.Errorf("%v\n%s", err, query)
			continue
		}
		var plans []struct{ Plan planNode }
		must(t, json.Unmarshal([]byte(text), &plans))
		for _, table := range plans[0].Plan.whole(false) {
			t.Errorf("reads the whole table %s:\n%s", table, query)
		}
	}
	if checked < 40 {
		t.Errorf("only %d statements were seen", checked)
	}
}

// planNode is a step of a plan.
type planNode struct {
	Type  string     `json:"Node Type"`
	Table string     `json:"Relation Name"`
	Cond  string     `json:"Index Cond"`
	Plans []planNode `json:"Plans"`
}

// whole are the growing tables that a plan reads from the first row to the last.
// An index without a condition is read so as well, unless a limit ends it.
func (n planNode) whole(limited bool) (tables []string) {
	index := strings.HasPrefix(n.Type, "Index") && (n.Cond != "" || limited)
	if slices.Contains(growing, n.Table) && !index && (n.Type == "Seq Scan" || strings.HasPrefix(n.Type, "Index")) {
		tables = append(tables, n.Type+" "+n.Table)
	}
	for _, p := range n.Plans {
		tables = append(tables, p.whole(n.Type == "Limit" || limited && n.Type != "Sort" && n.Type != "Aggregate")...)
	}
	return tables
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
