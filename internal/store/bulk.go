package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// EndSessionsOf ends the sessions of a user, of those only in which a client
// was reached when one is named, and the grants that belong to them. Verifiers
// learn one thing, however many there are: the user's epoch, which also refuses
// the codes that are under way. It returns how many sessions ended.
func (db *DB) EndSessionsOf(ctx context.Context, user iam.UserID, client iam.ClientID, event iam.Event) (int64, error) {
	where, args := `user_id = $1 AND (CAST($2 AS TEXT) = '' OR id IN (SELECT session_id FROM session_apps WHERE client_id = $2))`, []any{string(user), string(client)}
	var ended int64
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM sessions WHERE `+where+` AND ended_at IS NULL`, args...).Scan(&ended); err != nil {
			return err
		}
		if err := endUser(ctx, tx, now, user, iam.EndAccess); err != nil {
			return err
		}
		if err := endSessionsQuietly(ctx, tx, now, where, args...); err != nil {
			return err
		}
		event.Detail = counted(event.Detail, "sessions", ended)
		return record(ctx, tx, now, []iam.Event{event})
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = iam.ErrNotFound
	}
	return ended, err
}

// EndGrantsOf ends the grants of a user, of one client only when one is named.
// As with sessions, verifiers learn the user's epoch.
func (db *DB) EndGrantsOf(ctx context.Context, user iam.UserID, client iam.ClientID, event iam.Event) (int64, error) {
	var ended int64
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		result, err := tx.ExecContext(ctx, `UPDATE grants SET revoked_at = $1, revoke_reason = 'an administrator ended it'
			WHERE user_id = $2 AND (CAST($3 AS TEXT) = '' OR client_id = $3) AND revoked_at IS NULL`, micros(now), user, client)
		if err != nil {
			return err
		}
		if ended, err = result.RowsAffected(); err != nil {
			return err
		}
		if err := endUser(ctx, tx, now, user, iam.EndAccess); err != nil {
			return err
		}
		event.Detail = counted(event.Detail, "grants", ended)
		return record(ctx, tx, now, []iam.Event{event})
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = iam.ErrNotFound
	}
	return ended, err
}

// EndClientGrants ends all grants of a client and all its access tokens, in one
// row however many there are; the client stays as it is. The rows of the
// grants follow (see Sweep).
func (db *DB) EndClientGrants(ctx context.Context, client iam.ClientID, events ...iam.Event) error {
	err := db.change(ctx, "client", string(client), events, func(ctx context.Context, tx *txn) error {
		return endClient(ctx, tx, tx.now(), client, iam.EndEverything)
	})
	return translate(err)
}

func counted(detail map[string]string, what string, n int64) map[string]string {
	if detail == nil {
		detail = map[string]string{}
	}
	detail[what] = fmt.Sprint(n)
	return detail
}
