package keys_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
)

const day = 24 * time.Hour

func (r *ring) tend(s *keys.Service) {
	r.t.Helper()
	if err := s.Tend(ctx, keys.DefaultRotateEvery); err != nil {
		r.t.Fatal(err)
	}
}

// states counts the keys of a line by state.
func (r *ring) states(purpose iam.Purpose) map[iam.KeyState]int {
	r.t.Helper()
	stored, err := r.db.Keys(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	count := map[iam.KeyState]int{}
	for _, k := range keys.States(stored, r.clock.Now()) {
		if k.Purpose == purpose {
			count[k.State]++
		}
	}
	return count
}

func TestC24EveryLineRotatesOnSchedule(t *testing.T) {
	r := newRing(t, day)
	if _, err := r.Signer(ctx, "EdDSA"); err != nil {
		t.Fatal(err)
	}
	old := r.signs()
	oldMac, _ := r.RefreshKey()
	oldSeal, sealed, err := r.SealCode([]byte("code"))
	if err != nil {
		t.Fatal(err)
	}
	for range 29 {
		r.clock.Advance(day)
		r.tend(r.Service)
	}
	if r.signs() != old {
		t.Fatal("rotated too early")
	}
	signer, _ := r.Signer(ctx, "ES256")
	raw, err := signer.Sign("at+jwt", map[string]any{"sub": "x"})
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(day)
	r.tend(r.Service)
	newMac, _ := r.RefreshKey()
	newSeal, _, _ := r.SealCode(nil)
	if r.signs() == old || newMac == oldMac || newSeal == oldSeal {
		t.Errorf("after 30 days: token key new %v, mac key new %v, seal key new %v", r.signs() != old, newMac != oldMac, newSeal != oldSeal)
	}
	for _, p := range []iam.Purpose{iam.TokenKeys, iam.CodeKeys, iam.RefreshKeys} {
		lines := 1
		if p == iam.TokenKeys {
			lines = 2 // ES256 and EdDSA
		}
		if got := r.states(p); got[iam.Active] != lines || got[iam.Pending] != lines || got[iam.Retiring] != lines {
			t.Errorf("%s: %v, want one active, one pending and one retiring key in each line", p, got)
		}
	}
	// What the old keys made is still good.
	token, err := jose.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := r.Published().Key(old)
	if !ok || token.Verify(key) != nil {
		t.Error("a token of the old key does not verify right after the rotation")
	}
	if plain, err := r.OpenCode(oldSeal, sealed); err != nil || string(plain) != "code" {
		t.Errorf("a code of the old key: %q %v", plain, err)
	}
	if _, err := r.RefreshMAC(oldMac, "x"); err != nil {
		t.Errorf("the old mac key: %v", err)
	}
	r.tend(r.Service)
	if got := r.states(iam.RefreshKeys); got[iam.Active] != 1 || got[iam.Retiring] != 1 {
		t.Errorf("a second look rotated again: %v", got)
	}
}

func TestC24SecretsOfKeysLongPastAreErased(t *testing.T) {
	r := newRing(t, 0)
	old := r.signs()
	r.clock.Advance(30 * day)
	r.tend(r.Service)
	sealedOf := func(id string) string {
		stored, err := r.db.Keys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range stored {
			if string(k.ID) == id {
				return k.Sealed
			}
		}
		t.Fatalf("the row of %s is gone: its public half is needed for old ID tokens", id)
		return ""
	}
	r.clock.Advance(6 * day)
	r.tend(r.Service)
	if sealedOf(old) == "" {
		t.Error("erased while a clock that was wrong could still need it")
	}
	r.clock.Advance(2 * day)
	r.tend(r.Service)
	if sealedOf(old) != "" {
		t.Error("the private key of a removed key is kept for ever")
	}
	// Not even a clock that is set back makes an erased key sign.
	r.clock.Advance(-20 * day)
	if err := r.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if r.signs() == old {
		t.Error("an erased key signs")
	}
	// A service that opens the folder now does not stumble over the erased one.
	r.open(0, r.kek)
}

func TestTwoNodesRotateOnce(t *testing.T) {
	r := newRing(t, day)
	nodes := []*keys.Service{r.Service, r.open(day, r.kek), r.open(day, r.kek), r.open(day, r.kek)}
	r.clock.Advance(31 * day)
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() {
			if err := n.Tend(ctx, keys.DefaultRotateEvery); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := r.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	for _, p := range []iam.Purpose{iam.TokenKeys, iam.CodeKeys, iam.RefreshKeys} {
		if got := r.states(p); got[iam.Active] != 1 || got[iam.Pending] != 1 || got[iam.Retiring] != 1 {
			t.Errorf("%s: %v, want one rotation", p, got)
		}
	}
}

func TestANodeThatSleptDoesNotSignWithAForgottenKey(t *testing.T) {
	r := newRing(t, 0)
	sleeper := r.open(0, r.kek)
	r.clock.Advance(30 * day)
	r.tend(r.Service)
	current := r.signs()
	r.clock.Advance(time.Hour) // by now the old key is not published any more
	signer, err := sleeper.Signer(ctx, "ES256")
	if err != nil || signer.Key().ID() != current {
		t.Errorf("it signs with %s, the active key is %s (%v)", signer.Key().ID(), current, err)
	}
}

// Its clock went back meanwhile, so what it knows looks as if it were new.
func TestANodeWhoseClockWentBackDoesNotSignWithARetiredKey(t *testing.T) {
	r := newRing(t, 0)
	sleeper := r.open(0, r.kek)
	retired := r.signs()
	if _, err := r.Retire(ctx, "cli:test", iam.KeyID(retired)); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(-time.Hour)
	if signer, err := sleeper.Signer(ctx, "ES256"); err != nil || signer.Key().ID() == retired {
		t.Errorf("it signs with %s, which is retired (%v)", signer.Key().ID(), err)
	}
}

func TestANodeThatCannotConfirmItsKeysDoesNotSign(t *testing.T) {
	r := newRing(t, 0)
	r.signs()
	if err := r.Confirm(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(900 * time.Millisecond)
	if _, err := r.Signer(ctx, "ES256"); err != nil {
		t.Errorf("confirmed a moment ago: %v", err)
	}
	r.clock.Advance(time.Minute)
	if s, err := r.Signer(ctx, "ES256"); err == nil {
		t.Errorf("signs with %s, which nobody confirmed for a minute", s.Key().ID())
	}
}

func TestClockJumps(t *testing.T) {
	r := newRing(t, day)
	first := r.signs()
	// An hour or a year ahead, and back again: never without an active and a
	// pending key, never a key that was not published.
	for _, jump := range []time.Duration{time.Hour, -time.Hour, -30 * day, 30 * day, 365 * day, -365 * day, 40 * day, day} {
		r.clock.Advance(jump)
		before := r.Published()
		r.tend(r.Service)
		signs := r.signs()
		if _, known := before.Key(signs); !known {
			t.Errorf("after %s a key signs that was not published before", jump)
		}
		got := r.states(iam.TokenKeys)
		if got[iam.Active] != 1 || got[iam.Pending] < 1 {
			t.Errorf("after %s: %v", jump, got)
		}
		for range 3 {
			r.tend(r.Service)
		}
		if again := r.states(iam.TokenKeys); again[iam.Pending] != got[iam.Pending] {
			t.Errorf("after %s every look makes another key: %v, then %v", jump, got, again)
		}
	}
	if r.signs() == first {
		t.Error("40 days later the first key still signs")
	}
}

func TestARestartInTheMiddleOfARotation(t *testing.T) {
	r := newRing(t, day)
	old := r.signs()
	next, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(12 * time.Hour)
	again := r.open(day, r.kek)
	r.tend(again)
	if s, _ := again.Signer(ctx, "ES256"); s.Key().ID() != old {
		t.Error("the planned key took over too early")
	}
	r.clock.Advance(13 * time.Hour)
	r.tend(again)
	if s, _ := again.Signer(ctx, "ES256"); s.Key().ID() != string(next.ID) {
		t.Error("the planned key did not take over after the restart")
	}
	if got := r.states(iam.TokenKeys); got[iam.Active] != 1 || got[iam.Pending] != 1 {
		t.Errorf("%v", got)
	}
}

func TestC13ARetiredMacKeyEndsItsGrants(t *testing.T) {
	r := newRing(t, 0)
	mac, _ := r.RefreshKey()
	if err := r.db.CreateUser(ctx, iam.User{ID: "usr_a", Username: "ada"}); err != nil {
		t.Fatal(err)
	}
	if err := r.db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}); err != nil {
		t.Fatal(err)
	}
	grant := func(id iam.GrantID, key iam.KeyID) {
		g := iam.Grant{ID: id, UserID: "usr_a", ClientID: "app", Gen: 1, MacKeyID: key, CreatedAt: r.clock.Now(), IdleExpires: r.clock.Now().Add(day), Expires: r.clock.Now().Add(day)}
		outcome, err := r.db.RedeemCode(ctx, iam.Redemption{Code: iam.CodeID(id), CodeExpires: r.clock.Now().Add(time.Minute), Grant: g, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{Kind: "x"}})
		if err != nil || outcome != iam.Redeemed {
			t.Fatal(outcome, err)
		}
	}
	grant("gr_1", mac)
	grant("gr_2", "key_other")
	if _, err := r.Retire(ctx, "test", mac); err != nil {
		t.Fatal(err)
	}
	g1, _ := r.db.Grant(ctx, "gr_1")
	g2, _ := r.db.Grant(ctx, "gr_2")
	if g1.RevokedAt.IsZero() || !g2.RevokedAt.IsZero() {
		t.Errorf("revoked: %v %v, want only the grant on the retired key", g1.RevokedAt, g2.RevokedAt)
	}
	revoked, err := r.db.Revocations(ctx, 0, 10)
	if err != nil || len(revoked) != 2 {
		t.Errorf("revocations %v %v, want the grant and the key", revoked, err)
	}
}

func TestC23RewrapWithAnotherKeyEncryptionKey(t *testing.T) {
	r := newRing(t, 0)
	signs := r.signs()
	next, _ := keys.GenerateKEK()
	safe := keys.NewSafe(r.kek)
	if err := r.db.PutSecret(ctx, iam.Sealed{Purpose: iam.ACMEData, ID: "cert", Sealed: safe.Seal(iam.ACMEData, "cert", []byte("PEM"))}); err != nil {
		t.Fatal(err)
	}
	stranger, _ := keys.GenerateKEK()
	if _, _, err := keys.Rewrap(ctx, r.db, "test", []keys.KEK{next, stranger}); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("without the old key: %v", err)
	}
	total, changed, err := keys.Rewrap(ctx, r.db, "test", []keys.KEK{next, r.kek})
	if err != nil || total != 11 || changed != 11 {
		t.Fatalf("%d of %d %v, want ten keys and one certificate", changed, total, err)
	}
	if _, changed, err = keys.Rewrap(ctx, r.db, "test", []keys.KEK{next, r.kek}); err != nil || changed != 0 {
		t.Errorf("a second time: %d %v", changed, err)
	}
	// The new key opens everything alone, the old one nothing any more.
	again := r.open(0, next)
	if s, err := again.Signer(ctx, "ES256"); err != nil || s.Key().ID() != signs {
		t.Errorf("signs with %v %v", s.Key().ID(), err)
	}
	sealed, err := r.db.Secret(ctx, iam.ACMEData, "cert")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := keys.NewSafe(next).Open(iam.ACMEData, "cert", sealed); err != nil || string(plain) != "PEM" {
		t.Errorf("got %q %v", plain, err)
	}
	if _, err := keys.NewSafe(next).Open(iam.ACMEData, "other", sealed); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("a secret moved to another name opens: %v", err)
	}
	_, err = keys.Open(ctx, keys.Config{Records: r.db, KEKs: []keys.KEK{r.kek}, Now: r.clock.Now})
	if !errors.Is(err, keys.ErrSealed) || !strings.Contains(err.Error(), next.ID()) {
		t.Errorf("the old key: %v", err)
	}
	// A running process keeps what it opened.
	if err := r.Reload(ctx); err != nil || r.signs() != signs {
		t.Errorf("a running process: %v", err)
	}
}
