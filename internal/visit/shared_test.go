package visit_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/visit"
)

// Several gateways on one database, through PgBouncer, which gives each
// transaction another connection.
func TestGatewaysShareSessions(t *testing.T) {
	server := pgtest.Start(t)
	database := server.PgBouncer(t, "transaction").DSN(server.Database(t))
	const gateways = 4
	stores := make([]*visit.Store, gateways)
	var wait sync.WaitGroup
	for i := range stores { // at once: each finds no tables
		c := shared(t, database)
		wait.Go(func() {
			var err error
			if stores[i], err = visit.Open(context.Background(), c); err != nil {
				t.Error(err)
			}
		})
	}
	if wait.Wait(); t.Failed() {
		return
	}
	for _, s := range stores {
		t.Cleanup(func() { s.Close() })
	}
	ctx := context.Background()
	k := begin(t, stores[0], visit.Session{Subject: "a", SID: "s1", Access: "at", Refresh: "rt"})
	v, err := stores[1].Find(ctx, k)
	if err != nil || v.Access != "at" {
		t.Fatalf("%v %v", v, err)
	}

	// One of them gets the turn; the next when it was given back, or lapsed.
	var turns atomic.Int32
	for i := range 40 {
		wait.Go(func() {
			mine, err := stores[i%gateways].Find(ctx, k)
			if err != nil {
				t.Error(err)
				return
			}
			if ok, err := stores[i%gateways].Claim(ctx, mine); err != nil {
				t.Error(err)
			} else if ok {
				turns.Add(1)
			}
		})
	}
	if wait.Wait(); turns.Load() != 1 {
		t.Fatalf("%d have the turn", turns.Load())
	}
	if err := stores[2].Release(ctx, v); err != nil {
		t.Fatal(err)
	}
	if ok, err := stores[3].Claim(ctx, v); !ok || err != nil {
		t.Errorf("no turn after it was given back: %v", err)
	}
	if v, err = stores[3].Renew(ctx, v); err != nil || v.Generation() != 1 {
		t.Errorf("%v at %d", err, v.Generation())
	}
	if ok, err := stores[1].Claim(ctx, v); !ok || err != nil {
		t.Errorf("no turn after a renewal: %v", err)
	}

	if keys, err := stores[1].EndAll(ctx, visit.Ending{SID: "s1", Subject: "a", ID: "j", For: time.Minute}); err != nil || len(keys) != 1 {
		t.Errorf("ended %d: %v", len(keys), err)
	}
	if keys, err := stores[2].EndAll(ctx, visit.Ending{SID: "s1", Subject: "a", ID: "j", For: time.Minute}); err != nil || len(keys) != 0 {
		t.Errorf("a copy at another gateway ended %d: %v", len(keys), err)
	}
	other := begin(t, stores[0], visit.Session{Subject: "b"})
	if gone, err := stores[0].Gone(ctx, []visit.Key{k, other}); err != nil || len(gone) != 1 || gone[0] != k {
		t.Errorf("gone: %v, %v", gone, err)
	}
}

// A lease that nobody gives back ends by itself.
func TestLeaseLapses(t *testing.T) { each(t, leaseLapses) }

func leaseLapses(t *testing.T) {
	s, c := open(t)
	ctx := context.Background()
	v, err := s.Find(ctx, begin(t, s, visit.Session{Subject: "a"}))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {visit.Lease - time.Second, false}, {2 * time.Second, true}} {
		c.advance(step.after)
		if ok, err := s.Claim(ctx, v); err != nil || ok != step.want {
			t.Errorf("after another %s: %v, %v", step.after, ok, err)
		}
	}
}

// A session that begins while its sign-on ends, at another gateway, does not
// outlive it.
func TestBeginBesideEnd(t *testing.T) {
	database := pgtest.Start(t).Database(t)
	one, two := openAs(t, shared(t, database)), openAs(t, shared(t, database))
	ctx := context.Background()
	for range 60 {
		sid := time.Now().String()
		var wait sync.WaitGroup
		var cookie string
		wait.Go(func() {
			var err error
			if cookie, err = one.Begin(ctx, visit.Session{Subject: "a", SID: sid}); err != nil && !errors.Is(err, visit.ErrNone) {
				t.Error(err)
			}
		})
		wait.Go(func() {
			if _, err := two.EndAll(ctx, visit.Ending{SID: sid, ID: sid, For: time.Minute}); err != nil {
				t.Error(err)
			}
		})
		wait.Wait()
		if cookie != "" && lives(t, one, one.KeyOf(cookie)) {
			t.Fatal("a session lives whose sign-on has ended")
		}
	}
}

// The database shows neither tokens nor users nor cookies.
func TestSharedRowsAreSealed(t *testing.T) {
	database := pgtest.Start(t).Database(t)
	s := openAs(t, shared(t, database))
	cookie, err := s.Begin(context.Background(), visit.Session{Subject: "usr_amy", SID: "ses_1", Name: "Amy Adams", Access: "access-token", Refresh: "refresh-token"})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var row []byte
	if err := db.QueryRow(`SELECT convert_to(id || subject || sid, 'UTF8') || sealed FROM gateway_session`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{cookie, "usr_amy", "ses_1", "Amy", "access-token", "refresh-token"} {
		if bytes.Contains(row, []byte(secret)) {
			t.Errorf("the row shows %s", secret)
		}
	}
}

// What is wrong with a configuration is said without the address, which may have
// a password in it.
func TestSharedConfiguration(t *testing.T) {
	ctx := context.Background()
	good := shared(t, "postgres://gate:s3cret@127.0.0.1:1/none")
	loose := good
	loose.KeyFile = good.KeyFile + ".loose"
	if err := os.WriteFile(loose.KeyFile, []byte(strings.Repeat("k", 32)), 0o644); err != nil {
		t.Fatal(err)
	}
	without, missing, strange, short := good, good, good, good
	without.KeyFile, missing.KeyFile, strange.Database = "", good.KeyFile+".none", "mysql://gate:s3cret@x/y"
	short.KeyFile = good.KeyFile + ".short"
	if err := os.WriteFile(short.KeyFile, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		config visit.Config
		want   string
	}{
		"no key file":        {without, "the same key"},
		"key file not there": {missing, "/dev/urandom"},
		"key file readable":  {loose, "can be read by others"},
		"key file too short": {short, "5 bytes"},
		"another database":   {strange, "postgres://USER@HOST/DATABASE"},
		"nobody answers":     {good, "open the sessions"},
	} {
		began := time.Now()
		s, err := visit.Open(ctx, row.config)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "s3cret") || time.Since(began) > 10*time.Second {
			t.Errorf("%s after %s: %v", name, time.Since(began), err)
		}
	}
}

// While the database hangs, an operation ends with an error and in time; then it
// goes on.
func TestHangingDatabase(t *testing.T) {
	server := pgtest.StartOwn(t, pgtest.Config{})
	s := openAs(t, shared(t, server.Database(t)))
	k := begin(t, s, visit.Session{Subject: "a"})
	server.Pause()
	began := time.Now()
	if _, err := s.Find(context.Background(), k); err == nil || errors.Is(err, visit.ErrNone) || time.Since(began) > 8*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	server.Resume()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := s.Find(context.Background(), k); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
