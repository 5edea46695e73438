package store

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// errRefused rolls a redemption back; it never leaves this file.
var errRefused = errors.New("redemption refused")

// RedeemCode spends a code and makes its grant (C10). The spent row names the
// grant: a conflict with my own id is my own retry, with another it is replay,
// and everything issued from the code ends.
func (db *DB) RedeemCode(ctx context.Context, r iam.Redemption) (iam.RedeemOutcome, error) {
	outcome := iam.Redeemed
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		first, err := one(tx.ExecContext(ctx, `INSERT INTO spent (id, grant_id, drop_after) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
			r.Code, r.Grant.ID, micros(r.CodeExpires.Add(iam.RevocationLeeway))))
		if err != nil {
			return err
		}
		if !first {
			outcome, err = db.spentBefore(ctx, tx, r)
			return err
		}
		return db.makeGrant(ctx, tx, r)
	})
	if errors.Is(err, errRefused) {
		return iam.RedeemRefused, nil
	}
	return outcome, err
}

func (db *DB) spentBefore(ctx context.Context, tx *txn, r iam.Redemption) (iam.RedeemOutcome, error) {
	var owner iam.GrantID
	if err := tx.QueryRowContext(ctx, `SELECT grant_id FROM spent WHERE id = $1`, r.Code).Scan(&owner); err != nil {
		return 0, err
	}
	if owner == r.Grant.ID {
		return iam.Redeemed, nil
	}
	event := iam.Event{Kind: iam.EventCodeReplayed, Actor: r.Event.Actor, ClientID: r.Event.ClientID, UserID: r.Event.UserID}
	_, err := endGrant(ctx, tx, db.now(), owner, "its code was used twice", event)
	return iam.CodeReplayed, err
}

func (db *DB) makeGrant(ctx context.Context, tx *txn, r iam.Redemption) error {
	now := db.now()
	if !now.Before(r.CodeExpires) {
		return errRefused
	}
	userLive, err := epochHolds(ctx, tx, `users`, string(r.Grant.UserID), r.UserEpoch)
	if err != nil {
		return err
	}
	clientLive, err := epochHolds(ctx, tx, `clients`, string(r.Grant.ClientID), r.ClientEpoch)
	if err != nil {
		return err
	}
	if !userLive || !clientLive {
		return errRefused
	}
	if err := db.joinSession(ctx, tx, r); err != nil {
		return err
	}
	if err := insertGrant(ctx, tx, r.Grant); err != nil {
		return err
	}
	return record(ctx, tx, now, []iam.Event{r.Event})
}

// joinSession begins the grant's session or, when it belongs to an older one,
// makes sure that it is still alive.
func (db *DB) joinSession(ctx context.Context, tx *txn, r iam.Redemption) error {
	if r.Session != nil {
		return insertSession(ctx, tx, *r.Session)
	}
	if r.Grant.SessionID == "" {
		return nil
	}
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM sessions WHERE id = $1 AND ended_at IS NULL AND idle_expires > $2 AND expires > $2`, r.Grant.SessionID, micros(db.now())).Scan(&n)
	if err == nil && n == 0 {
		return errRefused
	}
	return err
}
