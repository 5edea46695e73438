package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// redemption of a fresh code.
func (b *bench) redemption(u iam.User, c iam.Client, session bool) iam.Redemption {
	now := b.clock.Now()
	g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: c.ID, Scopes: []string{"read"}, AuthTime: now, ACR: "pwd", AMR: []string{"pwd"},
		Gen: 1, MacKeyID: "mac1", CreatedAt: now, IdleExpires: now.Add(iam.GrantIdle), Expires: now.Add(iam.GrantAbsolute)}
	r := iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(time.Minute), Grant: g, UserEpoch: u.Epoch, ClientEpoch: c.Epoch, Event: event(iam.EventCodeRedeemed)}
	if session {
		r.Session = &iam.Session{ID: iam.NewSessionID(), UserID: u.ID, AuthTime: now, ACR: "pwd", AMR: []string{"pwd"}, CreatedAt: now,
			IdleExpires: now.Add(iam.SessionIdle), Expires: now.Add(iam.SessionAbsolute)}
		r.Grant.SessionID = r.Session.ID
	}
	return r
}

func (b *bench) redeem(r iam.Redemption) iam.RedeemOutcome {
	b.t.Helper()
	outcome, err := b.RedeemCode(ctx, r)
	b.must(err)
	return outcome
}

// grant is a live grant at generation 1.
func (b *bench) grant(u iam.User, c iam.Client, session bool) iam.Grant {
	b.t.Helper()
	r := b.redemption(u, c, session)
	if outcome := b.redeem(r); outcome != iam.Redeemed {
		b.t.Fatalf("outcome %d", outcome)
	}
	return r.Grant
}

func oneRedemption(t *testing.T, b *bench) {
	u, c := b.furnish()
	first := b.redemption(u, c, true)
	count := map[iam.RedeemOutcome]int{}
	var won iam.GrantID
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 200 {
		r := b.redemption(u, c, true)
		r.Code = first.Code
		r.Event.UserID, r.Event.ClientID = u.ID, c.ID
		all.Go(func() {
			outcome, err := b.RedeemCode(ctx, r)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if count[outcome]++; outcome == iam.Redeemed {
				won = r.Grant.ID
			}
		})
	}
	all.Wait()
	if count[iam.Redeemed] != 1 || count[iam.CodeReplayed] != 199 {
		t.Fatalf("outcomes %v, want one redeemed and 199 replayed", count)
	}
	g, err := b.Grant(ctx, won)
	b.must(err)
	if g.RevokedAt.IsZero() || b.kinds()[iam.EventCodeReplayed] != 1 || b.kinds()[iam.EventCodeRedeemed] != 1 {
		t.Errorf("the winner's grant must be revoked once: %+v %v", g, b.kinds())
	}
	for _, e := range b.events() {
		if e.Kind == iam.EventCodeReplayed && (e.GrantID != won || e.UserID != u.ID || e.ClientID != c.ID) {
			t.Errorf("the journal does not say what was replayed: %+v", e)
		}
	}
	b.restart()
	// A code is remembered as long as it could be redeemed, cleaning or not.
	b.clock.Advance(first.CodeExpires.Sub(b.clock.Now()) - time.Millisecond)
	b.must(second(b.Clean(ctx, 100)))
	again := b.redemption(u, c, true)
	again.Code, again.CodeExpires = first.Code, first.CodeExpires
	if outcome := b.redeem(again); outcome != iam.CodeReplayed {
		t.Errorf("after a restart: outcome %d", outcome)
	}
}

// The commit happened and the answer was lost: asking again with the same
// grant id must not look like a replay.
func ownRetry(t *testing.T, b *bench) {
	u, c := b.furnish()
	r := b.redemption(u, c, true)
	for n := range 3 {
		if outcome := b.redeem(r); outcome != iam.Redeemed {
			t.Fatalf("try %d: outcome %d", n+1, outcome)
		}
	}
	g, err := b.Grant(ctx, r.Grant.ID)
	b.must(err)
	if !g.RevokedAt.IsZero() || b.kinds()[iam.EventCodeRedeemed] != 1 {
		t.Errorf("the retry ended its own grant, or is in the journal twice: %+v", g)
	}
}

