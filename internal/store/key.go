package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const keyColumns = `id, purpose, algorithm, sealed, public, created_at, activate_at, removed_at`

// Keys reads all keys, newest first.
func (db *DB) Keys(ctx context.Context) ([]iam.Key, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT `+keyColumns+` FROM keys ORDER BY purpose, algorithm, created_at DESC, id`)
	return collect(rows, err, func(r *sql.Rows) (iam.Key, error) {
		var k iam.Key
		return k, r.Scan(&k.ID, &k.Purpose, &k.Algorithm, &k.Sealed, &k.Public, moment{&k.CreatedAt}, moment{&k.ActivateAt}, moment{&k.RemovedAt})
	})
}

func addKey(ctx context.Context, tx *txn, k iam.Key) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)`,
		k.ID, k.Purpose, k.Algorithm, k.Sealed, string(k.Public), micros(k.CreatedAt), micros(k.ActivateAt))
	return err
}

// AddKeys stores the first keys of one line. iam.ErrConflict when the line has
// a key in use already: another process was first.
func (db *DB) AddKeys(ctx context.Context, keys []iam.Key, events ...iam.Event) error {
	return db.change(ctx, "key", "", events, func(ctx context.Context, tx *txn) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM keys WHERE purpose = $1 AND algorithm = $2 AND removed_at IS NULL AND activate_at IS NOT NULL`,
			keys[0].Purpose, keys[0].Algorithm).Scan(&n)
		if err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("add keys: %w", iam.ErrConflict)
		}
		for _, k := range keys {
			if err := addKey(ctx, tx, k); err != nil {
				return err
			}
		}
		return nil
	})
}

// RotateKey does one step in the life of a line. iam.ErrConflict when another
// process activated or removed one of the keys first.
func (db *DB) RotateKey(ctx context.Context, r iam.KeyRotation, events ...iam.Event) error {
	return db.change(ctx, "key", string(r.Activate), events, func(ctx context.Context, tx *txn) error {
		if r.Activate != "" {
			ok, err := one(tx.ExecContext(ctx, `UPDATE keys SET activate_at = $1 WHERE id = $2 AND COALESCE(activate_at, 0) = $3 AND removed_at IS NULL`,
				micros(r.ActivateAt), r.Activate, plannedAt(r)))
			if err := conflict(ok, err); err != nil {
				return err
			}
		}
		if r.Remove != "" {
			if err := db.removeKey(ctx, tx, r.Remove); err != nil {
				return err
			}
		}
		if r.Add == nil {
			return nil
		}
		return addKey(ctx, tx, *r.Add)
	})
}

// plannedAt is what a key's row says of its plan, 0 for none.
func plannedAt(r iam.KeyRotation) int64 {
	if r.PlannedAt.IsZero() {
		return 0
	}
	return r.PlannedAt.UnixMicro()
}

func (db *DB) removeKey(ctx context.Context, tx *txn, id iam.KeyID) error {
	now := tx.now()
	var purpose iam.Purpose
	err := tx.QueryRowContext(ctx, `UPDATE keys SET removed_at = $1, sealed = '' WHERE id = $2 AND removed_at IS NULL RETURNING purpose`, micros(now), id).Scan(&purpose)
	if errors.Is(err, sql.ErrNoRows) {
		return conflict(false, nil)
	}
	if err != nil {
		return err
	}
	if purpose == iam.RefreshKeys {
		if err := endMac(ctx, tx, now, id); err != nil {
			return err
		}
	}
	return revoke(ctx, tx, now, iam.RevokeKey, string(id), 0, now.Add(tokenLife))
}

// EraseKey forgets the secret of a key that nobody can need any more, and
// marks it as removed: no clock that is set back brings it to life again.
func (db *DB) EraseKey(ctx context.Context, id iam.KeyID, events ...iam.Event) error {
	return db.change(ctx, "key", string(id), events, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `UPDATE keys SET sealed = '', removed_at = $1 WHERE id = $2 AND removed_at IS NULL`, micros(tx.now()), id))
		return conflict(ok, err)
	})
}

// Sealed reads every secret that a key-encryption key seals.
func (db *DB) Sealed(ctx context.Context) ([]iam.Sealed, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT purpose, id, sealed FROM keys WHERE sealed <> '' UNION ALL SELECT purpose, id, sealed FROM sealed ORDER BY purpose, id`)
	return collect(rows, err, func(r *sql.Rows) (iam.Sealed, error) {
		var s iam.Sealed
		return s, r.Scan(&s.Purpose, &s.ID, &s.Sealed)
	})
}

// Rewrap replaces seals, all or none. iam.ErrConflict when one of them changed
// since it was read.
func (db *DB) Rewrap(ctx context.Context, secrets []iam.Rewrapped, events ...iam.Event) error {
	return db.change(ctx, "key", "", events, func(ctx context.Context, tx *txn) error {
		for _, s := range secrets {
			table := `keys`
			if s.Purpose == iam.ACMEData {
				table = `sealed`
			}
			ok, err := one(tx.ExecContext(ctx, `UPDATE `+table+` SET sealed = $1 WHERE id = $2 AND purpose = $3 AND sealed = $4`, s.Next, s.ID, s.Purpose, s.Sealed.Sealed))
			if err := conflict(ok, err); err != nil {
				return err
			}
		}
		return nil
	})
}

// Secret reads a sealed secret that is not a key of a line.
func (db *DB) Secret(ctx context.Context, purpose iam.Purpose, id iam.KeyID) (string, error) {
	var sealed string
	err := db.reads.QueryRowContext(ctx, `SELECT sealed FROM sealed WHERE purpose = $1 AND id = $2`, purpose, id).Scan(&sealed)
	return sealed, translate(err)
}

// PutSecret stores a sealed secret, instead of an older one.
func (db *DB) PutSecret(ctx context.Context, s iam.Sealed) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO sealed (purpose, id, sealed) VALUES ($1, $2, $3)
			ON CONFLICT (purpose, id) DO UPDATE SET sealed = excluded.sealed`, s.Purpose, s.ID, s.Sealed)
		return err
	})
}

// DropSecret removes a sealed secret. One that is not there is no error.
func (db *DB) DropSecret(ctx context.Context, purpose iam.Purpose, id iam.KeyID) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM sealed WHERE purpose = $1 AND id = $2`, purpose, id)
		return err
	})
}
