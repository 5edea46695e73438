package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Some decisions end more grants than one transaction should touch: a client's
// access ends, a key of refresh tokens is retired. The decision itself is one
// row, which every statement that uses a grant asks about; the rows of the
// grants are marked afterwards, in batches. What is left to mark is a sweep.
type sweep struct {
	kind    string
	subject string
	below   int64  // grants made at a client's epoch below this one
	seen    string // grants up to this id are done
}

const (
	sweepClient = "client" // the grants of a client
	sweepMac    = "mac"    // the grants whose refresh token a key made
)

// sweepBatch bounds how many grants one transaction marks.
const sweepBatch = 500

// sweepReasons are what the rows say.
var sweepReasons = map[string]string{
	sweepClient: "the client's access ended",
	sweepMac:    "the key of its refresh tokens was retired",
}

// mine is the condition, over $1, that a grant is one of the sweep's.
func (s sweep) mine() string {
	if s.kind == sweepClient {
		return `client_id = $1`
	}
	return `mac_key_id = $1`
}

// page selects the next grants to look at, as id. Grants of a key have no
// index, which every refresh would pay for: all grants are looked at.
func (s sweep) page() string {
	if s.kind == sweepClient {
		return `SELECT id FROM grants WHERE client_id = $1 AND id > $2 ORDER BY id LIMIT $3`
	}
	return `SELECT id FROM grants WHERE CAST($1 AS TEXT) <> '' AND id > $2 ORDER BY id LIMIT $3`
}

// begin marks the first grants in the transaction of the decision, and leaves
// the rest, if there is any, to Sweep.
func (s sweep) begin(ctx context.Context, tx *txn, now time.Time) error {
	last, err := s.step(ctx, tx, now)
	if err != nil || last == "" {
		return errors.Join(err, s.done(ctx, tx))
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO sweeps (kind, subject, below, seen) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, subject) DO UPDATE SET below = excluded.below, seen = excluded.seen`, s.kind, s.subject, s.below, last)
	return err
}

// step marks one batch. It returns the last id that it looked at, "" when
// none are left.
func (s sweep) step(ctx context.Context, tx *txn, now time.Time) (last string, err error) {
	rows := 0
	page := `SELECT COUNT(*), COALESCE(MAX(id), '') FROM (` + s.page() + `) page`
	if err := tx.QueryRowContext(ctx, page, s.subject, s.seen, sweepBatch).Scan(&rows, &last); err != nil {
		return "", fmt.Errorf("end grants: %w", err)
	}
	_, err = tx.ExecContext(ctx, `UPDATE grants SET revoked_at = $2, revoke_reason = $3
		WHERE `+s.mine()+` AND id > $4 AND id <= $5 AND revoked_at IS NULL AND (client_epoch < $6 OR $6 = 0)`,
		s.subject, micros(now), sweepReasons[s.kind], s.seen, last, s.below)
	if err != nil {
		return "", fmt.Errorf("end grants: %w", err)
	}
	if rows < sweepBatch {
		return "", nil
	}
	return last, nil
}

func (s sweep) done(ctx context.Context, tx *txn) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM sweeps WHERE kind = $1 AND subject = $2`, s.kind, s.subject)
	return err
}

// Sweep marks the grants that earlier decisions ended, in transactions of
// sweepBatch with a pause after each, until none are left or ctx ends. Nothing
// waits for it: the grants are over since the decision.
func (db *DB) Sweep(ctx context.Context) error {
	for {
		again := false
		err := db.inTurn(ctx, func(ctx context.Context, tx *txn) error {
			again = false // it may run again
			var s sweep
			err := tx.QueryRowContext(ctx, `SELECT kind, subject, below, seen FROM sweeps ORDER BY kind, subject LIMIT 1`).Scan(&s.kind, &s.subject, &s.below, &s.seen)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			again = true
			last, err := s.step(ctx, tx, tx.now())
			if err != nil {
				return err
			}
			if last == "" {
				return s.done(ctx, tx)
			}
			_, err = tx.ExecContext(ctx, `UPDATE sweeps SET seen = $1 WHERE kind = $2 AND subject = $3`, last, s.kind, s.subject)
			return err
		})
		if err != nil || !again {
			return err
		}
	}
}

// endClientGrants ends all grants of a client that were made before an epoch.
// The one grant of a service account ends in the same transaction: a new one
// cannot be made beside it.
func endClientGrants(ctx context.Context, tx *txn, now time.Time, id iam.ClientID, epoch int64) error {
	if _, err := tx.ExecContext(ctx, `UPDATE clients SET min_grant_epoch = $1 WHERE id = $2`, epoch, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE grants SET revoked_at = $1, revoke_reason = $2 WHERE client_id = $3 AND user_id IS NULL AND revoked_at IS NULL`,
		micros(now), sweepReasons[sweepClient], id)
	if err != nil {
		return err
	}
	return sweep{kind: sweepClient, subject: string(id), below: epoch}.begin(ctx, tx, now)
}

// endMac ends the grants whose refresh token a retired mac key made (C13):
// whoever knows the key could make them all, and may have used them. Their
// access tokens end by the epochs of the clients, one row each.
func endMac(ctx context.Context, tx *txn, now time.Time, id iam.KeyID) error {
	if _, err := tx.ExecContext(ctx, `UPDATE clients SET epoch = epoch + 1 WHERE type <> $1`, iam.Service); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO revocation (at, kind, subject, min_epoch, drop_after) SELECT $1, 'client', id, epoch, $2 FROM clients WHERE type <> $3`,
		micros(now), micros(now.Add(tokenLife)), iam.Service)
	if err != nil {
		return err
	}
	if err := changed(ctx, tx, now, "clients", ""); err != nil {
		return err
	}
	return sweep{kind: sweepMac, subject: string(id)}.begin(ctx, tx, now)
}

// macGone tells whether a key of refresh tokens was retired. One that nobody
// knows was not.
func macGone(ctx context.Context, q querier, id iam.KeyID) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM keys WHERE id = $1 AND removed_at IS NOT NULL`, id).Scan(&n)
	return n > 0, err
}

// UnmarkedGrants counts the grants of a client whose own rows do not say that
// they ended: the live ones, and those that a sweep has yet to mark.
func (db *DB) UnmarkedGrants(ctx context.Context, client iam.ClientID) (n int, err error) {
	err = db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM grants WHERE client_id = $1 AND revoked_at IS NULL`, client).Scan(&n)
	return n, translate(err)
}
