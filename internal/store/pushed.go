package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// PutPushed keeps an authorization request for a minute. iam.ErrConflict: too
// many of this client are waiting (C31). network is where it came from when
// nothing proved that it came from the client, else "".
func (db *DB) PutPushed(ctx context.Context, idHash string, client iam.ClientID, network, request string) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		return pushedRoom.put(ctx, tx, client, network, func() (bool, error) {
			return one(tx.ExecContext(ctx, `INSERT INTO pushed (id_hash, client_id, request, expires, network)
				SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($7 AS TEXT)
				WHERE (SELECT COUNT(*) FROM pushed WHERE client_id = $2 AND expires > $5) < $6`,
				idHash, client, request, micros(now.Add(iam.PushedLife)), micros(now), iam.PushedCap, network))
		})
	})
}

// TakePushed returns a pushed request of the client and removes it: it is good
// for one use. iam.ErrNotFound: used, expired, unknown, or another client's.
func (db *DB) TakePushed(ctx context.Context, idHash string, client iam.ClientID) (string, error) {
	var request string
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		return tx.QueryRowContext(ctx, `DELETE FROM pushed WHERE id_hash = $1 AND client_id = $2 AND expires > $3 RETURNING request`,
			idHash, client, micros(tx.now())).Scan(&request)
	})
	return request, translate(err)
}
