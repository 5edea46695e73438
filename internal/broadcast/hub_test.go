package broadcast_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/broadcast"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const issuer = "https://auth.example.com"

// rows are revocations in an order of their own: which numbers are visible is up
// to the test, because databases show them late and out of order.
type rows struct {
	mu   sync.Mutex
	list []iam.Revocation
	fail error
	// settled is the number that no row will come before; the highest unless held.
	settled int64
	held    bool
	// histories counts failovers.
	histories int
}

// tail returns each row once, in whatever order they came, like the store's.
type tail struct {
	rows     *rows
	returned int
	history  int
}

func (r *rows) follow() broadcast.Tail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &tail{rows: r, history: r.histories}
}

// failOver loses all rows.
func (r *rows) failOver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list, r.settled = nil, 0
	r.histories++
}

func (t *tail) Next(context.Context) ([]iam.Revocation, int64, error) {
	t.rows.mu.Lock()
	defer t.rows.mu.Unlock()
	if t.rows.fail != nil {
		return nil, 0, t.rows.fail
	}
	if t.history != t.rows.histories {
		return nil, 0, fmt.Errorf("read: %w", iam.ErrBeganAnew)
	}
	fresh := t.rows.list[t.returned:]
	fresh = fresh[:min(1000, len(fresh))]
	t.returned += len(fresh)
	return fresh, t.rows.settled, nil
}

func (r *rows) add(seqs ...int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, seq := range seqs {
		now := time.Now()
		if !r.held {
			r.settled = max(r.settled, seq)
		}
		r.list = append(r.list, iam.Revocation{Seq: seq, At: now, Kind: iam.RevokeToken, Subject: fmt.Sprint("j", seq), DropAfter: now.Add(11 * time.Minute)})
	}
}

func (r *rows) failing(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = err
}

// ring is the feed's key; the test changes it. All that it had are published.
type ring struct {
	key       atomic.Pointer[jose.Signer]
	published []jose.Key // of the test
}

func (r *ring) FeedSigner(context.Context) (jose.Signer, error) { return *r.key.Load(), nil }

func (r *ring) turn(t *testing.T) {
	t.Helper()
	s, err := jose.GenerateSigner(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	r.key.Store(&s)
	r.published = append(r.published, s.Key())
}

type house struct {
	*broadcast.Hub
	rows *rows
	ring *ring
}

func newHouse(t *testing.T, change func(*broadcast.Config), seqs ...int64) *house {
	t.Helper()
	h := &house{rows: &rows{}, ring: &ring{}}
	h.ring.turn(t)
	h.rows.add(seqs...)
	c := broadcast.Config{Issuer: issuer, Follow: h.rows.follow, Keys: h.ring}
	if change != nil {
		change(&c)
	}
	var err error
	if h.Hub, err = broadcast.New(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	eventually(t, "the hub runs", func() bool { _, ok := h.Lag(); return ok })
	return h
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 10 seconds not: %s", what)
		}
	}
}

// follower is a verifier: the reader of package feed at the hub's frames.
type follower struct {
	t      *testing.T
	h      *house
	set    feed.Set
	reader *feed.Reader
	from   *broadcast.Reader
	heard  []feed.Type
}

var address = netip.MustParseAddr("192.0.2.1")

func (h *house) follow(t *testing.T) *follower {
	t.Helper()
	f := &follower{t: t, h: h}
	f.reader = feed.NewReader(issuer, &f.set)
	f.enter(f.reader.Begin())
	return f
}

func (f *follower) enter(lastEventID string) {
	f.t.Helper()
	var err error
	if f.from, err = f.h.Enter(address, lastEventID); err != nil {
		f.t.Fatal(err)
	}
}

// take takes one batch of frames.
func (f *follower) take() error {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer cancel()
	frames, err := f.from.Next(ctx)
	if err != nil {
		return err
	}
	for _, frame := range frames {
		e, err := feed.NewEvents(bytes.NewReader(frame)).Next()
		if err != nil {
			f.t.Fatal(err)
		}
		o, err := f.reader.Take(e, jose.NewKeySet(f.h.ring.published...), time.Now())
		if err != nil && !errors.Is(err, feed.ErrClock) {
			return err
		}
		f.heard = append(f.heard, o.Type)
	}
	return nil
}

func (f *follower) until(what string, holds func() bool) {
	f.t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(end) {
			f.t.Fatalf("not: %s; heard %v", what, f.heard)
		}
		if err := f.take(); err != nil {
			f.t.Fatalf("%s: %v", what, err)
		}
	}
}

