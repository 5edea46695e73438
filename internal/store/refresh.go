package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// turnStatement is the whole decision of a rotation (C13): of any number of
// callers with one generation, exactly one finds it in the row.
// Every check of user, client and session is part of it.
const turnStatement = `UPDATE grants SET gen = gen + 1, rotated_at = $1, mac_key_id = $2,
		idle_expires = CASE WHEN $3 < expires THEN $3 ELSE expires END
	WHERE id = $4 AND gen = $5 AND mac_key_id = $10 AND client_id = $6 AND revoked_at IS NULL AND idle_expires > $1 AND expires > $1
		AND EXISTS (SELECT 1 FROM users u WHERE u.id = grants.user_id AND u.disabled = $7 AND u.epoch = $8)
		AND EXISTS (SELECT 1 FROM clients c WHERE c.id = grants.client_id AND c.disabled = $7 AND c.epoch = $9 AND c.min_grant_epoch <= grants.client_epoch)
		AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.id IN ($10, $2) AND k.removed_at IS NOT NULL)
		AND (session_id IS NULL OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id
			AND s.ended_at IS NULL AND s.idle_expires > $1 AND s.expires > $1))
	RETURNING ` + grantColumns

// TurnRefresh rotates a refresh token, repeats the answer of a rotation that
// was just made, or ends the grant of a token that was used before.
func (db *DB) TurnRefresh(ctx context.Context, t iam.Turn) (iam.Grant, iam.TurnOutcome, error) {
	var grant iam.Grant
	var outcome iam.TurnOutcome
	write := db.writer.redo
	if w, ok := db.writer.(*pgWriter); ok {
		if t.Event.ID == "" {
			t.Event.ID = iam.NewEventID()
		}
		deadline := time.Now().Add(pgPatience)
		grant, known, err := w.turn(ctx, deadline, t)
		if err == nil {
			return grant, iam.Rotated, nil
		}
		write = func(ctx context.Context, event *iam.Event, run closure) error {
			return w.after(ctx, deadline, known, event, run)
		}
	}
	err := write(ctx, &t.Event, func(ctx context.Context, tx *txn) (err error) {
		now := tx.now()
		if tx.before != "" {
			grant, err = readGrant(ctx, tx, t.Grant)
			if err == nil && tx.before == iam.EventRefreshed && grant.Gen != t.Gen+1 {
				// Somebody was told the same successor meanwhile and has used it.
				late := t
				late.Event.ID = iam.NewEventIDAt(now) // the other one is in the journal
				grant, outcome, err = db.judge(ctx, tx, now, late)
				return err
			}
			outcome = map[string]iam.TurnOutcome{iam.EventRefreshed: iam.Rotated, iam.EventRefreshReused: iam.Reused}[tx.before]
			return err
		}
		grant, err = scanGrant(tx.QueryRowContext(ctx, turnStatement, micros(now), t.NextMacKey, micros(now.Add(iam.GrantIdle)),
			t.Grant, t.Gen, t.Client, false, t.UserEpoch, t.ClientEpoch, t.MacKey))
		switch {
		case err == nil:
			outcome = iam.Rotated
			if err := slideSession(ctx, tx, now, grant.SessionID); err != nil {
				return err
			}
		case errors.Is(err, sql.ErrNoRows):
			if grant, outcome, err = db.judge(ctx, tx, now, t); err != nil {
				return err
			}
		default:
			return err
		}
		return db.recordTurn(ctx, tx, now, t, outcome)
	})
	return grant, outcome, err
}

func slideSession(ctx context.Context, tx *txn, now time.Time, id iam.SessionID) error {
	if id == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE sessions SET idle_expires = CASE WHEN $1 < expires THEN $1 ELSE expires END WHERE id = $2`, micros(now.Add(iam.SessionIdle)), id)
	return err
}

// judge says why the conditional statement found nothing. Reuse is judged
// before a moved epoch: a thief must not be saved by a change of roles.
func (db *DB) judge(ctx context.Context, tx *txn, now time.Time, t iam.Turn) (iam.Grant, iam.TurnOutcome, error) {
	g, err := readGrant(ctx, tx, t.Grant)
	if errors.Is(err, sql.ErrNoRows) {
		return iam.Grant{}, iam.GrantEnded, nil
	}
	if err != nil {
		return iam.Grant{}, 0, err
	}
	if g.ClientID != t.Client || !g.Live(now) {
		return g, iam.GrantEnded, nil
	}
	if t.Gen == g.Gen && t.MacKey != g.MacKeyID {
		return g, iam.GrantEnded, nil // made with a key that this grant has left behind (C13)
	}
	// A retired key proves nothing. If it is the next one, this node has not
	// heard of it yet: it reads its keys and tries again.
	for _, k := range []struct {
		id   iam.KeyID
		then iam.TurnOutcome
	}{{t.MacKey, iam.GrantEnded}, {t.NextMacKey, iam.EpochChanged}} {
		if gone, err := macGone(ctx, tx, k.id); err != nil || gone {
			return g, k.then, err
		}
	}
	repeat := t.Gen == g.Gen-1 && now.Sub(g.RotatedAt) < t.Grace && now.Sub(g.RotatedAt) >= 0
	if t.Gen != g.Gen && !repeat {
		event := t.Event
		event.Kind = iam.EventRefreshReused
		event.TokenID = "" // no token came of it
		_, err := endGrant(ctx, tx, now, g.ID, "a refresh token was used twice", event)
		return g, iam.Reused, err
	}
	state, err := db.standing(ctx, tx, now, g, t)
	if state == 0 && repeat {
		state = iam.Repeated
	}
	return g, state, err
}

// standing tells whether the people behind a live grant still hold: 0 yes.
func (db *DB) standing(ctx context.Context, tx *txn, now time.Time, g iam.Grant, t iam.Turn) (iam.TurnOutcome, error) {
	var userEpoch, clientEpoch, sessions int64
	err := tx.QueryRowContext(ctx, `SELECT u.epoch, c.epoch,
			(SELECT COUNT(*) FROM sessions s WHERE s.id = $3 AND s.ended_at IS NULL AND s.idle_expires > $4 AND s.expires > $4)
		FROM users u, clients c WHERE u.id = $1 AND c.id = $2 AND u.disabled = $5 AND c.disabled = $5`,
		g.UserID, g.ClientID, g.SessionID, micros(now), false).Scan(&userEpoch, &clientEpoch, &sessions)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return iam.GrantEnded, nil
	case err != nil:
		return 0, err
	case g.SessionID != "" && sessions == 0:
		return iam.GrantEnded, nil
	case userEpoch != t.UserEpoch || clientEpoch != t.ClientEpoch:
		return iam.EpochChanged, nil
	}
	return 0, nil
}

func (db *DB) recordTurn(ctx context.Context, tx *txn, now time.Time, t iam.Turn, outcome iam.TurnOutcome) error {
	event := t.Event
	event.GrantID = t.Grant
	switch outcome {
	case iam.Rotated:
		event.Kind = iam.EventRefreshed
	case iam.Repeated:
		event.Kind = iam.EventRefreshRepeated
		event.ID = iam.NewEventIDAt(now) // a retry after an unknown commit has the id of the first try
	default:
		return nil
	}
	return record(ctx, tx, now, []iam.Event{event})
}
