package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

const clientAuthColumns = `auth_method, jwks, jwks_uri, old_secret_hash, old_secret_ends`

const clientLoginColumns = `post_logout_redirect_uris, backchannel_logout_uri, id_token_alg, require_par, handoff`

// handoffText writes a hand-off, "" for none.
func handoffText(h *iam.Handoff) string {
	if h == nil {
		return ""
	}
	return text(h)
}

// keySetText writes a key set, "" for an empty one.
func keySetText(set jose.KeySet) string {
	if set.Len() == 0 {
		return ""
	}
	b, err := json.Marshal(set)
	if err != nil {
		panic("store: public keys always marshal: " + err.Error())
	}
	return string(b)
}

// keySet reads what keySetText wrote.
type keySet struct{ into *jose.KeySet }

func (k keySet) Scan(v any) error {
	*k.into = jose.KeySet{}
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	set, skipped, err := jose.ParseKeySet([]byte(s))
	if err == nil && len(skipped) > 0 {
		err = skipped[0]
	}
	*k.into = set
	return err
}

// hexBytes reads bytes written in hex, "" as nil.
type hexBytes struct{ into *[]byte }

func (h hexBytes) Scan(v any) (err error) {
	*h.into = nil
	if s, _ := v.(string); s != "" {
		*h.into, err = hex.DecodeString(s)
	}
	return err
}

func writeClientLists(ctx context.Context, tx *txn, c iam.Client) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM client_origins WHERE client_id = $1`, c.ID); err != nil {
		return err
	}
	for _, origin := range c.Origins {
		if _, err := tx.ExecContext(ctx, `INSERT INTO client_origins (client_id, origin) VALUES ($1, $2) ON CONFLICT DO NOTHING`, c.ID, origin); err != nil {
			return err
		}
	}
	return writeClientRoles(ctx, tx, c)
}

func (db *DB) readClientLists(ctx context.Context, c *iam.Client) (err error) {
	if c.Roles, err = db.clientRoles(ctx, c.ID); err != nil || c.Type == iam.Service {
		return err
	}
	rows, err := db.reads.QueryContext(ctx, `SELECT origin FROM client_origins WHERE client_id = $1 ORDER BY origin`, c.ID)
	c.Origins, err = collect(rows, err, func(r *sql.Rows) (string, error) {
		var origin string
		return origin, r.Scan(&origin)
	})
	return err
}

// OriginKnown tells whether any enabled client allows the origin (C21).
func (db *DB) OriginKnown(ctx context.Context, origin string) (bool, error) {
	var n int
	err := db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM client_origins o JOIN clients c ON c.id = o.client_id WHERE o.origin = $1 AND NOT c.disabled`, origin).Scan(&n)
	return n > 0, err
}

// SpendAssertion spends the `jti` of a client's assertion (C20) and reports
// whether it was good for it: not spent before, and not expired by the store's
// clock. What is stored is a hash, so that ids of any form and of any two
// clients stay apart.
func (db *DB) SpendAssertion(ctx context.Context, client iam.ClientID, jti string, expires time.Time) (bool, error) {
	digest := sha256.Sum256(fmt.Appendf(nil, "%d:%s%s", len(client), client, jti))
	spent := false
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) (err error) {
		spent, err = one(tx.ExecContext(ctx, `INSERT INTO spent (id, grant_id, drop_after) SELECT CAST($1 AS TEXT), '', CAST($2 AS BIGINT)
			WHERE CAST($3 AS BIGINT) > $4 ON CONFLICT (id) DO NOTHING`,
			"assertion:"+hex.EncodeToString(digest[:]), micros(expires.Add(iam.RevocationLeeway)), micros(expires), micros(tx.now())))
		return err
	})
	return spent, err
}

// RotateSecret gives a client a new secret and keeps the one it replaces for
// overlap, by the store's clock. iam.ErrConflict: the client has no secret, or
// an older one is still valid. Two at most.
func (db *DB) RotateSecret(ctx context.Context, id iam.ClientID, hash []byte, overlap time.Duration, events ...iam.Event) error {
	return db.change(ctx, "client", string(id), events, func(ctx context.Context, tx *txn) error {
		now := tx.now()
		ok, err := one(tx.ExecContext(ctx, `UPDATE clients SET old_secret_hash = secret_hash, old_secret_ends = $1, secret_hash = $2, version = version + 1
			WHERE id = $3 AND auth_method = $4 AND (old_secret_ends IS NULL OR old_secret_ends <= $5)`,
			micros(now.Add(overlap)), hex.EncodeToString(hash), id, iam.AuthSecret, micros(now)))
		return conflict(ok, err)
	})
}

// OldSecretLives tells whether the hash is of the secret that a rotation
// replaced and that is still valid, by the store's clock.
func (db *DB) OldSecretLives(ctx context.Context, id iam.ClientID, hash []byte) (bool, error) {
	var n int
	err := db.reads.QueryRowContext(ctx, `SELECT COUNT(*) FROM clients WHERE id = $1 AND old_secret_hash = $2 AND old_secret_ends > $3`,
		id, hex.EncodeToString(hash), fromNow(0)).Scan(&n)
	return n > 0, err
}
