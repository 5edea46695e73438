package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Config of a DB. Dir or Database is required.
type Config struct {
	Dir string // the data folder, made with mode 0700 when it is not there
	// Database is where the records are: empty for SQLite in Dir, or
	// postgres://USER@HOST/DATABASE, with sslmode=verify-full unless it says
	// otherwise or all hosts are this machine.
	Database         string
	DatabasePassword string // goes with Database
	// Connections to PostgreSQL at most; 0: DefaultConnections.
	Connections int
	// Now is the clock of SQLite; nil: time.Now. PostgreSQL has its own, and
	// takes another only in tests.
	Now    func() time.Time
	Logger *slog.Logger
}

// DB is an open store. Safe for concurrent use, and beside other processes on
// the same folder (C28) or database.
type DB struct {
	reads  reader
	writer writer
	// onChange hears of the directory's changes after their COMMIT and before
	// their caller does. Filled before the store is used.
	onChange []func(kind, subject string)
	probe    probe
}

// Open opens a store, makes it when it is new, and brings the schema up to date.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Database != "" {
		return openPostgres(ctx, c)
	}
	return openSQLite(ctx, c)
}

// Now is the time by which this store counts, for whoever writes times into
// tokens: on PostgreSQL the database's, which all nodes share, whatever their
// machines say (C26).
func (db *DB) Now() time.Time { return db.writer.clock() }

// Close waits for the writes under way and closes the files.
func (db *DB) Close() error { return errors.Join(db.writer.close(), db.reads.close()) }

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

// translate turns what an engine says about a constraint or a missing row
// into the words of iam.
func translate(err error) error {
	var engine *sqlite.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows), pgCode(err, pgNoSuchText): // nothing has a name that cannot be stored
		return iam.ErrNotFound
	case errors.As(err, &engine) && (engine.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || engine.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE), pgCode(err, pgUnique):
		return fmt.Errorf("%w: %w", iam.ErrExists, err)
	}
	return unavailable(err)
}
