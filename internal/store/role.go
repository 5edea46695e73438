package store

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const roleColumns = `name, description, is_default, disabled, version, created_at`

func scanRole(row interface{ Scan(...any) error }) (iam.Role, error) {
	r := iam.Role{Scopes: []iam.RoleScope{}}
	err := row.Scan(&r.Name, &r.Description, &r.Default, &r.Disabled, &r.Version, moment{&r.CreatedAt})
	return r, err
}

// CreateRole stores a new role.
func (db *DB) CreateRole(ctx context.Context, r iam.Role, events ...iam.Event) error {
	return db.change(ctx, "role", r.Name, events, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO roles (`+roleColumns+`) VALUES ($1, $2, $3, $4, 1, $5)`,
			r.Name, r.Description, r.Default, r.Disabled, micros(tx.now()))
		if err != nil {
			return err
		}
		return writeRoleScopes(ctx, tx, r)
	})
}

func writeRoleScopes(ctx context.Context, tx *txn, r iam.Role) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM role_scopes WHERE role = $1`, r.Name); err != nil {
		return err
	}
	for _, s := range r.Scopes {
		_, err := tx.ExecContext(ctx, `INSERT INTO role_scopes (role, api, scope) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, r.Name, s.API, s.Scope)
		if err != nil {
			return err
		}
	}
	return nil
}

// Role reads one role by name.
func (db *DB) Role(ctx context.Context, name string) (iam.Role, error) {
	r, err := scanRole(db.reads.QueryRowContext(ctx, `SELECT `+roleColumns+` FROM roles WHERE name = $1`, name))
	if err != nil {
		return iam.Role{}, translate(err)
	}
	rows, err := db.reads.QueryContext(ctx, `SELECT api, scope FROM role_scopes WHERE role = $1 ORDER BY api, scope`, name)
	r.Scopes, err = collect(rows, err, func(r *sql.Rows) (iam.RoleScope, error) {
		var s iam.RoleScope
		return s, r.Scan(&s.API, &s.Scope)
	})
	return r, err
}

// Roles reads all roles by name.
func (db *DB) Roles(ctx context.Context) ([]iam.Role, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT `+roleColumns+` FROM roles ORDER BY name`)
	roles, err := collect(rows, err, func(r *sql.Rows) (iam.Role, error) { return scanRole(r) })
	if err != nil {
		return nil, err
	}
	rows, err = db.reads.QueryContext(ctx, `SELECT role, api, scope FROM role_scopes ORDER BY role, api, scope`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	at := map[string]int{}
	for i, r := range roles {
		at[r.Name] = i
	}
	for rows.Next() {
		var name string
		var s iam.RoleScope
		if err := rows.Scan(&name, &s.API, &s.Scope); err != nil {
			return nil, err
		}
		// A role made between the two queries has no place yet.
		if i, ok := at[name]; ok {
			roles[i].Scopes = append(roles[i].Scopes, s)
		}
	}
	return roles, rows.Err()
}

// UpdateRole replaces a role if nobody changed it since it was read. Holders
// get what it holds now at their next refresh (C16).
func (db *DB) UpdateRole(ctx context.Context, r iam.Role, events ...iam.Event) error {
	return db.change(ctx, "role", r.Name, events, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `UPDATE roles SET description = $1, is_default = $2, disabled = $3, version = version + 1
			WHERE name = $4 AND version = $5`, r.Description, r.Default, r.Disabled, r.Name, r.Version))
		if err := conflict(ok, err); err != nil {
			return err
		}
		return writeRoleScopes(ctx, tx, r)
	})
}