func (f *follower) knows(seqs ...int64) bool {
	for _, seq := range seqs {
		if _, revoked := f.set.Revoked(f.set.Marks(feed.Subject{TokenID: fmt.Sprint("j", seq)})); !revoked {
			return false
		}
	}
	return true
}

func (f *follower) count(t feed.Type) int {
	n := 0
	for _, h := range f.heard {
		if h == t {
			n++
		}
	}
	return n
}

// C19: a reader gets what there is, then what is new, and a heartbeat each second.
func TestC19_SnapshotDeltasHeartbeats(t *testing.T) {
	h := newHouse(t, nil, 1, 2)
	f := h.follow(t)
	f.until("the snapshot", func() bool { return f.knows(1, 2) })
	began := time.Now()
	h.rows.add(3)
	f.until("the delta", func() bool { return f.knows(3) })
	if took := time.Since(began); took > time.Second {
		t.Errorf("a delta took %s", took)
	}
	f.until("two heartbeats", func() bool { return f.count(feed.Heartbeat) >= 2 })
	if age := f.set.Age(time.Now()); age > time.Second {
		t.Errorf("age %s", age)
	}
}

// A row of a transaction that was committed after those of higher numbers
// arrives, exactly once, also at who resumes; whatever the order.
func TestC19_LateRowsAreNotMissed(t *testing.T) {
	h := newHouse(t, nil, 10)
	f := h.follow(t)
	f.until("what is there", func() bool { return f.knows(10) })
	h.rows.mu.Lock()
	h.rows.held = true // a transaction with a lower number is open
	h.rows.mu.Unlock()
	h.rows.add(15)
	f.until("the higher number", func() bool { return f.knows(15) })
	f.until("a heartbeat", func() bool { return f.count(feed.Heartbeat) >= 1 })
	resume := f.reader.Begin()
	if resume != "10" {
		t.Errorf("it would resume after %s, and miss what comes late", resume)
	}
	h.rows.add(12, 14)
	again := h.follow(t)
	again.until("the late rows in a snapshot", func() bool { return len(again.heard) > 0 && again.knows(12, 14, 15) || again.take() != nil })
	f.enter(resume)
	f.until("the late rows", func() bool { return f.knows(12, 14, 15) })
}

// C19: who resumes gets what it missed and not the whole; who names a number of
// the future, of nonsense, or of too long ago gets a whole snapshot.
func TestC19_Resume(t *testing.T) {
	h := newHouse(t, nil, 1, 2, 3)
	f := h.follow(t)
	f.until("all", func() bool { return f.knows(1, 2, 3) })
	id := f.reader.Begin()
	if id != "3" {
		t.Fatalf("resumes with %s", id)
	}
	h.rows.add(4)
	g := h.follow(t)
	g.until("the hub knows", func() bool { return g.knows(4) })
	f.enter(id)
	f.heard = nil
	f.until("what it missed", func() bool { return f.knows(4) })
	if f.heard[0] != feed.Snapshot || f.count(feed.Snapshot) != 1 {
		t.Errorf("heard %v", f.heard)
	}
	for _, odd := range []string{"", "0", "-1", "99", "abc", "1e3", "9999999999999999", "99999999999999999999999999", "3 ", "３"} {
		g := h.follow(t)
		g.enter(odd)
		g.until("all, after Last-Event-ID "+odd, func() bool { return g.knows(1, 2, 3, 4) })
	}
}

// A new feed key is a new salt: readers get a snapshot on the connection they have.
func TestC24_AnotherFeedKey(t *testing.T) {
	h := newHouse(t, nil, 1)
	f := h.follow(t)
	f.until("the first", func() bool { return f.knows(1) })
	before := f.set.Salt()
	h.ring.turn(t)
	f.until("the snapshot of the new key", func() bool { return f.set.Salt() != before })
	h.rows.add(2)
	f.until("a delta of the new key", func() bool { return f.knows(1, 2) })
}

// A node that cannot read the database says nothing, and goes on when it can.
func TestC19_NoHeartbeatWithoutTheDatabase(t *testing.T) {
	h := newHouse(t, nil, 1)
	f := h.follow(t)
	f.until("a heartbeat", func() bool { return f.count(feed.Heartbeat) >= 1 })
	h.rows.failing(errors.New("disk on fire"))
	time.Sleep(300 * time.Millisecond) // what was on its way
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	silent := 0
	for {
		if _, err := f.from.Next(ctx); err != nil {
			break
		}
		silent++
	}
	if silent > 1 {
		t.Errorf("%d messages without a database", silent)
	}
	h.rows.failing(nil)
	h.rows.add(2)
	g := h.follow(t)
	g.until("life again", func() bool { return g.knows(1, 2) && g.count(feed.Heartbeat) > 0 })
}

