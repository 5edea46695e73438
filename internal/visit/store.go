package visit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// Limits of a session, and of what is kept.
const (
	// Idle is how long a session lives without a request (C12).
	Idle = 12 * time.Hour
	// Absolute is how long a session lives at most (C12).
	Absolute = 30 * 24 * time.Hour
	// PerUser is how many sessions a user has at once: one more ends the one
	// that was used the longest ago.
	PerUser = 20

	touchEvery = time.Minute // how exactly the last use is known
	// endedLife is longer than a login takes: a session that ended while its
	// login was under way must not begin afterwards.
	endedLife  = 15 * time.Minute
	cleanEvery = 15 * time.Minute
)

const dbFile = "gateway.db"

const schema = `
CREATE TABLE IF NOT EXISTS session (
	id TEXT PRIMARY KEY,
	subject TEXT NOT NULL,
	sid TEXT NOT NULL,
	gen INTEGER NOT NULL,
	sealed BLOB NOT NULL,
	began INTEGER NOT NULL,
	seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_subject ON session (subject, seen);
CREATE INDEX IF NOT EXISTS session_sid ON session (sid);
CREATE INDEX IF NOT EXISTS session_seen ON session (seen);
CREATE TABLE IF NOT EXISTS mark (
	id TEXT PRIMARY KEY,
	until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mark_until ON mark (until);
`

// Store is the sessions of one gateway. Safe for concurrent use.
type Store struct {
	db     *sql.DB
	find   *sql.Stmt
	sealer sealer
	now    func() time.Time
	end    chan struct{}
	ended  chan struct{}
}

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("another gateway uses this data folder; each needs its own")

// Open makes the folder, the key and the file when they are not there. A nil now
// is time.Now.
func Open(ctx context.Context, dir string, now func() time.Time) (*Store, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the sessions: %w", err)
	}
	secret, err := readKey(dir)
	if err != nil {
		return nil, fmt.Errorf("open the sessions: %w", err)
	}
	s := &Store{now: now, end: make(chan struct{}), ended: make(chan struct{})}
	if s.sealer, err = newSealer(secret); err != nil {
		return nil, fmt.Errorf("open the sessions: %w", err)
	}
	if s.db, err = openDB(ctx, filepath.Join(dir, dbFile)); err != nil {
		return nil, fmt.Errorf("open the sessions: %w", err)
	}
	if s.find, err = s.db.PrepareContext(ctx, `SELECT sealed, gen, began, seen FROM session WHERE id = $1 AND seen > $2 AND began > $3`); err != nil {
		return nil, errors.Join(fmt.Errorf("open the sessions: %w", err), s.db.Close())
	}
	if err := s.Clean(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	go s.tend()
	return s, nil
}

// openDB locks the file for this process: with two of them a refresh token could
// be used twice, which the issuer takes for a theft.
func openDB(ctx context.Context, path string) (*sql.DB, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // SQLite's other files get the same mode
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	query := url.Values{"_pragma": {"busy_timeout(2000)", "locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(FULL)", "temp_store(MEMORY)", "secure_delete(ON)"}, "_txlock": {"immediate"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		if code, ok := errors.AsType[interface {
			error
			Code() int
		}](err); ok && code.Code()&0xff == sqliteBusy {
			err = ErrInUse
		}
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

const sqliteBusy = 5

// Close ends the background work and closes the file.
func (s *Store) Close() error {
	close(s.end)
	<-s.ended
	return errors.Join(s.find.Close(), s.db.Close())
}

func (s *Store) tend() {
	defer close(s.ended)
	tick := time.NewTicker(cleanEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.end:
			return
		case <-tick.C:
			_ = s.Clean(context.Background()) // what is over is not found either way
		}
	}
}

// Clean deletes what is over.
func (s *Store) Clean(ctx context.Context) error {
	now := s.now()
	if _, err := s.db.ExecContext(ctx, `DELETE FROM session WHERE seen <= $1 OR began <= $2`, milli(now.Add(-Idle)), milli(now.Add(-Absolute))); err != nil {
		return fmt.Errorf("clean the sessions: %w", err)
	}
	if _, err := s.db.ExecContext(ctx, `DELETE FROM mark WHERE until <= $1`, milli(now)); err != nil {
		return fmt.Errorf("clean the sessions: %w", err)
	}
	return nil
}

func milli(t time.Time) int64 { return t.UnixMilli() }
