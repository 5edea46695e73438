package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// session is a live session of a browser.
func (b *bench) session(u iam.User, cookie string, replaces iam.SessionID) iam.Session {
	b.t.Helper()
	s, err := b.BeginSession(ctx, b.newSession(u, cookie, replaces))
	b.must(err)
	return s
}

func (b *bench) newSession(u iam.User, cookie string, replaces iam.SessionID) iam.NewSession {
	now := b.clock.Now()
	e := event("")
	e.UserID = u.ID
	return iam.NewSession{Session: iam.Session{ID: iam.NewSessionID(), UserID: u.ID, AuthTime: now, ACR: "pwd", AMR: []string{"pwd"}, CreatedAt: now,
		IdleExpires: now.Add(iam.SessionIdle), Expires: now.Add(iam.SessionAbsolute), CookieHash: cookie, Agent: "test"}, Replaces: replaces, UserEpoch: u.Epoch, Event: e}
}

func (b *bench) knows(cookie string) bool {
	b.t.Helper()
	s, err := b.SessionByCookie(ctx, cookie)
	if err != nil {
		b.want(err, iam.ErrNotFound)
		return false
	}
	return s.CookieHash == cookie
}

func browserSessions(t *testing.T, b *bench) {
	u, _ := b.furnish()
	first := b.session(u, "cookie1", "")
	if !b.knows("cookie1") || b.knows("cookie2") || b.knows("") {
		t.Error("a session is found by its cookie and no other")
	}
	b.clock.Advance(time.Hour)
	again := b.session(u, "cookie2", first.ID)
	if again.ID != first.ID || !again.AuthTime.Equal(b.clock.Now()) || !again.Expires.Equal(first.Expires) || b.knows("cookie1") || !b.knows("cookie2") {
		t.Errorf("a renewed session keeps id and absolute end and loses its old cookie: %+v", again)
	}
	other := iam.User{ID: iam.NewUserID(), Username: "other"}
	b.must(b.CreateUser(ctx, other))
	other, err := b.User(ctx, other.ID)
	b.must(err)
	switched := b.session(other, "cookie3", again.ID)
	if switched.ID == again.ID || b.knows("cookie2") || !b.knows("cookie3") {
		t.Error("another user's login ends the session that the browser had")
	}
	if _, found := b.revoked("sid", string(again.ID)); !found {
		t.Error("C15 verifiers are not told")
	}
	if k := b.kinds(); k[iam.EventSessionBegan] != 2 || k[iam.EventSessionRenewed] != 1 {
		t.Errorf("events %v", k)
	}
	// The login was right, and then the user ended.
	stale := b.newSession(other, "cookie4", "")
	b.must(b.UpdateUser(ctx, other, iam.EndEverything))
	_, err = b.BeginSession(ctx, stale)
	b.want(err, iam.ErrConflict)
	if b.knows("cookie3") || b.knows("cookie4") {
		t.Error("C14 a user who ended has a session")
	}
	b.restart()
	if s, err := b.Session(ctx, switched.ID); err != nil || s.EndedAt.IsZero() {
		t.Errorf("got %+v %v", s, err)
	}
}

func sessionLimits(t *testing.T, b *bench) {
	u, _ := b.furnish()
	s := b.session(u, "c", "")
	b.clock.Advance(iam.SessionIdle - time.Microsecond)
	if !b.knows("c") {
		t.Error("ended before its idle time")
	}
	b.must(b.SlideSession(ctx, s.ID))
	b.clock.Advance(iam.SessionIdle - time.Microsecond)
	if !b.knows("c") {
		t.Error("a visit did not extend it")
	}
	b.clock.Advance(time.Microsecond)
	if b.knows("c") {
		t.Error("did not end after its idle time")
	}
	b.must(b.SlideSession(ctx, s.ID))
	if b.knows("c") {
		t.Error("a visit woke a session that had ended")
	}
	s = b.session(u, "d", "")
	for b.clock.Now().Add(iam.SessionIdle).Before(s.Expires) {
		b.clock.Advance(iam.SessionIdle - time.Minute)
		b.must(b.SlideSession(ctx, s.ID))
	}
	b.clock.Advance(s.Expires.Sub(b.clock.Now()) - time.Microsecond)
	if !b.knows("d") {
		t.Error("ended before its absolute end")
	}
	b.must(b.SlideSession(ctx, s.ID))
	b.clock.Advance(time.Microsecond)
	if b.knows("d") {
		t.Error("C12 lived past its absolute end")
	}
}

