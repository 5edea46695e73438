package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// node is one of several servers on one database, as in a process of its own.
func node(t *testing.T, dir string, kek keys.KEK, now func() time.Time) *Parts {
	t.Helper()
	p, err := Assemble(context.Background(), Config{Issuer: "https://auth.example.com", Dir: dir, Database: storetest.Database(t, dir), KEKs: []keys.KEK{kek}, Now: now, PublishAhead: keys.DefaultPublishAhead})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// Of several processes one does a duty, and the next within its lease.
func TestOneProcessDoesADuty(t *testing.T) {
	ctx, dir, clock := context.Background(), t.TempDir(), storetest.NewClock()
	kek, _ := keys.GenerateKEK()
	var did [3]atomic.Int64
	var nodes []*Parts
	for range did {
		nodes = append(nodes, node(t, dir, kek, clock.Now))
	}
	round := func() {
		var all sync.WaitGroup
		for i, p := range nodes {
			all.Go(func() {
				d := duty{name: "test", every: time.Minute, work: func(context.Context) error { did[i].Add(1); return nil }}
				if err := p.turn(ctx, d); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	total := func() int64 { return did[0].Load() + did[1].Load() + did[2].Load() }
	round()
	round()
	clock.Advance(59 * time.Second)
	round()
	if total() != 1 {
		t.Errorf("done %d times within a minute, want once", total())
	}
	clock.Advance(time.Second)
	round()
	if total() != 2 {
		t.Errorf("done %d times after a minute, want twice", total())
	}
}

// A process that sleeps in the middle of its work, over the end of its lease,
// writes nothing when it wakes: neither rows that expired nor keys (C26).
func TestASleeperWritesNothingUnderAnOldFence(t *testing.T) {
	ctx, dir, clock := context.Background(), t.TempDir(), storetest.NewClock()
	kek, _ := keys.GenerateKEK()
	sleeper, other := node(t, dir, kek, clock.Now), node(t, dir, kek, clock.Now)
	asleep, wake := make(chan struct{}), make(chan struct{})
	var faults [4]error
	slept := make(chan error)
	go func() {
		slept <- sleeper.turn(ctx, duty{name: "test", every: time.Minute, work: func(ctx context.Context) error {
			if err := sleeper.Keys.Tend(ctx, time.Hour); err != nil {
				return err
			}
			close(asleep)
			<-wake
			_, faults[0] = sleeper.Store.Clean(ctx, 10)
			faults[1] = sleeper.Store.Record(ctx, iam.Event{Kind: "written.late"})
			_, faults[2] = sleeper.Keys.Rotate(ctx, "sleeper", iam.TokenKeys, "ES256", keys.AtOnce)
			faults[3] = sleeper.Store.FinishLogout(ctx, "x", iam.Event{Kind: "written.late"})
			return errors.Join(faults[:]...)
		}})
	}()
	<-asleep
	before, err := other.Store.Keys(ctx)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(leaseLife + time.Second)
	took := false
	if err := other.turn(ctx, duty{name: "test", every: time.Minute, work: func(ctx context.Context) error {
		took = true
		return other.Store.Record(ctx, iam.Event{Kind: "written.in.time"})
	}}); err != nil || !took {
		t.Fatalf("took over: %v %v", took, err)
	}
	close(wake)
	if err := <-slept; err != nil {
		t.Errorf("losing a lease is no failure of the work: %v", err)
	}
	for i, err := range faults {
		if !errors.Is(err, iam.ErrLeaseLost) {
			t.Errorf("write %d: %v, want it refused", i, err)
		}
	}
	after, err := other.Store.Keys(ctx)
	if err != nil || len(after) != len(before) {
		t.Errorf("%d keys, were %d: %v", len(after), len(before), err)
	}
	events, err := other.Store.Events(ctx, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, e := range events {
		count[e.Kind]++
	}
	if count["written.late"] != 0 || count["written.in.time"] != 1 {
		t.Errorf("%v", count)
	}
}

// Work that goes on and on is told at once that its lease is gone: here the
// database's clock jumps ahead by an hour, and another process takes over.
func TestWorkEndsWithItsLease(t *testing.T) {
	ctx, dir, clock := context.Background(), t.TempDir(), storetest.NewClock()
	kek, _ := keys.GenerateKEK()
	p := node(t, dir, kek, clock.Now)
	started := make(chan struct{})
	go func() { <-started; clock.Advance(time.Hour) }()
	began := time.Now()
	err := p.turn(ctx, duty{name: "test", every: time.Minute, work: func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}})
	if took := time.Since(began); err != nil || took > leaseLife {
		t.Errorf("it took %s: %v", took, err)
	}
	// And it stops with the process, leaving the lease to the next one at once.
	stopping, stop := context.WithCancel(ctx)
	err = p.turn(stopping, duty{name: "test", every: time.Minute, work: func(ctx context.Context) error { stop(); <-ctx.Done(); return ctx.Err() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, ok, err := p.Store.Acquire(ctx, "test", "next", leaseLife); err != nil || !ok {
		t.Errorf("the next process has to wait: %v %v", ok, err)
	}
}

// The renewal keeps a duty that takes longer than a lease.
func TestALongDutyKeepsItsLease(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	kek, _ := keys.GenerateKEK()
	p, other := node(t, dir, kek, nil), node(t, dir, kek, nil)
	err := p.turn(ctx, duty{name: "test", every: time.Minute, work: func(ctx context.Context) error {
		for range 6 {
			time.Sleep(renewEvery)
			if err := p.Store.Record(ctx, iam.Event{Kind: "x"}); err != nil {
				return err
			}
			if _, ok, err := other.Store.Acquire(ctx, "test", "other", leaseLife); err != nil || ok {
				t.Errorf("another one got it meanwhile: %v %v", ok, err)
			}
		}
		return nil
	}})
	if err != nil {
		t.Error(err)
	}
}
