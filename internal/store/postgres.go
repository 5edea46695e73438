package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// Connections of one process to PostgreSQL when the configuration names none.
const (
	DefaultConnections = 24
	minConnections     = 4
)

// pgConnect bounds the attempt to reach one host.
const pgConnect = 2 * time.Second

// openPostgres opens the store in a PostgreSQL database and brings its schema
// up to date.
func openPostgres(ctx context.Context, c Config) (*DB, error) {
	// The database's clock is the only one that all nodes share (C26). A test
	// moves time by hand; nothing else may.
	if !testing.Testing() {
		c.Now = nil
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	config, err := pgConfig(c)
	if err != nil {
		return nil, err
	}
	if mode := weakened(c.Database); mode != "" && !local(config) {
		c.Logger.Warn("the connection to the database does not prove which server answers: whoever is in between can read and change everything. Use sslmode=verify-full", slog.String("sslmode", mode))
	}
	total := c.Connections
	if total == 0 {
		total = DefaultConnections
	}
	total = max(total, minConnections)
	read, write := pgPool(*config, total/3), pgPool(*config, total-total/3)
	db := &DB{
		reads:  &pgReader{pool: read, pgTexts: pgTexts{hand: c.Now}},
		writer: &pgWriter{pool: write, pgTexts: pgTexts{hand: c.Now}, history: history{logger: c.Logger}},
	}
	if err := db.startPostgres(ctx, c, write); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (db *DB) startPostgres(ctx context.Context, c Config, pool *sql.DB) error {
	w := db.writer.(*pgWriter)
	if err := migratePostgres(ctx, pool); err != nil {
		return err
	}
	line := `''`
	if err := tellsTimeline(ctx, pool); err == nil {
		line = timelineQuery
	} else if pgAgain(err) || pgCode(err, "55") {
		return fmt.Errorf("open the database: %w", unavailable(err))
	} else {
		c.Logger.Warn("this PostgreSQL does not say which timeline it writes: codes of before a failover are not refused", slog.Any("error", err))
	}
	w.began = fmt.Sprintf(`BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL statement_timeout = %d; SET LOCAL lock_timeout = %d; SET LOCAL idle_in_transaction_session_timeout = %d; SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT, %s`,
		pgStatement.Milliseconds(), pgLock.Milliseconds(), pgIdle.Milliseconds(), line)
	if err := w.learn(ctx, time.Now().Add(pgPatience)); err != nil {
		return fmt.Errorf("open the database: %w", unavailable(err))
	}
	db.sayDurability(ctx, c.Logger)
	return nil
}

// Limits that the server keeps, also for a client that is gone or asleep. All
// are below pgPatience or near it, so that no transaction is open for long.
const (
	pgStatement = 4 * time.Second
	pgLock      = 3 * time.Second
	pgIdle      = 5 * time.Second
)

func pgPool(config pgx.ConnConfig, size int) *sql.DB {
	pool := stdlib.OpenDB(config)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour)
	return pool
}

// pgConfig reads the URL of a database. No error shows it: a password may be
// part of it.
func pgConfig(c Config) (*pgx.ConnConfig, error) {
	u, err := url.Parse(c.Database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("open the database: its address is not of the form postgres://USER@HOST/DATABASE")
	}
	config, err := pgx.ParseConfig(u.String())
	if query := u.Query(); err == nil && query.Get("sslmode") == "" && !local(config) {
		query.Set("sslmode", "verify-full")
		u.RawQuery = query.Encode()
		config, err = pgx.ParseConfig(u.String())
	}
	if err != nil {
		return nil, errors.New("open the database: its address cannot be used: " + withoutURL(err, c.Database, u.String()))
	}
	if c.DatabasePassword != "" {
		config.Password = c.DatabasePassword
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > pgConnect {
		config.ConnectTimeout = pgConnect
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gatehouse"
	}
	// No statement is prepared by name, so that PgBouncer may give each
	// transaction another connection. An address may ask for it.
	if !u.Query().Has("default_query_exec_mode") {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	config.OnNotice = onNotice
	return config, nil
}

// weakened is the sslmode of an address that asks for less than verify-full.
func weakened(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Query().Get("sslmode") == "verify-full" {
		return ""
	}
	return u.Query().Get("sslmode")
}

// withoutURL is the reason that a parser gives, without what it read.
func withoutURL(err error, texts ...string) string {
	reason := err.Error()
	if i := strings.LastIndex(reason, "`: "); i >= 0 {
		reason = reason[i+len("`: "):]
	}
	for _, t := range texts {
		reason = strings.ReplaceAll(reason, t, "…")
	}
	return iam.Printable(reason, 200)
}

// local tells whether all hosts of an address are this machine.
func local(config *pgx.ConnConfig) bool {
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, h := range hosts {
		ip := net.ParseIP(h)
		if h != "localhost" && !strings.HasPrefix(h, "/") && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// Empty tells whether a database holds no installation yet.
func Empty(ctx context.Context, c Config) (empty bool, err error) {
	err = c.withSchema(ctx, func(_ engine, db *sql.DB) error {
		ctx, cancel := context.WithTimeout(ctx, pgPatience)
		defer cancel()
		var n int
		err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM meta WHERE name = 'issuer'`).Scan(&n)
		if err != nil && !noTable(err) {
			return fmt.Errorf("open the database: %w", unavailable(err))
		}
		empty = n == 0
		return nil
	})
	return empty, err
}
