package broadcast

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// window reads rows in the order of their numbers without missing one whose
// transaction was committed after those of higher numbers: it reads again what
// is younger than the overlap, and returns each row once.
type window struct {
	settled int64 // all rows up to here were read, and no other will come
	seen    map[int64]time.Time
}

// read returns the rows that it has not returned yet. On an error nothing counts
// as returned.
func (w *window) read(ctx context.Context, from records, now time.Time, overlap time.Duration) ([]iam.Revocation, error) {
	var fresh []iam.Revocation
	for after := w.settled; ; {
		rows, err := from.Revocations(ctx, after, page)
		if err != nil {
			return nil, fmt.Errorf("read revocations: %w", err)
		}
		for _, r := range rows {
			if _, known := w.seen[r.Seq]; !known {
				fresh = append(fresh, r)
			}
		}
		if len(rows) < page {
			break
		}
		after = rows[len(rows)-1].Seq
	}
	if w.seen == nil {
		w.seen = map[int64]time.Time{}
		w.settled = begin(fresh, overlap)
	}
	for _, r := range fresh {
		w.seen[r.Seq] = now
	}
	w.settle(now, overlap)
	return fresh, nil
}

// begin is up to where the rows of the first read are settled: those that are
// older than the newest by the overlap, by the database's clock.
func begin(rows []iam.Revocation, overlap time.Duration) int64 {
	var newest time.Time
	for _, r := range rows {
		if r.At.After(newest) {
			newest = r.At
		}
	}
	var settled int64
	for _, r := range rows {
		if newest.Sub(r.At) >= overlap {
			settled = max(settled, r.Seq)
		}
	}
	return settled
}

// settle forgets the rows that were first seen longer ago than the overlap, by a clock that does not jump:
// whatever comes before them has come. A row that is seen late moves nothing.
func (w *window) settle(now time.Time, overlap time.Duration) {
	for seq, at := range w.seen {
		if now.Sub(at) >= overlap {
			w.settled = max(w.settled, seq)
		}
	}
	for seq := range w.seen {
		if seq <= w.settled {
			delete(w.seen, seq)
		}
	}
}
