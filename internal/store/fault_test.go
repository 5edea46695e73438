package store_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// within fails when work takes longer than a store may take for anything.
func within(t *testing.T, what string, work func() error) error {
	t.Helper()
	began := time.Now()
	err := work()
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("%s took %v", what, took)
	}
	return err
}

func furnished(t *testing.T, db *store.DB) (iam.User, func() iam.Redemption) {
	t.Helper()
	ctx := context.Background()
	u := iam.User{ID: iam.NewUserID(), Username: "ada"}
	must(t, db.CreateUser(ctx, u))
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}))
	return u, func() iam.Redemption {
		now := time.Now()
		g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", Gen: 1, MacKeyID: "m", CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		return iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(iam.CodeLife), Grant: g, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{Kind: iam.EventCodeRedeemed}}
	}
}

// A server that hangs never answers. Reads, writes and the health check end all
// the same, at many callers too, and afterwards no connection is lost.
func TestAServerThatHangs(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Config{})
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Database: server.Database(t), Connections: 6})
	must(t, err)
	defer db.Close()
	must(t, db.Bind(ctx, "https://auth.example.com"))
	u, redemption := furnished(t, db)
	server.Pause()
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if err := within(t, "a write", func() error { _, err := db.RedeemCode(ctx, redemption()); return err }); !errors.Is(err, iam.ErrUnavailable) {
				t.Errorf("a write: %v", err)
			}
		})
		all.Go(func() {
			if err := within(t, "a read", func() error { _, err := db.User(ctx, u.ID); return err }); !errors.Is(err, iam.ErrUnavailable) {
				t.Errorf("a read: %v", err)
			}
		})
	}
	all.Wait()
	if err := within(t, "the health check", func() error { return db.Ping(ctx) }); !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("the health check: %v", err)
	}
	server.Resume()
	must(t, db.Ping(ctx))
	for range 12 {
		if outcome, err := db.RedeemCode(ctx, redemption()); err != nil || outcome != iam.Redeemed {
			t.Fatalf("afterwards: %d %v", outcome, err)
		}
	}
}

// A server that is killed and started again costs what was under way.
func TestAServerThatIsKilled(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Config{})
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Database: server.Database(t), Connections: 6})
	must(t, err)
	defer db.Close()
	_, redemption := furnished(t, db)
	must(t, server.Kill())
	_, err = db.RedeemCode(ctx, redemption())
	if !errors.Is(err, iam.ErrUnavailable) || strings.Contains(err.Error(), "nobody knows") || strings.Contains(err.Error(), "password") {
		t.Errorf("without a server: %v", err)
	}
	must(t, server.Start())
	if outcome, err := db.RedeemCode(ctx, redemption()); err != nil || outcome != iam.Redeemed {
		t.Errorf("with a new one: %d %v", outcome, err)
	}
}

// All connections busy is a trouble that passes, and says so in time.
func TestNoConnectionIsFree(t *testing.T) {
	onPostgres(t)
	ctx, dir := context.Background(), t.TempDir()
	db := storetest.OpenAt(t, dir, nil)
	_, redemption := furnished(t, db)
	blocker, err := raw(t, storetest.Database(t, dir)).BeginTx(ctx, nil)
	must(t, err)
	defer blocker.Rollback()
	_, err = blocker.ExecContext(ctx, `LOCK TABLE spent IN ACCESS EXCLUSIVE MODE`)
	must(t, err)
	var busy, slow int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			err := within(t, "a write", func() error { _, err := db.RedeemCode(ctx, redemption()); return err })
			mu.Lock()
			defer mu.Unlock()
			switch {
			case !errors.Is(err, iam.ErrUnavailable):
				t.Errorf("got %v", err)
			case strings.Contains(err.Error(), "connections are in use"):
				busy++
			default:
				slow++
			}
		})
	}
	all.Wait()
	if busy == 0 || slow == 0 {
		t.Errorf("%d found no connection and %d waited for a lock, want both", busy, slow)
	}
	must(t, blocker.Rollback())
	if outcome, err := db.RedeemCode(ctx, redemption()); err != nil || outcome != iam.Redeemed {
		t.Errorf("afterwards: %d %v", outcome, err)
	}
}

