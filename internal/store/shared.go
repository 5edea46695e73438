package store

import (
	"context"
	"encoding/hex"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// SharedSecret is a secret of that name which all processes on this database
// have: the candidate of the first that asked. It is for what lives in memory
// and means nothing to a reader of the database; keys lie sealed, elsewhere.
func (db *DB) SharedSecret(ctx context.Context, name string, candidate []byte) ([]byte, error) {
	var stored string
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, "secret "+name, hex.EncodeToString(candidate)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = $1`, "secret "+name).Scan(&stored)
	})
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(stored)
}

// Tell leaves word for all processes, as a change that no record has.
func (db *DB) Tell(ctx context.Context, changes ...iam.Change) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		for _, c := range changes {
			if err := changed(ctx, tx, tx.now(), c.Kind, c.Subject); err != nil {
				return err
			}
		}
		return nil
	})
}
