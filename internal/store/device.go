package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const deviceColumns = `code_hash, user_code, client_id, scopes, resource, state, user_id, session_id, auth_time, acr, amr, user_epoch, client_epoch, created_at, expires`

func scanDevice(row interface{ Scan(...any) error }) (iam.Device, error) {
	var d iam.Device
	return d, row.Scan(&d.CodeHash, &d.UserCode, &d.ClientID, list[[]string]{&d.Scopes}, &d.Resource, &d.State, &d.UserID, &d.SessionID,
		moment{&d.AuthTime}, &d.ACR, list[[]string]{&d.AMR}, &d.UserEpoch, &d.ClientEpoch, moment{&d.CreatedAt}, moment{&d.Expires})
}

// PutDevice keeps a device request. iam.ErrConflict: too many of this client
// are waiting; iam.ErrExists: the user code is taken.
func (db *DB) PutDevice(ctx context.Context, d iam.Device) error {
	return translate(db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := micros(tx.now())
		return deviceRoom.put(ctx, tx, d.ClientID, d.Network, func() (bool, error) {
			return one(tx.ExecContext(ctx, `INSERT INTO devices (`+deviceColumns+`, grant_id, pause, network)
			SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT), '', '', NULL, '', '[]', 0, 0, CAST($7 AS BIGINT), CAST($8 AS BIGINT), '', CAST($9 AS BIGINT), CAST($12 AS TEXT)
			WHERE (SELECT COUNT(*) FROM devices WHERE client_id = $3 AND expires > $10) < $11`,
				d.CodeHash, d.UserCode, d.ClientID, text(d.Scopes), d.Resource, d.State, micros(d.CreatedAt), micros(d.Expires), iam.DeviceInterval.Microseconds(), now, iam.DeviceCap, d.Network))
		})
	}))
}

// DeviceByUserCode finds the request that waits under a code.
func (db *DB) DeviceByUserCode(ctx context.Context, userCode string) (iam.Device, error) {
	d, err := scanDevice(db.reads.QueryRowContext(ctx, `SELECT `+deviceColumns+` FROM devices WHERE user_code = $1 AND state = $2 AND expires > $3`,
		userCode, iam.DevicePending, fromNow(0)))
	return d, translate(err)
}

// DecideDevice writes what the user said, if the request still waits and is the
// one that the user saw.
func (db *DB) DecideDevice(ctx context.Context, d iam.Device, event iam.Event) (bool, error) {
	decided := false
	err := db.writer.do(ctx, func(ctx context.Context, tx *txn) (err error) {
		now := tx.now()
		decided, err = one(tx.ExecContext(ctx, `UPDATE devices SET state = $1, user_id = $2, session_id = $3, auth_time = $4, acr = $5, amr = $6, user_epoch = $7, client_epoch = $8
			WHERE code_hash = $9 AND client_id = $10 AND state = $11 AND expires > $12`,
			d.State, d.UserID, d.SessionID, micros(d.AuthTime), d.ACR, text(d.AMR), d.UserEpoch, d.ClientEpoch, d.CodeHash, d.ClientID, iam.DevicePending, micros(now)))
		if err != nil || !decided {
			return err
		}
		return record(ctx, tx, now, []iam.Event{event})
	})
	return decided, err
}

// PollDevice says how far a request is. A poll that comes before the interval
// has passed makes the interval five seconds longer (RFC 8628 §3.5).
func (db *DB) PollDevice(ctx context.Context, p iam.DevicePoll) (d iam.Device, outcome iam.DeviceOutcome, err error) {
	err = db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
		now := micros(tx.now())
		d, err = scanDevice(tx.QueryRowContext(ctx, `SELECT `+deviceColumns+` FROM devices WHERE code_hash = $1 AND client_id = $2 AND expires > $3`, p.CodeHash, p.Client, now))
		if errors.Is(err, sql.ErrNoRows) {
			outcome = iam.DeviceExpired
			return nil
		}
		if err != nil {
			return err
		}
		switch d.State {
		case iam.DeviceAllowed, iam.DeviceSpent: // spent: the redemption finds out whose
			outcome = iam.DeviceReady
			return nil
		case iam.DeviceDenied:
			outcome = iam.DeviceRefused
			return nil
		}
		early, err := one(tx.ExecContext(ctx, `UPDATE devices SET pause = pause + $1, polled_at = $2 WHERE code_hash = $3 AND polled_at IS NOT NULL AND polled_at + pause > $2`,
			iam.DeviceInterval.Microseconds(), now, p.CodeHash))
		if err != nil {
			return err
		}
		if early {
			outcome = iam.DeviceTooFast
			return nil
		}
		outcome = iam.DeviceWaits
		_, err = tx.ExecContext(ctx, `UPDATE devices SET polled_at = $1 WHERE code_hash = $2`, now, p.CodeHash)
		return err
	})
	return d, outcome, err
}

// RedeemDevice spends an allowed device code and makes its grant. As with codes,
// the row names the grant: my own id is my own retry, another's is replay, and
// what came of it ends.
func (db *DB) RedeemDevice(ctx context.Context, r iam.DeviceRedemption) (iam.RedeemOutcome, error) {
	outcome := iam.Redeemed
	err := db.writer.redo(ctx, &r.Event, func(ctx context.Context, tx *txn) error {
		outcome = iam.Redeemed
		now := tx.now()
		first, err := one(tx.ExecContext(ctx, `UPDATE devices SET state = $1, grant_id = $2 WHERE code_hash = $3 AND client_id = $4 AND state = $5 AND expires > $6 AND created_at >= $7`,
			iam.DeviceSpent, r.Grant.ID, r.CodeHash, r.Grant.ClientID, iam.DeviceAllowed, micros(now), sinceRestart(tx)))
		if err != nil {
			return err
		}
		if first {
			r.CodeExpires = now.Add(iam.CodeLife) // the row has the life of the code
			return db.makeGrant(ctx, tx, r.Redemption)
		}
		var owner iam.GrantID
		err = tx.QueryRowContext(ctx, `SELECT grant_id FROM devices WHERE code_hash = $1 AND client_id = $2 AND state = $3`, r.CodeHash, r.Grant.ClientID, iam.DeviceSpent).Scan(&owner)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return errRefused
		case err != nil || owner == r.Grant.ID:
			return err
		}
		event := iam.Event{Kind: iam.EventCodeReplayed, Actor: r.Event.Actor, ClientID: r.Event.ClientID, UserID: r.Event.UserID}
		outcome = iam.CodeReplayed
		_, err = endGrant(ctx, tx, now, owner, "its device code was used twice", event)
		return err
	})
	if errors.Is(err, errRefused) {
		return iam.RedeemRefused, nil
	}
	return outcome, err
}
