package feed_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

// step is one event that comes at a time, and what must follow.
type step struct {
	when    float64 // by the reader's clock, seconds after the start
	message feed.Message
	want    error
	live    bool
	changed bool
}

// C15, C19: the state machine, a row for each way that a feed can go.
func TestC19_Reader(t *testing.T) {
	a, b := entry(feed.Session, "ses_a", 0), entry(feed.Session, "ses_b", 0)
	otherSalt := func(m *feed.Message) { m.Salt = feed.SaltOf("other") }
	part := func(k, n int) func(*feed.Message) { return func(m *feed.Message) { m.Part, m.Parts = k, n } }
	for _, tc := range []struct {
		name  string
		steps []step
		// the next connection begins with this Last-Event-ID
		resume string
	}{
		{"snapshot, delta, heartbeat", []step{
			{0, snapshot(5, a), nil, true, true}, {1, delta(6, 1, b), nil, true, true}, {2, heartbeat(6, 2), nil, true, false}}, "106"},
		{"the same entry again", []step{
			{0, snapshot(5, a), nil, true, true}, {1, delta(6, 1, a), nil, true, false}}, "106"},
		{"an empty snapshot", []step{{0, snapshot(0), nil, true, false}}, "100"},
		{"three parts", []step{
			{0, with(snapshot(5, a), part(1, 3)), nil, false, true}, {0, with(snapshot(5), part(2, 3)), nil, false, false},
			{0, with(snapshot(5, b), part(3, 3)), nil, true, true}}, "100"},
		{"a part is missing", []step{
			{0, with(snapshot(5, a), part(1, 3)), nil, false, true}, {0, with(snapshot(5, b), part(3, 3)), feed.ErrResync, false, false}}, ""},
		{"it begins with part 2", []step{{0, with(snapshot(5, a), part(2, 3)), feed.ErrResync, false, false}}, ""},
		{"a part of another snapshot", []step{
			{0, with(snapshot(5, a), part(1, 2)), nil, false, true}, {0, with(snapshot(6, b), part(2, 2)), feed.ErrResync, false, false}}, ""},
		{"a delta between the parts", []step{
			{0, with(snapshot(5, a), part(1, 2)), nil, false, true}, {0, delta(6, 1, b), feed.ErrResync, false, false}}, ""},
		{"a snapshot begins anew", []step{
			{0, with(snapshot(5, a), part(1, 2)), nil, false, true}, {0, snapshot(6, b), nil, true, true}}, "100"},
		{"a delta before the snapshot", []step{{0, delta(1, 1, a), feed.ErrResync, false, false}}, ""},
		{"a heartbeat before the snapshot", []step{{0, heartbeat(1, 1), feed.ErrResync, false, false}}, ""},
		{"a delta is missing", []step{
			{0, snapshot(5), nil, true, false}, {1, delta(7, 1, a), feed.ErrResync, false, false}}, ""},
		{"a delta is missing, the heartbeat tells", []step{
			{0, snapshot(5), nil, true, false}, {1, heartbeat(6, 1), feed.ErrResync, false, false}}, ""},
		{"a delta comes twice", []step{
			{0, snapshot(5), nil, true, false}, {1, delta(6, 1, a), nil, true, true}, {1, delta(6, 1, a), feed.ErrResync, false, false}}, ""},
		{"a heartbeat of before the delta", []step{
			{0, snapshot(5), nil, true, false}, {1, delta(6, 1, a), nil, true, true}, {1, heartbeat(5, 2), feed.ErrResync, false, false}}, ""},
		{"another stream without a snapshot", []step{
			{0, snapshot(5), nil, true, false}, {1, with(delta(6, 1, a), func(m *feed.Message) { m.Stream = "s2" }), feed.ErrResync, false, false}}, ""},
		{"another stream with a snapshot", []step{
			{0, snapshot(5), nil, true, false}, {1, with(snapshot(9, a), func(m *feed.Message) { m.Stream = "s2" }), nil, true, true},
			{2, with(heartbeat(9, 2), func(m *feed.Message) { m.Stream = "s2" }), nil, true, false}}, "109"},
		{"another salt in a delta", []step{
			{0, snapshot(5), nil, true, false}, {1, with(delta(6, 1, a), otherSalt), feed.ErrResync, false, false}}, ""},
		{"another salt in a heartbeat", []step{
			{0, snapshot(5), nil, true, false}, {1, with(heartbeat(5, 1), otherSalt), feed.ErrResync, false, false}}, ""},
		{"another salt in a whole snapshot", []step{
			{0, snapshot(5, a), nil, true, true}, {1, with(snapshot(6), otherSalt), nil, true, false}}, "100"},
		{"a whole snapshot with smaller numbers: a restored issuer", []step{
			{0, snapshot(5, a), nil, true, true}, {1, with(snapshot(1), func(m *feed.Message) { otherSalt(m); m.Seq = 7 }), nil, true, false}}, "7"},
		{"it goes on where this reader was", []step{
			{0, snapshot(5), nil, true, false}, {1, with(snapshot(9, a), func(m *feed.Message) { m.From, m.Seq = 100, 200 }), nil, true, true}}, "200"},
		{"it goes on after where this reader was", []step{
			{0, snapshot(5), nil, true, false}, {1, with(snapshot(9, a), func(m *feed.Message) { m.From = 101 }), feed.ErrResync, false, false}}, ""},
		{"it goes on under another salt", []step{
			{0, snapshot(5), nil, true, false}, {1, with(snapshot(9, a), func(m *feed.Message) { m.From = 100; otherSalt(m) }), feed.ErrResync, false, false}}, ""},
		{"it goes on with one who knows nothing", []step{
			{0, with(snapshot(9, a), func(m *feed.Message) { m.From = 100 }), feed.ErrResync, false, false}}, ""},
		{"numbers never go back with a delta", []step{
			{0, snapshot(5), nil, true, false}, {1, with(delta(6, 1, a), func(m *feed.Message) { m.Seq = 3 }), nil, true, true}}, "100"},
		{"the clocks are an hour apart", []step{
			{3600, snapshot(5), nil, true, false}, {3601, heartbeat(5, 1), feed.ErrClock, true, false}}, "105"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var set feed.Set
			r := feed.NewReader(issuer, &set)
			if id := r.Begin(); id != "" {
				t.Fatalf("it begins with Last-Event-ID %s", id)
			}
			for i, s := range tc.steps {
				got, err := r.Take(sign(t, s.message), keySet(), at(s.when))
				if !errors.Is(err, s.want) || s.want == nil && err != nil || got.Live != s.live || got.Changed != s.changed {
					t.Fatalf("step %d, %s: live %v changed %v %v, want %v %v %v", i, s.message.Type, got.Live, got.Changed, err, s.live, s.changed, s.want)
				}
			}
			if id := r.Begin(); id != tc.resume {
				t.Errorf("the next connection begins with %q, want %q", id, tc.resume)
			}
		})
	}
}