func redeemRefusals(t *testing.T, b *bench) {
	u, c := b.furnish()
	good := b.redemption(u, c, true)
	off := iam.User{ID: iam.NewUserID(), Username: "off", Disabled: true}
	b.must(b.CreateUser(ctx, off))
	b.must(b.CreateClient(ctx, iam.Client{ID: "off", Type: iam.Public, Disabled: true}))
	for name, change := range map[string]func(*iam.Redemption){
		"an older epoch of the user":   func(r *iam.Redemption) { r.UserEpoch = 0 },
		"an older epoch of the client": func(r *iam.Redemption) { r.ClientEpoch = 0 },
		"a user who is gone":           func(r *iam.Redemption) { r.Grant.UserID = "usr_gone" },
		"a client that is gone":        func(r *iam.Redemption) { r.Grant.ClientID = "gone" },
		"a session that is gone":       func(r *iam.Redemption) { r.Session, r.Grant.SessionID = nil, "ses_gone" },
		"a code that expired":          func(r *iam.Redemption) { r.CodeExpires = b.clock.Now() },
		"a user who is disabled":       func(r *iam.Redemption) { r.Grant.UserID = off.ID },
		"a client that is disabled":    func(r *iam.Redemption) { r.Grant.ClientID = "off" },
	} {
		r := good
		if change(&r); b.redeem(r) != iam.RedeemRefused {
			t.Errorf("%s was taken", name)
		}
	}
	if outcome := b.redeem(good); outcome != iam.Redeemed {
		t.Errorf("a refusal spent the code: outcome %d", outcome)
	}
}

func (b *bench) turn(g iam.Grant, gen int64, grace time.Duration) (iam.Grant, iam.TurnOutcome) {
	b.t.Helper()
	made := iam.KeyID("mac1")
	if gen > 1 {
		made = "mac2"
	}
	e := event(iam.EventRefreshed)
	e.TokenID = iam.NewTokenID()
	grant, outcome, err := b.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: g.ClientID, Gen: gen, MacKey: made, Grace: grace, NextMacKey: "mac2", UserEpoch: 1, ClientEpoch: 1, Event: e})
	b.must(err)
	return grant, outcome
}

func (b *bench) turns(g iam.Grant, gen int64, grace time.Duration) (map[iam.TurnOutcome]int, map[int64]bool) {
	count, gens := map[iam.TurnOutcome]int{}, map[int64]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			grant, outcome := b.turn(g, gen, grace)
			mu.Lock()
			defer mu.Unlock()
			if count[outcome]++; outcome == iam.Rotated || outcome == iam.Repeated {
				gens[grant.Gen] = true
			}
		})
	}
	all.Wait()
	return count, gens
}

func turnParallel(t *testing.T, b *bench) {
	u, c := b.furnish()
	g := b.grant(u, c, true)
	count, gens := b.turns(g, 1, 10*time.Second)
	if count[iam.Rotated] != 1 || count[iam.Repeated] != 199 || len(gens) != 1 || !gens[2] {
		t.Errorf("outcomes %v generations %v", count, gens)
	}
	if k := b.kinds(); k[iam.EventRefreshed] != 1 || k[iam.EventRefreshRepeated] != 199 {
		t.Errorf("each answer is in the journal: %v", k)
	}
	for _, e := range b.events() {
		if (e.Kind == iam.EventRefreshed || e.Kind == iam.EventRefreshRepeated) && e.GrantID != g.ID {
			t.Errorf("the journal does not say which grant: %+v", e)
		}
	}
	grant, outcome := b.turn(g, 2, 10*time.Second)
	if outcome != iam.Rotated || grant.Gen != 3 || grant.MacKeyID != "mac2" {
		t.Errorf("the successor: %d %+v", outcome, grant)
	}
	if _, outcome := b.turn(g, 1, 10*time.Second); outcome != iam.Reused {
		t.Errorf("using the successor ends the grace: %d", outcome)
	}
}

