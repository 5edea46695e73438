package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// record writes events inside the transaction that does the deed.
func record(ctx context.Context, tx *txn, now time.Time, events []iam.Event) error {
	for _, e := range events {
		if e.ID == "" {
			e.ID = iam.NewEventIDAt(now)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO events (id, at, kind, actor, user_id, client_id, grant_id, token_id, subject, detail)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			e.ID, micros(now), e.Kind, e.Actor, e.UserID, e.ClientID, e.GrantID, e.TokenID, e.Subject, text(e.Detail))
		if err != nil {
			return err
		}
	}
	return nil
}

// Record writes events that come without another deed.
func (db *DB) Record(ctx context.Context, events ...iam.Event) error {
	return db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		return record(ctx, tx, tx.now(), events)
	})
}

// Events returns at most limit events after a sequence number, oldest first.
func (db *DB) Events(ctx context.Context, after int64, limit int) ([]iam.Event, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT seq, id, at, kind, actor, user_id, client_id, grant_id, token_id, subject, detail
		FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	return collect(rows, err, func(r *sql.Rows) (iam.Event, error) {
		var e iam.Event
		return e, r.Scan(&e.Seq, &e.ID, moment{&e.At}, &e.Kind, &e.Actor, &e.UserID, &e.ClientID, &e.GrantID, &e.TokenID, &e.Subject, list[map[string]string]{&e.Detail})
	})
}

// changed tells servers in other processes that something is new (C28).
func changed(ctx context.Context, tx *txn, now time.Time, kind, subject string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO change (at, kind, subject) VALUES ($1, $2, $3)`, micros(now), kind, subject)
	return err
}

func scanChange(r *sql.Rows) (iam.Change, error) {
	var c iam.Change
	return c, r.Scan(&c.Seq, moment{&c.At}, &c.Kind, &c.Subject)
}

// changesAtOnce bounds one answer of Changes.
const changesAtOnce = 1000

// Changes returns the next changes after a sequence number, changesAtOnce at
// most, and the number of the last of them. None are left when it returns none.
// To follow them use TailChanges, which also finds what becomes visible late.
func (db *DB) Changes(ctx context.Context, after int64) ([]iam.Change, int64, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT seq, at, kind, subject FROM change WHERE seq > $1 ORDER BY seq LIMIT $2`, after, changesAtOnce)
	changes, err := collect(rows, err, scanChange)
	if err != nil || len(changes) == 0 {
		return nil, after, err
	}
	return changes, changes[len(changes)-1].Seq, nil
}
