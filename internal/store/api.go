package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const apiColumns = `name, audience, scopes, claims, algorithm, disabled, version, created_at`

func scanAPI(row interface{ Scan(...any) error }) (iam.API, error) {
	var a iam.API
	err := row.Scan(&a.Name, &a.Audience, list[[]iam.Scope]{&a.Scopes}, list[[]string]{&a.Claims}, &a.Algorithm, &a.Disabled, &a.Version, moment{&a.CreatedAt})
	return a, err
}

// CreateAPI stores a new API. iam.ErrExists when name or audience is taken.
func (db *DB) CreateAPI(ctx context.Context, a iam.API, events ...iam.Event) error {
	return db.change(ctx, "api", a.Name, events, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO apis (`+apiColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 1, $7)`,
			a.Name, a.Audience, text(a.Scopes), text(a.Claims), a.Algorithm, a.Disabled, micros(tx.now()))
		return err
	})
}

// API reads one API by name.
func (db *DB) API(ctx context.Context, name string) (iam.API, error) {
	a, err := scanAPI(db.reads.QueryRowContext(ctx, `SELECT `+apiColumns+` FROM apis WHERE name = $1`, name))
	return a, translate(err)
}

// APIs reads all APIs by name.
func (db *DB) APIs(ctx context.Context) ([]iam.API, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT `+apiColumns+` FROM apis ORDER BY name`)
	return collect(rows, err, func(r *sql.Rows) (iam.API, error) { return scanAPI(r) })
}

// UpdateAPI replaces an API if nobody changed it since it was read. A scope
// that it does not define any more leaves the roles that held it.
func (db *DB) UpdateAPI(ctx context.Context, a iam.API, events ...iam.Event) error {
	return db.change(ctx, "api", a.Name, events, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `UPDATE apis SET audience = $1, scopes = $2, claims = $3, algorithm = $4, disabled = $5, version = version + 1
			WHERE name = $6 AND version = $7`, a.Audience, text(a.Scopes), text(a.Claims), a.Algorithm, a.Disabled, a.Name, a.Version))
		if err := conflict(ok, err); err != nil {
			return err
		}
		return dropScopes(ctx, tx, a)
	})
}

func dropScopes(ctx context.Context, tx *txn, a iam.API) error {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT scope FROM role_scopes WHERE api = $1`, a.Name)
	held, err := collect(rows, err, func(r *sql.Rows) (string, error) {
		var scope string
		return scope, r.Scan(&scope)
	})
	for _, scope := range held {
		if err == nil && !a.Defines(scope) {
			_, err = tx.ExecContext(ctx, `DELETE FROM role_scopes WHERE api = $1 AND scope = $2`, a.Name, scope)
		}
	}
	return err
}

// DeleteAPI removes an API and the scopes that roles held at it.
func (db *DB) DeleteAPI(ctx context.Context, name string, events ...iam.Event) error {
	return db.change(ctx, "api", name, events, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `DELETE FROM apis WHERE name = $1`, name))
		return missing(ok, err)
	})
}

// change runs a directory mutation: the row, the change row that tells other
// servers, and the events, in one transaction.
func (db *DB) change(ctx context.Context, kind, subject string, events []iam.Event, run closure) error {
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		if err := run(ctx, tx); err != nil {
			return err
		}
		if err := changed(ctx, tx, tx.now(), kind, subject); err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), events)
	})
	// Also after an error: a commit whose outcome is unknown may have happened.
	for _, heard := range db.onChange {
		heard(kind, subject)
	}
	return err
}

func conflict(ok bool, err error) error {
	if err == nil && !ok {
		return fmt.Errorf("update: %w", iam.ErrConflict)
	}
	return err
}

func missing(ok bool, err error) error {
	if err == nil && !ok {
		return iam.ErrNotFound
	}
	return err
}