func turnWithoutGrace(t *testing.T, b *bench) {
	u, c := b.furnish()
	g := b.grant(u, c, false)
	count, _ := b.turns(g, 1, 0)
	if count[iam.Rotated] != 1 || count[iam.Reused] != 1 || count[iam.GrantEnded] != 198 {
		t.Errorf("outcomes %v: one success, one that is judged reuse, the rest meet an ended grant", count)
	}
	if ended, err := b.Grant(ctx, g.ID); err != nil || ended.RevokedAt.IsZero() {
		t.Errorf("the grant lives: %+v %v", ended, err)
	}
}

func turnReuse(t *testing.T, b *bench) {
	u, c := b.furnish()
	for name, gen := range map[string]int64{"old": 1, "ahead of the row": 9} {
		g := b.grant(u, c, false)
		b.turn(g, 1, 10*time.Second)
		b.clock.Advance(10 * time.Second)
		if _, outcome := b.turn(g, gen, 10*time.Second); outcome != iam.Reused {
			t.Errorf("%s: outcome %d", name, outcome)
		}
		if _, found := b.revoked(iam.RevokeGrant, string(g.ID)); !found {
			t.Errorf("%s: no revocation", name)
		}
		if _, outcome := b.turn(g, 2, 10*time.Second); outcome != iam.GrantEnded {
			t.Errorf("%s: the current generation still works: %d", name, outcome)
		}
	}
	for _, e := range b.events() {
		if e.Kind == iam.EventRefreshReused && (e.TokenID != "" || e.GrantID == "") {
			t.Errorf("the journal names a token that was never made, or no grant: %+v", e)
		}
	}
	g := b.grant(u, c, false)
	b.turn(g, 1, 10*time.Second)
	b.clock.Advance(10*time.Second - time.Millisecond)
	if _, outcome := b.turn(g, 1, 10*time.Second); outcome != iam.Repeated {
		t.Errorf("just inside the window: %d", outcome)
	}
	// A thief is not saved by a change of roles in between.
	moved, err := b.User(ctx, u.ID)
	b.must(err)
	b.must(b.UpdateUser(ctx, moved, iam.EndAccess))
	b.clock.Advance(time.Minute)
	if _, outcome := b.turn(g, 1, 10*time.Second); outcome != iam.Reused {
		t.Errorf("reuse after the epoch moved: %d", outcome)
	}
}

func turnRestart(t *testing.T, b *bench) {
	u, c := b.furnish()
	g := b.grant(u, c, true)
	b.turn(g, 1, 10*time.Second)
	b.restart()
	if grant, outcome := b.turn(g, 1, 10*time.Second); outcome != iam.Repeated || grant.Gen != 2 {
		t.Errorf("inside the window after a restart: %d", outcome)
	}
	b.clock.Advance(time.Minute)
	b.restart()
	if _, outcome := b.turn(g, 1, 10*time.Second); outcome != iam.Reused {
		t.Errorf("outside the window after a restart: %d", outcome)
	}
}

