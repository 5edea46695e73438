package visit

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

const dbFile = "gateway.db"

const sqliteSchema = `
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

// openSQLite opens the file of a folder for this process alone.
func openSQLite(ctx context.Context, c Config) (*sql.DB, engine, error) {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	e := engine{words: strings.NewReplacer("@session", "session", "@mark", "mark", "@now", "$1"), moment: func() int64 { return now().UnixMilli() }}
	db, err := openFile(ctx, filepath.Join(c.Dir, dbFile))
	if err != nil {
		return nil, e, err
	}
	if e.find, err = db.PrepareContext(ctx, e.words.Replace(findQuery)); err != nil {
		return nil, e, errors.Join(err, db.Close())
	}
	return db, e, nil
}

// openFile locks the file for this process: with two of them a refresh token could
// be used twice, which the issuer takes for a theft.
func openFile(ctx context.Context, path string) (*sql.DB, error) {
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
	if err := shape(ctx, db); err != nil {
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

// shape makes the tables, and adds what a file of an earlier version lacks.
func shape(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, sqliteSchema); err != nil {
		return err
	}
	var has int
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM pragma_table_info('session') WHERE name = 'lease'`).Scan(&has); err != nil || has == 1 {
		return err
	}
	_, err := db.ExecContext(ctx, `ALTER TABLE session ADD COLUMN lease INTEGER NOT NULL DEFAULT 0`)
	return err
}

const sqliteBusy = 5
