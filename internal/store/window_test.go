package store

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// table is a table whose transactions take numbers and commit in any order.
type table struct {
	next    int64
	open    map[int64]time.Time // number → when it began
	visible []mark
}

func (t *table) begin(now time.Time) int64 {
	t.next++
	t.open[t.next] = now
	return t.next
}

func (t *table) commit(seq int64) {
	t.visible = append(t.visible, mark{seq, t.open[seq]})
	slices.SortFunc(t.visible, func(a, b mark) int { return int(a.seq - b.seq) })
	delete(t.open, seq)
}

func (t *table) read(low, high int64, limit int) (found []mark) {
	for _, m := range t.visible {
		if m.seq >= low && m.seq <= high && len(found) < limit {
			found = append(found, m)
		}
	}
	return found
}

// play runs transactions and polls in an order that the steps say, and holds the
// window to its promise: each row once, and none is left out below resume.
func play(t *testing.T, steps []byte, from int64) {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	rows := table{next: from, open: map[int64]time.Time{}}
	w := window{high: from}
	seen := map[int64]int{}
	resume := from
	poll := func(limit int) {
		began := now
		accept := func(marks []mark) {
			for i, fresh := range w.take(marks, now) {
				if fresh {
					seen[marks[i].seq]++
				}
			}
		}
		var late []mark
		for _, r := range w.ranges(3) {
			if w.loaded {
				late = append(late, rows.read(r[0], r[1], 1<<30)...)
			}
		}
		ahead := rows.read(w.high+1, 1<<62, limit)
		accept(late)
		accept(ahead)
		if w.loaded {
			w.expire(began)
		}
		if len(ahead) < limit {
			w.reached(now)
		}
		if w.resume() < resume {
			t.Fatalf("resume went back from %d to %d", resume, w.resume())
		}
		resume = w.resume()
		for _, m := range rows.visible {
			if m.seq <= resume && seen[m.seq] != 1 {
				t.Fatalf("row %d was seen %d times, and resume is %d", m.seq, seen[m.seq], resume)
			}
		}
		for seq := range rows.open {
			if seq <= resume {
				t.Fatalf("row %d may still come, and resume is %d", seq, resume)
			}
		}
	}
	end := func(seq int64, abort bool) {
		if abort {
			delete(rows.open, seq)
		} else {
			rows.commit(seq)
		}
	}
	for _, s := range steps {
		var open []int64
		for seq, since := range rows.open {
			if now.Sub(since) > gapPatience-6*time.Second {
				rows.commit(seq) // as late as it can be
				continue
			}
			open = append(open, seq)
		}
		slices.Sort(open)
		switch s % 8 {
		case 0, 1, 2:
			rows.begin(now)
		case 3, 4:
			if len(open) > 0 {
				end(open[int(s/8)%len(open)], false)
			}
		case 5:
			if len(open) > 0 {
				end(open[int(s/8)%len(open)], true)
			}
		case 6:
			poll(1 + int(s/8)%5)
		case 7:
			now = now.Add(time.Duration(s/8) * 200 * time.Millisecond)
		}
	}
	for seq := range rows.open {
		rows.commit(seq)
	}
	for range len(rows.visible) + 2 {
		poll(5)
	}
	for _, m := range rows.visible {
		if seen[m.seq] != 1 {
			t.Fatalf("row %d was seen %d times in the end", m.seq, seen[m.seq])
		}
	}
	now = now.Add(gapPatience)
	poll(5)
	poll(5)
	if len(w.gaps) != 0 || w.resume() != w.high {
		t.Fatalf("%d gaps stay open for ever", len(w.gaps))
	}
}

func TestAWindowMissesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		steps := make([]byte, random.IntN(300))
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		play(t, steps, int64(random.IntN(2)*1000))
	}
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte{0, 0, 11, 6, 3, 6}) // the second commits first, is read, then the first commits
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 200 {
			return
		}
		play(t, steps, 0)
	})
}

func TestAWindowGivesUpOldGapsOfItsFirstRead(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	w := window{}
	w.take([]mark{{100, at}, {200, at.Add(time.Hour)}, {202, at.Add(time.Hour + time.Second)}, {204, at.Add(time.Hour + 2*time.Second)}}, time.Now())
	if len(w.gaps) != 4 {
		t.Fatalf("gaps %v", w.gaps)
	}
	w.reached(time.Now())
	if len(w.gaps) != 3 || w.resume() != 100 {
		t.Errorf("gaps %v: the first is an hour old, the others may be late rows", w.gaps)
	}
	if fresh := w.take([]mark{{201, at}, {202, at}}, time.Now()); !fresh[0] || fresh[1] {
		t.Errorf("a late row and one that was seen: %v", fresh)
	}
}

func TestRangesCoverAllGaps(t *testing.T) {
	w := window{}
	var marks []mark
	for i := int64(2); i <= 100; i += 2 {
		marks = append(marks, mark{i, time.Time{}})
	}
	w.take(marks, time.Now())
	ranges := w.ranges(16)
	if len(ranges) > 16 || ranges[0][0] != 1 || ranges[len(ranges)-1][1] != 99 {
		t.Errorf("%d ranges: %v", len(ranges), ranges)
	}
}
