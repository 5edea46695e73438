package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// leaseMost is the longest that any lease may last. One that claims to last
// longer was written before the database's clock was set back, and can be taken.
const leaseMost = 10 * time.Minute

// acquireStatement is the whole decision who has a lease, by the database's clock.
const acquireStatement = `INSERT INTO leases (name, owner, fence, expires) VALUES ($1, $2, 1, $3)
	ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = leases.fence + 1, expires = excluded.expires
	WHERE leases.expires <= $4 OR leases.expires > $5
	RETURNING fence`

// Acquire takes a lease for a while, at most leaseMost, if nobody has it. False:
// somebody does.
func (db *DB) Acquire(ctx context.Context, name, owner string, life time.Duration) (iam.Lease, bool, error) {
	lease := iam.Lease{Name: name, Owner: owner}
	taken := false
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		taken = false // it may run again
		lease.Expires = now.Add(min(life, leaseMost))
		err := tx.QueryRowContext(ctx, acquireStatement, name, owner, micros(lease.Expires), micros(now), micros(now.Add(leaseMost))).Scan(&lease.Fence)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		taken = err == nil
		return err
	})
	return lease, taken, err
}

// Renew makes a lease that is still held last for a while from now. False: it
// ended, or another process has it.
func (db *DB) Renew(ctx context.Context, l iam.Lease, life time.Duration) (bool, error) {
	held := false
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) (err error) {
		now := tx.now()
		held, err = one(tx.ExecContext(ctx, `UPDATE leases SET expires = $1 WHERE name = $2 AND owner = $3 AND fence = $4 AND expires > $5`,
			micros(now.Add(min(life, leaseMost))), l.Name, l.Owner, l.Fence, micros(now)))
		return err
	})
	return held, err
}

// Release gives a lease back. Nobody gets it before rest has passed: the job is
// not due again earlier. Who holds it no more changes nothing.
func (db *DB) Release(ctx context.Context, l iam.Lease, rest time.Duration) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		_, err := tx.ExecContext(ctx, `UPDATE leases SET expires = $1, fence = fence + 1 WHERE name = $2 AND owner = $3 AND fence = $4 AND expires > $5`,
			micros(now.Add(min(rest, leaseMost))), l.Name, l.Owner, l.Fence, micros(now))
		return err
	})
}

// Clock asks the store what time it is.
func (db *DB) Clock(ctx context.Context) (now time.Time, err error) {
	err = db.reads.QueryRowContext(ctx, `SELECT CAST($1 AS BIGINT)`, fromNow(0)).Scan(moment{&now})
	return now, translate(err)
}

// Leases reads all leases by name, for administrators and metrics.
func (db *DB) Leases(ctx context.Context) ([]iam.Lease, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT name, owner, fence, expires FROM leases ORDER BY name`)
	return collect(rows, err, func(r *sql.Rows) (iam.Lease, error) {
		var l iam.Lease
		return l, r.Scan(&l.Name, &l.Owner, &l.Fence, moment{&l.Expires})
	})
}

// fenceKey is where a context says under which lease its caller writes.
type fenceKey struct{}

// Under returns a context whose writes, through any method, happen only while
// the lease is held: each checks the fence in its own transaction and fails
// with iam.ErrLeaseLost otherwise. A job cannot forget it for one of its writes.
func (db *DB) Under(ctx context.Context, l iam.Lease) context.Context {
	return context.WithValue(ctx, fenceKey{}, closure(func(ctx context.Context, tx *txn) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM leases WHERE name = $1 AND owner = $2 AND fence = $3 AND expires > $4`,
			l.Name, l.Owner, l.Fence, micros(tx.now())).Scan(&n)
		if err == nil && n == 0 {
			return iam.ErrLeaseLost
		}
		return err
	}))
}

// fenced runs the check of the caller's lease, if it has one, before the closure.
func fenced(ctx context.Context, run closure) closure {
	holds, ok := ctx.Value(fenceKey{}).(closure)
	if !ok {
		return run
	}
	return func(ctx context.Context, tx *txn) error {
		if err := holds(ctx, tx); err != nil {
			return err
		}
		return run(ctx, tx)
	}
}