// reach redeems a code of a client within a browser session.
func (b *bench) reach(u iam.User, c iam.Client, s iam.SessionID, offline bool) iam.Redemption {
	b.t.Helper()
	r := b.redemption(u, c, false)
	r.Within = s
	if !offline {
		r.Grant.SessionID = s
	}
	if outcome := b.redeem(r); outcome != iam.Redeemed {
		b.t.Fatalf("outcome %d", outcome)
	}
	return r
}

// told is who gets a logout token for which session, in order.
func (b *bench) told() []string {
	b.t.Helper()
	due, err := b.DueLogouts(ctx, 100)
	b.must(err)
	var list []string
	for _, d := range due {
		list = append(list, fmt.Sprintf("%s %s %s", d.ClientID, d.SessionID, d.UserID))
	}
	slices.Sort(list)
	return list
}

// listener is a client that wants to hear of logouts.
func (b *bench) listener(id iam.ClientID) iam.Client {
	b.t.Helper()
	b.must(b.CreateClient(ctx, iam.Client{ID: id, Type: iam.Public, BackchannelLogoutURI: "https://" + string(id) + ".example/out"}))
	c, err := b.Client(ctx, id)
	b.must(err)
	return c
}

func sessionEndings(t *testing.T, b *bench) {
	u, silent := b.furnish()
	listening, unreached := b.listener("listening"), b.listener("unreached")
	_ = unreached
	live := func(id iam.GrantID) bool {
		t.Helper()
		g, err := b.Grant(ctx, id)
		b.must(err)
		return g.Live(b.clock.Now())
	}
	s, other := b.session(u, "c1", ""), b.session(u, "c2", "")
	bound, offline := b.reach(u, listening, s.ID, false), b.reach(u, listening, s.ID, true)
	b.reach(u, silent, s.ID, false)
	elsewhere := b.reach(u, listening, other.ID, false)
	apps, err := b.SessionApps(ctx, s.ID)
	b.must(err)
	if len(apps) != 2 {
		t.Errorf("apps %v", apps)
	}
	if ended, err := b.EndSession(ctx, s.ID, "usr_other", event("x")); err != nil || ended || !b.knows("c1") {
		t.Errorf("another user ended it: %v %v", ended, err)
	}
	if ended, err := b.EndSession(ctx, s.ID, u.ID, event(iam.EventSessionEnded)); err != nil || !ended || b.knows("c1") {
		t.Errorf("not ended: %v %v", ended, err)
	}
	if ended, err := b.EndSession(ctx, s.ID, u.ID, event("x")); err != nil || ended || b.kinds()["x"] != 0 {
		t.Errorf("ended twice: %v %v", ended, err)
	}
	if live(bound.Grant.ID) || !live(offline.Grant.ID) || !live(elsewhere.Grant.ID) {
		t.Error("C12 the grants of a session end with it, and no others")
	}
	if _, found := b.revoked(iam.RevokeGrant, string(bound.Grant.ID)); !found {
		t.Error("C15 the grant is not in the feed")
	}
	if got, want := b.told(), fmt.Sprintf("listening %s %s", s.ID, u.ID); len(got) != 1 || got[0] != want {
		t.Errorf("told %v, want %s once", got, want)
	}
	r := b.redemption(u, silent, false)
	r.Within = s.ID
	if outcome := b.redeem(r); outcome != iam.RedeemRefused {
		t.Errorf("C10 a code of a session that ended: %d", outcome)
	}
	// All others, and every way in which an account ends.
	third := b.session(u, "c3", "")
	b.must(b.EndOtherSessions(ctx, third.ID, u.ID, event("others")))
	if b.knows("c2") || !b.knows("c3") || len(b.told()) != 1 || b.kinds()["others"] != 1 {
		t.Error("other sessions")
	}
	b.reach(u, listening, third.ID, false)
	// A device or a native login has a session of its own, and its app hears of the end.
	own := b.redemption(u, listening, true)
	if outcome := b.redeem(own); outcome != iam.Redeemed {
		t.Fatalf("outcome %d", outcome)
	}
	u, err = b.User(ctx, u.ID)
	b.must(err)
	b.must(b.UpdateUser(ctx, u, iam.EndEverything))
	if got := b.told(); len(got) != 2 {
		t.Errorf("C14 told %v", got)
	}
	u, err = b.User(ctx, u.ID)
	b.must(err)
	last := b.session(u, "c4", "")
	b.reach(u, listening, last.ID, true)
	b.must(b.DeleteUser(ctx, u.ID))
	if got, want := b.told(), fmt.Sprintf("listening %s %s", last.ID, u.ID); len(got) != 1 || got[0] != want {
		t.Errorf("after the user was deleted: told %v, want %s", got, want)
	}
}

