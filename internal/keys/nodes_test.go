package keys_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// knot is one of several nodes on one database, with a clock of its own.
type knot struct {
	*keys.Service
	clock  *storetest.Clock
	asleep bool
	seen   int64
}

func (r *ring) knot(skew, ahead time.Duration) *knot {
	r.t.Helper()
	k := &knot{clock: storetest.NewClock()}
	k.clock.Advance(r.clock.Now().Sub(k.clock.Now()) + skew)
	var err error
	k.Service, err = keys.Open(ctx, keys.Config{Records: r.db, KEKs: []keys.KEK{r.kek}, PublishAhead: ahead, Now: k.clock.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

// poll is what the watcher of a node does ten times a second, unless it sleeps.
func (r *ring) poll(k *knot) {
	r.t.Helper()
	if k.asleep {
		return
	}
	changes, head, err := r.db.Changes(ctx, k.seen)
	if err != nil {
		r.t.Fatal(err)
	}
	if k.seen = head; len(changes) > 0 {
		err = k.Reload(ctx)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if err := k.Confirm(ctx); err != nil {
		r.t.Fatal(err)
	}
}

func (r *ring) pass(d time.Duration, nodes ...*knot) {
	r.clock.Advance(d)
	for _, n := range nodes {
		n.clock.Advance(d)
		r.poll(n)
	}
}

// stored is a key as the database has it.
func (r *ring) stored(id string) iam.Key {
	r.t.Helper()
	all, err := r.db.Keys(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, k := range all {
		if string(k.ID) == id {
			return k
		}
	}
	r.t.Fatalf("no key %s", id)
	return iam.Key{}
}

// Three nodes, whose clocks are an hour apart and jump, rotate, retire and sleep
// at random. None ever signs with a key that is removed, that is not published
// by every node that is awake, or before its time; what one sealed or proved
// the others can read.
func TestC24KeysAcrossNodes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	r := newRing(t, day)
	nodes := []*knot{r.knot(0, day), r.knot(time.Hour, day), r.knot(-time.Hour, day)}
	forced := map[iam.KeyID]bool{}
	first := r.signs()
	used := map[string]int{}
	for step := range 120 {
		n := nodes[random.IntN(len(nodes))]
		act := []string{"sleep", "wake", "rotate", "now", "retire", "tend", "tend", "jump", "nothing"}[random.IntN(9)]
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d, step %d (%s): %s", seed, step, act, fmt.Sprintf(format, args...))
		}
		var err error
		switch act {
		case "sleep":
			n.asleep = true
		case "wake":
			n.asleep = false
		case "rotate":
			_, err = n.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
		case "now":
			var k iam.Key
			k, err = n.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.AtOnce)
			forced[k.ID] = true
		case "retire":
			var k iam.Key
			active, signing := n.Signer(ctx, "ES256")
			if signing != nil {
				fail("%v", signing)
			}
			k, err = n.Retire(ctx, "test", iam.KeyID(active.Key().ID()))
			forced[k.ID] = true
		case "tend":
			err = n.Tend(ctx, 30*day)
		case "jump":
			n.clock.Advance([]time.Duration{time.Hour, -2 * time.Hour, 48 * time.Hour, -72 * time.Hour}[random.IntN(4)])
		}
		if err != nil && !errors.Is(err, iam.ErrConflict) {
			fail("%v", err)
		}
		// Longer than a sleeper may go without looking.
		r.pass([]time.Duration{4 * time.Second, time.Minute, time.Hour, 25 * time.Hour, 12 * day}[random.IntN(5)], nodes...)
		now := r.clock.Now()
		for i, n := range nodes {
			signer, err := n.Signer(ctx, "ES256")
			if err != nil {
				fail("node %d: %v", i, err)
			}
			id := signer.Key().ID()
			used[id]++
			k := r.stored(id)
			switch {
			case !k.RemovedAt.IsZero():
				fail("node %d (asleep %v) signs with a removed key", i, n.asleep)
			case k.ActivateAt.IsZero() || k.ActivateAt.After(now):
				fail("node %d signs %s before its time", i, k.ActivateAt.Sub(now))
			case !forced[k.ID] && id != first && k.ActivateAt.Sub(k.CreatedAt) < day:
				fail("node %d signs with a key that was published for %s only", i, k.ActivateAt.Sub(k.CreatedAt))
			}
			for j, other := range nodes {
				if _, ok := other.Published().Key(id); !ok && !other.asleep {
					fail("node %d signs with a key that node %d does not publish", i, j)
				}
			}
			kid, sealed, err := n.SealCode([]byte("code"))
			if err != nil {
				fail("%v", err)
			}
			if plain, err := nodes[(i+1)%3].OpenCode(kid, sealed); err != nil || string(plain) != "code" {
				fail("node %d does not open what node %d sealed: %v", (i+1)%3, i, err)
			}
			if mac, err := n.RefreshKey(); err != nil {
				fail("%v", err)
			} else if _, err := nodes[(i+1)%3].RefreshMAC(mac, "x"); err != nil {
				fail("node %d does not know the mac key of node %d: %v", (i+1)%3, i, err)
			}
		}
	}
	t.Logf("%d keys signed", len(used))
	if len(used) < 15 {
		t.Errorf("only %d keys signed: the steps do nothing", len(used))
	}
}

// A node whose clock is a day fast does not sign with a key that was planned
// for tomorrow: the database's clock counts.
func TestC26ANodeWithAFastClockWaits(t *testing.T) {
	r := newRing(t, day)
	fast := r.knot(25*time.Hour, day)
	old := r.signs()
	next, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
	if err != nil {
		t.Fatal(err)
	}
	r.pass(time.Minute, fast)
	if s, err := fast.Signer(ctx, "ES256"); err != nil || s.Key().ID() != old {
		t.Errorf("it signs with %s, want the active key (%v)", s.Key().ID(), err)
	}
	r.pass(day, fast)
	if s, err := fast.Signer(ctx, "ES256"); err != nil || s.Key().ID() != string(next.ID) {
		t.Errorf("it signs with %s, want the planned key (%v)", s.Key().ID(), err)
	}
	// And what it makes itself is dated by the database.
	made, err := fast.Rotate(ctx, "test", iam.TokenKeys, "EdDSA", keys.AtOnce)
	if err != nil || made.ActivateAt.After(r.clock.Now().Add(time.Second)) {
		t.Errorf("active from %s, it is %s: %v", made.ActivateAt, r.clock.Now(), err)
	}
}

// An emergency while a rotation is planned: the planned key, which everybody
// knows, takes over, not one that nobody has seen.
func TestC24RetiringUsesThePlannedKey(t *testing.T) {
	for _, act := range []string{"retire", "rotate now"} {
		r := newRing(t, day)
		old := r.signs()
		planned, err := r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.Planned)
		if err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(time.Hour)
		published := r.Published()
		var next iam.Key
		if act == "retire" {
			next, err = r.Retire(ctx, "test", iam.KeyID(old))
		} else {
			next, err = r.Rotate(ctx, "test", iam.TokenKeys, "ES256", keys.AtOnce)
		}
		if err != nil || next.ID != planned.ID || r.signs() != string(planned.ID) {
			t.Errorf("%s: %s took over, want the planned %s: %v", act, next.ID, planned.ID, err)
		}
		if _, ok := published.Key(r.signs()); !ok {
			t.Errorf("%s: a key signs that was not published", act)
		}
		if got := r.states(iam.TokenKeys); got[iam.Active] != 1 || got[iam.Pending] != 1 {
			t.Errorf("%s: %v", act, got)
		}
	}
}

// A refresh token whose key another node made a moment ago, before this one
// looked, is read all the same; a key that nobody made costs two looks a second.
func TestANodeAsksForAKeyItDoesNotKnow(t *testing.T) {
	r := newRing(t, 0)
	other := r.knot(0, 0)
	r.pass(400*time.Millisecond, other)
	other.asleep = true
	for range 2 { // the second one was not even pending when the other looked
		if _, err := r.Rotate(ctx, "test", iam.RefreshKeys, "HS256", keys.AtOnce); err != nil {
			t.Fatal(err)
		}
	}
	id, err := r.RefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.RefreshMAC(id, "x")
	if err != nil {
		t.Fatal(err)
	}
	r.pass(300*time.Millisecond, other) // not long enough to be stale
	if got, err := other.RefreshMAC(id, "x"); err != nil || string(got) != string(want) {
		t.Errorf("%x %v", got, err)
	}
	if _, err := other.RefreshMAC("key_nobody", "x"); !errors.Is(err, keys.ErrUnusable) {
		t.Errorf("%v", err)
	}
}

// Without the database a token that may be good is not called bad.
func TestKeysThatCannotBeConfirmedAreNotUsed(t *testing.T) {
	r := newRing(t, 0)
	id, _ := r.RefreshKey()
	kid, sealed, err := r.SealCode([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.db.Close()
	r.clock.Advance(4 * time.Second)
	_, mac := r.RefreshMAC(id, "x")
	_, open := r.OpenCode(kid, sealed)
	_, next := r.RefreshKey()
	_, sign := r.Signer(ctx, "ES256")
	_, _, seal := r.SealForm("x", nil)
	for i, err := range []error{mac, open, next, sign, seal} {
		if !errors.Is(err, iam.ErrUnavailable) || errors.Is(err, keys.ErrUnusable) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if r.Published().Len() == 0 {
		t.Error("verifiers get no keys because the database is away")
	}
}
