package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func scanConsent(row interface{ Scan(...any) error }) (iam.Consent, error) {
	var c iam.Consent
	return c, row.Scan(&c.UserID, &c.ClientID, list[[]string]{&c.Scopes}, moment{&c.Since}, moment{&c.At})
}

func readConsent(ctx context.Context, q querier, user iam.UserID, client iam.ClientID) (iam.Consent, error) {
	return scanConsent(q.QueryRowContext(ctx, `SELECT user_id, client_id, scopes, since, at FROM consents WHERE user_id = $1 AND client_id = $2`, user, client))
}

// Consent reads what a user allowed a client; the zero Consent when nothing.
func (db *DB) Consent(ctx context.Context, user iam.UserID, client iam.ClientID) (iam.Consent, error) {
	c, err := readConsent(ctx, db.reads, user, client)
	if errors.Is(err, sql.ErrNoRows) {
		return iam.Consent{}, nil
	}
	return c, err
}

// Consents reads what a user allowed, by client.
func (db *DB) Consents(ctx context.Context, user iam.UserID) ([]iam.Consent, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT user_id, client_id, scopes, since, at FROM consents WHERE user_id = $1 ORDER BY client_id`, user)
	return collect(rows, err, func(r *sql.Rows) (iam.Consent, error) { return scanConsent(r) })
}

// GiveConsent adds to what a user allows a client. What was allowed before is
// read in the same transaction, so that a consent that is taken back meanwhile
// does not come back with it.
func (db *DB) GiveConsent(ctx context.Context, user iam.UserID, client iam.ClientID, scopes []string, event iam.Event) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := micros(tx.now())
		before, err := readConsent(ctx, tx, user, client)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		all := slices.Clone(before.Scopes)
		for _, s := range scopes {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO consents (user_id, client_id, scopes, since, at) VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT (user_id, client_id) DO UPDATE SET scopes = excluded.scopes, at = excluded.at`, user, client, text(all), now)
		if err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), []iam.Event{event})
	})
}

// RevokeConsent takes back what a user allowed a client and ends everything
// that came of it. False: nothing was allowed and nothing was live.
func (db *DB) RevokeConsent(ctx context.Context, user iam.UserID, client iam.ClientID, event iam.Event) (bool, error) {
	revoked := false
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		gone, err := one(tx.ExecContext(ctx, `DELETE FROM consents WHERE user_id = $1 AND client_id = $2`, user, client))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO revocation (at, kind, subject, min_epoch, drop_after)
			SELECT $1, 'grant', id, 0, $2 FROM grants WHERE user_id = $3 AND client_id = $4 AND revoked_at IS NULL`, micros(now), micros(now.Add(tokenLife)), user, client)
		if err != nil {
			return err
		}
		ended, err := tx.ExecContext(ctx, `UPDATE grants SET revoked_at = $1, revoke_reason = 'the user took it back' WHERE user_id = $2 AND client_id = $3 AND revoked_at IS NULL`, micros(now), user, client)
		if err != nil {
			return err
		}
		n, err := ended.RowsAffected()
		if err != nil {
			return err
		}
		// A device that was allowed and has not come back yet gets nothing either.
		stopped, err := tx.ExecContext(ctx, `UPDATE devices SET state = $1 WHERE user_id = $2 AND client_id = $3 AND state = $4`, iam.DeviceDenied, user, client, iam.DeviceAllowed)
		if err != nil {
			return err
		}
		m, err := stopped.RowsAffected()
		if revoked = gone || n+m > 0; err != nil || !revoked {
			return err
		}
		return record(ctx, tx, now, []iam.Event{event})
	})
	return revoked, err
}

// GrantedApps are the clients with a live grant of a user, and when it was last used.
func (db *DB) GrantedApps(ctx context.Context, user iam.UserID) ([]iam.Grant, error) {
	now := fromNow(0)
	rows, err := db.reads.QueryContext(ctx, `SELECT `+grantColumns+` FROM grants
		WHERE user_id = $1 AND revoked_at IS NULL AND idle_expires > $2 AND expires > $2 ORDER BY client_id, created_at LIMIT 500`, user, now)
	return collect(rows, err, func(r *sql.Rows) (iam.Grant, error) { return scanGrant(r) })
}
