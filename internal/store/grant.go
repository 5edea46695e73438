package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const grantColumns = `id, user_id, client_id, session_id, scopes, resource, auth_time, acr, amr, gen, mac_key_id, rotated_at, created_at, idle_expires, expires, revoked_at, revoke_reason, cnf, claims`

func scanGrant(row interface{ Scan(...any) error }) (iam.Grant, error) {
	var g iam.Grant
	err := row.Scan(&g.ID, maybe[iam.UserID]{&g.UserID}, &g.ClientID, maybe[iam.SessionID]{&g.SessionID}, list[[]string]{&g.Scopes}, &g.Resource,
		moment{&g.AuthTime}, &g.ACR, list[[]string]{&g.AMR}, &g.Gen, &g.MacKeyID, moment{&g.RotatedAt}, moment{&g.CreatedAt},
		moment{&g.IdleExpires}, moment{&g.Expires}, moment{&g.RevokedAt}, &g.RevokeReason, &g.Cnf, &g.Claims)
	return g, err
}

// readGrant reads a grant. One that a decision over many ended, whose own row
// is not marked yet, reads as ended too.
func readGrant(ctx context.Context, q querier, id iam.GrantID) (iam.Grant, error) {
	g, err := scanGrant(q.QueryRowContext(ctx, `SELECT `+grantColumns+` FROM grants WHERE id = $1`, id))
	if err != nil || !g.RevokedAt.IsZero() {
		return g, err
	}
	var client, mac int
	err = q.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM clients c JOIN grants g ON g.client_id = c.id WHERE g.id = $1 AND c.min_grant_epoch > g.client_epoch),
		(SELECT COUNT(*) FROM keys WHERE id = $2 AND removed_at IS NOT NULL)`, id, g.MacKeyID).Scan(&client, &mac)
	switch {
	case err != nil:
		return g, err
	case client > 0:
		g.RevokedAt, g.RevokeReason = g.CreatedAt, sweepReasons[sweepClient]
	case mac > 0:
		g.RevokedAt, g.RevokeReason = g.CreatedAt, sweepReasons[sweepMac]
	}
	return g, nil
}

// insertGrant leaves an existing standing grant of the same client alone.
func insertGrant(ctx context.Context, tx *txn, g iam.Grant, clientEpoch int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO grants (`+grantColumns+`, client_epoch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, NULL, '', $16, $17, $18) ON CONFLICT DO NOTHING`,
		g.ID, optional(string(g.UserID)), g.ClientID, optional(string(g.SessionID)), text(g.Scopes), g.Resource, micros(g.AuthTime), g.ACR, text(g.AMR),
		g.Gen, g.MacKeyID, micros(g.RotatedAt), micros(g.CreatedAt), micros(g.IdleExpires), micros(g.Expires), g.Cnf, g.Claims, clientEpoch)
	return err
}

// Grant reads a grant, revoked or not.
func (db *DB) Grant(ctx context.Context, id iam.GrantID) (iam.Grant, error) {
	g, err := readGrant(ctx, db.reads, id)
	return g, translate(err)
}

// issueStatement records a token of a service account under its one standing
// grant, if the client is still enabled and at the epoch that was read. It is
// the whole decision, in one statement.
const issueStatement = `INSERT INTO events (id, at, kind, actor, user_id, client_id, grant_id, token_id, subject, detail)
	SELECT $1, $2, $3, $4, '', c.id, g.id, $5, '', $6 FROM clients c JOIN grants g ON g.client_id = c.id AND g.user_id IS NULL AND g.revoked_at IS NULL AND g.client_epoch >= c.min_grant_epoch
	WHERE c.id = $7 AND c.disabled = $8 AND c.epoch = $9
	RETURNING grant_id`

func issueArgs(client iam.ClientID, epoch int64, event iam.Event, now instant) []any {
	return []any{event.ID, now, event.Kind, event.Actor, event.TokenID, text(event.Detail), client, false, epoch}
}

// IssueForClient records a token of a service account under its one standing
// grant, which is made when it is missing. iam.ErrConflict when the client was
// disabled or moved on since it was read.
func (db *DB) IssueForClient(ctx context.Context, candidate iam.Grant, clientEpoch int64, event iam.Event) (iam.GrantID, error) {
	if event.ID == "" {
		event.ID = iam.NewEventID()
	}
	var id iam.GrantID
	write := db.writer.redo
	if w, ok := db.writer.(*pgWriter); ok {
		deadline := time.Now().Add(pgPatience)
		id, known, err := w.issue(ctx, deadline, issueArgs(candidate.ClientID, clientEpoch, event, fromNow(0)))
		if err == nil {
			return id, nil
		}
		write = func(ctx context.Context, event *iam.Event, run closure) error {
			return w.after(ctx, deadline, known, event, run)
		}
	}
	err := write(ctx, &event, func(ctx context.Context, tx *txn) error {
		if tx.before != "" {
			return tx.QueryRowContext(ctx, `SELECT grant_id FROM events WHERE id = $1`, event.ID).Scan(&id)
		}
		issue := func() error {
			return tx.QueryRowContext(ctx, issueStatement, issueArgs(candidate.ClientID, clientEpoch, event, fromNow(0))...).Scan(&id)
		}
		err := issue()
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		live, err := epochHolds(ctx, tx, `clients`, string(candidate.ClientID), clientEpoch)
		if err := conflict(live, err); err != nil {
			return err
		}
		if err := insertGrant(ctx, tx, candidate, clientEpoch); err != nil {
			return err
		}
		return issue()
	})
	return id, err
}

// epochHolds tells whether a user or client is enabled and still at an epoch.
func epochHolds(ctx context.Context, q querier, table, id string, epoch int64) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table+` WHERE id = $1 AND disabled = $2 AND epoch = $3`, id, false, epoch).Scan(&n)
	return n == 1, err
}

// RevokeGrant ends a grant and, by its id, every access token under it. False:
// it was not live, and nothing was written.
func (db *DB) RevokeGrant(ctx context.Context, id iam.GrantID, reason string, event iam.Event) (bool, error) {
	revoked := false
	err := db.writer.redo(ctx, &event, func(ctx context.Context, tx *txn) (err error) {
		if revoked = tx.before != ""; revoked {
			return nil
		}
		revoked, err = endGrant(ctx, tx, tx.now(), id, reason, event)
		return err
	})
	return revoked, err
}

func endGrant(ctx context.Context, tx *txn, now time.Time, id iam.GrantID, reason string, event iam.Event) (bool, error) {
	ended, err := one(tx.ExecContext(ctx, `UPDATE grants SET revoked_at = $1, revoke_reason = $2 WHERE id = $3 AND revoked_at IS NULL`, micros(now), reason, id))
	if err != nil || !ended {
		return false, err
	}
	if err := revoke(ctx, tx, now, iam.RevokeGrant, string(id), 0, now.Add(tokenLife)); err != nil {
		return false, err
	}
	event.GrantID = id
	return true, record(ctx, tx, now, []iam.Event{event})
}
