package broadcast

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feed"
)

// numbered is an entry and the number of its row.
type numbered struct {
	seq   int64
	entry feed.Entry
	until uint32 // seconds since the hub began
}

// ledger is what is live: settled rows in the order of their numbers, and the
// few that are not settled yet. What was handed out is never written again.
type ledger struct {
	settled []numbered
	recent  []numbered
	dropped time.Duration // when the expired were last dropped
}

// add takes new rows and moves those that are settled by now.
func (l *ledger) add(rows []numbered, settled int64) {
	l.recent = append(l.recent, rows...)
	var moved []numbered
	l.recent = slices.DeleteFunc(l.recent, func(n numbered) bool {
		if n.seq <= settled {
			moved = append(moved, n)
		}
		return n.seq <= settled
	})
	slices.SortFunc(moved, func(a, b numbered) int { return cmp.Compare(a.seq, b.seq) })
	l.settled = append(l.settled, moved...)
}

// dropEvery is how often the expired are looked for.
const dropEvery = time.Minute

// drop forgets what no token can match any more.
func (l *ledger) drop(since time.Duration) {
	if since-l.dropped < dropEvery {
		return
	}
	l.dropped = since
	second := uint32(since / time.Second)
	expired := 0
	for _, n := range l.settled {
		if n.until < second {
			expired++
		}
	}
	if expired == 0 {
		return
	}
	kept := make([]numbered, 0, len(l.settled)-expired)
	for _, n := range l.settled {
		if n.until >= second {
			kept = append(kept, n)
		}
	}
	l.settled = kept
}

// after are the entries of rows after a number, nil and false when there are
// more than limit.
func (l *ledger) after(seq int64, limit int) ([]feed.Entry, bool) {
	first := sort.Search(len(l.settled), func(i int) bool { return l.settled[i].seq > seq })
	if len(l.settled)-first+len(l.recent) > limit {
		return nil, false
	}
	var list []feed.Entry
	for _, n := range slices.Concat(l.settled[first:], l.recent) {
		if n.seq > seq {
			list = append(list, n.entry)
		}
	}
	return list, true
}

// all are two pieces that stay as they are.
func (l *ledger) all() [2][]numbered { return [2][]numbered{l.settled, slices.Clone(l.recent)} }

// messages are the last ones, each with a number of its own.
type messages struct {
	kept  int // at least half of it
	first int64
	list  []frame
}

func (m *messages) add(f frame) {
	if len(m.list) >= m.kept {
		half := m.kept / 2
		m.first += int64(half)
		m.list = append(make([]frame, 0, m.kept), m.list[half:]...)
	}
	m.list = append(m.list, f)
}

// clear forgets all messages; numbers go on.
func (m *messages) clear() {
	m.first += int64(len(m.list))
	m.list = nil
}

func (m *messages) next() int64 { return m.first + int64(len(m.list)) }

// from are the messages from a number on. False: some are gone.
func (m *messages) from(number int64) ([]frame, bool) {
	if number < m.first || number > m.next() {
		return nil, false
	}
	return m.list[number-m.first:], true
}
