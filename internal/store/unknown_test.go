package store_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// cutter passes a connection on and cuts it at a COMMIT: before it arrives, or
// before its answer does.
type cutter struct {
	net.Listener
	target string

	mu     sync.Mutex
	before int    // COMMITs still to cut before they arrive
	after  int    // COMMITs still to cut after they were done
	at     string // what is cut in the place of a COMMIT; "": nothing is
	then   func() // runs once such a COMMIT is done, before the client learns that it is alone
}

func newCutter(t *testing.T, address string) (*cutter, string) {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{Listener: listener, target: u.Host}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go c.pass(conn)
		}
	}()
	u.Host = listener.Addr().String()
	return c, u.String()
}

func (c *cutter) cut(before, after int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.before, c.after = before, after
}

func (c *cutter) take(n *int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer server.Close()
	answers := make(chan struct{})
	deaf := make(chan struct{}) // closed: the client gets no more answers
	go func() {
		defer close(answers)
		part := make([]byte, 64<<10)
		for {
			n, err := server.Read(part)
			if err != nil {
				return
			}
			select {
			case <-deaf: // the server has answered the COMMIT: it is done
				if c.then != nil {
					c.then()
				}
				client.Close()
				return
			default:
			}
			if _, err := client.Write(part[:n]); err != nil {
				return
			}
		}
	}()
	part := make([]byte, 64<<10)
	for {
		n, err := client.Read(part)
		if err != nil {
			return
		}
		if strings.Contains(string(part[:n]), cmp.Or(c.at, "COMMIT\x00")) {
			if c.take(&c.before) {
				return
			}
			if c.take(&c.after) {
				close(deaf)
				server.Write(part[:n])
				<-answers
				return
			}
		}
		if _, err := server.Write(part[:n]); err != nil && !errors.Is(err, io.EOF) {
			return
		}
	}
}

// A COMMIT that is sent and never answered may have happened or not. What can
// tell finds out and answers as if nothing had been; what cannot says so.
func TestNobodyKnowsHowACommitEnded(t *testing.T) {
	onPostgres(t)
	ctx, dir, now := context.Background(), t.TempDir(), time.Now()
	c, address := newCutter(t, storetest.Database(t, dir))
	db, err := store.Open(ctx, store.Config{Database: address, Connections: 6})
	must(t, err)
	defer db.Close()
	u := iam.User{ID: iam.NewUserID(), Username: "ada"}
	must(t, db.CreateUser(ctx, u))
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}))
	must(t, db.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service}))
	kinds := func() map[string]int {
		t.Helper()
		events, err := db.Events(ctx, 0, 10_000)
		must(t, err)
		count := map[string]int{}
		for _, e := range events {
			count[e.Kind]++
		}
		return count
	}
	redemption := func() iam.Redemption {
		s := iam.Session{ID: iam.NewSessionID(), UserID: u.ID, AuthTime: now, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", SessionID: s.ID, Gen: 1, MacKeyID: "m", CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		return iam.Redemption{Code: iam.NewCodeID(), CodeExpires: time.Now().Add(time.Minute), Grant: g, Session: &s, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{Kind: iam.EventCodeRedeemed}}
	}
	for name, cut := range map[string]func(){"it never arrived": func() { c.cut(1, 0) }, "it was done": func() { c.cut(0, 1) }} {
		t.Run(name, func(t *testing.T) {
			before := kinds()
			r := redemption()
			cut()
			if outcome, err := db.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
				t.Errorf("C10: a code: %d %v", outcome, err)
			}
			for _, grace := range []time.Duration{10 * time.Second, 0} {
				turn := iam.Turn{Grant: r.Grant.ID, Client: "app", Gen: 1, MacKey: "m", NextMacKey: "m", Grace: grace, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{ID: iam.NewEventID(), Kind: iam.EventRefreshed}}
				if grace == 0 {
					turn.Gen = 2
				}
				cut()
				g, outcome, err := db.TurnRefresh(ctx, turn)
				if err != nil || outcome != iam.Rotated || g.Gen != turn.Gen+1 {
					t.Errorf("C13: a rotation with a grace of %v: %d %v, generation %d", grace, outcome, err, g.Gen)
				}
			}
			cut()
			own, err := db.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: now}, 1, iam.Event{Kind: "own", TokenID: "t"})
			if err != nil || own == "" {
				t.Errorf("a token of a service account: %q %v", own, err)
			}
			cut()
			must(t, db.RevokeToken(ctx, iam.TokenID(name), now.Add(time.Hour), iam.Event{Kind: "token"}))
			cut()
			if ended, err := db.EndSession(ctx, r.Session.ID, u.ID, iam.Event{Kind: "session"}); err != nil || !ended {
				t.Errorf("a logout: %v %v", ended, err)
			}
			cut()
			must(t, db.CreateAPI(ctx, iam.API{Name: name, Audience: "https://" + name}, iam.Event{Kind: "api"}))
			cut()
			err = db.Record(ctx, iam.Event{Kind: "record"})
			if !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "nobody knows whether it was done") {
				t.Errorf("what cannot tell: %v", err)
			}
			after := kinds()
			for kind, want := range map[string]int{iam.EventCodeRedeemed: 1, iam.EventRefreshed: 2, iam.EventRefreshRepeated: 0, iam.EventRefreshReused: 0, iam.EventCodeReplayed: 0, "own": 1, "token": 1, "session": 1, "api": 1} {
				if got := after[kind] - before[kind]; got != want {
					t.Errorf("%d events of kind %s, want %d", got, kind, want)
				}
			}
		})
	}
	t.Run("again and again", func(t *testing.T) {
		if outcome, err := db.RedeemCode(ctx, redemption()); err != nil || outcome != iam.Redeemed {
			t.Errorf("before: %d %v", outcome, err)
		}
		c.cut(1_000_000, 0)
		began := time.Now()
		outcome, err := db.RedeemCode(ctx, redemption())
		if !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "nobody knows whether it was done") {
			t.Errorf("%d %v", outcome, err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("it took %v", took)
		}
		c.cut(0, 0)
		if outcome, err := db.RedeemCode(ctx, redemption()); err != nil || outcome != iam.Redeemed {
			t.Errorf("afterwards: %d %v", outcome, err)
		}
	})
}