func logoutDeliveries(t *testing.T, b *bench) {
	u, _ := b.furnish()
	slow, quick := b.listener("slow"), b.listener("quick")
	for i := range 3 {
		s := b.session(u, fmt.Sprint("c", i), "")
		b.reach(u, slow, s.ID, false)
		b.reach(u, quick, s.ID, false)
		if _, err := b.EndSession(ctx, s.ID, u.ID, event("ended")); err != nil {
			t.Fatal(err)
		}
	}
	waits := func(want bool) {
		t.Helper()
		if has, err := b.HasDueLogouts(ctx); err != nil || has != want {
			t.Errorf("due: %v %v, want %v", has, err, want)
		}
	}
	waits(true)
	first, err := b.DueLogouts(ctx, 2)
	b.must(err)
	b.restart() // whoever took them is gone: the lease brings them back, and nothing sooner
	rest, err := b.DueLogouts(ctx, 100)
	b.must(err)
	if len(first) != 2 || len(rest) != 4 || len(b.told()) != 0 {
		t.Fatalf("%d and %d deliveries", len(first), len(rest))
	}
	waits(false)
	b.clock.Advance(time.Minute)
	waits(true)
	due, err := b.DueLogouts(ctx, 100)
	b.must(err)
	if len(due) != 6 || due[0].Attempts != 2 {
		t.Fatalf("after the lease: %d, %+v", len(due), due)
	}
	var slows, quicks []iam.LogoutDelivery
	for _, d := range due {
		if d.ClientID == "slow" {
			slows = append(slows, d)
		} else {
			quicks = append(quicks, d)
		}
	}
	b.clock.Advance(time.Minute)
	b.must(b.RetryLogout(ctx, slows[0], time.Hour))
	if got := b.told(); len(got) != 3 || got[0][:5] != "quick" {
		t.Errorf("a client that does not answer holds up the others, or hears the rest at once: %v", got)
	}
	b.clock.Advance(11 * time.Second)
	if got := b.told(); len(got) != 2 || got[0][:4] != "slow" {
		t.Errorf("the rest of a client that failed once waits for long: %v", got)
	}
	b.must(b.FinishLogout(ctx, quicks[0].ID, event("done")))
	b.must(b.FinishLogout(ctx, quicks[0].ID, event("done")))
	if n := b.kinds()["done"]; n != 1 {
		t.Errorf("%d events of one delivery", n)
	}
	b.must(b.DeleteClient(ctx, "quick"))
	b.clock.Advance(2 * time.Hour)
	if got := b.told(); len(got) != 3 {
		t.Errorf("a client that is gone is still to be told: %v", got)
	}
}

