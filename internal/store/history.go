package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// history is the timeline that a PostgreSQL server writes. It gets a new one
// when a standby is promoted and when a backup is restored: then transactions
// that were answered may be missing, such as that a code was spent. What could
// be spent twice so is refused if it is older than the new timeline.
type history struct {
	known  atomic.Pointer[timeline]
	logger *slog.Logger
}

// timeline is one, and since when this installation writes it; the zero time
// for the first.
type timeline struct {
	id    string // eight hexadecimal digits
	since time.Time
}

var (
	errNewHistory = errors.New("the database began a new timeline")
	errOldServer  = fmt.Errorf("%w: the server that answered is of an older timeline than one that answered before: it was replaced and must be stopped", iam.ErrUnavailable)
)

// since says when the timeline began that a transaction is on; errNewHistory
// when it is not the one that was learnt.
func (h *history) since(id string) (time.Time, error) {
	if id == "" {
		return time.Time{}, nil
	}
	known := h.known.Load()
	if known == nil || known.id != id {
		return time.Time{}, errNewHistory
	}
	return known.since, nil
}

// learn reads which timeline this installation is on, and records a new one
// together with the database's time.
func (w *pgWriter) learn(ctx context.Context, deadline time.Time) error {
	var now timeline
	var before string
	err := w.attempt(ctx, deadline, func(ctx context.Context, tx *txn) (err error) {
		if tx.line == "" {
			return nil
		}
		before, now, err = w.learnIn(ctx, tx)
		return err
	})
	if err != nil || now.id == "" {
		return err
	}
	w.history.known.Store(&now)
	if before != "" {
		w.history.logger.Error("the database began a new timeline: it failed over or was restored, and changes of before may be lost. Codes of before are refused",
			slog.String("before", before), slog.String("now", now.id), slog.Time("since", now.since))
	}
	return nil
}

func (w *pgWriter) learnIn(ctx context.Context, tx *txn) (before string, now timeline, err error) {
	if _, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('timeline', $1) ON CONFLICT (name) DO NOTHING`, timeline{id: tx.line}.text()); err != nil {
		return "", timeline{}, err
	}
	var value string
	if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'timeline'`).Scan(&value); err != nil {
		return "", timeline{}, err
	}
	now, err = parseTimeline(value)
	if err != nil {
		return "", timeline{}, err
	}
	if now.id == tx.line {
		if known := w.history.known.Load(); known != nil && now.id < known.id {
			return "", timeline{}, errOldServer
		}
		return "", now, nil
	}
	before, now = now.id, timeline{id: tx.line, since: tx.now()}
	moved, err := one(tx.ExecContext(ctx, `UPDATE meta SET value = $1 WHERE name = 'timeline' AND value = $2`, now.text(), value))
	if err := conflict(moved, err); err != nil {
		return "", timeline{}, err
	}
	return before, now, record(ctx, tx, tx.now(), []iam.Event{{Kind: iam.EventTimelineBegan, Actor: "database", Detail: map[string]string{"before": before, "now": now.id}}})
}

func (t timeline) text() string {
	at := int64(0)
	if !t.since.IsZero() {
		at = t.since.UnixMicro()
	}
	return fmt.Sprintf("%s %d", t.id, at)
}

func parseTimeline(text string) (timeline, error) {
	id, at, _ := strings.Cut(text, " ")
	µs, err := strconv.ParseInt(at, 10, 64)
	if err != nil || id == "" {
		return timeline{}, fmt.Errorf("the row 'timeline' of the table meta is damaged: %q", iam.Printable(text, 64))
	}
	if µs == 0 {
		return timeline{id: id}, nil
	}
	return timeline{id: id, since: time.UnixMicro(µs)}, nil
}

// timelineQuery asks for the first eight digits of the file that is written.
const timelineQuery = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`

// tellsTimeline finds out whether a server says which timeline it writes: some
// managed ones do not.
func tellsTimeline(ctx context.Context, pool *sql.DB) error {
	var id string
	return pool.QueryRowContext(ctx, `SELECT `+timelineQuery).Scan(&id)
}
