package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// probeEvery bounds how often health checks, which anybody may send, cost a
// write of their own.
const probeEvery = 5 * time.Second

// probe is the last write that a health check made.
type probe struct {
	mu  sync.Mutex
	at  time.Time // on the wall
	err error
}

// Ping tells whether the store can be read and written. A full disk still
// reads, so a row is written: at most every probeEvery while all is well, and
// each time after a write that failed.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.reads.QueryRowContext(ctx, `SELECT 1 FROM meta LIMIT 1`).Scan(&one); err != nil {
		return translate(err)
	}
	db.probe.mu.Lock()
	defer db.probe.mu.Unlock()
	if db.probe.err == nil && !db.writer.failing() && time.Since(db.probe.at) < probeEvery {
		return nil
	}
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('probe', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, fmt.Sprint(micros(tx.now())))
		return err
	})
	if ctx.Err() == nil { // a caller who left says nothing about the store
		db.probe.at, db.probe.err = time.Now(), err
	}
	return err
}

// unavailable marks what an engine says about the disk, the files, locks and
// connections: trouble that passes or that an administrator ends, not a fault of the
// request.
func unavailable(err error) error {
	if err == nil || errors.Is(err, iam.ErrUnavailable) {
		return err
	}
	var engine *sqlite.Error
	var todo string
	var known bool
	if errors.As(err, &engine) {
		todo, known = troubles[engine.Code()&0xff]
	} else if !refusal(err) {
		todo, known = pgTrouble(err)
	}
	if !known {
		return err
	}
	return fmt.Errorf("%w: %w. %s", iam.ErrUnavailable, tidy(err), todo)
}

// troubles are SQLite's results for trouble of that kind, and what to do.
var troubles = map[int]string{
	sqlite3.SQLITE_FULL:     "Make room on the disk of the data folder",
	sqlite3.SQLITE_IOERR:    "Look at the disk of the data folder",
	sqlite3.SQLITE_BUSY:     "Another process holds the database; try again",
	sqlite3.SQLITE_LOCKED:   "Another process holds the database; try again",
	sqlite3.SQLITE_PROTOCOL: "Another process holds the database; try again",
	sqlite3.SQLITE_CANTOPEN: "Check the owner and the permissions of the data folder",
	sqlite3.SQLITE_READONLY: "Check the owner and the permissions of the data folder",
	sqlite3.SQLITE_PERM:     "Check the owner and the permissions of the data folder",
	sqlite3.SQLITE_NOMEM:    "The machine is out of memory",
}
