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
// batch rows with a pause after each, until nothing is left or ctx ends, and
// returns how many rows went.
func (db *DB) Clean(ctx context.Context, batch int) (int64, error) {
	var total int64
	for _, o := range obsoletes {
		for {
			n, err := db.cleanBatch(ctx, o, batch)
			total += n
			if err != nil {
				return total, err
			}
			if n < int64(batch) {
				break
			}
			select {
			case <-time.After(cleanPause):
			case <-ctx.Done():
				return total, ctx.Err()
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
