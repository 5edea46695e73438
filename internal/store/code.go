package store

import (
	"cmp"
	"context"
	"database/sql"
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
	err := db.writer.redo(ctx, &r.Event, func(ctx context.Context, tx *txn) error {
		outcome = iam.Redeemed
		if tx.restart.After(r.CodeExpires.Add(-iam.CodeLife)) {
			return errRefused // it may have been spent in a history that is lost
		}
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
	_, err := endGrant(ctx, tx, tx.now(), owner, "its code was used twice", event)
	return iam.CodeReplayed, err
}

func (db *DB) makeGrant(ctx context.Context, tx *txn, r iam.Redemption) error {
	now := tx.now()
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
	// A node that has not heard yet may still make refresh tokens with a key that
	// was retired: they would be worth nothing.
	gone, err := macGone(ctx, tx, r.Grant.MacKeyID)
	if err != nil {
		return err
	}
	if !userLive || !clientLive || gone {
		return errRefused
	}
	if err := db.joinSession(ctx, tx, r); err != nil {
		return err
	}
	if err := consentHolds(ctx, tx, r); err != nil {
		return err
	}
	if err := insertGrant(ctx, tx, r.Grant, r.ClientEpoch); err != nil {
		return err
	}
	return record(ctx, tx, now, []iam.Event{r.Event})
}

// joinSession begins the grant's session or, when the login was made in an
// older one, makes sure that it is still alive, and notes that the client was
// reached through it.
func (db *DB) joinSession(ctx context.Context, tx *txn, r iam.Redemption) error {
	now := micros(tx.now())
	if r.Session != nil {
		if err := insertSession(ctx, tx, *r.Session); err != nil {
			return err
		}
		return noteApp(ctx, tx, r.Session.ID, r.Grant.ClientID, now)
	}
	within := cmp.Or(r.Within, r.Grant.SessionID)
	if within == "" {
		return nil
	}
	live, err := one(tx.ExecContext(ctx, `UPDATE sessions SET seen_at = $1 WHERE id = $2 AND user_id = $3 AND ended_at IS NULL AND idle_expires > $1 AND expires > $1`, now, within, r.Grant.UserID))
	if err != nil {
		return err
	}
	if !live {
		return errRefused
	}
	return noteApp(ctx, tx, within, r.Grant.ClientID, now)
}

// noteApp remembers whom to tell when the session ends.
func noteApp(ctx context.Context, tx *txn, id iam.SessionID, client iam.ClientID, now any) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO session_apps (session_id, client_id, used_at) VALUES ($1, $2, $3)
		ON CONFLICT (session_id, client_id) DO UPDATE SET used_at = excluded.used_at`, id, client, now)
	return err
}

// consentHolds makes sure that what the user allowed was not taken back
// between the question and the redemption (C10).
func consentHolds(ctx context.Context, tx *txn, r iam.Redemption) error {
	if !r.Asked {
		return nil
	}
	c, err := readConsent(ctx, tx, r.Grant.UserID, r.Grant.ClientID)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !c.Covers(r.Consent) {
		return errRefused
	}
	return err
}
