package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// SQLSTATE of PostgreSQL, or its first two digits, as far as they decide
// something here.
const (
	pgUnique        = "23505"
	pgConstraint    = "23"
	pgNoSuchText    = "22021" // NUL, or bytes that are not UTF-8
	pgSerialization = "40001"
	pgDeadlock      = "40P01"
	pgConnection    = "08"
	pgShutdown      = "57P"   // 57P01 to 57P05
	pgReadOnly      = "25006" // a standby, or a primary that was replaced
	pgTooMany       = "53300"
	pgWarning       = "01000"
)

// pgTroubles are what an administrator ends or what passes, and what to do. The
// longest prefix of the SQLSTATE wins.
var pgTroubles = map[string]string{
	pgReadOnly:   "It is read-only: a standby, or a primary that was replaced. Name the primary, or all hosts with target_session_attrs=read-write",
	"28":         "Check the user and database_password",
	"3D000":      "Create the database first: CREATE DATABASE … OWNER …",
	"42501":      "The database's user must own Gatehouse's tables",
	"53100":      "Make room on the disk of the database",
	"53":         "The database server is out of resources: connections, memory or disk",
	pgTooMany:    "The database server has no connections left. Raise max_connections, put PgBouncer in front, or lower database_connections",
	"55P03":      "Another transaction holds a lock for too long; try again",
	"55":         "The database is a standby, or not ready yet",
	"57014":      "It did not answer in time; look at its load",
	pgShutdown:   "It shuts down or starts; try again",
	pgConnection: "The connection to it broke; try again",
	"58":         "Look at the disk and the log of the database server",
	"XX":         "Look at the log of the database server",
	"40":         "Too many transactions wanted the same rows at once; try again",
}

// pgTrouble says what to do about an error of PostgreSQL that is no fault of
// the request.
func pgTrouble(err error) (todo string, known bool) {
	var engine *pgconn.PgError
	if !errors.As(err, &engine) {
		return unreachable(err), brokenConnection(err)
	}
	for n := len(engine.Code); n >= 2; n-- {
		if todo, known = pgTroubles[engine.Code[:n]]; known {
			return todo, true
		}
	}
	return "", false
}

// unreachable says what to do when no server of an address can be used.
func unreachable(err error) string {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch text := err.Error(); {
	case errors.As(err, &name):
		return "The certificate is of another server: write in the address the name that the certificate has"
	case errors.As(err, &authority):
		return "The authority of the certificate is not known here: name its file with ?sslrootcert=FILE in the address"
	case errors.As(err, &invalid):
		return "Give the database server a new certificate"
	case strings.Contains(text, "server refused TLS connection"):
		return "The database server offers no TLS: give it a certificate (ssl = on). With sslmode=disable in the address everything would be readable on the way"
	case strings.Contains(text, "read only connection"):
		return "No server of the address takes writes: promote one"
	}
	return "Check that the database server runs and can be reached"
}

// connecting is a failed attempt to connect, in one line: the driver has a line
// for each address and way that it tried.
type connecting struct{ error }

var whom = regexp.MustCompile("failed to connect to `user=(.*?) database=(.*?)`")

func (e connecting) Error() string {
	text := whom.ReplaceAllString(e.error.Error(), "no connection as $1 to the database $2")
	head, rest, many := strings.Cut(text, "\n\t")
	if !many {
		return text
	}
	var reasons []string
	plain := strings.Split(rest, "\n\t")
	for _, r := range plain {
		if strings.HasSuffix(r, "server refused TLS connection") && strings.Count(rest, "server refused TLS connection") < len(plain) {
			continue // it was tried without, as the address allows
		}
		if !slices.Contains(reasons, r) {
			reasons = append(reasons, r)
		}
	}
	return head + " " + strings.Join(reasons, "; ")
}

func (e connecting) Unwrap() error { return e.error }

// tidy makes an error one line.
func tidy(err error) error {
	var dialed *pgconn.ConnectError
	if errors.As(err, &dialed) {
		return connecting{err}
	}
	return err
}

// pgCode tells whether an error is PostgreSQL's and of such a SQLSTATE.
func pgCode(err error, prefixes ...string) bool {
	var engine *pgconn.PgError
	if !errors.As(err, &engine) {
		return false
	}
	for _, p := range prefixes {
		if strings.HasPrefix(engine.Code, p) {
			return true
		}
	}
	return false
}

// brokenConnection tells whether an error is of the network, and not an answer.
func brokenConnection(err error) bool {
	for _, gone := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.DeadlineExceeded} {
		if errors.Is(err, gone) {
			return true
		}
	}
	var network net.Error
	var dialed *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &dialed) || pgconn.SafeToRetry(err) || strings.HasSuffix(err.Error(), "conn closed")
}

// pgAgain tells whether a transaction that failed before its COMMIT may
// succeed on another connection.
func pgAgain(err error) bool {
	return pgCode(err, pgConnection, pgShutdown, pgTooMany, pgReadOnly) || !errors.Is(err, context.DeadlineExceeded) && !pgCode(err, "") && brokenConnection(err)
}

// errUnknown marks a COMMIT of which nobody knows how it ended.
var errUnknown = errors.New("the connection broke while the change was being committed, so nobody knows whether it was done: look before you do it again")

func unknown(err error) error {
	return fmt.Errorf("%w: %w: %w", iam.ErrUnavailable, errUnknown, err)
}
