package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const sessionColumns = `id, user_id, auth_time, acr, amr, created_at, idle_expires, expires, ended_at, cookie_hash, agent, seen_at`

func scanSession(row interface{ Scan(...any) error }) (iam.Session, error) {
	var s iam.Session
	var cookie sql.NullString
	err := row.Scan(&s.ID, &s.UserID, moment{&s.AuthTime}, &s.ACR, list[[]string]{&s.AMR}, moment{&s.CreatedAt}, moment{&s.IdleExpires}, moment{&s.Expires}, moment{&s.EndedAt},
		&cookie, &s.Agent, moment{&s.SeenAt})
	s.CookieHash = cookie.String
	return s, err
}

// Session reads a session, ended or not.
func (db *DB) Session(ctx context.Context, id iam.SessionID) (iam.Session, error) {
	s, err := scanSession(db.reads.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE id = $1`, id))
	return s, translate(err)
}

// SessionByCookie reads the live session that a browser's cookie belongs to,
// by the store's clock.
func (db *DB) SessionByCookie(ctx context.Context, cookieHash string) (iam.Session, error) {
	now := fromNow(0)
	s, err := scanSession(db.reads.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions
		WHERE cookie_hash = $1 AND ended_at IS NULL AND idle_expires > $2 AND expires > $2`, cookieHash, now))
	return s, translate(err)
}

// Sessions reads the live sessions of a user, the newest first.
func (db *DB) Sessions(ctx context.Context, user iam.UserID) ([]iam.Session, error) {
	now := fromNow(0)
	rows, err := db.reads.QueryContext(ctx, `SELECT `+sessionColumns+` FROM sessions
		WHERE user_id = $1 AND ended_at IS NULL AND idle_expires > $2 AND expires > $2 ORDER BY created_at DESC LIMIT 100`, user, now)
	return collect(rows, err, func(r *sql.Rows) (iam.Session, error) { return scanSession(r) })
}

// SessionApps are the clients that were reached through a session.
func (db *DB) SessionApps(ctx context.Context, id iam.SessionID) ([]iam.SessionApp, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT client_id, used_at FROM session_apps WHERE session_id = $1 ORDER BY client_id`, id)
	return collect(rows, err, func(r *sql.Rows) (iam.SessionApp, error) {
		var a iam.SessionApp
		return a, r.Scan(&a.ClientID, moment{&a.LastUsed})
	})
}

func insertSession(ctx context.Context, tx *txn, s iam.Session) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO sessions (`+sessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, $9, $10, $6)`,
		s.ID, s.UserID, micros(s.AuthTime), s.ACR, text(s.AMR), micros(s.CreatedAt), micros(s.IdleExpires), micros(s.Expires), optional(s.CookieHash), s.Agent)
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	return nil
}

// BeginSession begins a session for a user whose login was just right, or
// renews the one that the browser has. iam.ErrConflict: the user was disabled,
// or the password changed, meanwhile. What it returns is the session as stored:
// the same id when it was renewed.
func (db *DB) BeginSession(ctx context.Context, n iam.NewSession) (iam.Session, error) {
	s := n.Session
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		s = n.Session
		live, err := epochHolds(ctx, tx, `users`, string(s.UserID), n.UserEpoch)
		if err := conflict(live, err); err != nil {
			return err
		}
		renewed, err := renewSession(ctx, tx, now, n)
		if err == nil {
			s = renewed
			n.Event.Kind = iam.EventSessionRenewed
		}
		if errors.Is(err, sql.ErrNoRows) {
			n.Event.Kind = iam.EventSessionBegan
			if err = endOneSession(ctx, tx, now, n.Replaces); err == nil {
				err = insertSession(ctx, tx, s)
			}
		}
		if err != nil {
			return err
		}
		n.Event.Subject = string(s.ID)
		return record(ctx, tx, now, []iam.Event{n.Event})
	})
	return s, err
}

// renewSession gives a live session of the same user the new cookie: the old
// one, which somebody may have planted, is worth nothing any more.
func renewSession(ctx context.Context, tx *txn, now time.Time, n iam.NewSession) (iam.Session, error) {
	s := n.Session
	return scanSession(tx.QueryRowContext(ctx, `UPDATE sessions SET cookie_hash = $1, auth_time = $2, acr = $3, amr = $4, agent = $5, seen_at = $6,
			idle_expires = CASE WHEN $7 < expires THEN $7 ELSE expires END
		WHERE id = $8 AND user_id = $9 AND ended_at IS NULL AND idle_expires > $6 AND expires > $6 AND cookie_hash IS NOT NULL
		RETURNING `+sessionColumns, s.CookieHash, micros(s.AuthTime), s.ACR, text(s.AMR), s.Agent, micros(now), micros(s.IdleExpires), n.Replaces, s.UserID))
}

// SlideSession extends the idle time of a session that was just used.
func (db *DB) SlideSession(ctx context.Context, id iam.SessionID) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET seen_at = $1, idle_expires = CASE WHEN $2 < expires THEN $2 ELSE expires END
			WHERE id = $3 AND ended_at IS NULL AND idle_expires > $1`, micros(now), micros(now.Add(iam.SessionIdle)), id)
		return err
	})
}

