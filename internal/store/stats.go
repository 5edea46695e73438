package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Pool is what a pool of connections to the database does right now.
type Pool struct {
	Name  string // read or write
	Stats sql.DBStats
}

// Pools are the pools of this process. The writer of SQLite is one connection,
// without a pool.
func (db *DB) Pools() []Pool {
	var pools []Pool
	switch r := db.reads.(type) {
	case *fileReader:
		pools = append(pools, Pool{"read", r.pool.Stats()})
	case *pgReader:
		pools = append(pools, Pool{"read", r.pool.Stats()})
	}
	if w, ok := db.writer.(*pgWriter); ok {
		pools = append(pools, Pool{"write", w.pool.Stats()})
	}
	return pools
}

// Waiting is how many writes wait for the writer of SQLite; 0 on PostgreSQL,
// where they wait for a connection.
func (db *DB) Waiting() int {
	if w, ok := db.writer.(*groupWriter); ok {
		return len(w.queue)
	}
	return 0
}

// Sweeps is how many decisions over many grants have rows left to mark.
func (db *DB) Sweeps(ctx context.Context) (n int, err error) {
	err = db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM sweeps`).Scan(&n)
	return n, translate(err)
}

// RevokeNothing writes the revocation of an id that no token has, and forgets it
// after a while: whoever follows the feed can measure how long it takes. It is no
// event of the journal, for nothing ended.
func (db *DB) RevokeNothing(ctx context.Context, id iam.TokenID, keep time.Duration) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		return revoke(ctx, tx, tx.now(), iam.RevokeToken, string(id), 0, tx.now().Add(keep))
	})
}