// Of many processes that ask at once, each delivery goes to one.
func logoutLease(t *testing.T, b *bench) {
	u, _ := b.furnish()
	c := b.listener("listening")
	for i := range 20 {
		s := b.session(u, fmt.Sprint("c", i), "")
		b.reach(u, c, s.ID, false)
		b.must(second(b.EndSession(ctx, s.ID, u.ID, event("ended"))))
	}
	var mu sync.Mutex
	count := map[string]int{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			due, err := b.DueLogouts(ctx, 3)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range due {
				count[d.ID]++
			}
		})
	}
	all.Wait()
	for id, n := range count {
		if n != 1 {
			t.Errorf("%s went to %d", id, n)
		}
	}
	if len(count) != 20 {
		t.Errorf("%d of 20 taken", len(count))
	}
}

func consents(t *testing.T, b *bench) {
	u, c := b.furnish()
	read := func() iam.Consent {
		t.Helper()
		got, err := b.Consent(ctx, u.ID, c.ID)
		b.must(err)
		return got
	}
	if got := read(); !got.At.IsZero() || got.Covers([]string{"openid"}) {
		t.Errorf("nothing was allowed: %+v", got)
	}
	b.must(b.GiveConsent(ctx, u.ID, c.ID, []string{"openid", "read"}, event(iam.EventConsentGiven)))
	first := read()
	b.clock.Advance(time.Hour)
	b.must(b.GiveConsent(ctx, u.ID, c.ID, []string{"read", "email"}, event(iam.EventConsentGiven)))
	b.restart()
	got := read()
	if fmt.Sprint(got.Scopes) != "[openid read email]" || !got.Since.Equal(first.Since) || !got.At.Equal(b.clock.Now()) || got.Covers([]string{"phone"}) {
		t.Errorf("got %+v", got)
	}
	r := b.redemption(u, c, true)
	r.Asked, r.Consent = true, []string{"read"}
	if outcome := b.redeem(r); outcome != iam.Redeemed {
		t.Fatalf("outcome %d", outcome)
	}
	more := b.redemption(u, c, true)
	more.Asked, more.Consent = true, []string{"read", "phone"}
	if outcome := b.redeem(more); outcome != iam.RedeemRefused {
		t.Errorf("C10 more than was allowed: %d", outcome)
	}
	b.must(second(b.RevokeConsent(ctx, "usr_other", c.ID, event("x"))))
	if b.kinds()["x"] != 0 || read().At.IsZero() {
		t.Error("another user took it back")
	}
	if ok, err := b.RevokeConsent(ctx, u.ID, c.ID, event(iam.EventConsentRevoked)); err != nil || !ok {
		t.Errorf("got %v %v", ok, err)
	}
	if g, err := b.Grant(ctx, r.Grant.ID); err != nil || g.RevokedAt.IsZero() || !read().At.IsZero() {
		t.Errorf("the grant lives: %+v %v", g, err)
	}
	if _, found := b.revoked(iam.RevokeGrant, string(r.Grant.ID)); !found {
		t.Error("C15 the grant is not in the feed")
	}
	late := b.redemption(u, c, true)
	late.Asked = true
	if outcome := b.redeem(late); outcome != iam.RedeemRefused {
		t.Errorf("CVE-2026-43983 a code of a consent that was taken back: %d", outcome)
	}
	// What was allowed before it was taken back does not come back with the next.
	b.must(b.GiveConsent(ctx, u.ID, c.ID, []string{"email"}, event(iam.EventConsentGiven)))
	if got := read(); fmt.Sprint(got.Scopes) != "[email]" {
		t.Errorf("got %+v", got)
	}
	if list, err := b.Consents(ctx, u.ID); err != nil || len(list) != 1 {
		t.Errorf("got %v %v", list, err)
	}
}

