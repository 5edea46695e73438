package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const clientColumns = `id, name, type, first_party, grant_types, redirect_uris, scopes, default_scopes, challenge, reader_of, secret_hash, epoch, disabled, version, created_at,
	` + clientAuthColumns + `, ` + clientLoginColumns

func scanClient(row interface{ Scan(...any) error }) (iam.Client, error) {
	var c iam.Client
	var secret string
	err := row.Scan(&c.ID, &c.Name, &c.Type, &c.FirstParty, list[[]string]{&c.GrantTypes}, list[[]string]{&c.RedirectURIs}, list[[]string]{&c.Scopes},
		list[[]string]{&c.DefaultScopes}, &c.Challenge, list[[]string]{&c.ReaderOf}, &secret, &c.Epoch, &c.Disabled, &c.Version, moment{&c.CreatedAt}, &c.Auth, keySet{&c.Keys}, &c.KeysURI, hexBytes{&c.OldSecretHash}, moment{&c.OldSecretEnds},
		list[[]string]{&c.PostLogoutRedirectURIs}, &c.BackchannelLogoutURI, &c.IDTokenAlgorithm, &c.RequirePAR, list[*iam.Handoff]{&c.Handoff})
	if err != nil {
		return iam.Client{}, err
	}
	if secret != "" {
		c.SecretHash, err = hex.DecodeString(secret)
	}
	return c, err
}

// CreateClient stores a new client or service account, at epoch 1; after a
// client of the same id that was deleted, at the epoch where that one ended,
// so that codes and tokens of the old one are never taken for the new one's.
func (db *DB) CreateClient(ctx context.Context, c iam.Client, events ...iam.Event) error {
	return db.change(ctx, "client", string(c.ID), events, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO clients (`+clientColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
			COALESCE((SELECT MAX(e) FROM (SELECT min_epoch AS e FROM revocation WHERE kind = $19 AND subject = $1
				UNION ALL SELECT below AS e FROM sweeps WHERE kind = 'client' AND subject = $1) last), 1), $12, 1, $13, $14, $15, $16, $17, $18, $20, $21, $22, $23, $24)`,
			c.ID, c.Name, c.Type, c.FirstParty, text(c.GrantTypes), text(c.RedirectURIs), text(c.Scopes), text(c.DefaultScopes), c.Challenge,
			text(c.ReaderOf), hex.EncodeToString(c.SecretHash), c.Disabled, micros(tx.now()),
			c.AuthMethod(), keySetText(c.Keys), c.KeysURI, hex.EncodeToString(c.OldSecretHash), micros(c.OldSecretEnds), iam.RevokeClient,
			text(c.PostLogoutRedirectURIs), c.BackchannelLogoutURI, c.IDTokenAlgorithm, c.RequirePAR, handoffText(c.Handoff))
		if err != nil {
			return err
		}
		// Grants of the old one, whose rows may not all be marked yet, are none of
		// the new one's.
		if _, err := tx.ExecContext(ctx, `UPDATE clients SET min_grant_epoch = epoch WHERE id = $1`, c.ID); err != nil {
			return err
		}
		return writeClientLists(ctx, tx, c)
	})
}

func writeClientRoles(ctx context.Context, tx *txn, c iam.Client) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM client_roles WHERE client_id = $1`, c.ID); err != nil {
		return err
	}
	for _, role := range c.Roles {
		if _, err := tx.ExecContext(ctx, `INSERT INTO client_roles (client_id, role) VALUES ($1, $2) ON CONFLICT DO NOTHING`, c.ID, role); err != nil {
			return err
		}
	}
	return nil
}

// Client reads a client or service account by id.
func (db *DB) Client(ctx context.Context, id iam.ClientID) (iam.Client, error) {
	c, err := scanClient(db.reads.QueryRowContext(ctx, `SELECT `+clientColumns+` FROM clients WHERE id = $1`, id))
	if err != nil {
		return iam.Client{}, translate(err)
	}
	err = db.readClientLists(ctx, &c)
	return c, err
}

func (db *DB) clientRoles(ctx context.Context, id iam.ClientID) ([]string, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT role FROM client_roles WHERE client_id = $1 ORDER BY role`, id)
	return collect(rows, err, func(r *sql.Rows) (string, error) {
		var name string
		return name, r.Scan(&name)
	})
}

