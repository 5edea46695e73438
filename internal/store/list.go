package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// listScan bounds how many rows one page looks at to find those that are live:
// what ended stays in the tables for a day, and an idle session for a month.
const listScan = 2000

// listing is a list by key of rows that are live.
type listing struct {
	columns string // of t
	from    string // with t, the table that has the id, and a condition over $5 and $6
	id      string // the column of the key, in an index together with the condition
	live    string // over t and $3, the time
}

// query reads one page: after $1, at most $2 rows looked at, at most $4 found.
func (l listing) query() string {
	return `SELECT ` + l.columns + `, COALESCE(u.username, '') FROM (` + l.page(`t.*`) + `) t LEFT JOIN users u ON u.id = t.user_id
		WHERE ` + l.live + ` ORDER BY t.id LIMIT $4`
}

func (l listing) page(what string) string {
	return `SELECT ` + what + ` FROM ` + l.from + ` AND ` + l.id + ` > $1 ORDER BY ` + l.id + ` LIMIT $2`
}

// last is how far a page looked, if that was not the end.
func (l listing) last() string {
	return `SELECT COUNT(*), COALESCE(MAX(key), '') FROM (` + l.page(l.id+` AS key`) + `) looked WHERE CAST($3 AS BIGINT) > 0 AND CAST($4 AS BIGINT) > 0`
}

func qualified(columns string) string {
	return "t." + strings.ReplaceAll(columns, ", ", ", t.")
}

const (
	liveSession = `t.ended_at IS NULL AND t.idle_expires > $3 AND t.expires > $3`
	// liveGrant also asks whether somebody may use it: a session that is over, or
	// a client that ended all, leave rows that say nothing of it.
	liveGrant = `t.revoked_at IS NULL AND (t.idle_expires IS NULL OR t.idle_expires > $3) AND (t.expires IS NULL OR t.expires > $3)
		AND EXISTS (SELECT 1 FROM clients c WHERE c.id = t.client_id AND c.min_grant_epoch <= t.client_epoch)
		AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.id = t.mac_key_id AND k.removed_at IS NOT NULL)
		AND (t.session_id IS NULL OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = t.session_id AND s.ended_at IS NULL AND s.idle_expires > $3 AND s.expires > $3))`
)

// sessionListing picks the index by what is asked.
func sessionListing(f iam.LoginFilter) (listing, []any) {
	l := listing{columns: qualified(sessionColumns), id: `t.id`, live: liveSession, from: `sessions t WHERE t.id <> ''`}
	switch {
	case f.User != "" && f.Client != "":
		l.from = `sessions t WHERE t.user_id = $5 AND EXISTS (SELECT 1 FROM session_apps a WHERE a.session_id = t.id AND a.client_id = $6)`
		return l, []any{f.User, f.Client}
	case f.User != "":
		l.from = `sessions t WHERE t.user_id = $5`
		return l, []any{f.User}
	case f.Client != "":
		l.from, l.id = `session_apps a JOIN sessions t ON t.id = a.session_id WHERE a.client_id = $5`, `a.session_id`
		return l, []any{f.Client}
	}
	return l, nil
}

func grantListing(f iam.LoginFilter) (listing, []any) {
	l := listing{columns: qualified(grantColumns), id: `t.id`, live: liveGrant, from: `grants t WHERE t.id <> ''`}
	switch {
	case f.User != "" && f.Client != "":
		l.from = `grants t WHERE t.user_id = $5 AND t.client_id || '' = $6` // a user has few: not the client's index
		return l, []any{f.User, f.Client}
	case f.User != "":
		l.from = `grants t WHERE t.user_id = $5`
		return l, []any{f.User}
	case f.Client != "":
		l.from = `grants t WHERE t.client_id = $5`
		return l, []any{f.Client}
	}
	return l, nil
}

// ListSessions reads a page of live sessions by id. next is the id to go on
// after, "" at the end: a page may hold fewer than asked for, and even none,
// before the end.
func (db *DB) ListSessions(ctx context.Context, f iam.LoginFilter) (sessions []iam.ListedSession, next string, err error) {
	l, args := sessionListing(f)
	return readPage(ctx, db, f, l, args, func(r *sql.Rows) (iam.ListedSession, string, error) {
		var s iam.ListedSession
		s.Session, err = scanSession(withRest{r, []any{&s.Username}})
		return s, string(s.ID), err
	})
}

// ListGrants is ListSessions for grants.
func (db *DB) ListGrants(ctx context.Context, f iam.LoginFilter) (grants []iam.ListedGrant, next string, err error) {
	l, args := grantListing(f)
	return readPage(ctx, db, f, l, args, func(r *sql.Rows) (iam.ListedGrant, string, error) {
		var g iam.ListedGrant
		g.Grant, err = scanGrant(withRest{r, []any{&g.Username}})
		return g, string(g.ID), err
	})
}

func readPage[T any](ctx context.Context, db *DB, f iam.LoginFilter, l listing, args []any, scan func(*sql.Rows) (T, string, error)) (all []T, next string, err error) {
	args = append([]any{f.After, listScan, fromNow(0), f.Limit}, args...)
	rows, err := db.reads.QueryContext(ctx, l.query(), args...)
	all, err = collect(rows, err, func(r *sql.Rows) (one T, err error) {
		one, next, err = scan(r)
		return one, err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list: %w", err)
	}
	if len(all) == f.Limit {
		return all, next, nil
	}
	looked := 0
	if err := db.reads.QueryRowContext(ctx, l.last(), args...).Scan(&looked, &next); err != nil {
		return nil, "", translate(err)
	}
	if looked < listScan {
		next = ""
	}
	return all, next, nil
}

// withRest is a row with more columns than the scanner knows.
type withRest struct {
	rows *sql.Rows
	rest []any
}

func (w withRest) Scan(into ...any) error { return w.rows.Scan(append(into, w.rest...)...) }