func turnRefusals(t *testing.T, b *bench) {
	u, c := b.furnish()
	b.must(b.CreateClient(ctx, iam.Client{ID: "thief", Type: iam.Public}))
	g := b.grant(u, c, true)
	stolen := g
	stolen.ClientID = "thief"
	if _, outcome := b.turn(stolen, 1, time.Second); outcome != iam.GrantEnded {
		t.Errorf("another client: %d", outcome)
	}
	if _, outcome := b.turn(iam.Grant{ID: "gr_none", ClientID: "app"}, 1, time.Second); outcome != iam.GrantEnded {
		t.Errorf("no grant: %d", outcome)
	}
	_, outcome, err := b.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: "app", Gen: 1, MacKey: "mac1", UserEpoch: 7, ClientEpoch: 1, Event: event("x")})
	b.must(err)
	if outcome != iam.EpochChanged {
		t.Errorf("an epoch that moved: %d", outcome)
	}
	_, outcome, err = b.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: "app", Gen: 1, MacKey: "mac1", UserEpoch: 1, ClientEpoch: 7, Event: event("x")})
	b.must(err)
	if outcome != iam.EpochChanged {
		t.Errorf("the client's epoch moved: %d", outcome)
	}
	_, outcome, err = b.TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: "app", Gen: 1, MacKey: "mac2", UserEpoch: 1, ClientEpoch: 1, Event: event("x")})
	b.must(err)
	if outcome != iam.GrantEnded {
		t.Errorf("a mac of another key: %d", outcome)
	}
	if live, _ := b.Grant(ctx, g.ID); live.Gen != 1 || !live.RevokedAt.IsZero() {
		t.Errorf("a refusal changed the grant: %+v", live)
	}
	b.clock.Advance(iam.SessionIdle - time.Minute)
	if _, outcome := b.turn(g, 1, time.Second); outcome != iam.Rotated {
		t.Errorf("a live session: %d", outcome)
	}
	b.clock.Advance(iam.SessionIdle - time.Minute)
	if _, outcome := b.turn(g, 2, time.Second); outcome != iam.Rotated {
		t.Errorf("a refresh slides the session: %d", outcome)
	}
	b.clock.Advance(iam.SessionIdle)
	if _, outcome := b.turn(g, 3, time.Second); outcome != iam.GrantEnded {
		t.Errorf("an idle session: %d", outcome)
	}
	offline := b.grant(u, c, false)
	b.clock.Advance(iam.GrantIdle)
	if _, outcome := b.turn(offline, 1, time.Second); outcome != iam.GrantEnded {
		t.Errorf("an idle grant: %d", outcome)
	}
}

// Inside the grace every check is made again: what ended since the rotation
// gets no second answer.
func turnGraceChecks(t *testing.T, b *bench) {
	const grace = 10 * time.Second
	for name, tc := range map[string]struct {
		change func(iam.User, iam.Client) error
		want   iam.TurnOutcome
	}{
		"nothing":                {func(iam.User, iam.Client) error { return nil }, iam.Repeated},
		"the user's epoch":       {func(u iam.User, _ iam.Client) error { return b.UpdateUser(ctx, u, iam.EndAccess) }, iam.EpochChanged},
		"the client's epoch":     {func(_ iam.User, c iam.Client) error { return b.UpdateClient(ctx, c, iam.EndAccess) }, iam.EpochChanged},
		"the user is disabled":   {func(u iam.User, _ iam.Client) error { u.Disabled = true; return b.UpdateUser(ctx, u, iam.EndNothing) }, iam.GrantEnded},
		"the client is disabled": {func(_ iam.User, c iam.Client) error { c.Disabled = true; return b.UpdateClient(ctx, c, iam.EndNothing) }, iam.GrantEnded},
		"the user is gone":       {func(u iam.User, _ iam.Client) error { return b.DeleteUser(ctx, u.ID) }, iam.GrantEnded},
		"the client is gone":     {func(_ iam.User, c iam.Client) error { return b.DeleteClient(ctx, c.ID) }, iam.GrantEnded},
		"a clock set back":       {func(iam.User, iam.Client) error { b.clock.Advance(-time.Second); return nil }, iam.Reused},
	} {
		u := iam.User{ID: iam.NewUserID(), Username: "u" + string(iam.NewCodeID())}
		c := iam.Client{ID: iam.ClientID("c" + string(iam.NewCodeID())), Type: iam.Public}
		b.must(b.CreateUser(ctx, u))
		b.must(b.CreateClient(ctx, c))
		u, err := b.User(ctx, u.ID)
		b.must(err)
		c, err = b.Client(ctx, c.ID)
		b.must(err)
		first, second := b.grant(u, c, true), b.grant(u, c, true)
		if _, outcome := b.turn(first, 1, grace); outcome != iam.Rotated {
			t.Fatalf("%s: outcome %d", name, outcome)
		}
		b.must(tc.change(u, c))
		before := b.kinds()[iam.EventRefreshRepeated]
		if _, outcome := b.turn(first, 1, grace); outcome != tc.want {
			t.Errorf("%s: the same question again: outcome %d, want %d", name, outcome, tc.want)
		}
		if repeated := b.kinds()[iam.EventRefreshRepeated] > before; repeated != (tc.want == iam.Repeated) {
			t.Errorf("%s: repeated in the journal: %v", name, repeated)
		}
		// The current generation of another grant meets the same checks.
		if tc.want == iam.EpochChanged || tc.want == iam.GrantEnded {
			if g, outcome := b.turn(second, 1, grace); outcome != tc.want || g.Gen > 1 {
				t.Errorf("%s: a first rotation: outcome %d, want %d", name, outcome, tc.want)
			}
		}
	}
}

