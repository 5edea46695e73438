package store

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// maxKnownNetworks of one user; the oldest goes first.
const maxKnownNetworks = 16

// KnownNetwork tells whether a user with that canonical name logged in from a
// network lately. It costs the same whether there is such a user.
func (db *DB) KnownNetwork(ctx context.Context, username, network string) (bool, error) {
	var n int
	err := db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM users u JOIN known_networks k ON k.user_id = u.id
		WHERE u.username = $1 AND k.network = $2 AND k.network <> '' AND k.seen_at > $3`, username, network, fromNow(-iam.KnownNetworkLife)).Scan(&n)
	return n > 0, err
}

// RecordLogin records a login of a user as it was read, and the network that
// it came from. iam.ErrConflict when the user was disabled or got another
// password meanwhile; a hash that was only made anew leaves the epoch alone.
func (db *DB) RecordLogin(ctx context.Context, u iam.User, network string, events ...iam.Event) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `INSERT INTO known_networks (user_id, network, seen_at)
			SELECT id, $1, $2 FROM users WHERE id = $3 AND disabled = $4 AND (password_hash = $5 OR epoch = $6)
			ON CONFLICT (user_id, network) DO UPDATE SET seen_at = excluded.seen_at`,
			network, micros(tx.now()), u.ID, false, u.PasswordHash, u.Epoch))
		if err := conflict(ok, err); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM known_networks WHERE user_id = $1 AND network IN
			(SELECT network FROM known_networks WHERE user_id = $1 ORDER BY seen_at DESC, network LIMIT 1000 OFFSET $2)`, u.ID, maxKnownNetworks)
		if err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), events)
	})
}

// RenewHash replaces the hash of the same password by a better one, if it is
// still the one that was verified; else iam.ErrConflict. It ends nothing.
func (db *DB) RenewHash(ctx context.Context, u iam.User, hash string, events ...iam.Event) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		// The version moves, so that an edit which read the old hash is made again.
		ok, err := one(tx.ExecContext(ctx, `UPDATE users SET password_hash = $1, version = version + 1 WHERE id = $2 AND password_hash = $3`,
			hash, u.ID, u.PasswordHash))
		if err := conflict(ok, err); err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), events)
	})
}

// ChangePassword replaces the password of a user who is enabled, if the hash is
// still the one that was verified, and ends everything that the old one opened
// (C14); else iam.ErrConflict. The network becomes the only one that is known.
func (db *DB) ChangePassword(ctx context.Context, u iam.User, hash, network string, events ...iam.Event) error {
	return db.change(ctx, "user", string(u.ID), events, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `UPDATE users SET password_hash = $1, version = version + 1
			WHERE id = $2 AND password_hash = $3 AND disabled = $4`, hash, u.ID, u.PasswordHash, false))
		if err := conflict(ok, err); err != nil {
			return err
		}
		if err := endUser(ctx, tx, tx.now(), u.ID, iam.EndEverything); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO known_networks (user_id, network, seen_at) VALUES ($1, $2, $3)`, u.ID, network, micros(tx.now()))
		return err
	})
}

// CreateUsers stores many new users in one transaction: all or none.
// iam.ErrExists when one of the names is taken.
func (db *DB) CreateUsers(ctx context.Context, users []iam.User, events ...iam.Event) error {
	return db.change(ctx, "user", "", events, func(ctx context.Context, tx *txn) error {
		for _, u := range users {
			if err := db.insertUser(ctx, tx, u); err != nil {
				return err
			}
		}
		return nil
	})
}
