package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const userColumns = `id, username, email, name, attributes, password_hash, epoch, disabled, version, created_at, email_verified, phone, phone_verified, address, profile, updated_at`

func scanUser(row interface{ Scan(...any) error }) (iam.User, error) {
	u := iam.User{Roles: []string{}}
	err := row.Scan(&u.ID, &u.Username, &u.Email, &u.Name, list[map[string]string]{&u.Attributes}, &u.PasswordHash, &u.Epoch, &u.Disabled, &u.Version, moment{&u.CreatedAt},
		&u.EmailVerified, &u.Phone, &u.PhoneVerified, &u.Address, list[map[string]string]{&u.Profile}, moment{&u.UpdatedAt})
	return u, err
}

// CreateUser stores a new user with its roles, at epoch 1.
func (db *DB) CreateUser(ctx context.Context, u iam.User, events ...iam.Event) error {
	return db.change(ctx, "user", string(u.ID), events, func(ctx context.Context, tx *txn) error {
		return db.insertUser(ctx, tx, u)
	})
}

func (db *DB) insertUser(ctx context.Context, tx *txn, u iam.User) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO users (`+userColumns+`) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, 1, $8, $9, $10, $11, $12, $13, $8)`,
		u.ID, u.Username, u.Email, u.Name, text(u.Attributes), u.PasswordHash, u.Disabled, micros(tx.now()),
		u.EmailVerified, u.Phone, u.PhoneVerified, u.Address, text(u.Profile))
	if err != nil {
		return err
	}
	return writeUserRoles(ctx, tx, u)
}

func writeUserRoles(ctx context.Context, tx *txn, u iam.User) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM user_roles WHERE user_id = $1`, u.ID); err != nil {
		return err
	}
	for _, role := range u.Roles {
		if _, err := tx.ExecContext(ctx, `INSERT INTO user_roles (user_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING`, u.ID, role); err != nil {
			return err
		}
	}
	return nil
}

// User reads a user by id.
func (db *DB) User(ctx context.Context, id iam.UserID) (iam.User, error) {
	return db.oneUser(ctx, `SELECT `+userColumns+` FROM users WHERE id = $1`, string(id))
}

// UserByName reads a user by canonical username.
func (db *DB) UserByName(ctx context.Context, username string) (iam.User, error) {
	return db.oneUser(ctx, `SELECT `+userColumns+` FROM users WHERE username = $1`, username)
}

func (db *DB) oneUser(ctx context.Context, query, arg string) (iam.User, error) {
	u, err := scanUser(db.reads.QueryRowContext(ctx, query, arg))
	if err != nil {
		return iam.User{}, translate(err)
	}
	u.Roles, err = db.rolesOf(ctx, u.ID)
	return u, err
}

func (db *DB) rolesOf(ctx context.Context, id iam.UserID) ([]string, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT role FROM user_roles WHERE user_id = $1 ORDER BY role`, id)
	return collect(rows, err, func(r *sql.Rows) (string, error) {
		var name string
		return name, r.Scan(&name)
	})
}

// Users reads at most limit users whose name comes after a given one: a page by
// key, with the roles, in one query.
func (db *DB) Users(ctx context.Context, after string, limit int) ([]iam.User, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT page.*, r.role FROM (SELECT `+userColumns+` FROM users WHERE username > $1 ORDER BY username LIMIT $2) page
		LEFT JOIN user_roles r ON r.user_id = page.id ORDER BY page.username, r.role`, after, limit)
	users := []iam.User{}
	_, err = collect(rows, err, func(r *sql.Rows) (none struct{}, err error) {
		var role sql.NullString
		u, err := scanUser(withRole{r, &role})
		if err != nil {
			return none, err
		}
		if len(users) == 0 || users[len(users)-1].ID != u.ID {
			users = append(users, u)
		}
		if last := &users[len(users)-1]; role.Valid {
			last.Roles = append(last.Roles, role.String)
		}
		return none, nil
	})
	if err != nil {
		return nil, err
	}
	return users, nil
}

// withRole is a row of a user and one of its roles.
type withRole struct {
	rows *sql.Rows
	role *sql.NullString
}

func (w withRole) Scan(into ...any) error { return w.rows.Scan(append(into, w.role)...) }

// UpdateUser replaces a user if nobody changed it since it was read, and ends
// what the change ends (C14, C16). The epoch moves here, never in the caller.
func (db *DB) UpdateUser(ctx context.Context, u iam.User, ending iam.Ending, events ...iam.Event) error {
	return db.change(ctx, "user", string(u.ID), events, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `UPDATE users SET username = $1, email = $2, name = $3, attributes = $4, password_hash = $5, disabled = $6, version = version + 1,
			email_verified = $9, phone = $10, phone_verified = $11, address = $12, profile = $13, updated_at = $14
			WHERE id = $7 AND version = $8`, u.Username, u.Email, u.Name, text(u.Attributes), u.PasswordHash, u.Disabled, u.ID, u.Version,
			u.EmailVerified, u.Phone, u.PhoneVerified, u.Address, text(u.Profile), micros(tx.now())))
		if err := conflict(ok, err); err != nil {
			return err
		}
		if err := writeUserRoles(ctx, tx, u); err != nil {
			return err
		}
		return endUser(ctx, tx, tx.now(), u.ID, ending)
	})
}

// DeleteUser ends everything of a user and removes the row.
func (db *DB) DeleteUser(ctx context.Context, id iam.UserID, events ...iam.Event) error {
	return db.change(ctx, "user", string(id), events, func(ctx context.Context, tx *txn) error {
		if err := endUser(ctx, tx, tx.now(), id, iam.EndEverything); err != nil {
			return err
		}
		ok, err := one(tx.ExecContext(ctx, `DELETE FROM users WHERE id = $1`, id))
		return missing(ok, err)
	})
}

func endUser(ctx context.Context, tx *txn, now time.Time, id iam.UserID, ending iam.Ending) error {
	if ending == iam.EndNothing {
		return nil
	}
	var epoch int64
	err := tx.QueryRowContext(ctx, `UPDATE users SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch`, id).Scan(&epoch)
	if err != nil {
		return err
	}
	if err := revoke(ctx, tx, now, iam.RevokeUser, string(id), epoch, now.Add(tokenLife)); err != nil {
		return err
	}
	if ending == iam.EndAccess {
		return nil
	}
	if err := endGrants(ctx, tx, now, id, "the user's access ended"); err != nil {
		return err
	}
	// Whoever had the old password may have made a network known.
	if _, err := tx.ExecContext(ctx, `DELETE FROM known_networks WHERE user_id = $1`, id); err != nil {
		return err
	}
	return endSessions(ctx, tx, now, id)
}

// endGrants revokes all live grants of a user.
func endGrants(ctx context.Context, tx *txn, now time.Time, user iam.UserID, reason string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO revocation (at, kind, subject, min_epoch, drop_after)
		SELECT $1, 'grant', id, 0, $2 FROM grants WHERE user_id = $3 AND revoked_at IS NULL`, micros(now), micros(now.Add(tokenLife)), user)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE grants SET revoked_at = $1, revoke_reason = $2 WHERE user_id = $3 AND revoked_at IS NULL`, micros(now), reason, user)
	return err
}

// endSessions ends all live sessions of a user but one, "" for none.
func endSessions(ctx context.Context, tx *txn, now time.Time, id iam.UserID) error {
	return endSessionsWhere(ctx, tx, now, `user_id = $1`, string(id))
}
