package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Tail follows a table that only grows at its end, by polls, and misses no row:
// also one whose transaction commits after later ones, if it does within half
// a minute, which every transaction of Gatehouse does. For one goroutine.
type Tail[T any] struct {
	db     *DB
	window window
	began  *timeline // as it was at the first read
	query  string    // up to WHERE
	scan   func(*sql.Rows) (T, mark, error)
}

const (
	// tailAtOnce bounds what one call of Next reads ahead.
	tailAtOnce = 1000
	// tailRanges is how many gaps one query asks about.
	tailRanges = 16
)

// TailRevocations follows the revocations after a number.
func (db *DB) TailRevocations(after int64) *Tail[iam.Revocation] {
	return &Tail[iam.Revocation]{db: db, window: window{high: after}, query: `SELECT seq, at, kind, subject, min_epoch, drop_after FROM revocation`,
		scan: func(r *sql.Rows) (iam.Revocation, mark, error) {
			v, err := scanRevocation(r)
			return v, mark{v.Seq, v.At}, err
		}}
}

// TailChanges follows the changes after a number.
func (db *DB) TailChanges(after int64) *Tail[iam.Change] {
	return &Tail[iam.Change]{db: db, window: window{high: after}, query: `SELECT seq, at, kind, subject FROM change`,
		scan: func(r *sql.Rows) (iam.Change, mark, error) {
			c, err := scanChange(r)
			return c, mark{c.Seq, c.At}, err
		}}
}

// Next returns the rows that are new, each once, and the number to resume at:
// all rows up to it were returned. The rows ascend, but for late ones, which
// come first. No rows: nothing is new. After an error the same rows come again;
// after iam.ErrBeganAnew never: another Tail must start.
func (t *Tail[T]) Next(ctx context.Context) (fresh []T, resume int64, err error) {
	if err := t.sameHistory(); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	var late page[T]
	if t.window.loaded { // before, all that was skipped would be read again with each page
		if late, err = t.behind(ctx); err != nil {
			return nil, 0, err
		}
	}
	ahead, err := t.read(ctx, `seq > $1 ORDER BY seq LIMIT $2`, t.window.high, tailAtOnce)
	if err != nil {
		return nil, 0, err
	}
	fresh = t.new(late, fresh)
	fresh = t.new(ahead, fresh)
	if t.window.loaded {
		t.window.expire(began)
	}
	if len(ahead.marks) < tailAtOnce {
		t.window.reached(time.Now())
	}
	return fresh, t.window.resume(), nil
}

// sameHistory fails when the database began a new timeline since the first read.
// Numbers that were seen may then come again, with other rows.
func (t *Tail[T]) sameHistory() error {
	w, ok := t.db.writer.(*pgWriter)
	if !ok {
		return nil
	}
	switch now := w.history.known.Load(); {
	case t.began == nil:
		t.began = now
	case now.id != t.began.id:
		return iam.ErrBeganAnew
	}
	return nil
}

// page is what a read found.
type page[T any] struct {
	rows  []T
	marks []mark
}

func (t *Tail[T]) new(p page[T], fresh []T) []T {
	for i, is := range t.window.take(p.marks, time.Now()) {
		if is {
			fresh = append(fresh, p.rows[i])
		}
	}
	return fresh
}

// behind reads what came late.
func (t *Tail[T]) behind(ctx context.Context) (page[T], error) {
	ranges := t.window.ranges(tailRanges)
	if len(ranges) == 0 {
		return page[T]{}, nil
	}
	var args []any
	for i := range tailRanges {
		low, high := int64(0), int64(-1) // empty
		if i < len(ranges) {
			low, high = ranges[i][0], ranges[i][1]
		}
		args = append(args, low, high)
	}
	return t.read(ctx, behindWhere, args...)
}

var behindWhere = func() string {
	var all []string
	for i := range tailRanges {
		all = append(all, fmt.Sprintf("seq BETWEEN $%d AND $%d", 2*i+1, 2*i+2))
	}
	return strings.Join(all, " OR ") + " ORDER BY seq"
}()

func (t *Tail[T]) read(ctx context.Context, where string, args ...any) (p page[T], err error) {
	rows, err := t.db.reads.QueryContext(ctx, t.query+` WHERE `+where, args...)
	p.rows, err = collect(rows, err, func(r *sql.Rows) (T, error) {
		one, m, err := t.scan(r)
		p.marks = append(p.marks, m)
		return one, err
	})
	return p, err
}
