package store_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// rowsFor is how many rows a test makes: ROWS=1000000 takes minutes and shows
// what it is like.
func rowsFor(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv("ROWS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fill inserts n rows in pieces, as a statement over i.
func fill(t *testing.T, db *store.DB, n int, insert string) {
	t.Helper()
	const piece = 20_000
	for from := 0; from < n; from += piece {
		err := db.Fill(context.Background(), fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, from, min(from+piece, n)-1)+insert)
		if err != nil {
			t.Fatal(err)
		}
	}
}

const (
	fillSessions = `INSERT INTO sessions (id, user_id, auth_time, acr, amr, created_at, idle_expires, expires, agent)
		SELECT '%[1]s' || CAST(i AS TEXT), 'usr_' || CAST(i %% 1000 AS TEXT), 0, 'pwd', '[]', 0, %[2]d, %[2]d, 'test' FROM n`
	fillGrants = `INSERT INTO grants (id, user_id, client_id, scopes, resource, acr, amr, gen, mac_key_id, created_at, idle_expires, expires, revoke_reason, cnf, claims, client_epoch)
		SELECT '%[1]s' || CAST(i AS TEXT), 'usr_' || CAST(i %% 1000 AS TEXT), 'app', '[]', '', 'pwd', '[]', 1, 'mac', 0, %[2]d, %[2]d, '', '', '', 1 FROM n`
	fillSpent = `INSERT INTO spent (id, grant_id, drop_after) SELECT '%[1]s' || CAST(i AS TEXT), 'g', %[2]d FROM n`
)

// turning rotates grants of its own from several callers until stop, and says how
// long each rotation took.
func turning(t *testing.T, db *store.DB, u iam.User, stop <-chan struct{}) []time.Duration {
	ctx, now := context.Background(), time.Now()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", Gen: 1, MacKeyID: "mac", CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
			r := iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(time.Minute), Grant: g, UserEpoch: 1, ClientEpoch: 1}
			if outcome, err := db.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
				t.Errorf("%v %v", outcome, err)
				return
			}
			for gen := int64(1); ; gen++ {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				if _, outcome, err := db.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: "app", Gen: gen, MacKey: "mac", NextMacKey: "mac", UserEpoch: 1, ClientEpoch: 1}); err != nil || outcome != iam.Rotated {
					t.Errorf("%v %v", outcome, err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)].Round(10 * time.Microsecond)
}

// The clean-up of very many rows gives way to logins: the slowest of a hundred
// rotations is hardly slower meanwhile. Both figures are printed; the test fails
// only when somebody would notice.
func TestCleanUpGivesWay(t *testing.T) {
	rows := rowsFor(t, 20_000)
	db := storetest.Open(t, nil)
	ctx, now := context.Background(), time.Now()
	u := iam.User{ID: iam.NewUserID(), Username: "ada"}
	for _, err := range []error{db.CreateUser(ctx, u), db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	due := now.Add(-2 * store.KeepEnded).UnixMicro()
	fill(t, db, rows/4, fmt.Sprintf(fillSessions, "old_", due))
	fill(t, db, rows/4, fmt.Sprintf(fillGrants, "old_", due))
	fill(t, db, rows/4, fmt.Sprintf(fillSpent, "old_a_", due))
	fill(t, db, rows/4, fmt.Sprintf(fillSpent, "old_b_", due))
	stop := make(chan struct{})
	time.AfterFunc(3*time.Second, func() { close(stop) })
	before := turning(t, db, u, stop)
	cleaned := make(chan struct{})
	var gone int64
	var took time.Duration
	go func() {
		defer close(cleaned)
		began := time.Now()
		var err error
		if gone, err = db.Clean(ctx, 500); err != nil {
			t.Error(err)
		}
		took = time.Since(began)
	}()
	during := turning(t, db, u, cleaned)
	t.Logf("without: p50 %v, p99 %v of %d rotations", percentile(before, 50), percentile(before, 99), len(before))
	t.Logf("during:  p50 %v, p99 %v of %d rotations, while %d rows went in %v", percentile(during, 50), percentile(during, 99), len(during), gone, took.Round(time.Millisecond))
	if gone < int64(rows/4*4) { // what the rotations themselves left may be among them
		t.Errorf("%d rows went, want %d", gone, rows/4*4)
	}
	if a, b := percentile(during, 99), percentile(before, 99); a > 10*b && a > 500*time.Millisecond {
		t.Errorf("p99 of a rotation is %v while cleaning, %v without", a, b)
	}
}

// Lists of logins come a page by key: each costs the same among many.
func TestListsOfManyLogins(t *testing.T) {
	rows := rowsFor(t, 20_000)
	db := storetest.Open(t, nil)
	ctx, later := context.Background(), time.Now().Add(time.Hour).UnixMicro()
	u := iam.User{ID: "usr_7", Username: "ada"}
	for _, err := range []error{db.CreateUser(ctx, u), db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	fill(t, db, rows, fmt.Sprintf(fillSessions, "ses_", later))
	fill(t, db, rows, fmt.Sprintf(fillGrants, "gr_", later))
	fill(t, db, rows, `INSERT INTO session_apps (session_id, client_id, used_at) SELECT 'ses_' || CAST(i AS TEXT), 'app', 0 FROM n`)
	// And as many that are over, but not gone: they must not be read through.
	fill(t, db, rows, fmt.Sprintf(fillSessions, "ses_over_", 1))
	fill(t, db, rows, fmt.Sprintf(fillGrants, "gr_over_", 1))
	for _, f := range []struct {
		name             string
		filter           iam.LoginFilter
		sessions, grants int // on the page
	}{
		{"all, the first page", iam.LoginFilter{}, 100, 100},
		{"all, from the middle", iam.LoginFilter{After: "%s5"}, 100, 100},
		{"all, where none is live", iam.LoginFilter{After: "%sover_3"}, 0, 0},
		{"of a user", iam.LoginFilter{User: "usr_7"}, min(rows/1000, 100), min(rows/1000, 100)},
		{"of a client", iam.LoginFilter{Client: "app"}, 100, 100},
		{"of a user at a client", iam.LoginFilter{User: "usr_7", Client: "app"}, min(rows/1000, 100), min(rows/1000, 100)},
	} {
		f.filter.Limit = 100
		measure := func(what, prefix string, want int, read func(iam.LoginFilter) (int, error)) {
			filter := f.filter
			if filter.After != "" {
				filter.After = fmt.Sprintf(filter.After, prefix)
			}
			best := time.Hour
			for range 5 {
				began := time.Now()
				n, err := read(filter)
				if err != nil || n != want {
					t.Errorf("%s %s: %d on the page, want %d: %v", what, f.name, n, want, err)
				}
				best = min(best, time.Since(began))
			}
			t.Logf("%-8s %-24s %v", what, f.name, best.Round(10*time.Microsecond))
			if best > 500*time.Millisecond {
				t.Errorf("%s %s: %v", what, f.name, best)
			}
		}
		measure("sessions", "ses_", f.sessions, func(f iam.LoginFilter) (int, error) { page, _, err := db.ListSessions(ctx, f); return len(page), err })
		measure("grants", "gr_", f.grants, func(f iam.LoginFilter) (int, error) { page, _, err := db.ListGrants(ctx, f); return len(page), err })
	}
}
