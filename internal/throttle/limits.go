package throttle

import (
	"net/netip"
	"time"
)

// Backoff is the wait that doubles: Free attempts without one, then First, then
// twice as long each time, at most Longest. One attempt is forgiven every Forgive.
type Backoff struct {
	Free    int
	First   time.Duration
	Longest time.Duration
	Forgive time.Duration
}

// most is the largest count that is kept: what is beyond it changes nothing,
// and forgetting it takes most times Forgive.
const most = 30

// wait is the pause after a number of attempts.
func (b Backoff) wait(attempts int) time.Duration {
	if attempts < b.Free {
		return 0
	}
	wait := b.First
	for range attempts - b.Free {
		if wait *= 2; wait >= b.Longest {
			return b.Longest
		}
	}
	return wait
}

// Bucket holds Size attempts and gets one back every Refill.
type Bucket struct {
	Size   int
	Refill time.Duration
}

// Limits of a Throttle. The zero value of a field stands for the default.
type Limits struct {
	Pair    Backoff // an account from one network
	Network Bucket  // an IPv4 address or an IPv6 /64, across accounts
	Site    Bucket  // an IPv6 /48, across accounts: whoever has one has 65,536 networks
	Account Bucket  // an account, across networks that it is not known to use
}

// Default are the limits that docs/guides/logins.md describes. NIST SP
// 800-63B-4 §3.2.2 allows 100 failures in a row for an account.
var Default = Limits{
	Pair:    Backoff{Free: 5, First: 2 * time.Second, Longest: 15 * time.Minute, Forgive: time.Hour},
	Network: Bucket{Size: 100, Refill: 15 * time.Second},
	Site:    Bucket{Size: 400, Refill: 4 * time.Second},
	Account: Bucket{Size: 100, Refill: 6 * time.Minute},
}

func (l Limits) orDefault() Limits {
	if l.Pair == (Backoff{}) {
		l.Pair = Default.Pair
	}
	for _, b := range []struct{ into, standard *Bucket }{{&l.Network, &Default.Network}, {&l.Site, &Default.Site}, {&l.Account, &Default.Account}} {
		if *b.into == (Bucket{}) {
			*b.into = *b.standard
		}
	}
	return l
}

// Network is what one client can be expected to have: an IPv4 address, an IPv6
// /64. An address that nobody knows is a network of its own.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// Neighbourhood is what one party can be expected to have a hand in: an IPv4
// address, an IPv6 /48.
func Neighbourhood(a netip.Addr) netip.Prefix {
	network := Network(a)
	if wide, ok := site(network); ok {
		return wide
	}
	return network
}

// site is the /48 of an IPv6 network; false for IPv4, where addresses are dear.
func site(network netip.Prefix) (netip.Prefix, bool) {
	if !network.Addr().Is6() {
		return netip.Prefix{}, false
	}
	p, err := network.Addr().Prefix(48)
	return p, err == nil
}
