package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// single runs a write that is one statement, without BEGIN and COMMIT: one round
// trip instead of four. It is READ COMMITTED, so it is only for a statement that
// decides by the row that it locks; everything else that it reads must be
// allowed to have changed a moment later. known is false when nobody knows
// whether it was done.
func (w *pgWriter) single(ctx context.Context, deadline time.Time, query string, args []any, scan func(*row) error) (known bool, err error) {
	if ctx.Value(fenceKey{}) != nil {
		return true, sql.ErrNoRows // who writes under a lease checks it in a transaction
	}
	query, args = w.here(query, args)
	text, args := w.write(query, args)
	deadline = deadline.Add(-pgRecall)
	if err := w.calm(ctx, deadline); err != nil {
		return true, err
	}
	conn, err := acquire(ctx, w.pool, deadline)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := onPg(conn, func(c *pgconn.PgConn) error { delete(c.CustomData(), warned); return nil }); err != nil {
		return false, err
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	err = scan(&row{conn.QueryRowContext(ctx, text, args...).Scan})
	if err == nil {
		err = onPg(conn, func(c *pgconn.PgConn) error {
			if c.CustomData()[warned] != nil {
				return unknown(fmt.Errorf("the database says: %v", c.CustomData()[warned]))
			}
			return nil
		})
	}
	known = err == nil || refusal(err)
	if !known {
		w.unknown.Add(1)
	}
	return known, err
}

// here makes it a condition of a statement that the server still writes the
// timeline that was learnt. Elsewhere it does nothing, and the closure that comes
// after it finds out where it is: a primary that was replaced must answer nothing.
func (w *pgWriter) here(query string, args []any) (string, []any) {
	known := w.history.known.Load()
	if known == nil {
		return query, args // it does not say
	}
	args = append(args, known.id)
	return strings.Replace(query, "RETURNING", fmt.Sprintf("AND (SELECT %s) = $%d RETURNING", timelineQuery, len(args)), 1), args
}

// pgRecall is what a single statement leaves of pgPatience for the closure that
// comes after it. Both together must be far below the grace of a refresh token:
// who finds its own rotation later than that takes it for another's (C13).
const pgRecall = 2 * time.Second

// after runs the whole closure when a single statement did not decide. What that
// may have done is recalled first.
func (w *pgWriter) after(ctx context.Context, deadline time.Time, known bool, event *iam.Event, run closure) error {
	return w.performBy(ctx, deadline, event, !known, run)
}

// turnOnPostgres is turnStatement, with the slide of the session and the event.
const turnOnPostgres = `WITH turned AS (` + turnStatement + `),
	slid AS (UPDATE sessions SET idle_expires = CASE WHEN $11 < sessions.expires THEN $11 ELSE sessions.expires END FROM turned WHERE sessions.id = turned.session_id),
	noted AS (INSERT INTO events (id, at, kind, actor, user_id, client_id, grant_id, token_id, subject, detail)
		SELECT $12, $1, $13, $14, $15, $16, id, $17, $18, $19 FROM turned)
	SELECT ` + grantColumns + ` FROM turned`

// turn tries the rotation that nearly every refresh is. sql.ErrNoRows: it was not
// one; any other error: it was not done, or nobody knows. Then the whole closure
// decides.
func (w *pgWriter) turn(ctx context.Context, deadline time.Time, t iam.Turn) (grant iam.Grant, known bool, err error) {
	e := t.Event
	known, err = w.single(ctx, deadline, turnOnPostgres, []any{fromNow(0), t.NextMacKey, fromNow(iam.GrantIdle), t.Grant, t.Gen, t.Client, false, t.UserEpoch, t.ClientEpoch, t.MacKey,
		fromNow(iam.SessionIdle), e.ID, iam.EventRefreshed, e.Actor, e.UserID, e.ClientID, e.TokenID, e.Subject, text(e.Detail)}, func(r *row) (err error) {
		grant, err = scanGrant(r)
		return err
	})
	return grant, known, err
}

// issue tries issueStatement alone, which does when the client has its standing
// grant.
func (w *pgWriter) issue(ctx context.Context, deadline time.Time, args []any) (id iam.GrantID, known bool, err error) {
	known, err = w.single(ctx, deadline, issueStatement, args, func(r *row) error { return r.Scan(&id) })
	return id, known, err
}