// However often it is used, a session ends 30 days after its login (C12).
func sessionAbsolute(t *testing.T, b *bench) {
	u, c := b.furnish()
	g := b.grant(u, c, true)
	step, gen := iam.SessionIdle-time.Minute, int64(1)
	for end := b.clock.Now().Add(iam.SessionAbsolute); b.clock.Now().Add(step).Before(end); gen++ {
		b.clock.Advance(step)
		if _, outcome := b.turn(g, gen, 0); outcome != iam.Rotated {
			t.Fatalf("generation %d: outcome %d", gen, outcome)
		}
	}
	s, err := b.Session(ctx, g.SessionID)
	b.must(err)
	if s.IdleExpires.After(s.Expires) {
		t.Errorf("idle until %s, after the end at %s", s.IdleExpires, s.Expires)
	}
	b.clock.Advance(step)
	if _, outcome := b.turn(g, gen, 0); outcome != iam.GrantEnded {
		t.Errorf("after 30 days: outcome %d", outcome)
	}
}

// Two processes on one folder decide as one: a code is redeemed once, a
// generation turns once, and what one of them ended the other refuses (C28).
func twoProcessesRace(t *testing.T, b *bench) {
	u, c := b.furnish()
	other := b.open(t, b.dir, b.clock.Now)
	defer other.Close()
	both := []*store.DB{b.DB, other}
	code := b.redemption(u, c, true)
	g := b.grant(u, c, false)
	var mu sync.Mutex
	redeemed, turned := map[iam.RedeemOutcome]int{}, map[iam.TurnOutcome]int{}
	var all sync.WaitGroup
	for n := range 60 {
		r := b.redemption(u, c, true)
		r.Code = code.Code
		all.Go(func() {
			outcome, err := both[n%2].RedeemCode(ctx, r)
			if err != nil {
				t.Error(err)
			}
			_, turn, err := both[n%2].TurnRefresh(ctx, iam.Turn{Grant: g.ID, Client: g.ClientID, Gen: 1, MacKey: "mac1", Grace: 10 * time.Second, NextMacKey: "mac2", UserEpoch: 1, ClientEpoch: 1, Event: event(iam.EventRefreshed)})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			redeemed[outcome]++
			turned[turn]++
		})
	}
	all.Wait()
	if redeemed[iam.Redeemed] != 1 || redeemed[iam.CodeReplayed] != 59 {
		t.Errorf("redemptions %v, want one", redeemed)
	}
	if turned[iam.Rotated] != 1 || turned[iam.Repeated] != 59 {
		t.Errorf("rotations %v, want one", turned)
	}
	u.Disabled = true
	b.must(other.UpdateUser(ctx, u, iam.EndEverything))
	if _, outcome := b.turn(g, 2, 10*time.Second); outcome != iam.GrantEnded {
		t.Errorf("after the other process disabled the user: outcome %d", outcome)
	}
	if outcome := b.redeem(b.redemption(u, c, true)); outcome != iam.RedeemRefused {
		t.Errorf("a code of a user whom the other process disabled: outcome %d", outcome)
	}
}
