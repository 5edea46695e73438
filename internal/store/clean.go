package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const (
	// keepEnded is how long ended grants and sessions stay readable for
	// administrators and for the detection of late reuse.
	keepEnded = 24 * time.Hour
	// keepChanges is how long a server may sleep and still hear of a change
	// that it then does not read anew by itself.
	keepChanges = time.Hour
	// keepDevices is how long a device that polls too late is told so.
	keepDevices = 10 * time.Minute
	// cleanPause lets waiting writes go first between two batches.
	cleanPause = 10 * time.Millisecond
	// cleanShare is how many times as long as a batch took the next one waits: a
	// clean-up gets a fifth of the time at most, and less the busier the store is.
	cleanShare = 4
	// cleanSlow is how long a batch may take before the next is made smaller.
	cleanSlow  = 50 * time.Millisecond
	cleanLeast = 100 // rows of a batch, however slow it is
)

// obsolete is one kind of rows that nobody can need any more, in the order of
// an index, so that finding them costs nothing when there are none.
type obsolete struct {
	statement string
	keep      time.Duration
}

var obsoletes = []obsolete{
	{`DELETE FROM spent WHERE id IN (SELECT id FROM spent WHERE drop_after < $1 ORDER BY drop_after LIMIT $2)`, 0},
	{`DELETE FROM revocation WHERE seq IN (SELECT seq FROM revocation WHERE drop_after < $1 ORDER BY drop_after LIMIT $2)`, 0},
	{`DELETE FROM change WHERE seq IN (SELECT seq FROM change WHERE at < $1 ORDER BY at LIMIT $2)`, keepChanges},
	{`DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires < $1 ORDER BY expires LIMIT $2)`, keepEnded},
	{`DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE revoked_at < $1 ORDER BY revoked_at LIMIT $2)`, keepEnded},
	{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires < $1 ORDER BY expires LIMIT $2)`, keepEnded},
	{`DELETE FROM pushed WHERE id_hash IN (SELECT id_hash FROM pushed WHERE expires < $1 ORDER BY expires LIMIT $2)`, 0},
	{`DELETE FROM devices WHERE code_hash IN (SELECT code_hash FROM devices WHERE expires < $1 ORDER BY expires LIMIT $2)`, keepDevices},
	{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE ended_at < $1 ORDER BY ended_at LIMIT $2)`, keepEnded},
	{`DELETE FROM known_networks WHERE (user_id, network) IN (SELECT user_id, network FROM known_networks WHERE seen_at < $1 ORDER BY seen_at LIMIT $2)`, iam.KnownNetworkLife},
}

// Clean removes what nobody can need any more, in transactions of at most
// batch rows, until nothing is left or ctx ends, and returns how many rows went.
// It gives way: the longer a batch took, its wait for the writer included, the
// longer the pause after it and the smaller the next.
func (db *DB) Clean(ctx context.Context, batch int) (int64, error) {
	var total int64
	size := batch
	for _, o := range obsoletes {
		for {
			began := time.Now()
			n, err := db.cleanBatch(ctx, o, size)
			total += n
			if err != nil {
				return total, err
			}
			if n < int64(size) {
				break
			}
			took := time.Since(began)
			select {
			case <-time.After(max(cleanPause, cleanShare*took)):
			case <-ctx.Done():
				return total, ctx.Err()
			}
			if took > cleanSlow {
				size = max(size/2, min(cleanLeast, batch))
			} else {
				size = min(size*2, batch)
			}
		}
	}
	return total, nil
}

func (db *DB) cleanBatch(ctx context.Context, o obsolete, batch int) (n int64, err error) {
	err = db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		result, err := tx.ExecContext(ctx, o.statement, micros(tx.now().Add(-o.keep)), batch)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}
