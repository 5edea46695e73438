package visit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
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

	// Lease is how long one gateway has the turn to refresh a session's tokens.
	Lease = 20 * time.Second

	touchEvery = time.Minute // how exactly the last use is known
	// endedLife is longer than a login takes: a session that ended while its
	// login was under way must not begin afterwards.
	endedLife  = 15 * time.Minute
	cleanEvery = 15 * time.Minute
)

// Store is the sessions of one gateway, or of several. Safe for concurrent use.
type Store struct {
	db     *sql.DB
	engine engine
	sealer sealer
	end    chan struct{}
	ended  chan struct{}
}

// engine is what SQLite and PostgreSQL do not have in common.
type engine struct {
	// words replaces @session and @mark by the tables, and @now by the store's
	// clock in milliseconds, for which the argument of moment stands (C26).
	words  *strings.Replacer
	moment func() int64
	find   *sql.Stmt // prepared, where a statement may be
	// patience bounds one operation; 0: the caller's context alone.
	patience time.Duration
	shared   bool // other gateways use it as well
}

// Config of a Store.
type Config struct {
	// Dir is a folder of this gateway's own. It is made when it is not there.
	Dir string
	// KeyFile has the key that seals what is stored. Empty: one in Dir, which is
	// made when there is none.
	KeyFile string
	// Database is where several gateways keep the sessions together, as
	// postgres://USER@HOST/DATABASE. Empty: a file in Dir, for this one alone.
	Database string
	// Password of the database's user; empty: none, or what PGPASSWORD and the
	// password file of PostgreSQL's own programs say.
	Password string
	// Now is the clock of tests. Nil: the store's.
	Now func() time.Time
}

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("another gateway uses this data folder; each needs its own")

// ErrKeyFile says that several gateways have no key in common.
var ErrKeyFile = errors.New("gateways that share a database need the same key: give each a copy of one key file")

// ErrDatabase says that the database does not do what it is asked for now.
var ErrDatabase = errors.New("the database cannot be used")

// Open makes the folder, the key and the tables when they are not there.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open the sessions: %w", err)
	}
	go s.tend()
	return s, nil
}

func open(ctx context.Context, c Config) (*Store, error) {
	if c.Database != "" && c.KeyFile == "" {
		return nil, ErrKeyFile
	}
	sealer, err := openSealer(c.Dir, c.KeyFile)
	if err != nil {
		return nil, err
	}
	s := &Store{sealer: sealer, end: make(chan struct{}), ended: make(chan struct{})}
	if c.Database == "" {
		s.db, s.engine, err = openSQLite(ctx, c)
	} else {
		s.db, s.engine, err = openPostgres(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	if err := s.Clean(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// openSealer reads the key of a folder, or of a file elsewhere.
func openSealer(dir, file string) (sealer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return sealer{}, err
	}
	secret, err := []byte(nil), error(nil)
	if file != "" {
		secret, err = readKeyFile(file)
	} else {
		secret, err = readKey(dir)
	}
	if err != nil {
		return sealer{}, err
	}
	return newSealer(secret)
}

// sql is a statement as the engine wants it.
func (s *Store) sql(text string) string { return s.engine.words.Replace(text) }

// bounded gives an operation an end.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.engine.patience == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.engine.patience)
}

// Shared tells whether other gateways use the same sessions.
func (s *Store) Shared() bool { return s.engine.shared }

// Ready tells whether the sessions can be read.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var one int
	if err := s.db.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("read the sessions: %w", err)
	}
	return nil
}

// Close ends the background work and closes the database.
func (s *Store) Close() error {
	close(s.end)
	<-s.ended
	if s.engine.find != nil {
		return errors.Join(s.engine.find.Close(), s.db.Close())
	}
	return s.db.Close()
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
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if _, err := s.db.ExecContext(ctx, s.sql(`DELETE FROM @session WHERE seen <= @now - $2 OR began <= @now - $3`), s.engine.moment(), Idle.Milliseconds(), Absolute.Milliseconds()); err != nil {
		return fmt.Errorf("clean the sessions: %w", err)
	}
	if _, err := s.db.ExecContext(ctx, s.sql(`DELETE FROM @mark WHERE until <= @now`), s.engine.moment()); err != nil {
		return fmt.Errorf("clean the sessions: %w", err)
	}
	return nil
}
