package throttle_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// clock is moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func at(s string) netip.Prefix { return throttle.Network(netip.MustParseAddr(s)) }

// nth is one of many IPv4 networks.
func nth(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

func open() (*throttle.Throttle, *clock) {
	c := &clock{now: time.Unix(1_700_000_000, 0)}
	return throttle.New(throttle.Config{Now: c.Now}), c
}

func TestTheWaitDoubles(t *testing.T) {
	th, c := open()
	home := at("192.0.2.1")
	for i := range 5 {
		if _, r := th.Begin("ada", home, throttle.Stranger); r != nil {
			t.Fatalf("attempt %d of 5 waits %s", i+1, r.Wait)
		}
	}
	want := []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900}
	for i, seconds := range want {
		_, r := th.Begin("ada", home, throttle.Stranger)
		if r == nil || r.Wait != seconds*time.Second || r.Scope != throttle.ByPair {
			t.Fatalf("attempt %d: %+v, want a wait of %d s", 6+i, r, seconds)
		}
		if r.First != (i == 0) {
			t.Errorf("attempt %d: reported as the first: %v", 6+i, r.First)
		}
		c.advance(r.Wait - time.Nanosecond)
		if _, r := th.Begin("ada", home, throttle.Stranger); r == nil {
			t.Fatalf("attempt %d was made before its time", 6+i)
		}
		c.advance(time.Nanosecond)
		if _, r := th.Begin("ada", home, throttle.Stranger); r != nil {
			t.Fatalf("attempt %d at its time waits %s more", 6+i, r.Wait)
		}
	}
	if _, r := th.Begin("eve", home, throttle.Stranger); r != nil {
		t.Errorf("another account waits: %+v", r)
	}
	if _, r := th.Begin("ada", at("192.0.2.2"), throttle.Stranger); r != nil {
		t.Errorf("another network waits: %+v", r)
	}
	c.advance(31 * time.Hour)
	for i := range 5 {
		if _, r := th.Begin("ada", home, throttle.Stranger); r != nil {
			t.Errorf("attempt %d after everything was forgiven waits %s", i, r.Wait)
		}
	}
}

// An hour after the last attempt one is forgiven, and the wait does not begin anew.
func TestForgivingIsNoNewWait(t *testing.T) {
	th, c := open()
	home := at("192.0.2.1")
	for range 40 {
		if _, r := th.Begin("ada", home, throttle.Stranger); r != nil {
			c.advance(r.Wait)
			th.Begin("ada", home, throttle.Stranger)
		}
	}
	for range 20 {
		c.advance(15 * time.Minute)
		if _, r := th.Begin("ada", home, throttle.Stranger); r != nil {
			t.Fatalf("after 15 minutes it waits %s more", r.Wait)
		}
	}
	c.advance(61 * time.Minute)
	if _, r := th.Begin("ada", home, throttle.Stranger); r != nil {
		t.Errorf("after an hour it waits %s more", r.Wait)
	}
}

func TestASuccessForgetsThePairOnly(t *testing.T) {
	th, _ := open()
	home := at("192.0.2.1")
	for range 5 {
		a, r := th.Begin("ada", home, throttle.Stranger)
		if r != nil {
			t.Fatal(r)
		}
		defer a.Succeed()
	}
	// Whoever has an account of their own logs in with it between two guesses.
	guesses := 0
	for n := range 1000 {
		if _, r := th.Begin(fmt.Sprint("victim", n), home, throttle.Stranger); r != nil {
			if r.Scope != throttle.ByNetwork {
				t.Errorf("refused by %s", r.Scope)
			}
			break
		}
		guesses++
		if own, r := th.Begin("eve", home, throttle.Stranger); r == nil {
			own.Succeed()
		}
	}
	if want := throttle.Default.Network.Size - 5; guesses != want {
		t.Errorf("%d guesses from one network, want %d: logging in between two guesses must not pay", guesses, want)
	}
	th, _ = open()
	for range 100 {
		a, r := th.Begin("ada", home, throttle.Stranger)
		if r != nil {
			t.Fatalf("who gets in never waits: %+v", r)
		}
		a.Succeed()
	}
}

func TestARefundLeavesNothing(t *testing.T) {
	th, _ := open()
	for range 1000 {
		a, r := th.Begin("ada", at("2001:db8::1"), throttle.Stranger)
		if r != nil {
			t.Fatalf("%+v", r)
		}
		a.Refund()
	}
}

func TestNetworks(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		if same := at(tc.a) == at(tc.b); same != tc.same {
			t.Errorf("%s and %s: one network: %v, want %v", tc.a, tc.b, same, tc.same)
		}
	}
	if throttle.Network(netip.Addr{}) != (netip.Prefix{}) {
		t.Error("an unknown address")
	}
}

