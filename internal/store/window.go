package store

import (
	"slices"
	"time"
)

const (
	// gapPatience is how long a number that was skipped may still come. A
	// transaction takes its number before it commits, so rows become visible out
	// of order; none is open for longer than pgPatience and what the server's own
	// limits add.
	gapPatience = 30 * time.Second
	// gapSlack is how much later than its time a row may have got its number.
	gapSlack = 10 * time.Second
)

// window knows which rows of a growing table were seen, by their numbers. It
// remembers the gaps, so that a row that becomes visible late is read as well.
type window struct {
	high int64 // the highest number that was seen
	gaps []gap // below high, ascending
	// loaded says that the end of the table was reached once. Until then gaps
	// are mostly old: rows that were cleaned away.
	loaded bool
	newest time.Time // of the rows that were seen
}

// gap is a run of numbers that nobody has seen.
type gap struct {
	low, high int64
	noticed   time.Time // by this process
	above     time.Time // the time of the row above, by the database
}

// mark is a row as far as a window cares.
type mark struct {
	seq int64
	at  time.Time
}

// take says which of the rows, which ascend, are new.
func (w *window) take(read []mark, now time.Time) []bool {
	fresh := make([]bool, len(read))
	for i, m := range read {
		if m.at.After(w.newest) {
			w.newest = m.at
		}
		if m.seq <= w.high {
			fresh[i] = w.fill(m.seq)
			continue
		}
		if m.seq > w.high+1 {
			w.gaps = append(w.gaps, gap{low: w.high + 1, high: m.seq - 1, noticed: now, above: m.at})
		}
		w.high, fresh[i] = m.seq, true
	}
	return fresh
}

// fill takes a number out of its gap; false: it is in none, so it was seen.
func (w *window) fill(seq int64) bool {
	i, _ := slices.BinarySearchFunc(w.gaps, seq, func(g gap, seq int64) int {
		if g.high < seq {
			return -1
		}
		return 1
	})
	if i == len(w.gaps) || w.gaps[i].low > seq {
		return false
	}
	g := w.gaps[i]
	var rest []gap
	if g.low < seq {
		rest = append(rest, gap{g.low, seq - 1, g.noticed, g.above})
	}
	if seq < g.high {
		rest = append(rest, gap{seq + 1, g.high, g.noticed, g.above})
	}
	w.gaps = slices.Replace(w.gaps, i, i+1, rest...)
	return true
}

// reached says that a read came to the end of the table. Of the first time it
// gives up the gaps that were old when they were noticed, by the times of the
// rows.
func (w *window) reached(now time.Time) {
	if w.loaded {
		return
	}
	w.loaded = true
	w.gaps = slices.DeleteFunc(w.gaps, func(g gap) bool {
		return w.newest.Sub(g.above)-now.Sub(g.noticed) > gapPatience+gapSlack
	})
}

// expire gives up the gaps that were old when the last read of them began.
func (w *window) expire(began time.Time) {
	w.gaps = slices.DeleteFunc(w.gaps, func(g gap) bool { return began.Sub(g.noticed) >= gapPatience })
}

// ranges cover all gaps, in at most n pieces.
func (w *window) ranges(n int) [][2]int64 {
	var all [][2]int64
	per := (len(w.gaps) + n - 1) / n
	for i := 0; i < len(w.gaps); i += per {
		last := min(i+per, len(w.gaps)) - 1
		all = append(all, [2]int64{w.gaps[i].low, w.gaps[last].high})
	}
	return all
}

// resume is a number up to which everything was seen, or will never come.
func (w *window) resume() int64 {
	if len(w.gaps) > 0 {
		return w.gaps[0].low - 1
	}
	return w.high
}
