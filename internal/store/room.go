package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// room is a table of requests that wait, with so many places for each client.
// Anybody may fill those of a public client, whose id is no secret, so they are
// shared out among the networks that ask.
type room struct {
	table, key string
	waiting    string // a condition: the request may be dropped
}

var (
	pushedRoom = room{`pushed`, `id_hash`, `expires > $2`}
	deviceRoom = room{`devices`, `code_hash`, `expires > $2 AND state = 'pending'`}
)

// put runs an insert that may find all places taken. Then the oldest request of
// the network that has the most gives way, if that one has more than the network
// of the new request; a network that has the most itself gives up its own
// oldest. Networks that have one place each are not driven out. Without a
// network, which is of a client that proved who it is, nobody gives way.
func (r room) put(ctx context.Context, tx *txn, client iam.ClientID, network string, insert func() (bool, error)) error {
	kept, err := insert()
	if err != nil || kept || network == "" {
		return conflict(kept, err)
	}
	giving, err := r.giving(ctx, tx, client, network)
	if err != nil {
		return err
	}
	gone, err := one(tx.ExecContext(ctx, `DELETE FROM `+r.table+` WHERE `+r.key+` = (SELECT `+r.key+` FROM `+r.table+`
		WHERE client_id = $1 AND network = $3 AND `+r.waiting+` ORDER BY expires, `+r.key+` LIMIT 1)`, client, micros(tx.now()), giving))
	if err := conflict(gone, err); err != nil {
		return err
	}
	kept, err = insert()
	return conflict(kept, err)
}

// giving is the network whose oldest request gives way to one of another.
func (r room) giving(ctx context.Context, tx *txn, client iam.ClientID, network string) (string, error) {
	var mine, most int
	var busiest string
	now := micros(tx.now())
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+r.table+` WHERE client_id = $1 AND network = $3 AND `+r.waiting, client, now, network).Scan(&mine)
	if err != nil {
		return "", fmt.Errorf("make room: %w", err)
	}
	err = tx.QueryRowContext(ctx, `SELECT network, COUNT(*) FROM `+r.table+` WHERE client_id = $1 AND network <> '' AND `+r.waiting+`
		GROUP BY network ORDER BY COUNT(*) DESC, network LIMIT 1`, client, now).Scan(&busiest, &most)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", conflict(false, nil)
	case err != nil:
		return "", fmt.Errorf("make room: %w", err)
	case most > mine && most > 1:
		return busiest, nil
	case mine > 0:
		return network, nil
	}
	return "", conflict(false, nil)
}
