package throttle

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"
)

// Rows of each table: 131,072 pairs, 65,536 accounts and networks, 16,384
// sites, of 48 bytes each: 13 MB when all are in use, never more.
const (
	pairRows    = 1 << 14
	accountRows = 1 << 13
	networkRows = 1 << 13
	siteRows    = 1 << 11
)

// tellEvery is how often a counter that refuses is reported.
const tellEvery = time.Hour

// Scope is what was counted.
type Scope string

const (
	ByPair    Scope = "account and network"
	ByNetwork Scope = "network"
	BySite    Scope = "site"
	ByAccount Scope = "account"
)

// Standing says whether an account is known to log in from a network.
type Standing int

const (
	Stranger Standing = iota
	Known
)

// Config of a Throttle; the zero value is usable.
type Config struct {
	Limits Limits
	Now    func() time.Time
	// Secret is shared by the processes that tell each other what they count;
	// nil: this one counts alone.
	Secret []byte
}

// Throttle is safe for concurrent use. Its counters are gone with the process.
type Throttle struct {
	limits Limits
	now    func() time.Time
	start  time.Time
	secret []byte
	shares bool

	mu                               sync.Mutex
	pairs, accounts, networks, sites table
	reports                          map[reported]int
}

// New makes a Throttle that has counted nothing.
func New(c Config) *Throttle {
	if c.Now == nil {
		c.Now = time.Now
	}
	t := &Throttle{limits: c.Limits.orDefault(), now: c.Now, start: c.Now(), secret: c.Secret, shares: c.Secret != nil, reports: map[reported]int{}}
	if !t.shares {
		t.secret = make([]byte, 16)
		rand.Read(t.secret)
	}
	full := func(e entry) time.Duration { return e.at }
	t.pairs = newTable(pairRows, func(e entry) time.Duration { return e.at + time.Duration(e.count)*t.limits.Pair.Forgive })
	t.accounts, t.networks, t.sites = newTable(accountRows, full), newTable(networkRows, full), newTable(siteRows, full)
	return t
}

// Refusal says that an attempt must not be made now.
type Refusal struct {
	Scope Scope
	Wait  time.Duration
	// First: this counter reports a refusal once an hour. For a journal that
	// must not grow with an attack.
	First bool
}

// Attempt is one that may be made, and is counted already: those that are under
// way at the same time cannot slip through together. Call one of its methods
// when it did not fail.
type Attempt struct {
	t                            *Throttle
	pair, account, network, site key
	counted                      struct{ account, site bool }
}

// Begin counts an attempt on an account from a network, or refuses it without
// counting. Either everything is counted or nothing is.
func (t *Throttle) Begin(account string, network netip.Prefix, standing Standing) (*Attempt, *Refusal) {
	a := &Attempt{t: t, pair: t.key(ByPair, account, network), account: t.key(ByAccount, account, netip.Prefix{}), network: t.key(ByNetwork, "", network)}
	wide, six := site(network)
	if six {
		a.site = t.key(BySite, "", wide)
	}
	a.counted.site, a.counted.account = six, standing != Known
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().Sub(t.start)
	if r := a.refusal(now); r != nil {
		return nil, r
	}
	a.count(now)
	return a, nil
}

func (a *Attempt) refusal(now time.Duration) *Refusal {
	t := a.t
	if e := t.pairs.find(a.pair); e != nil {
		if wait := t.limits.Pair.wait(standing(e, t.limits.Pair, now)); now-e.at < wait {
			return refuse(e, ByPair, e.at+wait-now, now)
		}
	}
	for _, b := range []struct {
		table  *table
		key    key
		bucket Bucket
		scope  Scope
		binds  bool
	}{
		{&t.networks, a.network, t.limits.Network, ByNetwork, true},
		{&t.sites, a.site, t.limits.Site, BySite, a.counted.site},
		{&t.accounts, a.account, t.limits.Account, ByAccount, a.counted.account},
	} {
		if e := b.table.find(b.key); b.binds && e != nil {
			e.at = min(e.at, now+time.Duration(b.bucket.Size)*b.bucket.Refill)
			if wait := e.at - now - time.Duration(b.bucket.Size-1)*b.bucket.Refill; wait > 0 {
				return refuse(e, b.scope, wait, now)
			}
		}
	}
	return nil
}

func refuse(e *entry, scope Scope, wait, now time.Duration) *Refusal {
	r := &Refusal{Scope: scope, Wait: wait, First: e.told == 0 || now-e.told >= tellEvery}
	if r.First {
		e.told = max(now, 1)
	}
	return r
}

// standing is how much of a pair's count still stands. An entry from the
// future, of a clock that was set back, is as old as the present.
func standing(e *entry, b Backoff, now time.Duration) int {
	e.at = min(e.at, now)
	return max(0, int(e.count)-int((now-e.at)/b.Forgive))
}

func (a *Attempt) count(now time.Duration) {
	t := a.t
	e := t.pairs.get(a.pair)
	e.count = uint8(min(standing(e, t.limits.Pair, now)+1, most))
	e.at = now
	t.note(e, ByPair)
	t.note(pour(&t.networks, a.network, t.limits.Network.Refill, now), ByNetwork)
	if a.counted.site {
		t.note(pour(&t.sites, a.site, t.limits.Site.Refill, now), BySite)
	}
	if a.counted.account {
		t.note(pour(&t.accounts, a.account, t.limits.Account.Refill, now), ByAccount)
	}
}

func pour(t *table, k key, refill, now time.Duration) *entry {
	e := t.get(k)
	e.at = max(e.at, now) + refill
	return e
}

// Succeed forgets what this account failed from this network, and gives the
// attempt back to the other counters. It does not empty them: whoever has one
// account of their own could otherwise clear a network's count with it.
func (a *Attempt) Succeed() {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	if e := a.t.pairs.find(a.pair); e != nil {
		a.t.unsay(e, ByPair)
		*e = entry{}
	}
	a.back()
}

// Refund takes the attempt back: nothing was tried, because the server was
// busy or failed, or the caller left before its turn.
func (a *Attempt) Refund() {
	a.t.mu.Lock()
	defer a.t.mu.Unlock()
	if e := a.t.pairs.find(a.pair); e != nil && e.count > 0 {
		e.count--
		e.fresh -= min(e.fresh, 1)
	}
	a.back()
}

func (a *Attempt) back() {
	t := a.t
	for _, b := range []struct {
		table   *table
		key     key
		refill  time.Duration
		counted bool
	}{{&t.networks, a.network, t.limits.Network.Refill, true}, {&t.sites, a.site, t.limits.Site.Refill, a.counted.site}, {&t.accounts, a.account, t.limits.Account.Refill, a.counted.account}} {
		if e := b.table.find(b.key); b.counted && e != nil {
			e.at -= b.refill
			e.fresh -= min(e.fresh, 1)
		}
	}
}

// key hides names and fixes their length: what strangers type is not kept.
func (t *Throttle) key(scope Scope, account string, network netip.Prefix) key {
	h := sha256.New()
	h.Write(t.secret)
	h.Write([]byte(scope))
	h.Write([]byte{0, byte(network.Bits())})
	address := network.Addr().As16()
	h.Write(address[:])
	h.Write([]byte(account))
	var k key
	copy(k[:], h.Sum(nil))
	return k
}
