package store

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// IssueHandoff records that a login is handed to an app, if user, client and
// session are still what they were, and notes that the app was reached through
// the session, so that it is told when that ends. False: nothing was written.
func (db *DB) IssueHandoff(ctx context.Context, h iam.HandoffIssue) (bool, error) {
	if h.Session == "" {
		return false, nil // a grant may stand without a session, a hand-off may not
	}
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		for _, holder := range []struct {
			table, id string
			epoch     int64
		}{{`users`, string(h.User), h.UserEpoch}, {`clients`, string(h.Client), h.ClientEpoch}} {
			live, err := epochHolds(ctx, tx, holder.table, holder.id, holder.epoch)
			if err != nil {
				return err
			}
			if !live {
				return errRefused
			}
		}
		if err := db.joinSession(ctx, tx, iam.Redemption{Within: h.Session, Grant: iam.Grant{UserID: h.User, ClientID: h.Client}}); err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), []iam.Event{h.Event})
	})
	if errors.Is(err, errRefused) {
		return false, nil
	}
	return err == nil, err
}

// SpendHandoff spends a hand-off and reports whether it was good for it: not
// spent before, not expired by the store's clock, and of a login that lives.
func (db *DB) SpendHandoff(ctx context.Context, h iam.HandoffUse) (bool, error) {
	spent := false
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) (err error) {
		now := tx.now()
		spent, err = one(tx.ExecContext(ctx, `INSERT INTO spent (id, grant_id, drop_after) SELECT CAST($1 AS TEXT), '', CAST($2 AS BIGINT)
			WHERE CAST($3 AS BIGINT) > $4 AND EXISTS (SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id
				WHERE s.id = $5 AND s.user_id = $6 AND s.ended_at IS NULL AND s.expires > $4 AND u.disabled = $7) ON CONFLICT (id) DO NOTHING`,
			"handoff:"+string(h.ID), micros(h.Expires.Add(iam.RevocationLeeway)), micros(h.Expires), micros(now), h.Session, h.User, false))
		if err != nil || !spent {
			return err
		}
		return record(ctx, tx, now, []iam.Event{h.Event})
	})
	return spent && err == nil, err
}
