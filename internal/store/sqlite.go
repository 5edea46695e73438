package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

//go:embed migrations/*.sql
var migrations embed.FS

// fileName is the database inside the data folder.
const fileName = "gatehouse.db"

// Config of a DB. Dir is required.
type Config struct {
	Dir    string // the data folder, made with mode 0700 when it is not there
	Now    func() time.Time
	Logger *slog.Logger
}

// DB is an open store. Safe for concurrent use, and beside other processes on
// the same folder (C28).
type DB struct {
	reads  *reader
	writer *writer
	now    func() time.Time
	// onChange hears of the directory's changes after their COMMIT and before
	// their caller does. Filled before the store is used.
	onChange []func(kind, subject string)
	probe    probe
}

// NotOwner says that the data folder belongs to another system user, whose
// files this process would otherwise create as the wrong owner (C28).
type NotOwner struct {
	Dir          string
	Owner, Asker int // user ids
}

func (e *NotOwner) Error() string {
	return fmt.Sprintf("the data folder %s belongs to user id %d and this process runs as %d. Run it as the owner: sudo -u '#%d' gatehouse …", e.Dir, e.Owner, e.Asker, e.Owner)
}

// Exists tells whether dir holds a store.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, fileName))
	return err == nil
}

// Open opens the store in a folder, makes it when it is new, and brings the
// schema up to date.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := checkOwner(c.Dir, os.Geteuid()); err != nil {
		return nil, err
	}
	path := filepath.Join(c.Dir, fileName)
	if err := makeFile(path); err != nil {
		return nil, err
	}
	write, err := openSQLite(path, "immediate", false)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	reads, err := openSQLite(path, "deferred", true)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	reads.SetMaxOpenConns(8)
	reads.SetMaxIdleConns(8)
	return &DB{reads: &reader{pool: reads}, writer: newWriter(write), now: c.Now}, nil
}

// makeFile creates the database readable by its owner only; SQLite gives the
// same mode to the files beside it. Files that were there, such as of a copy
// that was put back, are closed to others.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("close the database to others: %w", err)
		}
	}
	return nil
}

func checkOwner(dir string, euid int) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("read the data folder: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(owner.Uid) != euid {
		return &NotOwner{Dir: dir, Owner: int(owner.Uid), Asker: euid}
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("every user of this machine can write to the data folder %s and replace what is in it. Run: chmod o-w %s", dir, dir)
	}
	return nil
}

func openSQLite(path, txlock string, queryOnly bool) (*sql.DB, error) {
	pragmas := []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "temp_store(MEMORY)"}
	if queryOnly {
		pragmas = append(pragmas, "query_only(1)")
	}
	query := url.Values{"_pragma": pragmas, "_txlock": {txlock}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("prepare the migrations: %w", err)
	}
	// Two processes that start at once on a new folder both try; each migration
	// is a transaction, so the one that loses finds it done the next time.
	for range migrateAttempts {
		if _, err = provider.Up(ctx); err == nil {
			return nil
		}
		select {
		case <-time.After(migratePause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("bring the database up to date: %w", unavailable(err))
}

const (
	migrateAttempts = 5
	migratePause    = 100 * time.Millisecond
)

// Close waits for the writes under way and closes the files.
func (db *DB) Close() error { return errors.Join(db.writer.close(), db.reads.Close()) }

// IssuerMismatch says that the data belong to another issuer (C2): every token
// and every client names it, so it cannot change.
type IssuerMismatch struct{ Stored, Given string }

func (e *IssuerMismatch) Error() string {
	return fmt.Sprintf("this data folder belongs to the issuer %s, not to %s. One installation is one issuer, for good: configure that one, or use another data folder", e.Stored, e.Given)
}

// Bind records the issuer of a new installation and refuses another one later.
func (db *DB) Bind(ctx context.Context, issuer string) error {
	var stored string
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('issuer', $1) ON CONFLICT (name) DO NOTHING`, issuer); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'issuer'`).Scan(&stored)
	})
	if err == nil && stored != issuer {
		return &IssuerMismatch{Stored: stored, Given: issuer}
	}
	return err
}

// translate turns what the engine says about a constraint or a missing row
// into the words of iam.
func translate(err error) error {
	var engine *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return iam.ErrNotFound
	case errors.As(err, &engine) && (engine.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || engine.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE):
		return fmt.Errorf("%w: %w", iam.ErrExists, err)
	}
	return unavailable(err)
}
