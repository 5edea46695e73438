package store_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// BenchmarkPostgres measures rotations and redemptions on a PostgreSQL that
// writes through to the disk.
func BenchmarkPostgres(b *testing.B) {
	server := pgtest.StartOwn(b, pgtest.Config{Durable: true})
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Database: server.Database(b) + os.Getenv("MORE"), Connections: 36})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	u := iam.User{ID: iam.NewUserID(), Username: "ada"}
	for _, err := range []error{db.CreateUser(ctx, u), db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}), db.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service})} {
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, callers := range []int{1, 32, 256} {
		for name, work := range works(ctx, b, db, u) {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				var left atomic.Int64
				left.Store(int64(b.N))
				var all sync.WaitGroup
				began := time.Now()
				for range callers {
					all.Go(func() {
						step := work()
						for left.Add(-1) >= 0 {
							step()
						}
					})
				}
				all.Wait()
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	if os.Getenv("SHOW") != "" {
		out, _ := server.Query("postgres", "SELECT datname, xact_commit, xact_rollback, deadlocks FROM pg_stat_database")
		b.Log(out)
	}
}

func works(ctx context.Context, b *testing.B, db *store.DB, u iam.User) map[string]func() func() {
	redeem := func(session bool) iam.Grant {
		now := time.Now()
		g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", Gen: 1, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		r := iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(time.Minute), Grant: g, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{Kind: iam.EventCodeRedeemed}}
		if session {
			s := iam.Session{ID: iam.NewSessionID(), UserID: u.ID, AuthTime: now, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
			r.Session, r.Grant.SessionID = &s, s.ID
		}
		if outcome, err := db.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
			b.Errorf("%v %v", outcome, err)
		}
		return r.Grant
	}
	return map[string]func() func(){
		"logins": func() func() { return func() { redeem(true) } },
		"refreshes": func() func() {
			g, gen := redeem(false), int64(0)
			return func() {
				gen++
				_, outcome, err := db.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: "app", Gen: gen, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{Kind: iam.EventRefreshed}})
				if err != nil || outcome != iam.Rotated {
					b.Errorf("%v %v", outcome, err)
				}
			}
		},
		"services": func() func() {
			return func() {
				if _, err := db.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: time.Now()}, 1, iam.Event{Kind: "x"}); err != nil {
					b.Error(err)
				}
			}
		},
	}
}