// RoleHolders counts who holds a role.
func (db *DB) RoleHolders(ctx context.Context, name string) (users, services int64, err error) {
	err = db.reads.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM user_roles WHERE role = $1), (SELECT COUNT(*) FROM client_roles WHERE role = $1)`, name).Scan(&users, &services)
	return users, services, err
}

// holdersAtOnce bounds how many holders one transaction changes: others, also
// in other processes, write in between.
const holdersAtOnce = 500

// DeleteRole takes a role from everybody, which ends the access tokens of
// every holder (C16), and removes it. The last holders go in one transaction
// with the role and the events; of more, each batch is in the journal itself.
func (db *DB) DeleteRole(ctx context.Context, name string, events ...iam.Event) error {
	for {
		holders, err := db.holders(ctx, name, "")
		if err != nil {
			return err
		}
		if len(holders) < holdersAtOnce {
			break
		}
		if err := db.takeRole(ctx, name, holders, events); err != nil {
			return err
		}
	}
	return db.change(ctx, "role", name, events, func(ctx context.Context, tx *txn) error {
		if err := bumpHolders(ctx, tx, tx.now(), name); err != nil {
			return err
		}
		ok, err := one(tx.ExecContext(ctx, `DELETE FROM roles WHERE name = $1`, name))
		return missing(ok, err)
	})
}

// takeRole takes a role from a batch of users.
func (db *DB) takeRole(ctx context.Context, name string, holders []iam.UserID, events []iam.Event) error {
	taken := iam.Event{Kind: iam.EventRoleTaken, Subject: name, Detail: map[string]string{"users": strconv.Itoa(len(holders))}}
	if len(events) > 0 {
		taken.Actor = events[0].Actor
	}
	return db.inTurn(ctx, func(ctx context.Context, tx *txn) error {
		for _, id := range holders {
			if _, err := tx.ExecContext(ctx, `DELETE FROM user_roles WHERE user_id = $1 AND role = $2`, id, name); err != nil {
				return err
			}
		}
		if err := endAccess(ctx, tx, tx.now(), holders); err != nil {
			return err
		}
		return record(ctx, tx, tx.now(), []iam.Event{taken})
	})
}

// BumpHolders ends the access tokens of every holder of a role, so that its
// new definition takes effect at once (C16): service accounts with the events,
// then users in batches.
func (db *DB) BumpHolders(ctx context.Context, name string, events ...iam.Event) error {
	err := db.change(ctx, "role", name, events, func(ctx context.Context, tx *txn) error {
		return bumpServices(ctx, tx, tx.now(), name)
	})
	for after := iam.UserID(""); err == nil; {
		var holders []iam.UserID
		if holders, err = db.holders(ctx, name, after); err != nil || len(holders) == 0 {
			break
		}
		after = holders[len(holders)-1]
		err = db.inTurn(ctx, func(ctx context.Context, tx *txn) error { return endAccess(ctx, tx, tx.now(), holders) })
	}
	return err
}

// inTurn writes one batch of many and lets others write before the next.
func (db *DB) inTurn(ctx context.Context, run closure) error {
	if err := db.writer.do(ctx, run); err != nil {
		return err
	}
	select {
	case <-time.After(cleanPause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holders are the next users after an id who hold a role.
func (db *DB) holders(ctx context.Context, role string, after iam.UserID) ([]iam.UserID, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT user_id FROM user_roles WHERE role = $1 AND user_id > $2 ORDER BY user_id LIMIT $3`, role, after, holdersAtOnce)
	return collect(rows, err, func(r *sql.Rows) (iam.UserID, error) {
		var id iam.UserID
		return id, r.Scan(&id)
	})
}

// endAccess moves the epochs of users and tells verifiers. A user who was
// deleted meanwhile is past caring.
func endAccess(ctx context.Context, tx *txn, now time.Time, users []iam.UserID) error {
	for _, id := range users {
		if err := endUser(ctx, tx, now, id, iam.EndAccess); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	return nil
}

// bumpHolders moves the epochs of all holders, and writes what verifiers must
// know.
func bumpHolders(ctx context.Context, tx *txn, now time.Time, role string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE users SET epoch = epoch + 1 WHERE id IN (SELECT user_id FROM user_roles WHERE role = $1)`, role); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO revocation (at, kind, subject, min_epoch, drop_after) SELECT $1, 'user', u.id, u.epoch, $2 FROM users u JOIN user_roles r ON r.user_id = u.id WHERE r.role = $3`,
		micros(now), micros(now.Add(tokenLife)), role)
	if err != nil {
		return err
	}
	return bumpServices(ctx, tx, now, role)
}

// bumpServices does the same for service accounts.
func bumpServices(ctx context.Context, tx *txn, now time.Time, role string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE clients SET epoch = epoch + 1 WHERE id IN (SELECT client_id FROM client_roles WHERE role = $1)`, role); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO revocation (at, kind, subject, min_epoch, drop_after) SELECT $1, 'client', c.id, c.epoch, $2 FROM clients c JOIN client_roles r ON r.client_id = c.id WHERE r.role = $3`,
		micros(now), micros(now.Add(tokenLife)), role)
	return err
}