// EndSession ends a session of a user, the grants that belong to it, and
// leaves word for the clients that want to know. False: it was not live.
func (db *DB) EndSession(ctx context.Context, id iam.SessionID, user iam.UserID, event iam.Event) (bool, error) {
	ended := false
	err := db.writer.redo(ctx, &event, func(ctx context.Context, tx *txn) error {
		if ended = tx.before != ""; ended {
			return nil
		}
		var n int
		now := tx.now()
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM sessions WHERE id = $1 AND user_id = $2 AND ended_at IS NULL`, id, user).Scan(&n)
		if ended = n == 1; err != nil || !ended {
			return err
		}
		if err := endOneSession(ctx, tx, now, id); err != nil {
			return err
		}
		event.Subject = string(id)
		return record(ctx, tx, now, []iam.Event{event})
	})
	return ended, err
}

// EndOtherSessions ends all sessions of a user but one.
func (db *DB) EndOtherSessions(ctx context.Context, keep iam.SessionID, user iam.UserID, event iam.Event) error {
	return db.writer.redo(ctx, &event, func(ctx context.Context, tx *txn) error {
		if tx.before != "" {
			return nil
		}
		if err := endSessionsWhere(ctx, tx, tx.now(), `user_id = $1 AND id <> $2`, string(user), string(keep)); err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), []iam.Event{event})
	})
}

func endOneSession(ctx context.Context, tx *txn, now time.Time, id iam.SessionID) error {
	if id == "" {
		return nil
	}
	return endSessionsWhere(ctx, tx, now, `id = $1`, string(id))
}

// logoutPatience is how long a client is told of a logout that it does not
// take: as long as the access tokens of the session could live, many times over.
const logoutPatience = 24 * time.Hour

// endSessionsWhere ends the live sessions that fit a condition over $1 and $2:
// the grants that belong to them end, verifiers are told, and each client that
// was reached through one and wants to know gets a delivery.
func endSessionsWhere(ctx context.Context, tx *txn, now time.Time, where string, args ...any) error {
	live := `FROM sessions WHERE ` + where + ` AND ended_at IS NULL`
	n := len(args)
	arg := func(i int) string { return fmt.Sprintf("$%d", n+i) }
	told := []ending{
		{`INSERT INTO revocation (at, kind, subject, min_epoch, drop_after) SELECT ` + arg(1) + `, 'sid', id, 0, ` + arg(2) + ` ` + live, []any{micros(now), micros(now.Add(tokenLife))}},
		{`INSERT INTO revocation (at, kind, subject, min_epoch, drop_after) SELECT ` + arg(1) + `, 'grant', id, 0, ` + arg(2) + `
			FROM grants WHERE session_id IN (SELECT id ` + live + `) AND revoked_at IS NULL`, []any{micros(now), micros(now.Add(tokenLife))}},
	}
	for _, s := range told {
		if _, err := tx.ExecContext(ctx, s.query, append(append([]any{}, args...), s.args...)...); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
	}
	return endSessionsQuietly(ctx, tx, now, where, args...)
}

// ending is one statement of those that end sessions.
type ending struct {
	query string
	args  []any
}

// endSessionsQuietly does the same without telling verifiers: the caller moves
// an epoch, which says it for all.
func endSessionsQuietly(ctx context.Context, tx *txn, now time.Time, where string, args ...any) error {
	live := `FROM sessions WHERE ` + where + ` AND ended_at IS NULL`
	n := len(args)
	arg := func(i int) string { return fmt.Sprintf("$%d", n+i) }
	statements := []ending{
		{`UPDATE grants SET revoked_at = ` + arg(1) + `, revoke_reason = ` + arg(2) + ` WHERE session_id IN (SELECT id ` + live + `) AND revoked_at IS NULL`, []any{micros(now), "the session ended"}},
		{`INSERT INTO logout_deliveries (id, client_id, user_id, session_id, attempts, next_at, expires)
			SELECT a.session_id || ' ' || a.client_id, a.client_id, s.user_id, s.id, 0, ` + arg(1) + `, ` + arg(2) + `
			FROM session_apps a JOIN sessions s ON s.id = a.session_id JOIN clients c ON c.id = a.client_id
			WHERE c.backchannel_logout_uri <> '' AND NOT c.disabled AND s.id IN (SELECT id ` + live + `) ON CONFLICT DO NOTHING`, []any{micros(now), micros(now.Add(logoutPatience))}},
		{`UPDATE sessions SET ended_at = ` + arg(1) + ` WHERE id IN (SELECT id ` + live + `)`, []any{micros(now)}},
	}
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s.query, append(append([]any{}, args...), s.args...)...); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
	}
	return nil
}

// logoutLease is how long one process may try a delivery before another does.
const logoutLease = time.Minute

// DueLogouts takes at most limit deliveries whose time has come, for a minute:
// whoever else asks does not get them meanwhile.
func (db *DB) DueLogouts(ctx context.Context, limit int) ([]iam.LogoutDelivery, error) {
	var due []iam.LogoutDelivery
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		rows, err := tx.QueryContext(ctx, `UPDATE logout_deliveries SET attempts = attempts + 1, next_at = $1
			WHERE id IN (SELECT id FROM logout_deliveries WHERE next_at <= $2 ORDER BY next_at LIMIT $3)
			RETURNING id, client_id, user_id, session_id, attempts, expires`, micros(now.Add(logoutLease)), micros(now), limit)
		due, err = collect(rows, err, func(r *sql.Rows) (iam.LogoutDelivery, error) {
			var d iam.LogoutDelivery
			return d, r.Scan(&d.ID, &d.ClientID, &d.UserID, &d.SessionID, &d.Attempts, moment{&d.Expires})
		})
		return err
	})
	return due, err
}

// HasDueLogouts tells, without writing, whether DueLogouts would find any.
func (db *DB) HasDueLogouts(ctx context.Context) (bool, error) {
	var n int
	err := db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM logout_deliveries WHERE next_at <= $1 LIMIT 1) due`, fromNow(0)).Scan(&n)
	return n > 0, err
}

// logoutRest is how long a client that failed to take one delivery is left
// alone with its others.
const logoutRest = 10 * time.Second

// RetryLogout puts a delivery off, and for a little while all others of its
// client: one that does not answer must not keep the other clients waiting.
func (db *DB) RetryLogout(ctx context.Context, d iam.LogoutDelivery, pause time.Duration) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		if _, err := tx.ExecContext(ctx, `UPDATE logout_deliveries SET next_at = $1 WHERE id = $2`, micros(now.Add(pause)), d.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE logout_deliveries SET next_at = $1 WHERE client_id = $2 AND next_at < $1`, micros(now.Add(min(pause, logoutRest))), d.ClientID)
		return err
	})
}

// FinishLogout removes a delivery that was made or given up.
func (db *DB) FinishLogout(ctx context.Context, id string, event iam.Event) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		gone, err := one(tx.ExecContext(ctx, `DELETE FROM logout_deliveries WHERE id = $1`, id))
		if err != nil || !gone {
			return err
		}
		return record(ctx, tx, tx.now(), []iam.Event{event})
	})
}