func revokes(set *feed.Set, session string) bool {
	_, revoked := set.Revoked(set.Marks(feed.Subject{SessionID: session}))
	return revoked
}

// Nothing that a relay or a broken line does takes a revocation back, also
// while a snapshot under another salt is on its way.
func TestC19_NothingIsForgottenOnTheWay(t *testing.T) {
	var set feed.Set
	r := feed.NewReader(issuer, &set)
	take := func(m feed.Message) error {
		_, err := r.Take(sign(t, m), keySet(), start)
		return err
	}
	if err := take(snapshot(1, entry(feed.Session, "ses_a", 0))); err != nil {
		t.Fatal(err)
	}
	other := feed.SaltOf("other")
	first := with(snapshot(2, feed.NewEntry(other, feed.Session, "ses_b", 0, at(60))), func(m *feed.Message) { m.Salt, m.Part, m.Parts = other, 1, 2 })
	if err := take(first); err != nil || !revokes(&set, "ses_a") || revokes(&set, "ses_b") {
		t.Errorf("half a snapshot counts: %v", err)
	}
	if err := take(delta(3, 1)); !errors.Is(err, feed.ErrResync) || !revokes(&set, "ses_a") {
		t.Errorf("an interrupted snapshot: %v", err)
	}
	r.Begin()
	if err := take(first); err != nil {
		t.Fatal(err)
	}
	last := with(first, func(m *feed.Message) { m.Part = 2; m.Entries = nil })
	if err := take(last); err != nil || revokes(&set, "ses_a") || !revokes(&set, "ses_b") {
		t.Errorf("a whole snapshot under another salt: %v", err)
	}
}