func pushed(t *testing.T, b *bench) {
	_, c := b.furnish()
	b.must(b.PutPushed(ctx, "h1", c.ID, "", "a=b"))
	take := func(id string, client iam.ClientID) string {
		t.Helper()
		got, err := b.TakePushed(ctx, id, client)
		if err != nil {
			b.want(err, iam.ErrNotFound)
		}
		return got
	}
	b.restart()
	if take("h1", "robot") != "" || take("h2", c.ID) != "" || take("h1", "") != "" {
		t.Error("another client's, or an unknown one, was given out")
	}
	if take("h1", c.ID) != "a=b" || take("h1", c.ID) != "" {
		t.Error("a pushed request is good exactly once")
	}
	b.must(b.PutPushed(ctx, "h3", c.ID, "", "x"))
	b.clock.Advance(iam.PushedLife)
	if take("h3", c.ID) != "" {
		t.Error("given out after a minute")
	}
	b.must(b.PutPushed(ctx, "race", c.ID, "", "x"))
	var won atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got, _ := b.TakePushed(ctx, "race", c.ID); got != "" {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 got it", won.Load())
	}
	some(iam.PushedCap, func(i int) {
		if err := b.PutPushed(ctx, fmt.Sprint("n", i), c.ID, "", "x"); err != nil {
			t.Error(err)
		}
	})
	b.want(b.PutPushed(ctx, "one more", c.ID, "", "x"), iam.ErrConflict)
	b.must(b.PutPushed(ctx, "of another", "robot", "", "x"))
	b.clock.Advance(iam.PushedLife)
	b.must(b.PutPushed(ctx, "later", c.ID, "", "x"))
	b.clock.Advance(time.Microsecond)
	if n, err := b.Clean(ctx, 100); err != nil || n < iam.PushedCap {
		t.Errorf("%d rows cleaned, %v", n, err)
	}
}

func (b *bench) device(c iam.Client, code string) iam.Device {
	b.t.Helper()
	now := b.clock.Now()
	d := iam.Device{CodeHash: "hash of " + code, UserCode: code, ClientID: c.ID, Scopes: []string{"read"}, State: iam.DevicePending, CreatedAt: now, Expires: now.Add(iam.DeviceLife)}
	b.must(b.PutDevice(ctx, d))
	return d
}

func (b *bench) poll(d iam.Device, client iam.ClientID) (iam.Device, iam.DeviceOutcome) {
	b.t.Helper()
	got, outcome, err := b.PollDevice(ctx, iam.DevicePoll{CodeHash: d.CodeHash, Client: client})
	b.must(err)
	return got, outcome
}

func (b *bench) decideDevice(d iam.Device, u iam.User, state iam.DeviceState) bool {
	b.t.Helper()
	d.State, d.UserID, d.AuthTime, d.ACR, d.AMR, d.UserEpoch, d.ClientEpoch = state, u.ID, b.clock.Now(), "pwd", []string{"pwd"}, u.Epoch, 1
	ok, err := b.DecideDevice(ctx, d, event(iam.EventDeviceAllowed))
	b.must(err)
	return ok
}

