package feed

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	shardBits = 8
	shards    = 1 << shardBits
)

// Set is what a verifier knows to be revoked. Any number of goroutines may ask
// while one Reader adds: who asks never waits. The zero Set is empty and ready.
//
// It is split into shards, so that making room, and dropping what has expired,
// copies a small part at a time: a million entries need no second million.
type Set struct {
	state atomic.Pointer[state]
	all   atomic.Uint64
	mu    sync.Mutex // writers
	swept int        // the next shard to sweep

	current atomic.Int64 // when it was last known to be complete, Unix nanoseconds
}

// state is everything under one salt.
type state struct {
	salt    Salt
	members side // by their presence: tokens, grants, sessions, keys
	epochs  side // by a least epoch: users and clients
}

// side is one sharded table. The shard is the first bits of the fingerprint.
type side struct {
	shard  [shards]atomic.Pointer[table]
	count  atomic.Int64
	epochs bool
}

func newState(salt Salt) *state {
	s := &state{salt: salt}
	s.epochs.epochs = true
	return s
}

func (s *side) of(print uint64) *table {
	if s.count.Load() == 0 {
		return nil
	}
	return s.shard[print>>(64-shardBits)].Load()
}

func (s *side) put(print, least uint64, drop uint32) bool {
	shard := &s.shard[print>>(64-shardBits)]
	t := shard.Load()
	if t == nil {
		t = newTable(smallest/2, s.epochs)
		shard.Store(t)
	}
	before := t.used
	changed, ok := t.put(print, least, drop)
	if !ok {
		t = t.rebuilt(t.used+t.used/6+1, 0, s.epochs)
		changed, _ = t.put(print, least, drop)
		shard.Store(t)
	}
	s.count.Add(int64(t.used - before))
	return changed
}

// sweep drops what has expired in one shard, when that is an eighth of it.
func (s *side) sweep(shard int, now uint32) {
	t := s.shard[shard].Load()
	if t == nil {
		return
	}
	dead := t.dead(now)
	if dead == 0 || dead*8 < t.used {
		return
	}
	var next *table
	if dead < t.used {
		next = t.rebuilt(t.used-dead, now, s.epochs)
	}
	s.shard[shard].Store(next)
	s.count.Add(int64(-dead))
}

// add puts an entry in. It tells whether a token can be refused for it that was
// not before.
func (s *state) add(e Entry) bool {
	if e.Kind.byEpoch() {
		return s.epochs.put(e.Print, uint64(e.MinEpoch), e.Drop)
	}
	return s.members.put(e.Print, 0, e.Drop)
}

// Reset begins anew under a salt, with entries if there are any: for tests and
// for issuers without a feed. A Reader does it by itself.
func (s *Set) Reset(salt Salt, entries ...Entry) {
	next := newState(salt)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Store(next)
	s.addTo(next, entries)
}

// Add adds entries made with the set's salt. It tells whether any was new.
func (s *Set) Add(entries ...Entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.state.Load()
	if current == nil {
		return false
	}
	return s.addTo(current, entries)
}

func (s *Set) addTo(to *state, entries []Entry) bool {
	changed := false
	for _, e := range entries {
		isNew := to.add(e)
		if isNew && e.Kind == All {
			s.all.Add(1)
		}
		changed = changed || isNew
	}
	return changed
}

// adopt makes next what is asked from now on.
func (s *Set) adopt(next *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Store(next)
}

// Salt is the salt of the set's fingerprints, zero before the first message.
func (s *Set) Salt() Salt {
	if current := s.state.Load(); current != nil {
		return current.salt
	}
	return Salt{}
}

// Len is how many entries there are. It may count some that have expired.
func (s *Set) Len() int {
	current := s.state.Load()
	if current == nil {
		return 0
	}
	return int(current.members.count.Load() + current.epochs.count.Load())
}

// Generation moves with every entry of kind All. Whoever holds keys fetched
// under an earlier generation must fetch them again, past every cache: no token
// that one of those verified may be taken.
func (s *Set) Generation() uint64 { return s.all.Load() }

// sweepAtOnce is how many shards one Sweep looks at: all within 16 calls.
const sweepAtOnce = shards / 16

// Sweep drops some of the entries that have expired at now; call it about once
// a second. What is not dropped yet does no harm.
func (s *Set) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.state.Load()
	if current == nil {
		return
	}
	second := uint32(max(0, now.Unix()))
	for range sweepAtOnce {
		current.members.sweep(s.swept, second)
		current.epochs.sweep(s.swept, second)
		s.swept = (s.swept + 1) % shards
	}
}

// Never is the age of a set that was never complete.
const Never = time.Duration(1<<63 - 1)

// Age is for how long the set may lack revocations: the time since it was last
// known to be complete. A healthy feed keeps it below 2 seconds.
func (s *Set) Age(now time.Time) time.Duration {
	at := s.current.Load()
	if at == 0 {
		return Never
	}
	return max(0, now.Sub(time.Unix(0, at)))
}

// MarkCurrent says that the set was complete at a time of the local clock; the zero
// time that it never was. A Reader does it by itself.
func (s *Set) MarkCurrent(at time.Time) {
	if at.IsZero() {
		s.current.Store(0)
		return
	}
	s.current.Store(at.UnixNano())
}