// Messages that are none of this feed leave the place: the reader resumes.
func TestC19_ForeignMessagesKeepThePlace(t *testing.T) {
	for name, spoil := range map[string]func(*feed.Event){
		"a delta as a heartbeat": func(e *feed.Event) { e.Name = "heartbeat" },
		"a byte changed":         func(e *feed.Event) { e.Data = e.Data[:len(e.Data)-2] + "AA" },
		"no token":               func(e *feed.Event) { e.Data = "hello" },
	} {
		var set feed.Set
		r := feed.NewReader(issuer, &set)
		if _, err := r.Take(sign(t, snapshot(5)), keySet(), start); err != nil {
			t.Fatal(err)
		}
		e := sign(t, delta(6, 1))
		spoil(&e)
		if _, err := r.Take(e, keySet(), start); !errors.Is(err, feed.ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
		// The same connection is not relied upon any more.
		if _, err := r.Take(sign(t, delta(6, 1)), keySet(), start); !errors.Is(err, feed.ErrResync) {
			t.Errorf("%s: it goes on: %v", name, err)
		}
	}
	// An unknown key is fetched, and the same message taken.
	var set feed.Set
	r := feed.NewReader(issuer, &set)
	e := sign(t, snapshot(5))
	if _, err := r.Take(e, otherKeySet(t), start); !errors.Is(err, feed.ErrUnknownKey) || !errors.Is(err, feed.ErrForeign) {
		t.Errorf("unknown key: %v", err)
	}
	if o, err := r.Take(e, keySet(), start); err != nil || !o.Live {
		t.Errorf("after the keys were fetched: %v", err)
	}
	if id := r.Begin(); id != "100" {
		t.Errorf("the next connection begins with %q", id)
	}
}

// What a reader does not understand may be a revocation: it takes what it knows
// and is not current until a snapshot comes without it.
func TestC15_UnknownKindsMakeItStale(t *testing.T) {
	var set feed.Set
	r := feed.NewReader(issuer, &set)
	for i, m := range []feed.Message{snapshot(5), heartbeat(5, 1)} {
		if _, err := r.Take(sign(t, m), keySet(), at(float64(i))); err != nil {
			t.Fatal(err)
		}
	}
	known := sign(t, delta(6, 2, entry(feed.Session, "ses_a", 0)))
	e := resign(t, known, func(text string) string { return strings.Replace(text, `"revoked":{`, `"revoked":{"device":"x",`, 1) })
	if o, err := r.Take(e, keySet(), at(2)); !errors.Is(err, feed.ErrUnknown) || !errors.Is(err, feed.ErrResync) || !o.Changed || o.Live {
		t.Errorf("an unknown kind: %+v %v", o, err)
	}
	if !revokes(&set, "ses_a") {
		t.Error("what was understood beside it was not taken")
	}
	if id := r.Begin(); id != "" {
		t.Errorf("it resumes with %s", id)
	}
	if age := set.Age(at(11)); age < 10*time.Second {
		t.Errorf("age %s after 10 seconds without a message that was understood", age)
	}
	// Events of other names are comments of others: unsigned, and nothing.
	if _, err := r.Take(feed.Event{Name: "hint", Data: "x"}, keySet(), at(3)); err != nil {
		t.Error(err)
	}
}

// Freshness is the issuer's time: a heartbeat that is repeated proves nothing,
// and one that is held back more and more makes the set old.
func TestC19_ReplayedHeartbeatsDoNotRefresh(t *testing.T) {
	var set feed.Set
	r := feed.NewReader(issuer, &set)
	take := func(when float64, m feed.Message, age time.Duration) {
		t.Helper()
		if _, err := r.Take(sign(t, m), keySet(), at(when)); err != nil {
			t.Fatal(err)
		}
		if got := set.Age(at(when)); got != age {
			t.Errorf("%s of %s at %.1f s: age %s, want %s", m.Type, m.At.Format("04:05"), when, got, age)
		}
	}
	take(0.5, snapshot(5), feed.Never) // it was signed some time ago
	take(1, heartbeat(5, 1), 0)
	take(2, heartbeat(5, 2), 0)
	take(8, heartbeat(5, 2), 6*time.Second) // the same again
	take(9, heartbeat(5, 1), 7*time.Second) // an older one
	take(10, heartbeat(5, 3), 7*time.Second)
	take(11, heartbeat(5, 11), 0)
	if got := set.Age(at(20)); got != 9*time.Second {
		t.Errorf("age %s after 9 seconds of silence", got)
	}
}

// A relay that begins with what it recorded an hour ago shows an old clock.
func TestC19_RecordedStreamsAreOld(t *testing.T) {
	var set feed.Set
	r := feed.NewReader(issuer, &set)
	for _, m := range []feed.Message{snapshot(5), heartbeat(5, 1), delta(6, 2), heartbeat(6, 3)} {
		_, err := r.Take(sign(t, m), keySet(), at(3600))
		if m.Type != feed.Snapshot && !errors.Is(err, feed.ErrClock) {
			t.Errorf("%s: %v", m.Type, err)
		}
	}
	if age := set.Age(at(3600)); age != feed.Never {
		t.Errorf("age %s", age)
	}
}

// All: verifiers hear that the keys they hold are worth nothing, once.
func TestC29_AllMovesTheGeneration(t *testing.T) {
	all := entry(feed.All, "restore-1", 0)
	var set feed.Set
	r := feed.NewReader(issuer, &set)
	for i, m := range []feed.Message{snapshot(5), delta(6, 1, all), delta(7, 2, all), snapshot(7, all)} {
		if _, err := r.Take(sign(t, m), keySet(), at(float64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if g := set.Generation(); g != 1 {
		t.Errorf("generation %d, want 1", g)
	}
}

// The disk form reads back; a changed byte, and a half, do not.
func TestC18_SavedSet(t *testing.T) {
	var set feed.Set
	if saved := set.AppendBinary(nil, 5); len(saved) > 0 {
		t.Error("an empty set is saved")
	}
	set.Reset(salt, everyKind...)
	set.Add(entries(feed.Token, 5000, at(600))...)
	saved := set.AppendBinary(nil, 77)
	var again feed.Set
	position, err := again.Load(saved)
	if err != nil || position != 77 || again.Len() != set.Len() || again.Salt() != salt || again.Age(start) != feed.Never {
		t.Errorf("%d entries at %d, %v", again.Len(), position, err)
	}
	if !revokes(&again, "ses_1") {
		t.Error("a session passes")
	}
	if _, revoked := again.Revoked(again.Marks(feed.Subject{UserID: "usr_1", UserEpoch: 3})); !revoked {
		t.Error("an epoch passes")
	}
	r := feed.NewReader(issuer, &again)
	r.Resume(position)
	if id := r.Begin(); id != "77" {
		t.Errorf("it resumes with %q", id)
	}
	for name, data := range map[string][]byte{"empty": nil, "cut": saved[:len(saved)-1], "half": saved[:len(saved)/2],
		"changed": append(append([]byte{}, saved[:100]...), append([]byte{saved[100] ^ 1}, saved[101:]...)...), "longer": append(append([]byte{}, saved...), 0)} {
		var none feed.Set
		if _, err := none.Load(data); !errors.Is(err, feed.ErrMalformed) || none.Len() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