func devices(t *testing.T, b *bench) {
	u, c := b.furnish()
	d := b.device(c, "BBBB-BBBB")
	again := d
	again.CodeHash = "another"
	b.want(b.PutDevice(ctx, again), iam.ErrExists)
	if _, outcome := b.poll(d, "robot"); outcome != iam.DeviceExpired {
		t.Errorf("another client's poll: %d", outcome)
	}
	for i, want := range []iam.DeviceOutcome{iam.DeviceWaits, iam.DeviceTooFast, iam.DeviceTooFast} {
		if _, outcome := b.poll(d, c.ID); outcome != want {
			t.Errorf("poll %d: %d, want %d", i, outcome, want)
		}
	}
	b.restart()
	b.clock.Advance(14 * time.Second) // the pause is fifteen seconds by now
	if _, outcome := b.poll(d, c.ID); outcome != iam.DeviceTooFast {
		t.Errorf("slow_down is forgotten: %d", outcome)
	}
	b.clock.Advance(20 * time.Second)
	if _, outcome := b.poll(d, c.ID); outcome != iam.DeviceWaits {
		t.Errorf("after the pause: %d", outcome)
	}
	other := d
	other.ClientID = "robot"
	if b.decideDevice(other, u, iam.DeviceAllowed) {
		t.Error("decided for another client than the one that was shown")
	}
	if !b.decideDevice(d, u, iam.DeviceAllowed) || b.decideDevice(d, u, iam.DeviceDenied) {
		t.Error("decided not exactly once")
	}
	if _, err := b.DeviceByUserCode(ctx, d.UserCode); err == nil {
		t.Error("a code that was decided is found again")
	}
	got, outcome := b.poll(d, c.ID)
	if outcome != iam.DeviceReady || got.UserID != u.ID || got.UserEpoch != u.Epoch {
		t.Errorf("got %+v %d", got, outcome)
	}
	redeem := func(change func(*iam.DeviceRedemption)) iam.RedeemOutcome {
		t.Helper()
		r := iam.DeviceRedemption{CodeHash: d.CodeHash, Redemption: b.redemption(u, c, true)}
		change(&r)
		outcome, err := b.RedeemDevice(ctx, r)
		b.must(err)
		return outcome
	}
	for name, change := range map[string]func(*iam.DeviceRedemption){
		"another client's":    func(r *iam.DeviceRedemption) { r.Grant.ClientID = "robot" },
		"an unknown one":      func(r *iam.DeviceRedemption) { r.CodeHash = "x" },
		"an old user epoch":   func(r *iam.DeviceRedemption) { r.UserEpoch = 0 },
		"an old client epoch": func(r *iam.DeviceRedemption) { r.ClientEpoch = 0 },
	} {
		if outcome := redeem(change); outcome != iam.RedeemRefused {
			t.Errorf("%s: outcome %d", name, outcome)
		}
	}
	mine := iam.DeviceRedemption{CodeHash: d.CodeHash, Redemption: b.redemption(u, c, true)}
	for range 2 { // the second is a retry of its own
		if outcome, err := b.RedeemDevice(ctx, mine); err != nil || outcome != iam.Redeemed {
			t.Fatalf("outcome %d %v", outcome, err)
		}
	}
	if outcome := redeem(func(*iam.DeviceRedemption) {}); outcome != iam.CodeReplayed {
		t.Errorf("a second use: %d", outcome)
	}
	if g, err := b.Grant(ctx, mine.Grant.ID); err != nil || g.RevokedAt.IsZero() {
		t.Errorf("replay did not end the grant: %+v %v", g, err)
	}
	no := b.device(c, "CCCC-CCCC")
	b.decideDevice(no, u, iam.DeviceDenied)
	if _, outcome := b.poll(no, c.ID); outcome != iam.DeviceRefused {
		t.Errorf("denied: %d", outcome)
	}
	late := b.device(c, "DDDD-DDDD")
	back := b.device(c, "FFFF-FFFF")
	b.decideDevice(back, u, iam.DeviceAllowed)
	if ok, err := b.RevokeConsent(ctx, u.ID, c.ID, event("revoked")); err != nil || !ok {
		t.Errorf("revoke: %v %v", ok, err)
	}
	if _, outcome := b.poll(back, c.ID); outcome != iam.DeviceRefused {
		t.Errorf("taken back before the device came: %d", outcome)
	}
	b.clock.Advance(iam.DeviceLife)
	if _, outcome := b.poll(late, c.ID); outcome != iam.DeviceExpired || b.decideDevice(late, u, iam.DeviceAllowed) {
		t.Errorf("too late: %d", outcome)
	}
	for i := range iam.DeviceCap {
		b.device(c, fmt.Sprintf("n%d", i))
	}
	over := d
	over.CodeHash, over.UserCode = "over", "over"
	b.want(b.PutDevice(ctx, over), iam.ErrConflict)
	b.clock.Advance(iam.DeviceLife + 11*time.Minute)
	if n, err := b.Clean(ctx, 100); err != nil || n < iam.DeviceCap {
		t.Errorf("%d rows cleaned, %v", n, err)
	}
}

