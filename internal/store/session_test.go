package store

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

// A session that ended takes its grants along even while their own rows still
// stand: neither a rotation, nor the grace, nor a code joins it (C10, C12, C13).
func TestC12AnEndedSessionEndsItsGrants(t *testing.T) {
	ctx, now := context.Background(), time.Now()
	for name, end := range map[string]string{
		"ended": `UPDATE sessions SET ended_at = $1`, "idle": `UPDATE sessions SET idle_expires = $1`, "expired": `UPDATE sessions SET expires = $1`, "gone": `DELETE FROM sessions WHERE created_at <= $1`,
	} {
		db, err := Open(ctx, Config{Dir: t.TempDir(), Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		u := iam.User{ID: iam.NewUserID(), Username: "ada"}
		if err := db.CreateUser(ctx, u); err != nil {
			t.Fatal(err)
		}
		if err := db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public}); err != nil {
			t.Fatal(err)
		}
		s := iam.Session{ID: iam.NewSessionID(), UserID: u.ID, AuthTime: now, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		redeem := func(session *iam.Session) (iam.GrantID, iam.RedeemOutcome) {
			g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", SessionID: s.ID, Gen: 1, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
			outcome, err := db.RedeemCode(ctx, iam.Redemption{Code: iam.NewCodeID(), CodeExpires: now.Add(time.Minute), Grant: g, Session: session, UserEpoch: 1, ClientEpoch: 1})
			if err != nil {
				t.Fatal(err)
			}
			return g.ID, outcome
		}
		turn := func(id iam.GrantID) iam.TurnOutcome {
			_, outcome, err := db.TurnRefresh(ctx, iam.Turn{Grant: id, Client: "app", Gen: 1, Grace: time.Minute, UserEpoch: 1, ClientEpoch: 1})
			if err != nil {
				t.Fatal(err)
			}
			return outcome
		}
		rotated, first := redeem(&s)
		untouched, joined := redeem(nil)
		if first != iam.Redeemed || joined != iam.Redeemed || turn(rotated) != iam.Rotated || turn(rotated) != iam.Repeated {
			t.Fatalf("%s: a live session: %d %d", name, first, joined)
		}
		err = db.writer.do(ctx, func(ctx context.Context, tx *txn) error {
			_, err := tx.ExecContext(ctx, end, micros(now))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if outcome := turn(rotated); outcome != iam.GrantEnded {
			t.Errorf("%s: in the grace: outcome %d", name, outcome)
		}
		if outcome := turn(untouched); outcome != iam.GrantEnded {
			t.Errorf("%s: a rotation: outcome %d", name, outcome)
		}
		if _, outcome := redeem(nil); outcome != iam.RedeemRefused {
			t.Errorf("%s: a code: outcome %d", name, outcome)
		}
	}
}
