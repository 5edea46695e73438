package feed

import (
	"math/bits"
	"sync/atomic"
)

// table is a hash table of fingerprints with linear probing. Readers take no
// lock: a slot is filled in place, its key last, and never emptied; entries go
// when the table is built anew. One writer at a time.
//
// Fingerprints are uniform and nobody can choose them (ids are drawn by the
// issuer), so they are their own hash. An entry is not compared with the clock
// on lookup: what it names has expired by itself when it may be dropped.
type table struct {
	keys  []uint64 // 0: free
	mins  []uint64 // least epochs; nil in a table without
	drops []uint32
	used  int
}

const (
	smallest = 8
	// A table is built anew at 4/5 full, with room for a sixth more: about 17 bytes
	// an entry, 28 with an epoch.
	fullNum, fullDen = 4, 5
)

func newTable(room int, epochs bool) *table {
	n := max(smallest, room*fullDen/fullNum+1)
	t := &table{keys: make([]uint64, n), drops: make([]uint32, n)}
	if epochs {
		t.mins = make([]uint64, n)
	}
	return t
}

// slot is where a fingerprint begins to be looked for: its rank, after the bits
// that chose the shard.
func (t *table) slot(print uint64) int {
	high, _ := bits.Mul64(print<<shardBits, uint64(len(t.keys)))
	return int(high)
}

// find returns the slot of a fingerprint or, with false, the free one where it
// would go.
func (t *table) find(print uint64) (int, bool) {
	keys := t.keys
	for i := t.slot(print); ; {
		switch atomic.LoadUint64(&keys[i]) {
		case print:
			return i, true
		case 0:
			return i, false
		}
		if i++; i == len(keys) {
			i = 0
		}
	}
}

// has tells whether a fingerprint is in the table, which may be nil.
func (t *table) has(print uint64) bool {
	if t == nil {
		return false
	}
	_, ok := t.find(print)
	return ok
}

// least is the least epoch of a fingerprint, 0 when there is none.
func (t *table) least(print uint64) uint64 {
	if t == nil {
		return 0
	}
	if i, ok := t.find(print); ok {
		return atomic.LoadUint64(&t.mins[i])
	}
	return 0
}

// put adds an entry or widens the one that is there. False: no room; the caller
// builds a larger table. changed: readers can tell the difference.
func (t *table) put(print, least uint64, drop uint32) (changed, ok bool) {
	i, found := t.find(print)
	if !found && (t.used+1)*fullDen > len(t.keys)*fullNum {
		return false, false
	}
	changed = !found
	if t.mins != nil && (!found || least > t.mins[i]) {
		atomic.StoreUint64(&t.mins[i], least)
		changed = true
	}
	if drop > t.drops[i] {
		t.drops[i] = drop
	}
	if !found {
		t.used++
		atomic.StoreUint64(&t.keys[i], print) // last: now readers see it, whole
	}
	return changed, true
}

// each visits all entries.
func (t *table) each(visit func(print, least uint64, drop uint32)) {
	if t == nil {
		return
	}
	for i, print := range t.keys {
		if print == 0 {
			continue
		}
		var least uint64
		if t.mins != nil {
			least = t.mins[i]
		}
		visit(print, least, t.drops[i])
	}
}

// rebuilt is the table with room for so many, without what may be dropped.
func (t *table) rebuilt(room int, now uint32, epochs bool) *table {
	next := newTable(room, epochs)
	t.each(func(print, least uint64, drop uint32) {
		if drop >= now {
			next.put(print, least, drop)
		}
	})
	return next
}

// dead counts the entries that may be dropped at now.
func (t *table) dead(now uint32) int {
	n := 0
	t.each(func(_, _ uint64, drop uint32) {
		if drop < now {
			n++
		}
	})
	return n
}
