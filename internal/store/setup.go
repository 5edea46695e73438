package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// PutSetup makes a setup code valid, and any older one invalid.
func (db *DB) PutSetup(ctx context.Context, codeHash string, life time.Duration, events ...iam.Event) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO setup (id, code_hash, expires) VALUES (1, $1, $2)
			ON CONFLICT (id) DO UPDATE SET code_hash = excluded.code_hash, expires = excluded.expires`, codeHash, micros(tx.now().Add(life)))
		if err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), events)
	})
}

// SetupWaits tells whether a setup code is valid now.
func (db *DB) SetupWaits(ctx context.Context) (bool, error) {
	var n int
	err := db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM setup WHERE expires > $1`, fromNow(0)).Scan(&n)
	return n > 0, err
}

// SetupHolds tells whether a code is the valid one.
func (db *DB) SetupHolds(ctx context.Context, codeHash string) (bool, error) {
	var n int
	err := db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM setup WHERE code_hash = $1 AND expires > $2`, codeHash, fromNow(0)).Scan(&n)
	return n > 0, err
}

// ClaimSetup spends a setup code and makes the first administrator with it, in
// one transaction. iam.ErrConflict when the code is not valid (any more).
func (db *DB) ClaimSetup(ctx context.Context, codeHash string, admin iam.User, events ...iam.Event) error {
	return db.change(ctx, "role", iam.Administrator, events, func(ctx context.Context, tx *txn) error {
		spent, err := one(tx.ExecContext(ctx, `DELETE FROM setup WHERE code_hash = $1 AND expires > $2`, codeHash, micros(tx.now())))
		if err := conflict(spent, err); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO roles (name, description, is_default, disabled, version, created_at)
			VALUES ($1, 'Administers Gatehouse', $2, $2, 1, $3) ON CONFLICT (name) DO NOTHING`, iam.Administrator, false, micros(tx.now()))
		if err != nil {
			return err
		}
		return db.insertUser(ctx, tx, admin)
	})
}
