package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestAMillionUsers fills the database with users and uses it: every page of
// the list costs the same, wherever it lies, and so do a login and a change.
// USERS=50000 makes it shorter.
func TestAMillionUsers(t *testing.T) {
	users := 1_000_000
	if text := os.Getenv("USERS"); text != "" {
		var err error
		if users, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	i := newInstallation(t)
	server := i.serve()
	tr := newTraffic(t, i)
	tr.login("zz-last")
	i.run("role", "create", "team", "--scope", "orders:read")
	server.Process.Signal(syscall.SIGTERM)
	server.Wait()
	db := records(t, i.data())
	db.SetMaxOpenConns(1) // the pragmas are of one connection
	began := time.Now()
	for _, statement := range []string{
		`PRAGMA synchronous = OFF`, `PRAGMA cache_size = -262144`,
		fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO users (id, username, email, name, attributes, password_hash, epoch, disabled, version, created_at)
			SELECT 'usr_' || lower(hex(randomblob(13))), printf('user%%07d', i), 'user@example.com', '', '[]', '', 1, 0, 1, 0 FROM n`, users-1),
		`INSERT INTO user_roles (user_id, role) SELECT id, 'viewer' FROM users WHERE username LIKE 'user%'`,
		`INSERT INTO user_roles (user_id, role) SELECT id, 'team' FROM users WHERE username > 'user' ORDER BY username DESC LIMIT 10001`,
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	syscall.Sync() // what follows must not wait for what was just written
	t.Logf("%d users made in %v", users, time.Since(began).Round(time.Millisecond))

	timed := func(what string, within time.Duration, do func()) time.Duration {
		t.Helper()
		best := time.Hour
		for range 5 {
			began := time.Now()
			do()
			best = min(best, time.Since(began))
		}
		t.Logf("%-45s %v", what, best.Round(100*time.Microsecond))
		if best > within {
			t.Errorf("%s took %v, more than %v", what, best, within)
		}
		return best
	}
	page := func(after string, limit, want int, first string) func() {
		return func() {
			t.Helper()
			var list []struct {
				Username string
				Roles    []string
			}
			if err := json.Unmarshal(i.stdout("user", "list", "--after", after, "--limit", fmt.Sprint(limit), "--json"), &list); err != nil {
				t.Fatal(err)
			}
			if len(list) != want || list[0].Username != first || len(list[0].Roles) == 0 {
				t.Errorf("after %q: %d users, the first is %+v", after, len(list), list[0])
			}
		}
	}
	// A process of its own each time, opening the database included.
	const within = 2 * time.Second
	head := timed("the first page, 100 users", within, page("", 100, 100, "user0000000"))
	middle := timed("a page in the middle", within, page(fmt.Sprintf("user%07d", users/2-1), 100, 100, fmt.Sprintf("user%07d", users/2)))
	timed("a page of 1,000", within, page(fmt.Sprintf("user%07d", users/2-1), 1000, 1000, fmt.Sprintf("user%07d", users/2)))
	timed("the end", within, page(fmt.Sprintf("user%07d", users-1), 100, 1, "zz-last"))
	if middle > 5*head+250*time.Millisecond {
		t.Errorf("a page in the middle takes %v, the first one %v", middle, head)
	}
	timed("one user by name", within, func() { i.run("user", "show", fmt.Sprintf("user%07d", users/2)) })
	timed("a role given to one", within, func() { i.run("user", "edit", fmt.Sprintf("user%07d", users/2), "--name", "x") })
	timed("start of serve until it is ready", 5*time.Second, func() {
		server := i.serve()
		server.Process.Signal(syscall.SIGTERM)
		server.Wait()
	})
	i.serve()
	f := tr.login("zzz")
	client := newClient("127.0.0.1")
	timed("a refresh", time.Second, func() {
		if a, err := tr.turn(f); err != nil || a.status != 200 {
			t.Errorf("refresh: %v %+v", err, a)
		}
	})
	timed("a token of a service account", time.Second, func() {
		if a, err := tr.credentials(client); err != nil || a.status != 200 {
			t.Errorf("client_credentials: %v %+v", err, a)
		}
	})

	// C16: the tokens of many holders end while others go on.
	team := func(query string) int {
		return column(t, records(t, i.data()), query)["10001"]
	}
	tr.start(nil, false)
	for _, step := range []struct {
		what string
		args []string
		want string
	}{
		{"the tokens of 10,001 holders of a role end", []string{"role", "edit", "team", "--description", "x", "--now"}, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE epoch = 2`},
		{"a role is taken from 10,001 holders", []string{"role", "delete", "team", "--yes"}, `SELECT CAST(COUNT(*) AS TEXT) FROM users WHERE epoch = 3`},
	} {
		tr.slowest.Store(0)
		began := time.Now()
		i.run(step.args...)
		slowest := time.Duration(tr.slowest.Load())
		t.Logf("%-45s %v; others waited %v at most", step.what, time.Since(began).Round(time.Millisecond), slowest.Round(time.Millisecond))
		if team(step.want) != 1 || slowest > 3*time.Second {
			t.Errorf("%s: others waited %v, or not all of them", step.what, slowest)
		}
	}
	tr.end()
	if len(tr.other) != 0 {
		t.Errorf("%d requests were refused meanwhile, such as %s", len(tr.other), tr.other[0])
	}
}
