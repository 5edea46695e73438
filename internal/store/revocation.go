package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// tokenLife is how long a revocation of something that owns access tokens must
// be known: until the last of them has expired, with the largest leeway (C15),
// twice: a node whose clock is fast by it signs tokens that end later by it, and
// a verifier with that leeway takes them (C16).
const tokenLife = iam.AccessTokenLife + 2*iam.RevocationLeeway

func revoke(ctx context.Context, tx *txn, now time.Time, kind iam.RevocationKind, subject string, minEpoch int64, drop time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO revocation (at, kind, subject, min_epoch, drop_after) VALUES ($1, $2, $3, $4, $5)`,
		micros(now), kind, subject, minEpoch, micros(drop))
	return err
}

// RevokeToken ends one access token. Doing it twice is no error.
func (db *DB) RevokeToken(ctx context.Context, id iam.TokenID, expires time.Time, event iam.Event) error {
	return db.writer.redo(ctx, &event, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		if known, err := tokenRevoked(ctx, tx, id); err != nil || known {
			return err
		}
		if err := revoke(ctx, tx, now, iam.RevokeToken, string(id), 0, expires.Add(iam.RevocationLeeway)); err != nil {
			return err
		}
		return record(ctx, tx, now, []iam.Event{event})
	})
}

// TokenRevoked tells whether a token was revoked by its id.
func (db *DB) TokenRevoked(ctx context.Context, id iam.TokenID) (bool, error) {
	return tokenRevoked(ctx, db.reads, id)
}

func tokenRevoked(ctx context.Context, q querier, id iam.TokenID) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM revocation WHERE kind = $1 AND subject = $2`, iam.RevokeToken, id).Scan(&n)
	return n > 0, err
}

// Revocations returns at most limit rows after a sequence number, oldest first.
// To follow them use TailRevocations, which also finds what becomes visible late.
func (db *DB) Revocations(ctx context.Context, after int64, limit int) ([]iam.Revocation, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT seq, at, kind, subject, min_epoch, drop_after FROM revocation WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	return collect(rows, err, scanRevocation)
}

func scanRevocation(r *sql.Rows) (iam.Revocation, error) {
	var v iam.Revocation
	return v, r.Scan(&v.Seq, moment{&v.At}, &v.Kind, &v.Subject, &v.MinEpoch, moment{&v.DropAfter})
}