// Of fifty polls at once one gets a grant.
func devicesParallel(t *testing.T, b *bench) {
	u, c := b.furnish()
	d := b.device(c, "BBBB-BBBB")
	b.decideDevice(d, u, iam.DeviceAllowed)
	var mu sync.Mutex
	count := map[iam.RedeemOutcome]int{}
	var all sync.WaitGroup
	for range 50 {
		r := iam.DeviceRedemption{CodeHash: d.CodeHash, Redemption: b.redemption(u, c, true)}
		all.Go(func() {
			outcome, err := b.RedeemDevice(ctx, r)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			count[outcome]++
		})
	}
	all.Wait()
	if count[iam.Redeemed] != 1 || count[iam.CodeReplayed] != 49 {
		t.Errorf("outcomes %v", count)
	}
}

func persons(t *testing.T, b *bench) {
	u := iam.User{ID: iam.NewUserID(), Username: "ada", Email: "ada@example.com", EmailVerified: true, Phone: "+4930123456", PhoneVerified: true, Address: "1 Main\nStreet", Profile: map[string]string{"locale": "en"}}
	b.must(b.CreateUser(ctx, u))
	b.clock.Advance(time.Hour)
	b.restart()
	got, err := b.User(ctx, u.ID)
	b.must(err)
	if !got.EmailVerified || !got.PhoneVerified || got.Phone != u.Phone || got.Address != u.Address || got.Profile["locale"] != "en" || !got.UpdatedAt.Equal(got.CreatedAt) {
		t.Errorf("got %+v", got)
	}
	got.EmailVerified, got.Profile = false, nil
	b.must(b.UpdateUser(ctx, got, iam.EndNothing))
	got, err = b.User(ctx, u.ID)
	b.must(err)
	if got.EmailVerified || len(got.Profile) != 0 || !got.UpdatedAt.Equal(b.clock.Now()) {
		t.Errorf("after the update: %+v", got)
	}
	c := iam.Client{ID: "app", Type: iam.Confidential, PostLogoutRedirectURIs: []string{"https://a.example/bye"}, BackchannelLogoutURI: "https://a.example/out", IDTokenAlgorithm: "EdDSA", RequirePAR: true,
		Handoff: &iam.Handoff{URL: "https://a.example/in", Mode: iam.HandoffForm}}
	b.must(b.CreateClient(ctx, c))
	b.restart()
	back, err := b.Client(ctx, "app")
	b.must(err)
	if fmt.Sprint(back.PostLogoutRedirectURIs) != fmt.Sprint(c.PostLogoutRedirectURIs) || back.BackchannelLogoutURI != c.BackchannelLogoutURI || back.IDTokenAlg() != "EdDSA" || !back.RequirePAR || back.Handoff == nil || *back.Handoff != *c.Handoff {
		t.Errorf("got %+v", back)
	}
	back.PostLogoutRedirectURIs, back.BackchannelLogoutURI, back.IDTokenAlgorithm, back.RequirePAR, back.Handoff = nil, "", "", false, nil
	b.must(b.UpdateClient(ctx, back, iam.EndNothing))
	if back, err = b.Client(ctx, "app"); err != nil || len(back.PostLogoutRedirectURIs) != 0 || back.BackchannelLogoutURI != "" || back.RequirePAR || back.Handoff != nil {
		t.Errorf("after the update: %+v %v", back, err)
	}
}
