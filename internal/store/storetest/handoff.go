package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// loggedIn begins a browser session of a user.
func (b *bench) loggedIn(u iam.User) iam.Session {
	b.t.Helper()
	now := b.clock.Now()
	s, err := b.BeginSession(ctx, iam.NewSession{Session: iam.Session{ID: iam.NewSessionID(), UserID: u.ID, AuthTime: now, ACR: "pwd", AMR: []string{"pwd"}, CreatedAt: now,
		IdleExpires: now.Add(iam.SessionIdle), Expires: now.Add(iam.SessionAbsolute), CookieHash: string(iam.NewTokenID())}, UserEpoch: u.Epoch, Event: event("")})
	b.must(err)
	return s
}

func handoffIssue(t *testing.T, b *bench) {
	u, c := b.furnish()
	s := b.loggedIn(u)
	good := iam.HandoffIssue{Session: s.ID, User: u.ID, UserEpoch: u.Epoch, Client: c.ID, ClientEpoch: c.Epoch, Event: iam.Event{Kind: iam.EventHandoff, Actor: "app"}}
	for name, change := range map[string]func(*iam.HandoffIssue){
		"old epoch of the user":   func(h *iam.HandoffIssue) { h.UserEpoch++ },
		"old epoch of the client": func(h *iam.HandoffIssue) { h.ClientEpoch++ },
		"no such session":         func(h *iam.HandoffIssue) { h.Session = "ses_x" },
		"no session":              func(h *iam.HandoffIssue) { h.Session = "" },
		"another's session":       func(h *iam.HandoffIssue) { h.User = "usr_x" },
	} {
		h := good
		change(&h)
		if ok, err := b.IssueHandoff(ctx, h); ok || err != nil {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
	if n := b.kinds()[iam.EventHandoff]; n != 0 {
		t.Errorf("%d events of what did not happen", n)
	}
	if ok, err := b.IssueHandoff(ctx, good); !ok || err != nil {
		t.Fatalf("got %v %v", ok, err)
	}
	apps, err := b.SessionApps(ctx, s.ID)
	b.must(err)
	if len(apps) != 1 || apps[0].ClientID != c.ID || b.kinds()[iam.EventHandoff] != 1 {
		t.Errorf("apps %+v, events %v", apps, b.kinds())
	}
	b.must(second(b.EndSession(ctx, s.ID, u.ID, event(iam.EventSessionEnded))))
	if ok, err := b.IssueHandoff(ctx, good); ok || err != nil {
		t.Errorf("of a session that ended: %v %v", ok, err)
	}
}

func handoffSpend(t *testing.T, b *bench) {
	u, _ := b.furnish()
	s := b.loggedIn(u)
	use := func(id string) iam.HandoffUse {
		return iam.HandoffUse{ID: iam.TokenID(id), Session: s.ID, User: u.ID, Expires: b.clock.Now().Add(iam.HandoffLife), Event: iam.Event{Kind: iam.EventHandoffRedeemed, Actor: "app"}}
	}
	spend := func(h iam.HandoffUse) bool {
		t.Helper()
		ok, err := b.SpendHandoff(ctx, h)
		b.must(err)
		return ok
	}
	var won atomic.Int64
	var all sync.WaitGroup
	one := use("1")
	for range 200 {
		all.Go(func() {
			if ok, err := b.SpendHandoff(ctx, one); err != nil {
				t.Error(err)
			} else if ok {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || b.kinds()[iam.EventHandoffRedeemed] != 1 {
		t.Errorf("%d of 200 uses succeeded, %v; want 1", won.Load(), b.kinds())
	}
	late := use("2")
	late.Expires = b.clock.Now()
	stranger := use("3")
	stranger.User = "usr_x"
	if spend(late) || spend(stranger) {
		t.Error("an expired one, or one of another user's session, was spent")
	}
	b.restart()
	b.clock.Advance(iam.HandoffLife - time.Microsecond)
	b.must(second(b.Clean(ctx, 100)))
	if spend(one) {
		t.Error("a restart and a cleaning forgot what was spent")
	}
	b.must(second(b.EndSession(ctx, s.ID, u.ID, event(iam.EventSessionEnded))))
	if spend(use("4")) {
		t.Error("one of a session that ended was spent")
	}
	s = b.loggedIn(u)
	u.Disabled = true
	b.must(b.UpdateUser(ctx, u, iam.EndNothing, event("user.disabled"))) // the session alone would do, and need not
	if spend(use("5")) {
		t.Error("one of a disabled user was spent")
	}
}