// Whoever has an IPv6 /48 does not get 65,536 times as many attempts.
func TestASiteIsBoundToo(t *testing.T) {
	th, _ := open()
	made := 0
	for n := range 65536 {
		a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, byte(n >> 8), byte(n)})
		if _, r := th.Begin(fmt.Sprint(n), throttle.Network(a), throttle.Stranger); r == nil {
			made++
		} else if r.Scope != throttle.BySite {
			t.Fatalf("refused by %s", r.Scope)
		}
	}
	if made != throttle.Default.Site.Size {
		t.Errorf("%d attempts of one site, want %d", made, throttle.Default.Site.Size)
	}
	if _, r := th.Begin("ada", at("2001:db8:2::1"), throttle.Known); r != nil {
		t.Errorf("another site waits: %+v", r)
	}
}

// T13: 100,000 attempts on one account from as many networks. Its owner gets in
// at once from a network that is known, and memory does not grow.
func TestAnAttackFromManyNetworksLocksNobodyOut(t *testing.T) {
	th, c := open()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	made, first := 0, 0
	for n := range 100_000 {
		_, r := th.Begin("ada", nth(n), throttle.Stranger)
		if r == nil {
			made++
		} else if r.First {
			first++
		}
		if n%1000 == 0 {
			a, r := th.Begin("ada", at("192.0.2.1"), throttle.Known)
			if r != nil {
				t.Fatalf("after %d attempts the owner waits: %+v", n, r)
			}
			a.Succeed()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if made != throttle.Default.Account.Size || first != 1 {
		t.Errorf("%d guesses were let through and %d refusals reported, want %d and 1", made, first, throttle.Default.Account.Size)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	runtime.KeepAlive(th)
	if _, r := th.Begin("ada", at("198.51.100.1"), throttle.Stranger); r == nil || r.Wait > throttle.Default.Account.Refill {
		t.Errorf("from a network that is not known: %+v, want a wait of at most %s", r, throttle.Default.Account.Refill)
	}
	c.advance(throttle.Default.Account.Refill)
	if _, r := th.Begin("ada", at("198.51.100.1"), throttle.Stranger); r != nil {
		t.Errorf("when the attack is over, a new network waits: %+v", r)
	}
	// A network that is known is not free of its own count.
	for range 5 {
		th.Begin("ada", at("192.0.2.1"), throttle.Known)
	}
	if _, r := th.Begin("ada", at("192.0.2.1"), throttle.Known); r == nil || r.Scope != throttle.ByPair {
		t.Errorf("from a known network nobody counts: %+v", r)
	}
}

// Attempts on other names and from other networks do not make a counter
// forget: not even twice as many as the table has places.
func TestACounterIsNotPushedOut(t *testing.T) {
	th, c := open()
	const attackers = 8
	for n := range attackers {
		for {
			if _, r := th.Begin("ada", nth(n), throttle.Stranger); r != nil && r.Wait > 3*time.Second {
				break
			}
			c.advance(2 * time.Second)
		}
	}
	for n := range 260_000 {
		th.Begin(fmt.Sprint("noise", n), nth(1000+n%65000), throttle.Known)
		if n%10_000 == 0 {
			c.advance(15 * time.Second)
		}
	}
	for n := range attackers {
		th.Begin("ada", nth(n), throttle.Stranger)
		if _, r := th.Begin("ada", nth(n), throttle.Stranger); r == nil || r.Wait < 8*time.Second {
			t.Errorf("the count of attacker %d is gone: %+v", n, r)
		}
	}
}

// Attempts that are under way at once cannot slip through together.
func TestParallelAttemptsAreCounted(t *testing.T) {
	th, _ := open()
	var made atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if _, r := th.Begin("ada", at("192.0.2.1"), throttle.Stranger); r == nil {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != int64(throttle.Default.Pair.Free) {
		t.Errorf("%d of 200 attempts at once, want %d", made.Load(), throttle.Default.Pair.Free)
	}
}

func TestAClockThatGoesBackLocksNobodyOut(t *testing.T) {
	th, c := open()
	for n := range 500 {
		th.Begin("ada", nth(n), throttle.Stranger)
		th.Begin("ada", at("192.0.2.1"), throttle.Known)
		th.Begin(fmt.Sprint(n), at("192.0.2.9"), throttle.Stranger)
	}
	c.advance(-24 * 365 * time.Hour)
	for name, r := range map[string]*throttle.Refusal{
		"pair":    second(th.Begin("ada", at("192.0.2.1"), throttle.Known)),
		"network": second(th.Begin("x", at("192.0.2.9"), throttle.Stranger)),
		"account": second(th.Begin("ada", at("192.0.2.3"), throttle.Stranger)),
	} {
		if r != nil && r.Wait > 15*time.Minute {
			t.Errorf("%s waits %s", name, r.Wait)
		}
	}
}

func second[A, B any](_ A, b B) B { return b }

func BenchmarkBegin(b *testing.B) {
	th, _ := open()
	b.ReportAllocs()
	for n := range b.N {
		if a, r := th.Begin("ada", nth(n), throttle.Known); r == nil {
			a.Succeed()
		}
	}
}