// C13: while nobody knew whether a rotation was done, another holder of the same
// token was told its successor and used it. The first is not told the one after
// that: two holders of the current token would never be noticed.
func TestC13AnUnknownRotationThatOthersOvertook(t *testing.T) {
	onPostgres(t)
	ctx, dir := context.Background(), t.TempDir()
	c, address := newCutter(t, storetest.Database(t, dir))
	cut, err := store.Open(ctx, store.Config{Database: address, Connections: 6})
	must(t, err)
	defer cut.Close()
	other := storetest.OpenAt(t, dir, nil)
	_, redemption := furnished(t, other)
	r := redemption()
	if outcome, err := other.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
		t.Fatal(outcome, err)
	}
	turn := func(gen int64) iam.Turn {
		return iam.Turn{Grant: r.Grant.ID, Client: "app", Gen: gen, MacKey: "m", NextMacKey: "m", Grace: 10 * time.Second, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{ID: iam.NewEventID(), Kind: iam.EventRefreshed}}
	}
	c.then = func() {
		if g, outcome, err := other.TurnRefresh(ctx, turn(1)); err != nil || outcome != iam.Repeated || g.Gen != 2 {
			t.Errorf("another holder: %d %v, generation %d", outcome, err, g.Gen)
		}
		if g, outcome, err := other.TurnRefresh(ctx, turn(2)); err != nil || outcome != iam.Rotated || g.Gen != 3 {
			t.Errorf("another holder goes on: %d %v, generation %d", outcome, err, g.Gen)
		}
	}
	c.at = string(r.Grant.ID) // the rotation is one statement
	c.cut(0, 1)
	if g, outcome, err := cut.TurnRefresh(ctx, turn(1)); err != nil || outcome != iam.Reused {
		t.Errorf("the overtaken one: %d %v, generation %d", outcome, err, g.Gen)
	}
	if g, err := other.Grant(ctx, r.Grant.ID); err != nil || g.RevokedAt.IsZero() {
		t.Errorf("the grant goes on: %+v %v", g, err)
	}
}
