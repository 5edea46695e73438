package store

import (
	"context"
)

// keepEnded is how long ended grants and sessions stay readable for
// administrators and for the detection of late reuse.
const keepEnded = 24 * 60 * 60 * 1_000_000 // microseconds

// Clean removes at most limit rows of each kind that nobody can need any
// more, and returns how many went.
func (db *DB) Clean(ctx context.Context, limit int) (int64, error) {
	var total int64
	now := db.now().UnixMicro()
	for _, statement := range []string{
		`DELETE FROM spent WHERE id IN (SELECT id FROM spent WHERE drop_after < $1 ORDER BY drop_after LIMIT $2)`,
		`DELETE FROM revocation WHERE seq IN (SELECT seq FROM revocation WHERE drop_after < $1 ORDER BY drop_after LIMIT $2)`,
		`DELETE FROM change WHERE seq IN (SELECT seq FROM change WHERE at < $1 - 3600000000 ORDER BY seq LIMIT $2)`,
		`DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires < $1 - $3 OR revoked_at < $1 - $3 LIMIT $2)`,
		`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires < $1 - $3 OR ended_at < $1 - $3 LIMIT $2)`,
	} {
		err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
			result, err := tx.ExecContext(ctx, statement, now, limit, keepEnded)
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			total += n
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
