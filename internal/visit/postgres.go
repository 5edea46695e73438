package visit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Of the connections to PostgreSQL.
const (
	pgConnections = 8
	pgConnect     = 4 * time.Second
	pgPatience    = 6 * time.Second
	pgMakings     = 10 // of the tables, while other gateways make them too
)

const pgSchema = `
CREATE TABLE IF NOT EXISTS gateway_session (
	id TEXT PRIMARY KEY,
	subject TEXT NOT NULL,
	sid TEXT NOT NULL,
	gen BIGINT NOT NULL,
	sealed BYTEA NOT NULL,
	began BIGINT NOT NULL,
	seen BIGINT NOT NULL,
	lease BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS gateway_session_subject ON gateway_session (subject, seen);
CREATE INDEX IF NOT EXISTS gateway_session_sid ON gateway_session (sid);
CREATE INDEX IF NOT EXISTS gateway_session_seen ON gateway_session (seen);
CREATE TABLE IF NOT EXISTS gateway_mark (
	id TEXT PRIMARY KEY,
	until BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS gateway_mark_until ON gateway_mark (until);
`

// openPostgres opens the sessions that several gateways share. Times are the
// database's (C26); a test may set its clock ahead.
func openPostgres(ctx context.Context, c Config) (*sql.DB, engine, error) {
	ahead := func() int64 { return 0 }
	if c.Now != nil {
		if !testing.Testing() {
			return nil, engine{}, errors.New("PostgreSQL has its own clock, and takes no other")
		}
		ahead = func() int64 { return time.Until(c.Now()).Milliseconds() }
	}
	e := engine{
		words:    strings.NewReplacer("@session", "gateway_session", "@mark", "gateway_mark", "@now", "(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) + CAST($1 AS BIGINT))"),
		moment:   ahead,
		patience: pgPatience,
		shared:   true,
	}
	config, err := pgConfig(c)
	if err != nil {
		return nil, e, err
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(pgConnections)
	db.SetMaxIdleConns(pgConnections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	if err := makeTables(ctx, db); err != nil {
		return nil, e, errors.Join(err, db.Close())
	}
	return db, e, nil
}

// makeTables tries again while another gateway makes the same ones.
func makeTables(ctx context.Context, db *sql.DB) (err error) {
	for range pgMakings {
		if _, err = db.ExecContext(ctx, pgSchema, pgx.QueryExecModeSimpleProtocol); err == nil {
			return nil
		}
		var said *pgconn.PgError
		if !errors.As(err, &said) || said.Code != "23505" && said.Code != "42P07" && said.Code != "40P01" && said.Code != "XX000" {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%w: make the tables: %w", ErrDatabase, err)
}

// pgConfig reads the URL of a database. No error shows it: a password may be a
// part of it. Beyond this machine the server must prove its name.
func pgConfig(c Config) (*pgx.ConnConfig, error) {
	u, err := url.Parse(c.Database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("the database's address is not of the form postgres://USER@HOST/DATABASE")
	}
	query := u.Query()
	if query.Get("sslmode") == "" && !onThisMachine(u, query) {
		query.Set("sslmode", "verify-full")
		u.RawQuery = query.Encode()
	}
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, errors.New("the database's address cannot be used: user, host and database are needed, as in postgres://USER@HOST/DATABASE")
	}
	if c.Password != "" {
		config.Password = c.Password
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > pgConnect {
		config.ConnectTimeout = pgConnect
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "gatehouse gateway"
	}
	// No statement is prepared by name, so that PgBouncer may give each
	// transaction another connection.
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	return config, nil
}

func onThisMachine(u *url.URL, query url.Values) bool {
	if host := query.Get("host"); host != "" {
		return strings.HasPrefix(host, "/")
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		ip := net.ParseIP(host)
		if host != "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}