// C29: a clock that is set back begins a new stream, so that heartbeats count on.
func TestC19_TheClockIsSetBack(t *testing.T) {
	var skew atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	h := newHouse(t, func(c *broadcast.Config) { c.Now = now }, 1)
	f := h.follow(t)
	f.until("a heartbeat", func() bool { return f.count(feed.Heartbeat) >= 1 })
	skew.Store(int64(-30 * time.Second))
	f.until("a snapshot", func() bool { return f.count(feed.Snapshot) == 2 })
	f.set.MarkCurrent(time.Time{})
	f.until("a heartbeat that counts", func() bool { return f.set.Age(time.Now()) != feed.Never })
}

// The clock of a node has no say in what is forgotten: one that is an hour fast
// hands out what still matters.
func TestC16_AFastNodeForgetsNothing(t *testing.T) {
	h := newHouse(t, func(c *broadcast.Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } }, 1)
	h.rows.add(2)
	f := h.follow(t)
	f.until("both", func() bool { return f.knows(1, 2) })
}

// Readers beyond the limits are refused, and leave room when they go.
func TestC19_Limits(t *testing.T) {
	h := newHouse(t, func(c *broadcast.Config) { c.Readers, c.ReadersPerAddress = 3, 2 })
	other, third := netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8::1")
	enter := func(a netip.Addr, want error) *broadcast.Reader {
		t.Helper()
		r, err := h.Enter(a, "")
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", a, err, want)
		}
		return r
	}
	first := enter(address, nil)
	enter(address, nil)
	enter(address, broadcast.ErrFull)
	enter(other, nil)
	enter(other, broadcast.ErrFull) // its network would have as many as the one that loses
	first.Close()
	first.Close()
	enter(third, nil)
	enter(address, broadcast.ErrFull)
	if n := h.Readers(); n != 3 {
		t.Errorf("%d readers", n)
	}
}

