package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// many makes grants of a user at a client, with the mac key given.
func (b *bench) many(u iam.User, c iam.Client, mac iam.KeyID, n int) []iam.Grant {
	b.t.Helper()
	grants := make([]iam.Grant, n)
	some(n, func(i int) {
		r := b.redemption(u, c, false)
		r.Grant.MacKeyID = mac
		grants[i] = r.Grant
		if outcome, err := b.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
			b.t.Errorf("%v %v", outcome, err)
		}
	})
	return grants
}

// some calls do n times, a few at a time: more would only wait for each other.
func some(n int, do func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// use tries to rotate a grant as a node would that knows the epochs of today.
func (b *bench) use(g iam.Grant) iam.TurnOutcome {
	b.t.Helper()
	u, err := b.User(ctx, g.UserID)
	b.must(err)
	c, err := b.Client(ctx, g.ClientID)
	b.must(err)
	_, outcome, err := b.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: g.ClientID, Gen: g.Gen, MacKey: g.MacKeyID, Grace: iam.RefreshGrace, NextMacKey: "mac9",
		UserEpoch: u.Epoch, ClientEpoch: c.Epoch, Event: event("")})
	b.must(err)
	return outcome
}

func (b *bench) rows(kind iam.RevocationKind) (n int) {
	b.t.Helper()
	rows, err := b.Revocations(ctx, 0, 100_000)
	b.must(err)
	for _, r := range rows {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

// unmarked counts the grants whose own row does not say that they are over.
func (b *bench) unmarked(client iam.ClientID) int {
	b.t.Helper()
	n, err := b.UnmarkedGrants(ctx, client)
	b.must(err)
	return n
}

// The decision over very many grants is one transaction with one row for
// verifiers; nobody uses a grant before its own row is marked, and none comes
// back when the client is enabled again while rows are still to be marked.
func clientSweep(t *testing.T, b *bench) {
	u, c := b.furnish()
	const n = 1300
	grants := b.many(u, c, "mac1", n)
	c.Disabled = true
	b.must(b.UpdateClient(ctx, c, iam.EndEverything, event("client.disabled")))
	left := b.unmarked(c.ID)
	if left == 0 || left > n-500 {
		t.Fatalf("%d of %d rows are unmarked: the test needs some that are", left, n)
	}
	if b.rows(iam.RevokeClient) != 1 || b.rows(iam.RevokeGrant) != 0 {
		t.Errorf("C16 %d rows for the client and %d for grants, want 1 and 0", b.rows(iam.RevokeClient), b.rows(iam.RevokeGrant))
	}
	c, err := b.Client(ctx, c.ID)
	b.must(err)
	c.Disabled = false
	b.must(b.UpdateClient(ctx, c, iam.EndNothing, event("client.enabled")))
	c, err = b.Client(ctx, c.ID)
	b.must(err)
	fresh := b.many(u, c, "mac1", 3)
	for i, g := range grants {
		if i%50 == 0 && b.use(g) != iam.GrantEnded {
			t.Errorf("grant %d of a client that was disabled lives again", i)
		}
		if read, err := b.Grant(ctx, g.ID); err != nil || read.Live(b.clock.Now()) {
			t.Fatalf("grant %d reads as live: %+v %v", i, read, err)
		}
	}
	listed, _, err := b.ListGrants(ctx, iam.LoginFilter{Client: c.ID, Limit: 1000})
	b.must(err)
	if len(listed) != 3 {
		t.Errorf("%d grants are listed, want the 3 new ones", len(listed))
	}
	// Whoever was to mark the rows died in the middle: the next one goes on.
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := b.Sweep(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	b.restart()
	b.must(b.Sweep(ctx))
	if left := b.unmarked(c.ID); left != 3 {
		t.Errorf("%d rows are unmarked after the sweep, want the 3 new grants", left)
	}
	for _, g := range fresh {
		if b.use(g) != iam.Rotated {
			t.Error("a grant that was made afterwards is over too")
		}
	}
	// A client of the same name, after the first was deleted with rows unmarked.
	b.many(u, c, "mac1", 1100)
	b.must(b.DeleteClient(ctx, c.ID))
	b.clock.Advance(time.Hour) // its revocation is not kept any longer
	_, err = b.Clean(ctx, 500)
	b.must(err)
	b.must(b.CreateClient(ctx, iam.Client{ID: c.ID, Type: iam.Public}))
	listed, _, err = b.ListGrants(ctx, iam.LoginFilter{Client: c.ID, Limit: 1000})
	b.must(err)
	if len(listed) != 0 {
		t.Errorf("a new client has %d grants of the one that was deleted", len(listed))
	}
}

// The grants of a service account end with it, and it gets a new one.
func serviceSweep(t *testing.T, b *bench) {
	b.furnish()
	issue := func(epoch int64) (iam.GrantID, error) {
		return b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: b.clock.Now()}, epoch, event(iam.EventTokenIssued))
	}
	first, err := issue(1)
	b.must(err)
	b.must(b.EndClientGrants(ctx, "robot", event(iam.EventGrantRevoked)))
	if g, err := b.Grant(ctx, first); err != nil || g.RevokedAt.IsZero() {
		t.Errorf("%+v %v", g, err)
	}
	b.want(second(issue(1)), iam.ErrConflict)
	if again, err := issue(2); err != nil || again == first {
		t.Errorf("%v %v", again, err)
	}
	b.want(b.EndClientGrants(ctx, "nobody"), iam.ErrNotFound)
}

// C13: the state of the key is what counts, whatever a grant's row says, and
// also for a node that has not heard that the key is gone.
func macSweep(t *testing.T, b *bench) {
	u, c := b.furnish()
	now := b.clock.Now()
	for _, id := range []iam.KeyID{"mac1", "mac2"} {
		purpose := iam.RefreshKeys
		b.must(b.AddKeys(ctx, []iam.Key{{ID: id, Purpose: purpose, Algorithm: "HS256" + string(id), Sealed: "x", CreatedAt: now, ActivateAt: now}}))
	}
	grants := b.many(u, c, "mac1", 1300)
	others := b.many(u, c, "mac2", 10)
	b.must(b.RotateKey(ctx, iam.KeyRotation{Remove: "mac1"}, event(iam.EventKeyRetired)))
	if left := b.unmarked(c.ID); left < 500 {
		t.Fatalf("%d rows are unmarked: the test needs some that are", left)
	}
	if b.rows(iam.RevokeClient) != 1 || b.rows(iam.RevokeGrant) != 0 {
		t.Errorf("%d rows for clients and %d for grants, want 1 and 0", b.rows(iam.RevokeClient), b.rows(iam.RevokeGrant))
	}
	for i, g := range grants {
		if i%50 == 0 && b.use(g) != iam.GrantEnded {
			t.Errorf("grant %d can be used although its key is retired", i)
		}
	}
	// A node that has not heard makes the next token, or the first, with it.
	u, err := b.User(ctx, u.ID)
	b.must(err)
	if c, err = b.Client(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	late := b.redemption(u, c, false)
	late.Grant.MacKeyID = "mac1"
	if outcome := b.redeem(late); outcome != iam.RedeemRefused {
		t.Errorf("a grant on a retired key was made: %v", outcome)
	}
	_, outcome, err := b.TurnRefresh(ctx, iam.Turn{Grant: others[0].ID, Client: c.ID, Gen: 1, MacKey: "mac2", NextMacKey: "mac1", UserEpoch: u.Epoch, ClientEpoch: c.Epoch, Event: event("")})
	if err != nil || outcome != iam.EpochChanged {
		t.Errorf("a refresh token was made with a retired key: %v %v", outcome, err)
	}
	b.must(b.Sweep(ctx))
	if left := b.unmarked(c.ID); left != 10 {
		t.Errorf("%d rows are unmarked after the sweep, want 10", left)
	}
	for _, g := range others {
		if b.use(g) != iam.Rotated {
			t.Error("a grant on another key is over too")
		}
	}
}

// C15, C16: all of a user end with one row for verifiers.
func bulkEnds(t *testing.T, b *bench) {
	u, c := b.furnish()
	listener := b.listener("listener")
	other := iam.User{ID: iam.NewUserID(), Username: "other"}
	b.must(b.CreateUser(ctx, other))
	other, err := b.User(ctx, other.ID)
	b.must(err)
	theirs, theirGrant := b.session(other, "cookie of another", ""), b.grant(other, c, true)
	var grants []iam.Grant
	for i := range 20 {
		s := b.session(u, fmt.Sprint("cookie", i), "")
		app := c
		if i%2 == 0 {
			app = listener
		}
		r := b.reach(u, app, s.ID, i%4 == 0)
		grants = append(grants, r.Grant)
	}
	inFlight := b.redemption(u, c, false)
	n, err := b.EndSessionsOf(ctx, u.ID, listener.ID, event(iam.EventSessionEnded))
	b.must(err)
	left, _, err := b.ListSessions(ctx, iam.LoginFilter{User: u.ID, Limit: 100})
	b.must(err)
	if n != 10 || len(left) != 10 || b.rows(iam.RevokeUser) != 1 || b.rows(iam.RevokeSession)+b.rows(iam.RevokeGrant) != 0 {
		t.Errorf("%d ended, %d left; rows: user %d, others %d; want 10, 10, 1, 0", n, len(left), b.rows(iam.RevokeUser), b.rows(iam.RevokeSession)+b.rows(iam.RevokeGrant))
	}
	if told := b.told(); len(told) != 10 {
		t.Errorf("the app is told of %d ends, want 10", len(told))
	}
	if b.redeem(inFlight) != iam.RedeemRefused {
		t.Error("a code that was under way opens what was ended")
	}
	n, err = b.EndSessionsOf(ctx, u.ID, "", event(iam.EventSessionEnded))
	b.must(err)
	if left, _, err = b.ListSessions(ctx, iam.LoginFilter{User: u.ID, Limit: 100}); err != nil || n != 10 || len(left) != 0 {
		t.Errorf("%d ended, %d left: %v", n, len(left), err)
	}
	for i, g := range grants {
		want := iam.GrantEnded
		if i%4 == 0 { // offline access outlives the session
			want = iam.Rotated
		}
		if got := b.use(g); got != want {
			t.Errorf("grant %d: %v, want %v", i, got, want)
		}
	}
	n, err = b.EndGrantsOf(ctx, u.ID, c.ID, event(iam.EventGrantRevoked))
	if b.must(err); n != 0 {
		t.Errorf("%d grants at the app whose grants were all in sessions", n)
	}
	n, err = b.EndGrantsOf(ctx, u.ID, "", event(iam.EventGrantRevoked))
	if b.must(err); n != 5 {
		t.Errorf("%d grants ended, want 5", n)
	}
	if left, _, err := b.ListGrants(ctx, iam.LoginFilter{User: u.ID, Limit: 100}); err != nil || len(left) != 0 {
		t.Errorf("left %v %v", left, err)
	}
	if s, err := b.Session(ctx, theirs.ID); err != nil || !s.EndedAt.IsZero() || b.use(theirGrant) != iam.Rotated {
		t.Errorf("another user's login ended too: %v %v", s, err)
	}
	b.want(second(b.EndGrantsOf(ctx, "usr_nobody", "", event("x"))), iam.ErrNotFound)
	b.want(second(b.EndSessionsOf(ctx, "usr_nobody", "", event("x"))), iam.ErrNotFound)
	taken := event("first")
	b.must(b.Record(ctx, taken))
	for name, err := range map[string]error{"sessions": second(b.EndSessionsOf(ctx, other.ID, "", taken)), "grants": second(b.EndGrantsOf(ctx, other.ID, "", taken)), "client": b.EndClientGrants(ctx, c.ID, taken)} {
		if err == nil {
			t.Errorf("%s ended without the event", name)
		}
	}
	if s, err := b.Session(ctx, theirs.ID); err != nil || !s.EndedAt.IsZero() {
		t.Errorf("what could not be recorded happened: %v", err)
	}
}

// Lists come a page by key, and each page is as long as asked until the end.
func listLogins(t *testing.T, b *bench) {
	u, c := b.furnish()
	other := iam.User{ID: iam.NewUserID(), Username: "other"}
	b.must(b.CreateUser(ctx, other))
	other, err := b.User(ctx, other.ID)
	b.must(err)
	for i := range 25 {
		who := u
		if i%5 == 0 {
			who = other
		}
		b.grant(who, c, true)
		_ = i
	}
	b.grant(u, c, false)
	for _, f := range []struct {
		filter           iam.LoginFilter
		sessions, grants int
	}{
		{iam.LoginFilter{}, 25, 26}, {iam.LoginFilter{User: u.ID}, 20, 21}, {iam.LoginFilter{Client: c.ID}, 25, 26},
		{iam.LoginFilter{User: other.ID, Client: c.ID}, 5, 5}, {iam.LoginFilter{Client: "robot"}, 0, 0}, {iam.LoginFilter{User: u.ID, Client: "robot"}, 0, 0},
	} {
		f.filter.Limit = 7
		sessions := paged(t, f.filter, func(f iam.LoginFilter) (ids []string, next string, err error) {
			page, next, err := b.ListSessions(ctx, f)
			for _, s := range page {
				if s.Username == "" || s.UserID == "" {
					t.Errorf("%+v", s)
				}
				ids = append(ids, string(s.ID))
			}
			return ids, next, err
		})
		grants := paged(t, f.filter, func(f iam.LoginFilter) (ids []string, next string, err error) {
			page, next, err := b.ListGrants(ctx, f)
			for _, g := range page {
				ids = append(ids, string(g.ID))
			}
			return ids, next, err
		})
		if sessions != f.sessions || grants != f.grants {
			t.Errorf("%+v: %d sessions and %d grants, want %d and %d", f.filter, sessions, grants, f.sessions, f.grants)
		}
	}
	b.clock.Advance(iam.SessionIdle + time.Second)
	sessions, _, err := b.ListSessions(ctx, iam.LoginFilter{Limit: 100})
	b.must(err)
	grants, _, err := b.ListGrants(ctx, iam.LoginFilter{Limit: 100})
	b.must(err)
	if len(sessions) != 0 || len(grants) != 1 {
		t.Errorf("after the idle time: %d sessions, %d grants, want 0 and the one without a session", len(sessions), len(grants))
	}
}

func paged(t *testing.T, f iam.LoginFilter, read func(iam.LoginFilter) ([]string, string, error)) int {
	t.Helper()
	seen := map[string]bool{}
	for range 100 {
		ids, next, err := read(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if seen[id] || id <= f.After {
				t.Errorf("%s comes twice, or out of order", id)
			}
			seen[id] = true
		}
		if f.After = next; next == "" {
			return len(seen)
		}
		if len(ids) != f.Limit {
			t.Errorf("a page of %d before the end", len(ids))
		}
	}
	t.Error("the list does not end")
	return len(seen)
}

// A lease has one owner at a time, and what is written under an old fence is
// refused.
func leases(t *testing.T, b *bench) {
	const life = 10 * time.Second
	take := func(owner string) (iam.Lease, bool) {
		t.Helper()
		l, ok, err := b.Acquire(ctx, "tend", owner, life)
		b.must(err)
		return l, ok
	}
	// The fence is asked about by any write, here the simplest.
	writes := func(l iam.Lease) bool {
		t.Helper()
		err := b.Record(b.Under(ctx, l), event("x"))
		if err != nil {
			b.want(err, iam.ErrLeaseLost)
		}
		return err == nil
	}
	first, ok := take("a")
	if !ok || first.Fence != 1 || !writes(first) {
		t.Fatalf("%+v %v", first, ok)
	}
	if _, ok := take("b"); ok {
		t.Error("two owners")
	}
	if _, ok := take("a"); ok {
		t.Error("the owner takes it twice: two goroutines would do the job")
	}
	b.clock.Advance(life - time.Second)
	if held, err := b.Renew(ctx, first, life); err != nil || !held {
		t.Errorf("renew: %v %v", held, err)
	}
	b.clock.Advance(life - time.Second)
	if !writes(first) {
		t.Error("a renewed lease does not hold")
	}
	b.clock.Advance(time.Second)
	if writes(first) {
		t.Error("T: a lease that ended still writes, before anybody else has it")
	}
	if held, err := b.Renew(ctx, first, life); err != nil || held {
		t.Errorf("a lease that ended is renewed: %v %v", held, err)
	}
	next, ok := take("b")
	if !ok || next.Fence <= first.Fence {
		t.Fatalf("%+v %v", next, ok)
	}
	if writes(first) || !writes(next) {
		t.Error("the old owner writes, or the new one does not")
	}
	forged := first
	forged.Fence = next.Fence
	if writes(forged) {
		t.Error("a fence counts without its owner")
	}
	if held, err := b.Renew(ctx, first, life); err != nil || held {
		t.Error("the old owner renews the new one's lease")
	}
	b.must(b.Release(ctx, first, 0))
	if !writes(next) {
		t.Error("the old owner released the new one's lease")
	}
	b.must(b.Release(ctx, next, time.Minute))
	if writes(next) {
		t.Error("it writes after it gave the lease back")
	}
	if _, ok := take("a"); ok {
		t.Error("it is not due yet")
	}
	b.clock.Advance(time.Minute)
	third, ok := take("a")
	if !ok || third.Fence <= next.Fence {
		t.Errorf("%+v %v", third, ok)
	}
	// The database's clock is set back by an hour: nobody renews, and the lease
	// that ends in an hour does not keep everybody out until then.
	b.clock.Advance(-time.Hour)
	if l, ok := take("b"); !ok || writes(third) || !writes(l) {
		t.Error("a clock that was set back leaves the job to nobody, or to two")
	}
	all, err := b.Leases(ctx)
	if b.must(err); len(all) != 1 || all[0].Owner != "b" {
		t.Errorf("%+v", all)
	}
}

// Of many processes that ask at once, one gets the lease.
func leaseRace(t *testing.T, b *bench) {
	other := b.open(t, b.dir, b.clock.Now)
	defer other.Close()
	for round := range 20 {
		var mu sync.Mutex
		owners := 0
		var all sync.WaitGroup
		for i := range 8 {
			db := []*store.DB{b.DB, other}[i%2]
			all.Go(func() {
				if _, ok, err := db.Acquire(ctx, "tend", fmt.Sprint(i), time.Second); err != nil {
					t.Error(err)
				} else if ok {
					mu.Lock()
					owners++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if owners != 1 {
			t.Errorf("round %d: %d owners", round, owners)
		}
		b.clock.Advance(2 * time.Second)
	}
}

// C31: strangers who know the id of a public client cannot use up its places for
// everybody: who has the most gives way.
func roomForAll(t *testing.T, b *bench) {
	u, c := b.furnish()
	push := func(id, network string) error { return b.PutPushed(ctx, id, c.ID, network, "x") }
	lives := func(id string) bool {
		t.Helper()
		_, err := b.TakePushed(ctx, id, c.ID)
		if err != nil {
			b.want(err, iam.ErrNotFound)
		}
		return err == nil
	}
	b.must(push("early", "192.0.2.1/32"))
	b.clock.Advance(time.Millisecond)
	flood := func(from, n int, network func(int) string) {
		t.Helper()
		some(n, func(i int) {
			if err := push(fmt.Sprint("flood", from+i), network(i)); err != nil {
				t.Error(err)
			}
		})
	}
	flood(0, iam.PushedCap+50, func(int) string { return "203.0.113.9/32" })
	if !lives("early") {
		t.Error("the flood drove out what was there before it")
	}
	for i := range 20 {
		id := fmt.Sprint("user", i)
		b.must(push(id, fmt.Sprintf("198.51.100.%d/32", i)))
		if !lives(id) {
			t.Errorf("%s found no place beside the flood", id)
		}
	}
	// Without a network, which is of a client that proved itself, nobody gives way.
	b.must(push("fill", "203.0.113.9/32"))
	b.want(push("own", ""), iam.ErrConflict)
	// As many networks as places, one each: first come, first served.
	b.clock.Advance(iam.PushedLife)
	flood(5000, iam.PushedCap, func(i int) string { return fmt.Sprintf("10.0.%d.%d/32", i/250, i%250) })
	b.want(push("late", "192.0.2.1/32"), iam.ErrConflict)
	b.must(push("again", "10.0.0.0/32"))
	if lives("flood5000") || !lives("again") {
		t.Error("a network that has a place gives up its own oldest")
	}

	device := func(i int, network string) (iam.Device, error) {
		now := b.clock.Now()
		d := iam.Device{CodeHash: fmt.Sprint("code", i), UserCode: fmt.Sprint("user", i), ClientID: c.ID, State: iam.DevicePending, CreatedAt: now, Expires: now.Add(iam.DeviceLife), Network: network}
		return d, b.PutDevice(ctx, d)
	}
	allowed, err := device(-1, "203.0.113.9/32")
	b.must(err)
	if !b.decideDevice(allowed, u, iam.DeviceAllowed) {
		t.Fatal("not decided")
	}
	b.clock.Advance(time.Millisecond)
	for i := range iam.DeviceCap + 20 {
		_, err := device(i, "203.0.113.9/32")
		b.must(err)
	}
	mine, err := device(1000, "192.0.2.1/32")
	b.must(err)
	if _, outcome := b.poll(mine, c.ID); outcome != iam.DeviceWaits {
		t.Errorf("the device beside the flood: %v", outcome)
	}
	if _, outcome := b.poll(allowed, c.ID); outcome != iam.DeviceReady {
		t.Errorf("what a user allowed gave way: %v", outcome)
	}
}
