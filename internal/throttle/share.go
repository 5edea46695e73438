package throttle

import (
	"encoding/hex"
	"time"
)

// Processes tell each other of many attempts, not of each: steps is after how
// many a counter is told. So of N processes each may let through, beside what
// the limit allows to all, less than a step more; and strangers who try each
// account once cause no traffic at all.
var steps = map[Scope]uint8{ByPair: 5, ByAccount: 10, ByNetwork: 25, BySite: 100}

// maxReports bounds what waits to be told. What is beyond it stays here.
const maxReports = 4096

// Report says that a counter of one process rose by some attempts, or fell.
type Report struct {
	Scope Scope
	Key   string // of the counter, in hex; tells nobody the account without the secret
	N     int
}

type reported struct {
	scope Scope
	key   key
}

// note counts what was not told yet, and tells it when it is a step.
func (t *Throttle) note(e *entry, scope Scope) {
	if !t.shares {
		return
	}
	if e.fresh++; e.fresh >= steps[scope] && t.say(reported{scope, e.key}, int(e.fresh)) {
		e.shared = uint8(min(int(e.shared)+int(e.fresh), most))
		e.fresh = 0
	}
	e.fresh = min(e.fresh, steps[scope])
}

// unsay takes back what was told of a counter.
func (t *Throttle) unsay(e *entry, scope Scope) {
	if t.shares && e.shared > 0 {
		t.say(reported{scope, e.key}, -int(e.shared))
	}
}

func (t *Throttle) say(what reported, n int) bool {
	if _, waits := t.reports[what]; !waits && len(t.reports) >= maxReports {
		return false
	}
	t.reports[what] += n
	return true
}

// Reports are what is to be told to the other processes. Each is given out once.
func (t *Throttle) Reports() []Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.reports) == 0 {
		return nil
	}
	var all []Report
	for what, n := range t.reports {
		if n != 0 {
			all = append(all, Report{Scope: what.scope, Key: hex.EncodeToString(what.key[:]), N: n})
		}
	}
	clear(t.reports)
	return all
}

// Hear counts what another process told, some time ago.
func (t *Throttle) Hear(r Report, age time.Duration) {
	var k key
	raw, err := hex.DecodeString(r.Key)
	if err != nil || len(raw) != len(k) || r.N > 255 || r.N < -255 {
		return // of a newer version, which counts in another way
	}
	copy(k[:], raw)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now().Sub(t.start)
	then := now - max(age, 0)
	switch r.Scope {
	case ByPair:
		t.hearPair(k, r.N, then, now)
	case ByNetwork:
		t.hearBucket(&t.networks, k, t.limits.Network, r.N, then)
	case BySite:
		t.hearBucket(&t.sites, k, t.limits.Site, r.N, then)
	case ByAccount:
		t.hearBucket(&t.accounts, k, t.limits.Account, r.N, then)
	}
}

func (t *Throttle) hearPair(k key, n int, then, now time.Duration) {
	forgive := t.limits.Pair.Forgive
	if n > 0 {
		n = max(n-int((now-then)/forgive), 0) // what was forgiven since
	}
	e := t.pairs.find(k)
	if e == nil {
		if n <= 0 {
			return
		}
		e = t.pairs.get(k)
		e.at = then
	}
	stands := standing(e, t.limits.Pair, now)
	e.at += time.Duration(int(e.count)-stands) * forgive
	e.count = uint8(min(max(stands+n, 0), most))
	e.at = max(e.at, then)
}

func (t *Throttle) hearBucket(table *table, k key, b Bucket, n int, then time.Duration) {
	if e := table.find(k); e != nil || n > 0 {
		if e == nil {
			e = table.get(k)
			e.at = then
		}
		e.at = max(e.at, then) + time.Duration(n)*b.Refill
	}
}