// C19: who has many addresses of a few networks cannot keep others out: its
// newest readers go, down to a share that is like everybody's, and nobody who is
// let in that way is sent away for the one who lost the place.
func TestC19_NobodyTakesAllPlaces(t *testing.T) {
	const places = 64
	h := newHouse(t, func(c *broadcast.Config) { c.Readers, c.ReadersPerAddress = places, 16 }, 1)
	var greedy []*broadcast.Reader
	for i := range places {
		r, err := h.Enter(netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", i%16)), "")
		if err != nil {
			t.Fatal(err)
		}
		greedy = append(greedy, r)
	}
	honest := h.follow(t)
	honest.until("the snapshot", func() bool { return honest.knows(1) })
	if n := h.Readers(); n != places {
		t.Errorf("%d readers, want %d", n, places)
	}
	last := greedy[places-1]
	if _, err := last.Next(t.Context()); !errors.Is(err, broadcast.ErrOusted) {
		t.Errorf("the newest of the greedy: %v", err)
	}
	last.Close() // its place is another's already
	if n := h.Readers(); n != places {
		t.Errorf("%d readers after the ousted left, want %d", n, places)
	}
	if _, err := greedy[0].Next(t.Context()); err != nil {
		t.Errorf("the oldest of the greedy: %v", err)
	}
	for range 3 { // it comes back, and from its network nobody else has a chance
		if _, err := h.Enter(netip.MustParseAddr("203.0.113.200"), ""); !errors.Is(err, broadcast.ErrFull) {
			t.Errorf("the greedy again: %v", err)
		}
	}
	// IPv6: a /48 is one.
	for i := range places {
		_, err := h.Enter(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::1", i)), "")
		if want := i < 31; want != (err == nil) { // 63 of the greedy and 1: they meet at 32 and 31
			t.Fatalf("reader %d of the /48: %v", i, err)
		}
	}
	honest.until("a heartbeat, still", func() bool { return honest.count(feed.Heartbeat) >= 2 })
}

// A reader knows at once that the snapshot was all; not while the database
// cannot be read.
func TestC19_AHeartbeatFollowsTheSnapshot(t *testing.T) {
	h := newHouse(t, nil, 1)
	for i := range 20 { // at whatever moment between two heartbeats
		time.Sleep(37 * time.Millisecond)
		began := time.Now()
		f := h.follow(t)
		f.until("a heartbeat", func() bool { return f.count(feed.Heartbeat) >= 1 })
		if took := time.Since(began); took > 200*time.Millisecond || f.set.Age(time.Now()) > time.Second {
			t.Errorf("%d: current after %s", i, took)
		}
		h.rows.add(int64(i + 2))
		f.until("what follows it", func() bool { return f.knows(int64(i + 2)) })
		f.from.Close()
	}
	h.rows.failing(errors.New("disk on fire"))
	time.Sleep(800 * time.Millisecond)
	f := h.follow(t)
	if err := f.take(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if frames, err := f.from.Next(ctx); err == nil && bytes.Contains(bytes.Join(frames, nil), []byte("event: heartbeat")) {
		t.Errorf("a heartbeat without a database: %s", frames)
	}
}

// The snapshot that is shared may be older than a revocation: no heartbeat of the
// time between comes first, or a verifier would believe that it knows all.
func TestC19_OldHeartbeatsAreNotRepeated(t *testing.T) {
	h := newHouse(t, nil, 1)
	first := h.follow(t) // has the snapshot cut
	first.until("two heartbeats", func() bool { return first.count(feed.Heartbeat) >= 2 })
	h.rows.add(2)
	first.until("the delta", func() bool { return first.knows(2) })
	f := h.follow(t)
	f.until("a heartbeat", func() bool { return f.count(feed.Heartbeat) >= 1 })
	if at := slices.Index(f.heard, feed.Heartbeat); at < slices.Index(f.heard, feed.Delta) || !f.knows(2) {
		t.Errorf("heard %v", f.heard)
	}
}

// A reader that does not take its messages costs no memory and is cut.
func TestC19_SlowReadersAreCut(t *testing.T) {
	h := newHouse(t, func(c *broadcast.Config) { c.Kept = 4 })
	slow, quick := h.follow(t), h.follow(t)
	slow.until("the snapshot", func() bool { return len(slow.heard) > 0 })
	for seq := range int64(10) {
		h.rows.add(seq + 1)
		quick.until("each", func() bool { return quick.knows(seq + 1) })
	}
	if err := slow.take(); !errors.Is(err, broadcast.ErrSlow) {
		t.Errorf("got %v, want ErrSlow", err)
	}
}

// When the hub ends, everybody is sent away at once, and nobody is let in.
func TestC19_TheEnd(t *testing.T) {
	h := &house{rows: &rows{}, ring: &ring{}}
	h.ring.turn(t)
	var err error
	if h.Hub, err = broadcast.New(broadcast.Config{Issuer: issuer, Follow: h.rows.follow, Keys: h.ring}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enter(address, ""); !errors.Is(err, broadcast.ErrClosed) {
		t.Errorf("before it runs: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	eventually(t, "the hub runs", func() bool { _, ok := h.Lag(); return ok })
	f := h.follow(t)
	f.until("the snapshot", func() bool { return len(f.heard) > 0 })
	cancel()
	running.Wait()
	for err = f.take(); err == nil; err = f.take() {
	}
	if !errors.Is(err, broadcast.ErrClosed) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := h.Enter(address, ""); !errors.Is(err, broadcast.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// C15: after a failover that lost rows, what was heard stays revoked, what is new
// is heard although its number was used before, and who comes back with a number
// of before gets everything.
func TestC15AFailoverLosesNoRevocationThatWasHeard(t *testing.T) {
	h := newHouse(t, nil, 1, 2, 3)
	f := h.follow(t)
	f.until("three", func() bool { return f.knows(1, 2, 3) })
	away := h.follow(t)
	away.until("three", func() bool { return away.knows(1, 2, 3) })
	away.from.Close()
	h.rows.failOver()
	h.rows.mu.Lock()
	now := time.Now()
	for seq, subject := range []string{"j7", "j8", "j9", "j10"} {
		h.rows.list = append(h.rows.list, iam.Revocation{Seq: int64(seq) + 1, At: now, Kind: iam.RevokeToken, Subject: subject, DropAfter: now.Add(11 * time.Minute)})
	}
	h.rows.settled = 4
	h.rows.mu.Unlock()
	f.until("new ones under old numbers", func() bool { return f.knows(7, 8, 9, 10) })
	if !f.knows(1, 2, 3) {
		t.Error("what was heard before is forgotten")
	}
	away.enter(away.reader.Begin())
	away.until("who comes back", func() bool { return away.knows(7, 8, 9, 10) })
}