// Clients reads at most limit clients and service accounts after an id.
func (db *DB) Clients(ctx context.Context, after iam.ClientID, limit int) ([]iam.Client, error) {
	rows, err := db.reads.QueryContext(ctx, `SELECT `+clientColumns+` FROM clients WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	clients, err := collect(rows, err, func(r *sql.Rows) (iam.Client, error) { return scanClient(r) })
	if err != nil {
		return nil, err
	}
	for i := range clients {
		if err := db.readClientLists(ctx, &clients[i]); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// UpdateClient replaces a client if nobody changed it since it was read, and
// ends what the change ends (C16).
func (db *DB) UpdateClient(ctx context.Context, c iam.Client, ending iam.Ending, events ...iam.Event) error {
	return db.change(ctx, "client", string(c.ID), events, func(ctx context.Context, tx *txn) error {
		ok, err := one(tx.ExecContext(ctx, `UPDATE clients SET name = $1, first_party = $2, grant_types = $3, redirect_uris = $4, scopes = $5, default_scopes = $6,
			challenge = $7, reader_of = $8, secret_hash = $9, disabled = $10, version = version + 1,
			auth_method = $13, jwks = $14, jwks_uri = $15, old_secret_hash = $16, old_secret_ends = $17,
			post_logout_redirect_uris = $18, backchannel_logout_uri = $19, id_token_alg = $20, require_par = $21, handoff = $22 WHERE id = $11 AND version = $12`,
			c.Name, c.FirstParty, text(c.GrantTypes), text(c.RedirectURIs), text(c.Scopes), text(c.DefaultScopes),
			c.Challenge, text(c.ReaderOf), hex.EncodeToString(c.SecretHash), c.Disabled, c.ID, c.Version,
			c.AuthMethod(), keySetText(c.Keys), c.KeysURI, hex.EncodeToString(c.OldSecretHash), micros(c.OldSecretEnds),
			text(c.PostLogoutRedirectURIs), c.BackchannelLogoutURI, c.IDTokenAlgorithm, c.RequirePAR, handoffText(c.Handoff)))
		if err := conflict(ok, err); err != nil {
			return err
		}
		if err := writeClientLists(ctx, tx, c); err != nil {
			return err
		}
		return endClient(ctx, tx, tx.now(), c.ID, ending)
	})
}

// DeleteClient ends everything of a client and removes the row.
func (db *DB) DeleteClient(ctx context.Context, id iam.ClientID, events ...iam.Event) error {
	return db.change(ctx, "client", string(id), events, func(ctx context.Context, tx *txn) error {
		if err := endClient(ctx, tx, tx.now(), id, iam.EndEverything); err != nil {
			return err
		}
		ok, err := one(tx.ExecContext(ctx, `DELETE FROM clients WHERE id = $1`, id))
		return missing(ok, err)
	})
}

func endClient(ctx context.Context, tx *txn, now time.Time, id iam.ClientID, ending iam.Ending) error {
	if ending == iam.EndNothing {
		return nil
	}
	var epoch int64
	err := tx.QueryRowContext(ctx, `UPDATE clients SET epoch = epoch + 1 WHERE id = $1 RETURNING epoch`, id).Scan(&epoch)
	if err != nil {
		return err
	}
	if err := revoke(ctx, tx, now, iam.RevokeClient, string(id), epoch, now.Add(tokenLife)); err != nil {
		return err
	}
	if ending == iam.EndAccess {
		return nil
	}
	return endClientGrants(ctx, tx, now, id, epoch)
}
