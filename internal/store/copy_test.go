package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/pgtest"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// What was valid on SQLite is valid on PostgreSQL, and what was ended is ended.
func TestCopyMovesEverything(t *testing.T) {
	server := pgtest.Start(t)
	ctx, now := context.Background(), time.Now()
	from, to := store.Config{Dir: t.TempDir()}, store.Config{Database: server.Database(t), Connections: 6}
	db, err := store.Open(ctx, from)
	must(t, err)
	must(t, db.Bind(ctx, "https://auth.example.com"))
	must(t, db.CreateAPI(ctx, iam.API{Name: "orders", Audience: "https://orders.example.com", Scopes: []iam.Scope{{Name: "read"}}}))
	must(t, db.CreateRole(ctx, iam.Role{Name: "clerk", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}}}))
	u := iam.User{ID: iam.NewUserID(), Username: "ada", Name: "Ada 🦉\x00 Lovelace", PasswordHash: "$argon2id$x", Roles: []string{"clerk"}, EmailVerified: true, Attributes: map[string]string{"tenant": "t1"}}
	must(t, db.CreateUser(ctx, u))
	must(t, db.CreateUser(ctx, iam.User{ID: iam.NewUserID(), Username: "eve", Disabled: true}))
	must(t, db.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public, Origins: []string{"https://app.example.com"}}))
	must(t, db.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service, SecretHash: []byte{1, 2}, Roles: []string{"clerk"}}))
	must(t, db.AddKeys(ctx, []iam.Key{{ID: "k1", Purpose: iam.TokenKeys, Algorithm: "ES256", Sealed: "v1.x", Public: []byte(`{}`), CreatedAt: now, ActivateAt: now}}))
	must(t, db.RecordLogin(ctx, u, "192.0.2.1"))
	s := iam.Session{ID: iam.NewSessionID(), UserID: u.ID, AuthTime: now, CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour), CookieHash: "c"}
	redemption := func(code iam.CodeID, session *iam.Session) iam.Redemption {
		g := iam.Grant{ID: iam.NewGrantID(), UserID: u.ID, ClientID: "app", Gen: 1, MacKeyID: "m", CreatedAt: now, IdleExpires: now.Add(time.Hour), Expires: now.Add(time.Hour)}
		if session != nil {
			g.SessionID = session.ID
		}
		return iam.Redemption{Code: code, CodeExpires: now.Add(time.Minute), Grant: g, Session: session, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{Kind: iam.EventCodeRedeemed}}
	}
	live, ended, code := redemption("code1", &s), redemption("code2", nil), iam.CodeID("code3")
	for _, r := range []iam.Redemption{live, ended} {
		if outcome, err := db.RedeemCode(ctx, r); err != nil || outcome != iam.Redeemed {
			t.Fatal(outcome, err)
		}
	}
	turn := iam.Turn{Grant: live.Grant.ID, Client: "app", Gen: 1, MacKey: "m", NextMacKey: "m", Grace: time.Minute, UserEpoch: 1, ClientEpoch: 1, Event: iam.Event{Kind: iam.EventRefreshed}}
	_, outcome, err := db.TurnRefresh(ctx, turn)
	if must(t, err); outcome != iam.Rotated {
		t.Fatal(outcome)
	}
	must(t, second(db.RevokeGrant(ctx, ended.Grant.ID, "x", iam.Event{Kind: "x"})))
	must(t, db.RevokeToken(ctx, "jti", now.Add(time.Hour), iam.Event{Kind: "x"}))
	must(t, db.RevokeToken(ctx, "old", now.Add(-time.Hour), iam.Event{Kind: "x"})) // the highest number, soon cleaned away
	must(t, second(db.Clean(ctx, 100)))
	_, err = store.Copy(ctx, from, to)
	if !errors.Is(err, store.ErrInUse) {
		t.Fatalf("a server works on the folder, and Copy says %v", err)
	}
	events, err := db.Events(ctx, 0, 1000)
	must(t, err)
	must(t, db.Close())

	// What a start, and a COMMIT that nobody knew the end of, leave in the target
	// does not make it a used one.
	started, err := store.Open(ctx, to)
	must(t, err)
	must(t, started.Close())
	raw, err := sql.Open("pgx", to.Database)
	must(t, err)
	must(t, second(raw.ExecContext(ctx, `INSERT INTO meta (name, value) VALUES ('settled.7', '1')`)))
	must(t, raw.Close())
	done, err := store.Copy(ctx, from, to)
	must(t, err)
	rows := map[string]int64{}
	for _, c := range done {
		rows[c.Name] = c.Rows
		if len(c.Hash) != 64 {
			t.Errorf("%+v", c)
		}
	}
	if rows["users"] != 2 || rows["grants"] != 2 || rows["sessions"] != 1 || rows["keys"] != 1 || rows["spent"] != 2 || rows["events"] != int64(len(events)) || rows["client_origins"] != 1 || len(rows) < 20 {
		t.Errorf("copied %v", rows)
	}
	// The folder is closed: a server on it would give out tokens beside the new one.
	mark := filepath.Join(from.Dir, "MOVED")
	for what, do := range map[string]func() error{
		"open":    func() error { return second(store.Open(ctx, from)) },
		"copy":    func() error { return second(store.Copy(ctx, from, to)) },
		"migrate": func() error { return second(store.Migrate(ctx, from)) },
	} {
		var moved *store.Moved
		if err := do(); !errors.As(err, &moved) || !strings.Contains(err.Error(), "remove the file "+mark) || strings.Contains(err.Error(), "gatehouse:") {
			t.Errorf("%s a folder that was moved: %v", what, err)
		}
	}
	must(t, os.Remove(mark)) // the way back
	back, err := store.Open(ctx, from)
	must(t, err)
	must(t, back.Close())
	if _, err := store.Copy(ctx, from, to); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("a second copy: %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a copy that was refused marks the folder")
	}

	pg, err := store.Open(ctx, to)
	must(t, err)
	defer pg.Close()
	must(t, pg.Bind(ctx, "https://auth.example.com"))
	got, err := pg.UserByName(ctx, "ada")
	must(t, err)
	if got.ID != u.ID || got.PasswordHash != u.PasswordHash || !got.EmailVerified || fmt.Sprint(got.Roles, got.Attributes) != "[clerk] map[tenant:t1]" || !strings.HasPrefix(got.Name, "Ada 🦉") {
		t.Errorf("the user: %+v", got)
	}
	if known, err := pg.KnownNetwork(ctx, "ada", "192.0.2.1"); err != nil || !known {
		t.Errorf("the network is not known: %v", err)
	}
	if s, err := pg.SessionByCookie(ctx, "c"); err != nil || s.ID != live.Session.ID {
		t.Errorf("the session: %+v %v", s, err)
	}
	if all, err := pg.Keys(ctx); err != nil || len(all) != 1 || all[0].Sealed != "v1.x" {
		t.Errorf("the keys: %+v %v", all, err)
	}
	if _, outcome, err := pg.TurnRefresh(ctx, turn); err != nil || outcome != iam.Repeated {
		t.Errorf("a refresh in the grace: %d %v", outcome, err)
	}
	turn.Gen = 2
	if g, outcome, err := pg.TurnRefresh(ctx, turn); err != nil || outcome != iam.Rotated || g.Gen != 3 {
		t.Errorf("a refresh: %d %v", outcome, err)
	}
	turn.Grant, turn.Gen = ended.Grant.ID, 1
	if _, outcome, err := pg.TurnRefresh(ctx, turn); err != nil || outcome != iam.GrantEnded {
		t.Errorf("a refresh of what was ended: %d %v", outcome, err)
	}
	if revoked, err := pg.TokenRevoked(ctx, "jti"); err != nil || !revoked {
		t.Errorf("a revoked token: %v %v", revoked, err)
	}
	if outcome, err := pg.RedeemCode(ctx, redemption("code2", nil)); err != nil || outcome != iam.CodeReplayed {
		t.Errorf("a code that was spent: %d %v", outcome, err)
	}
	if outcome, err := pg.RedeemCode(ctx, redemption(code, nil)); err != nil || outcome != iam.Redeemed {
		t.Errorf("a code that was not: %d %v", outcome, err)
	}
	must(t, pg.RevokeToken(ctx, "new", now.Add(time.Hour), iam.Event{Kind: "x"}))
	revocations, err := pg.Revocations(ctx, 0, 100)
	must(t, err)
	if last := revocations[len(revocations)-1]; last.Subject != "new" || last.Seq < 4 {
		t.Errorf("the numbers do not go on: %+v", revocations)
	}
	after, err := pg.Events(ctx, events[len(events)-1].Seq, 100)
	if err != nil || len(after) == 0 || after[0].Seq != events[len(events)-1].Seq+1 {
		t.Errorf("the journal does not go on: %+v %v", after, err)
	}
}

func second[T any](_ T, err error) error { return err }