// C10, C14: no grant is made of a code while its user's access ends.
func TestC14ARedemptionBesideADisable(t *testing.T) {
	db := storetest.Open(t, nil)
	ctx := context.Background()
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}))
	for range 30 {
		now := time.Now()
		u := iam.User{ID: iam.NewUserID(), Username: string(iam.NewCodeID())}
		must(t, db.CreateUser(ctx, u))
		u, err := db.User(ctx, u.ID)
		must(t, err)
		var made []iam.GrantID
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", Gen: 1, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
				outcome, err := db.RedeemCode(ctx, iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(time.Minute), Grant: g, UserEpoch: u.Epoch, ClientEpoch: 1})
				if err != nil {
					t.Error(err)
				}
				if outcome == iam.Redeemed {
					mu.Lock()
					made = append(made, g.ID)
					mu.Unlock()
				}
			})
		}
		all.Go(func() {
			u.Disabled = true
			if err := db.UpdateUser(ctx, u, iam.EndEverything); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		for _, id := range made {
			if g, err := db.Grant(ctx, id); err != nil || g.RevokedAt.IsZero() {
				t.Fatalf("a grant outlived its user's access: %+v %v", g, err)
			}
		}
	}
}

// After a failover codes of before are refused, because that they were spent may
// be lost; it is in the journal and the log, and what is new works.
func TestC10AFailoverRefusesCodesOfBefore(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Config{})
	ctx := context.Background()
	must(t, server.CreateDatabase("ours"))
	standby := server.Standby(t, pgtest.Async, nil)
	var log bytes.Buffer
	db, err := store.Open(ctx, store.Config{Database: pgtest.DSN("ours", server, standby), Connections: 6, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	defer db.Close()
	if !strings.Contains(log.String(), "durability=async") {
		t.Errorf("nothing warns of the standby that may lag: %s", log.String())
	}
	_, redemption := furnished(t, db)
	before, spent := redemption(), redemption()
	if outcome, err := db.RedeemCode(ctx, spent); err != nil || outcome != iam.Redeemed {
		t.Fatal(outcome, err)
	}
	if d, err := db.Durability(ctx); err != nil || d != store.DurableAsync {
		t.Errorf("durability %q %v", d, err)
	}
	time.Sleep(300 * time.Millisecond) // it has arrived
	if _, err := store.Open(ctx, store.Config{Database: standby.DSN("ours")}); !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "standby") {
		t.Errorf("a standby was taken: %v", err)
	}
	must(t, server.Kill())
	must(t, standby.Promote())
	for name, r := range map[string]iam.Redemption{"not spent": before, "spent": spent} {
		var outcome iam.RedeemOutcome
		for range 20 {
			if outcome, err = db.RedeemCode(ctx, r); err == nil {
				break
			}
		}
		if err != nil || outcome != iam.RedeemRefused {
			t.Errorf("a code of before that was %s: %d %v", name, outcome, err)
		}
	}
	if outcome, err := db.RedeemCode(ctx, redemption()); err != nil || outcome != iam.Redeemed {
		t.Errorf("a new code: %d %v", outcome, err)
	}
	events, err := db.Events(ctx, 0, 100)
	must(t, err)
	noted := 0
	for _, e := range events {
		if e.Kind == iam.EventTimelineBegan {
			noted++
		}
	}
	if noted != 1 || !strings.Contains(log.String(), "new timeline") {
		t.Errorf("%d events and this log: %s", noted, log.String())
	}
}

// C13: a primary that was replaced and comes back rotates nothing and issues
// nothing: what it would confirm is unknown to the one that took over.
func TestC13AReplacedServerComesBack(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Config{})
	ctx := context.Background()
	must(t, server.CreateDatabase("ours"))
	standby := server.Standby(t, pgtest.Async, nil)
	db, err := store.Open(ctx, store.Config{Database: pgtest.DSN("ours", server, standby), Connections: 6})
	must(t, err)
	defer db.Close()
	_, redemption := furnished(t, db)
	must(t, db.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service}))
	issue := func() error {
		_, err := db.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: time.Now()}, 1, iam.Event{Kind: "own", TokenID: "t"})
		return err
	}
	must(t, issue())
	r := redemption()
	if outcome, err := db.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
		t.Fatal(outcome, err)
	}
	time.Sleep(300 * time.Millisecond) // it has arrived
	must(t, server.Kill())
	must(t, standby.Promote())
	for range 20 {
		if err = db.Record(ctx, iam.Event{Kind: "after"}); err == nil {
			break
		}
	}
	must(t, err)
	must(t, standby.Kill())
	must(t, server.Start())
	turn := iam.Turn{Grant: r.Grant.ID, Client: "app", Gen: 1, MacKey: "m", NextMacKey: "m", Grace: 10 * time.Second, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{ID: iam.NewEventID(), Kind: iam.EventRefreshed}}
	if _, outcome, err := db.TurnRefresh(ctx, turn); !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "older timeline") {
		t.Errorf("a rotation: %d %v", outcome, err)
	}
	if err := issue(); !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "older timeline") {
		t.Errorf("a token of a service account: %v", err)
	}
}

