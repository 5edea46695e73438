package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// TestAMillionUsersOnPostgres fills PostgreSQL with users: each page of the list
// costs the same wherever it lies, below 100 ms. It is 100,000 users, and a
// million with FAULT_TIME.
func TestAMillionUsersOnPostgres(t *testing.T) {
	users := 100_000
	if os.Getenv("FAULT_TIME") != "" {
		users = 1_000_000
	}
	server := postgres(t)
	dsn := server.Database(t)
	h := newHouse(t, server, dsn, 1)
	h.furnish()
	began := time.Now()
	h.query(fmt.Sprintf(`
		INSERT INTO users (id, username, email, name, attributes, password_hash, epoch, disabled, version, created_at)
		SELECT 'usr_' || md5(i::text), 'user' || lpad(i::text, 7, '0'), 'user@example.com', '', '[]', '', 1, false, 1, 0 FROM generate_series(0, %d) i;
		INSERT INTO user_roles (user_id, role) SELECT id, 'viewer' FROM users WHERE username LIKE 'user%%';
		ANALYZE`, users-1))
	t.Logf("%d users made in %v", users, time.Since(began).Round(time.Millisecond))
	db := openStore(t, dsn)
	ctx := context.Background()
	for _, tc := range []struct {
		what, after string
		limit, want int
	}{
		{"the first page, 100 users", "", 100, 100},
		{"a page in the middle", fmt.Sprintf("user%07d", users/2), 100, 100},
		{"a page of 1,000 in the middle", fmt.Sprintf("user%07d", users/2), 1000, 1000},
		{"the last page", fmt.Sprintf("user%07d", users-51), 100, 50},
	} {
		best := time.Hour
		for range 5 {
			began := time.Now()
			list, err := db.Users(ctx, tc.after, tc.limit)
			best = min(best, time.Since(began))
			if err != nil || len(list) != tc.want || tc.after != "" && (list[0].Username <= tc.after || len(list[0].Roles) != 1) {
				t.Fatalf("%s: %d users, %v", tc.what, len(list), err)
			}
		}
		t.Logf("%-32s %v", tc.what, best.Round(100*time.Microsecond))
		if best > 100*time.Millisecond {
			t.Errorf("%s takes %v", tc.what, best)
		}
	}
	client := h.nodes[0].client()
	token := h.login(h.session(h.nodes[0]))
	best := time.Hour
	for range 5 {
		began := time.Now()
		a, err := h.refresh(client, token)
		best = min(best, time.Since(began))
		if err != nil || a.status != 200 {
			t.Fatalf("refresh: %v %+v", err, a)
		}
		token = a.Refresh
	}
	t.Logf("%-32s %v", "a refresh", best.Round(100*time.Microsecond))
	if best > time.Second {
		t.Errorf("a refresh takes %v", best)
	}
}

// openStore opens the records beside the nodes.
func openStore(t *testing.T, dsn string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Config{Database: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestCleanUpOnPostgres lets two nodes' clean-ups remove expired rows at the
// same time, beside traffic: in batches, without a deadlock, everything that is
// due and nothing else.
func TestCleanUpOnPostgres(t *testing.T) {
	rows := 20_000
	if os.Getenv("FAULT_TIME") != "" {
		rows = 500_000
	}
	server := ownPostgres(t)
	dsn := server.Database(t)
	h := newHouse(t, server, dsn, 2)
	h.furnish()
	week := time.Now().Add(-8 * 24 * time.Hour).UnixMicro()
	later := time.Now().Add(time.Hour).UnixMicro()
	h.query(fmt.Sprintf(`
		INSERT INTO spent (id, grant_id, drop_after) SELECT 'old' || i, 'g', %[2]d FROM generate_series(1, %[1]d) i;
		INSERT INTO spent (id, grant_id, drop_after) SELECT 'new' || i, 'g', %[3]d FROM generate_series(1, 1000) i;
		INSERT INTO sessions (id, user_id, auth_time, acr, amr, created_at, idle_expires, expires) SELECT 'old' || i, 'u', 0, '', '', 0, %[2]d, %[2]d FROM generate_series(1, %[1]d) i;
		INSERT INTO grants (id, user_id, client_id, scopes, resource, acr, amr, gen, mac_key_id, created_at, idle_expires, expires, revoke_reason, cnf)
			SELECT 'old' || i, 'u', 'spa', '[]', '', '', '', 1, '', 0, %[2]d, %[2]d, '', '' FROM generate_series(1, %[1]d) i;
		ANALYZE`, rows, week, later))
	p := h.press(8)
	time.Sleep(2 * time.Second)
	p.settle()
	p.enter("cleaning")
	began := time.Now()
	var all sync.WaitGroup
	var removed [2]int64
	for i := range removed {
		db := openStore(t, dsn)
		all.Go(func() {
			for { // as serve does, until a batch is not full
				n, err := db.Clean(context.Background(), 500)
				removed[i] += n
				if err != nil {
					t.Errorf("clean: %v", err)
					return
				}
				if n == 0 {
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	p.settle()
	p.enter("after")
	p.end()
	p.holds(t)
	quiet, busy := p.of("before", false), p.of("cleaning", false)
	t.Logf("%d + %d rows removed in %v by two at once; the slowest answer was %v before and %v meanwhile", removed[0], removed[1], took.Round(time.Millisecond), quiet.slowest.Round(time.Millisecond), busy.slowest.Round(time.Millisecond))
	if busy.count[503] != 0 || busy.slowest > 3*time.Second {
		t.Errorf("the traffic suffers: %v, slowest %v", busy.count, busy.slowest)
	}
	if got := h.query(`SELECT (SELECT count(*) FROM spent WHERE id LIKE 'old%'), (SELECT count(*) FROM spent WHERE id LIKE 'new%'), (SELECT count(*) FROM sessions WHERE id LIKE 'old%'), (SELECT count(*) FROM grants WHERE id LIKE 'old%')`); got != "0|1000|0|0" {
		t.Errorf("left are %s, want 0|1000|0|0", got)
	}
	if n := strings.Count(server.Log(), "deadlock detected"); n != 0 {
		t.Errorf("%d deadlocks (40P01)", n)
	}
	if lost := p.kept(t); lost != 0 {
		t.Errorf("%d answers are lost", lost)
	}
}
