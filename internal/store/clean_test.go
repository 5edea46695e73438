package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// The clean-up of many rows runs beside refreshes: none fails, none waits for
// the whole clean-up, all that is due goes and nothing else.
func TestCleaningBesideTraffic(t *testing.T) {
	const rows = 4_000
	db := fresh(t)
	ctx, now := context.Background(), time.Now()
	u := iam.User{ID: iam.NewUserID(), Username: "ada"}
	for _, err := range []error{db.CreateUser(ctx, u), db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	due, kept := now.Add(-2*keepEnded), now.Add(time.Hour)
	many := func(statement string) closure {
		return func(ctx context.Context, tx *txn) error {
			return tx.run(ctx, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `, rows)+statement)
		}
	}
	spent := `INSERT INTO spent (id, grant_id, drop_after) SELECT '%s' || i, 'g', %d FROM n`
	sessions := `INSERT INTO sessions (id, user_id, auth_time, acr, amr, created_at, idle_expires, expires) SELECT '%[1]s' || i, 'u', 0, '', '', 0, %[2]d, %[2]d FROM n`
	for _, c := range []closure{
		many(fmt.Sprintf(spent, "old", micros(due))), many(fmt.Sprintf(spent, "new", micros(kept))),
		many(fmt.Sprintf(sessions, "old", micros(due))), many(fmt.Sprintf(sessions, "new", micros(kept))),
	} {
		if err := db.writer.do(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	var waits []time.Duration
	var mu sync.Mutex
	traffic := func(stop <-chan struct{}) (p99 time.Duration, n int) {
		waits = nil
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", Gen: 1, CreatedAt: now, IdleExpires: kept, Expires: kept}
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
					if _, outcome, err := db.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: "app", Gen: gen, UserEpoch: 1, ClientEpoch: 1}); err != nil || outcome != iam.Rotated {
						t.Errorf("%v %v", outcome, err)
						return
					}
					mu.Lock()
					waits = append(waits, time.Since(began))
					mu.Unlock()
				}
			})
		}
		all.Wait()
		slices.Sort(waits)
		return waits[len(waits)*99/100], len(waits)
	}
	quiet := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(quiet) })
	before, n := traffic(quiet)
	t.Logf("without: p99 %v of %d refreshes", before, n)
	cleaned := make(chan struct{})
	var took time.Duration
	var gone int64
	go func() {
		defer close(cleaned)
		began := time.Now()
		var err error
		if gone, err = db.Clean(ctx, 500); err != nil {
			t.Error(err)
		}
		took = time.Since(began)
	}()
	during, n := traffic(cleaned)
	t.Logf("during: p99 %v of %d refreshes; %d rows went in %v", during, n, gone, took)
	if gone != 2*rows {
		t.Errorf("%d rows went, want %d", gone, 2*rows)
	}
	if during > took/4 && during > 100*time.Millisecond {
		t.Errorf("p99 of a refresh is %v while cleaning takes %v", during, took)
	}
	for _, table := range []string{"spent", "sessions"} {
		var left int
		if err := db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table+` WHERE id LIKE 'new%'`).Scan(&left); err != nil || left != rows {
			t.Errorf("%s: %d rows are left, want %d: %v", table, left, rows, err)
		}
	}
}