// C15: after a failover that lost rows, numbers are used again. Who follows the
// revocations hears that it must begin anew, and then of every new one.
func TestC15AFailoverUsesNumbersAgain(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Config{})
	ctx := context.Background()
	must(t, server.CreateDatabase("ours"))
	standby := server.Standby(t, pgtest.Async, nil)
	db, err := store.Open(ctx, store.Config{Database: pgtest.DSN("ours", server, standby), Connections: 6})
	must(t, err)
	defer db.Close()
	revoke := func(id iam.TokenID) error {
		return db.RevokeToken(ctx, id, time.Now().Add(time.Minute), iam.Event{Kind: "token"})
	}
	for _, id := range []iam.TokenID{"a", "b", "c"} {
		must(t, revoke(id))
	}
	tail := db.TailRevocations(0)
	if rows, _, err := tail.Next(ctx); err != nil || len(rows) != 3 {
		t.Fatal(rows, err)
	}
	time.Sleep(300 * time.Millisecond) // it has arrived
	must(t, server.Kill())
	must(t, standby.Promote())
	promoted := raw(t, standby.DSN("ours"))
	for _, statement := range []string{`DELETE FROM revocation WHERE seq > 1`, `SELECT setval(pg_get_serial_sequence('revocation', 'seq'), 1)`} { // what was lost
		_, err := promoted.ExecContext(ctx, statement)
		must(t, err)
	}
	for range 20 {
		if err = revoke("new"); err == nil {
			break
		}
	}
	must(t, err)
	if rows, _, err := tail.Next(ctx); !errors.Is(err, iam.ErrBeganAnew) {
		t.Errorf("who follows hears %v %v", rows, err)
	}
	rows, _, err := db.TailRevocations(0).Next(ctx)
	if err != nil || len(rows) != 2 || rows[1].Subject != "new" || rows[1].Seq != 2 {
		t.Errorf("begun anew: %v %v", rows, err)
	}
}

// With synchronous replication a COMMIT waits for the standby. When that is gone,
// the answer comes in time and is never that it was done.
func TestACommitThatNoStandbyConfirms(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Config{})
	ctx := context.Background()
	must(t, server.CreateDatabase("ours"))
	standby := server.Standby(t, pgtest.Sync, nil)
	db, err := store.Open(ctx, store.Config{Database: server.DSN("ours"), Connections: 6})
	must(t, err)
	defer db.Close()
	_, redemption := furnished(t, db)
	if d, err := db.Durability(ctx); err != nil || d != store.DurableQuorum {
		t.Errorf("durability %q %v", d, err)
	}
	standby.Pause()
	r := redemption()
	if err := within(t, "a write", func() error { _, err := db.RedeemCode(ctx, r); return err }); !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "nobody knows") {
		t.Errorf("got %v", err)
	}
	standby.Resume()
	for range 20 {
		var outcome iam.RedeemOutcome
		if outcome, err = db.RedeemCode(ctx, r); err == nil && outcome == iam.Redeemed {
			return // the same ids: its own retry
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("with the standby back: %v", err)
}

// Everything works through PgBouncer in transaction mode, where each transaction
// may meet another connection.
func TestPgBouncer(t *testing.T) {
	onPostgres(t)
	bouncer := pgtest.Start(t).PgBouncer(t, "transaction")
	storetest.Run(t, func(t *testing.T, dir string, now func() time.Time) *store.DB {
		c := storetest.Config(t, dir, now)
		c.Database = bouncer.DSN(c.Database)
		db, err := store.Open(context.Background(), c)
		must(t, err)
		t.Cleanup(func() { db.Close() })
		return db
	})
	t.Run("a new database", func(t *testing.T) {
		db, err := store.Open(context.Background(), store.Config{Database: bouncer.DSN(pgtest.Start(t).Database(t)), Connections: 4})
		must(t, err)
		must(t, db.Close())
	})
}
