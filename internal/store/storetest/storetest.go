package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/store"
)

// Clock is a clock that a test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock is set to the present, in whole milliseconds.
func NewClock() *Clock { return &Clock{now: time.Now().Truncate(time.Millisecond)} }

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Opener opens a store of the engine under test in a folder, with a clock.
type Opener func(t *testing.T, dir string, now func() time.Time) *store.DB

// Run runs the whole suite.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"Directory", directory}, {"Conflicts", conflicts}, {"C14Endings", endings}, {"C16RoleHolders", roleHolders},
		{"EventsShareTheTransaction", sharedTransaction}, {"C10OneRedemption", oneRedemption}, {"C10OwnRetry", ownRetry},
		{"C10Refusals", redeemRefusals}, {"C13Parallel", turnParallel}, {"C13WithoutGrace", turnWithoutGrace}, {"C13Reuse", turnReuse},
		{"C13Restart", turnRestart}, {"C13Refusals", turnRefusals}, {"C13GraceChecks", turnGraceChecks}, {"C12SessionAbsolute", sessionAbsolute}, {"C15Revocations", revocations}, {"StandingGrant", standingGrant},
		{"Keys", keys}, {"C28TwoProcesses", twoProcesses}, {"C28TwoProcessesRace", twoProcessesRace}, {"C2Issuer", oneIssuer}, {"Clean", clean}, {"Cancelled", cancelled}, {"Setup", setup},
		{"ClientKeys", clientKeys}, {"C21Origins", origins}, {"C20SpendAssertion", spendAssertion}, {"C20SpendParallel", spendParallel}, {"RotateSecret", rotateSecret},
		{"Persons", persons}, {"C12BrowserSessions", browserSessions}, {"C12SessionLimits", sessionLimits}, {"C14SessionEndings", sessionEndings}, {"OIDC2Deliveries", logoutDeliveries}, {"OIDC2Lease", logoutLease},
		{"Consents", consents}, {"PAR", pushed}, {"DEV", devices}, {"DEVParallel", devicesParallel},
		{"C33HandoffIssue", handoffIssue}, {"C33HandoffSpend", handoffSpend},
		{"Logins", logins}, {"C14ChangePassword", changePassword}, {"CreateUsers", createUsers},
		{"C16ClientSweep", clientSweep}, {"C16ServiceSweep", serviceSweep}, {"C13MacSweep", macSweep}, {"C16BulkEnds", bulkEnds}, {"ListLogins", listLogins}, {"Leases", leases}, {"LeaseRace", leaseRace}, {"C31RoomForAll", roomForAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &bench{t: t, dir: t.TempDir(), clock: NewClock(), open: open}
			b.DB = open(t, b.dir, b.clock.Now)
			t.Cleanup(func() { b.Close() })
			c.run(t, b)
		})
	}
}

// bench is a store under test.
type bench struct {
	*store.DB
	t     *testing.T
	dir   string
	clock *Clock
	open  Opener
}

var ctx = context.Background()

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) want(err, target error) {
	b.t.Helper()
	if !errors.Is(err, target) {
		b.t.Errorf("got %v, want %v", err, target)
	}
}

func (b *bench) restart() {
	b.t.Helper()
	b.must(b.Close())
	b.DB = b.open(b.t, b.dir, b.clock.Now)
}

func event(kind string) iam.Event {
	return iam.Event{ID: iam.NewEventID(), Kind: kind, Actor: "test"}
}

func (b *bench) events() []iam.Event {
	b.t.Helper()
	events, err := b.Events(ctx, 0, 10_000)
	b.must(err)
	return events
}

func (b *bench) kinds() map[string]int {
	b.t.Helper()
	count := map[string]int{}
	for _, e := range b.events() {
		count[e.Kind]++
	}
	return count
}

func (b *bench) revoked(kind iam.RevocationKind, subject string) (epoch int64, found bool) {
	b.t.Helper()
	rows, err := b.Revocations(ctx, 0, 10_000)
	b.must(err)
	for _, r := range rows {
		if r.Kind == kind && r.Subject == subject {
			epoch, found = r.MinEpoch, true
		}
	}
	return epoch, found
}

// furnish makes an API, a role, a user who holds it, a client and a service account.
func (b *bench) furnish() (iam.User, iam.Client) {
	b.t.Helper()
	b.must(b.CreateAPI(ctx, iam.API{Name: "orders", Audience: "https://orders.example.com", Algorithm: "ES256", Scopes: []iam.Scope{{Name: "read", Description: "Read"}}, Claims: []string{"tenant"}}, event("api.created")))
	b.must(b.CreateRole(ctx, iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}}}, event("role.created")))
	u := iam.User{ID: iam.NewUserID(), Username: "ada", Roles: []string{"viewer"}, Attributes: map[string]string{"tenant": "t1"}, PasswordHash: "$x"}
	b.must(b.CreateUser(ctx, u, event("user.created")))
	b.must(b.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public, GrantTypes: []string{"refresh_token"}, Scopes: []string{"read"}, Challenge: true}, event("client.created")))
	b.must(b.CreateClient(ctx, iam.Client{ID: "robot", Type: iam.Service, Roles: []string{"viewer"}, SecretHash: []byte{1, 2, 3}}, event("client.created")))
	u, err := b.User(ctx, u.ID)
	b.must(err)
	c, err := b.Client(ctx, "app")
	b.must(err)
	return u, c
}

func directory(t *testing.T, b *bench) {
	u, c := b.furnish()
	if u.Epoch != 1 || u.Username != "ada" || fmt.Sprint(u.Roles, u.Attributes) != "[viewer] map[tenant:t1]" || u.CreatedAt.IsZero() || u.PasswordHash != "$x" {
		t.Errorf("user %+v", u)
	}
	if c.Epoch != 1 || !c.Challenge || fmt.Sprint(c.Scopes) != "[read]" {
		t.Errorf("client %+v", c)
	}
	robot, err := b.Client(ctx, "robot")
	b.must(err)
	if fmt.Sprint(robot.SecretHash, robot.Roles) != "[1 2 3] [viewer]" {
		t.Errorf("service account %+v", robot)
	}
	a, err := b.API(ctx, "orders")
	b.must(err)
	if fmt.Sprint(a.Scopes, a.Claims) != "[{read Read}] [tenant]" {
		t.Errorf("API %+v", a)
	}
	byName, err := b.UserByName(ctx, "ada")
	b.must(err)
	if byName.ID != u.ID {
		t.Error("found another user by name")
	}
	for _, name := range []string{"bea", "cyd", "dan"} {
		b.must(b.CreateUser(ctx, iam.User{ID: iam.NewUserID(), Username: name}))
	}
	page, err := b.Users(ctx, "ada", 2)
	b.must(err)
	if len(page) != 2 || page[0].Username != "bea" || page[1].Username != "cyd" {
		t.Errorf("page %+v", page)
	}
	clients, err := b.Clients(ctx, "app", 10)
	b.must(err)
	if len(clients) != 1 || clients[0].ID != "robot" {
		t.Errorf("clients %+v", clients)
	}
	roles, err := b.Roles(ctx)
	b.must(err)
	if len(roles) != 1 || !roles[0].Holds("orders", "read") {
		t.Errorf("roles %+v", roles)
	}
	b.want(b.CreateAPI(ctx, a), iam.ErrExists)
	b.want(b.CreateAPI(ctx, iam.API{Name: "other", Audience: a.Audience}), iam.ErrExists)
	b.want(b.CreateUser(ctx, iam.User{ID: iam.NewUserID(), Username: "ada"}), iam.ErrExists)
	b.want(b.CreateClient(ctx, c), iam.ErrExists)
	b.must(b.DeleteAPI(ctx, "orders"))
	r, err := b.Role(ctx, "viewer")
	b.must(err)
	if len(r.Scopes) != 0 {
		t.Error("a deleted API leaves scopes behind")
	}
	for _, err := range []error{second(b.API(ctx, "x")), second(b.Role(ctx, "x")), second(b.User(ctx, "x")), second(b.UserByName(ctx, "x")), second(b.Client(ctx, "x")),
		second(b.Grant(ctx, "x")), second(b.Session(ctx, "x")), b.DeleteAPI(ctx, "x"), b.DeleteRole(ctx, "x"), b.DeleteUser(ctx, "x"), b.DeleteClient(ctx, "x")} {
		b.want(err, iam.ErrNotFound)
	}
}

func second[T any](_ T, err error) error { return err }

func conflicts(t *testing.T, b *bench) {
	u, c := b.furnish()
	stale, staleClient := u, c
	u.Name = "Ada"
	b.must(b.UpdateUser(ctx, u, iam.EndNothing))
	stale.Disabled = true
	b.want(b.UpdateUser(ctx, stale, iam.EndEverything), iam.ErrConflict)
	b.must(b.UpdateClient(ctx, c, iam.EndNothing))
	b.want(b.UpdateClient(ctx, staleClient, iam.EndEverything), iam.ErrConflict)
	a, err := b.API(ctx, "orders")
	b.must(err)
	b.must(b.UpdateAPI(ctx, a))
	b.want(b.UpdateAPI(ctx, a), iam.ErrConflict)
	r, err := b.Role(ctx, "viewer")
	b.must(err)
	b.must(b.UpdateRole(ctx, r))
	b.want(b.UpdateRole(ctx, r), iam.ErrConflict)
	now, err := b.User(ctx, u.ID)
	b.must(err)
	if now.Disabled || now.Epoch != 1 || now.Name != "Ada" {
		t.Errorf("a lost update changed something: %+v", now)
	}
}

func endings(t *testing.T, b *bench) {
	u, c := b.furnish()
	g := b.grant(u, c, true)
	u.Roles = nil
	b.must(b.UpdateUser(ctx, u, iam.EndAccess, event("user.edited")))
	if epoch, found := b.revoked(iam.RevokeUser, string(u.ID)); !found || epoch != 2 {
		t.Errorf("min epoch %d %v, want 2", epoch, found)
	}
	if g, err := b.Grant(ctx, g.ID); err != nil || !g.RevokedAt.IsZero() {
		t.Errorf("giving or taking a role keeps grants: %+v %v", g, err)
	}
	u, err := b.User(ctx, u.ID)
	b.must(err)
	u.Disabled = true
	b.must(b.UpdateUser(ctx, u, iam.EndEverything, event("user.disabled")))
	ended, err := b.Grant(ctx, g.ID)
	b.must(err)
	s, err := b.Session(ctx, g.SessionID)
	b.must(err)
	if ended.RevokedAt.IsZero() || s.EndedAt.IsZero() {
		t.Error("disable ends grants and sessions")
	}
	for kind, subject := range map[iam.RevocationKind]string{iam.RevokeGrant: string(g.ID), iam.RevokeSession: string(g.SessionID)} {
		if _, found := b.revoked(kind, subject); !found {
			t.Errorf("no revocation of kind %s", kind)
		}
	}
	b.must(b.DeleteUser(ctx, u.ID, event("user.deleted")))
	if epoch, _ := b.revoked(iam.RevokeUser, string(u.ID)); epoch != 4 {
		t.Errorf("min epoch %d after disable and delete, want 4", epoch)
	}
	c, err = b.Client(ctx, "app")
	b.must(err)
	b.must(b.DeleteClient(ctx, c.ID, event("client.deleted")))
	if epoch, found := b.revoked(iam.RevokeClient, "app"); !found || epoch != 2 {
		t.Errorf("min epoch %d %v of the client, want 2", epoch, found)
	}
	changes, head, err := b.Changes(ctx, 0)
	b.must(err)
	if len(changes) == 0 || head != changes[len(changes)-1].Seq {
		t.Errorf("changes %+v", changes)
	}
}

func roleHolders(t *testing.T, b *bench) {
	u, _ := b.furnish()
	users, services, err := b.RoleHolders(ctx, "viewer")
	b.must(err)
	if users != 1 || services != 1 {
		t.Errorf("%d users and %d service accounts", users, services)
	}
	b.must(b.BumpHolders(ctx, "viewer"))
	b.must(b.DeleteRole(ctx, "viewer"))
	u, err = b.User(ctx, u.ID)
	b.must(err)
	robot, err := b.Client(ctx, "robot")
	b.must(err)
	app, err := b.Client(ctx, "app")
	b.must(err)
	if u.Epoch != 3 || robot.Epoch != 3 || app.Epoch != 1 || len(u.Roles)+len(robot.Roles) != 0 {
		t.Errorf("epochs %d %d %d, want 3 3 1", u.Epoch, robot.Epoch, app.Epoch)
	}
	if epoch, _ := b.revoked(iam.RevokeUser, string(u.ID)); epoch != 3 {
		t.Errorf("min epoch %d", epoch)
	}
	if epoch, _ := b.revoked(iam.RevokeClient, "robot"); epoch != 3 {
		t.Errorf("min epoch %d", epoch)
	}
}

// What cannot be recorded does not happen: an event whose id is taken fails
// the whole transaction.
func sharedTransaction(t *testing.T, b *bench) {
	u, c := b.furnish()
	taken := event("first")
	b.must(b.Record(ctx, taken))
	g := b.grant(u, c, false)
	u.Disabled = true
	for name, err := range map[string]error{
		"update user": b.UpdateUser(ctx, u, iam.EndEverything, taken), "delete user": b.DeleteUser(ctx, u.ID, taken), "create API": b.CreateAPI(ctx, iam.API{Name: "x", Audience: "https://x"}, taken),
		"delete client": b.DeleteClient(ctx, "app", taken), "revoke grant": second(b.RevokeGrant(ctx, g.ID, "x", taken)), "revoke token": b.RevokeToken(ctx, "jti", b.clock.Now(), taken),
		"issue": second(b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: b.clock.Now()}, 1, taken)),
	} {
		if err == nil {
			t.Errorf("%s succeeded without its event", name)
		}
	}
	now, err := b.User(ctx, u.ID)
	b.must(err)
	g, err = b.Grant(ctx, g.ID)
	b.must(err)
	if now.Disabled || now.Epoch != 1 || !g.RevokedAt.IsZero() {
		t.Error("half of a transaction is there")
	}
	if _, err := b.API(ctx, "x"); !errors.Is(err, iam.ErrNotFound) {
		t.Error("the API is there without its event")
	}
	if revoked, _ := b.TokenRevoked(ctx, "jti"); revoked {
		t.Error("the revocation is there without its event")
	}
	if rows, _ := b.Revocations(ctx, 0, 10); len(rows) != 0 {
		t.Errorf("revocations %+v", rows)
	}
}

func revocations(t *testing.T, b *bench) {
	u, c := b.furnish()
	exp := b.clock.Now().Add(time.Minute)
	for range 2 {
		b.must(b.RevokeToken(ctx, "jti1", exp, event("token.revoked")))
	}
	if revoked, err := b.TokenRevoked(ctx, "jti1"); err != nil || !revoked {
		t.Errorf("got %v %v", revoked, err)
	}
	if revoked, _ := b.TokenRevoked(ctx, "jti2"); revoked {
		t.Error("another token is revoked")
	}
	rows, err := b.Revocations(ctx, 0, 10)
	b.must(err)
	if len(rows) != 1 || !rows[0].DropAfter.Equal(exp.Add(iam.RevocationLeeway)) {
		t.Errorf("C15: one row until exp + 60 s, got %+v", rows)
	}
	g := b.grant(u, c, false)
	first, err := b.RevokeGrant(ctx, g.ID, "x", event("grant.revoked"))
	b.must(err)
	again, err := b.RevokeGrant(ctx, g.ID, "x", event("grant.revoked"))
	b.must(err)
	if !first || again || b.kinds()["grant.revoked"] != 1 {
		t.Error("a grant ends once")
	}
	if revoked, err := b.TokenRevoked(ctx, iam.TokenID(g.ID)); err != nil || revoked {
		t.Error("the revocation of a grant is taken for one of a token")
	}
	b.must(b.DeleteUser(ctx, u.ID))
	rows, err = b.Revocations(ctx, 0, 10)
	b.must(err)
	if len(rows) != 3 {
		t.Errorf("a grant that had ended is revoked again: %+v", rows)
	}
}

func standingGrant(t *testing.T, b *bench) {
	u, c := b.furnish()
	users := b.grant(u, c, false)
	own, err := b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: c.ID, CreatedAt: b.clock.Now()}, 1, event("own"))
	b.must(err)
	if own == users.ID {
		t.Errorf("a client's own token stands under a user's grant %s", own)
	}
	for _, e := range b.events() {
		if e.Kind == "own" && e.GrantID != own {
			t.Errorf("the journal does not say which grant: %+v", e)
		}
	}
	ids := map[iam.GrantID]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			g, err := b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: b.clock.Now()}, 1, event(iam.EventTokenIssued))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[g] = true
		})
	}
	all.Wait()
	if len(ids) != 1 || b.kinds()[iam.EventTokenIssued] != 50 {
		t.Errorf("%d grants, %d events; want one standing grant and 50 events", len(ids), b.kinds()[iam.EventTokenIssued])
	}
	b.want(second(b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot"}, 2, event("x"))), iam.ErrConflict)
	b.want(second(b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "nobody"}, 1, event("x"))), iam.ErrConflict)
	for id := range ids {
		second(b.RevokeGrant(ctx, id, "x", event("grant.revoked")))
	}
	next, err := b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot", CreatedAt: b.clock.Now()}, 1, event("x"))
	b.must(err)
	if ids[next] {
		t.Error("a revoked standing grant is used again")
	}
	robot, err := b.Client(ctx, "robot")
	b.must(err)
	robot.Disabled = true
	b.must(b.UpdateClient(ctx, robot, iam.EndNothing))
	b.want(second(b.IssueForClient(ctx, iam.Grant{ID: iam.NewGrantID(), ClientID: "robot"}, robot.Epoch, event("x"))), iam.ErrConflict)
}

func keys(t *testing.T, b *bench) {
	now := b.clock.Now()
	key := func(id iam.KeyID) iam.Key {
		return iam.Key{ID: id, Purpose: iam.TokenKeys, Algorithm: "ES256", Sealed: "v1.x", Public: []byte("{}"), CreatedAt: now}
	}
	active := key("k1")
	active.ActivateAt = now
	b.must(b.AddKeys(ctx, []iam.Key{active, key("k2")}, event(iam.EventKeyAdded)))
	b.want(b.AddKeys(ctx, []iam.Key{key("k9")}), iam.ErrConflict)
	k3 := key("k3")
	rotation := iam.KeyRotation{Activate: "k2", ActivateAt: now.Add(time.Hour), Add: &k3}
	b.must(b.RotateKey(ctx, rotation, event(iam.EventKeyRotated)))
	k4 := key("k4")
	rotation.Add = &k4
	b.want(b.RotateKey(ctx, rotation), iam.ErrConflict)
	b.must(b.RotateKey(ctx, iam.KeyRotation{Remove: "k1"}, event(iam.EventKeyRetired)))
	b.want(b.RotateKey(ctx, iam.KeyRotation{Remove: "k1"}), iam.ErrConflict)
	b.must(b.RotateKey(ctx, iam.KeyRotation{Remove: "k3"}))
	b.want(b.RotateKey(ctx, iam.KeyRotation{Activate: "k3", ActivateAt: now}), iam.ErrConflict)
	b.must(b.RotateKey(ctx, iam.KeyRotation{Remove: "k2"}))
	k5 := key("k5")
	k5.ActivateAt = now
	b.must(b.AddKeys(ctx, []iam.Key{k5})) // a line of which every key was removed begins anew
	if _, found := b.revoked(iam.RevokeKey, "k1"); !found {
		t.Error("verifiers would not learn that the key is gone")
	}
	u, c := b.furnish()
	g, other := b.grant(u, c, false), b.grant(u, c, false)
	b.turn(other, 1, 0)
	mac := key("mac1")
	mac.Purpose, mac.Algorithm, mac.ActivateAt = iam.RefreshKeys, "HS256", now
	b.must(b.AddKeys(ctx, []iam.Key{mac}))
	b.must(b.RotateKey(ctx, iam.KeyRotation{Remove: "mac1"}))
	g, err := b.Grant(ctx, g.ID)
	b.must(err)
	if epoch, _ := b.revoked(iam.RevokeClient, "app"); epoch != 2 || g.RevokedAt.IsZero() {
		t.Error("C13: a mac key that is removed takes the grants on it along")
	}
	if other, err = b.Grant(ctx, other.ID); err != nil || !other.RevokedAt.IsZero() {
		t.Errorf("C13: a grant that rotated to the next mac key stays: %+v %v", other, err)
	}
	stored, err := b.Keys(ctx)
	b.must(err)
	stored = slices.DeleteFunc(stored, func(k iam.Key) bool { return k.Purpose != iam.TokenKeys })
	if len(stored) != 4 {
		t.Errorf("%d keys, want 4: a lost rotation adds none", len(stored))
	}
	for _, k := range stored {
		if k.ID == "k2" && !k.ActivateAt.Equal(now.Add(time.Hour)) || k.ID == "k1" && k.RemovedAt.IsZero() || k.ID == "k3" && !k.ActivateAt.IsZero() {
			t.Errorf("key %+v", k)
		}
	}
}

func twoProcesses(t *testing.T, b *bench) {
	u, _ := b.furnish()
	other := b.open(t, b.dir, b.clock.Now)
	defer other.Close()
	_, seen, err := b.Changes(ctx, 0)
	b.must(err)
	var all sync.WaitGroup
	for n := range 40 {
		db := []*store.DB{b.DB, other}[n%2]
		all.Go(func() {
			if err := db.CreateUser(ctx, iam.User{ID: iam.NewUserID(), Username: fmt.Sprint("u", n)}, event("user.created")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	u.Disabled = true
	b.must(other.UpdateUser(ctx, u, iam.EndEverything))
	here, err := b.User(ctx, u.ID)
	b.must(err)
	changes, _, err := b.Changes(ctx, seen)
	b.must(err)
	if !here.Disabled || len(changes) != 41 {
		t.Errorf("disabled %v, %d changes; want what the other process did", here.Disabled, len(changes))
	}
}

func oneIssuer(t *testing.T, b *bench) {
	b.must(b.Bind(ctx, "https://auth.example.com"))
	b.must(b.Bind(ctx, "https://auth.example.com"))
	var mismatch *store.IssuerMismatch
	if err := b.Bind(ctx, "https://other.example.com"); !errors.As(err, &mismatch) {
		t.Errorf("got %v", err)
	}
	b.restart()
	b.must(b.Bind(ctx, "https://auth.example.com"))
	b.must(b.Ping(ctx))
}

func clean(t *testing.T, b *bench) {
	u, c := b.furnish()
	kept := b.grant(u, c, true)
	b.must(b.RevokeToken(ctx, "jti", b.clock.Now().Add(time.Minute), event("x")))
	n, err := b.Clean(ctx, 100)
	b.must(err)
	if n != 0 {
		t.Errorf("%d rows went that are still needed", n)
	}
	b.clock.Advance(time.Hour)
	if _, err = b.Clean(ctx, 100); err != nil {
		t.Fatal(err)
	}
	if rows, _ := b.Revocations(ctx, 0, 10); len(rows) != 0 {
		t.Errorf("revocations %+v", rows)
	}
	if _, err := b.Grant(ctx, kept.ID); err != nil {
		t.Error("a live grant went")
	}
	ended := b.grant(u, c, false)
	b.must(second(b.RevokeGrant(ctx, ended.ID, "x", event("x"))))
	for wait, want := range []error{nil, iam.ErrNotFound} { // readable for a day
		b.clock.Advance(23*time.Hour + time.Duration(wait)*2*time.Hour)
		b.must(second(b.Clean(ctx, 100)))
		b.want(second(b.Grant(ctx, ended.ID)), want)
	}
	b.clock.Advance(iam.GrantAbsolute + 48*time.Hour)
	b.must(second(b.Clean(ctx, 100)))
	if _, err := b.Grant(ctx, kept.ID); !errors.Is(err, iam.ErrNotFound) {
		t.Error("a grant long expired is still there")
	}
	for i := range 7 {
		b.must(b.RevokeToken(ctx, iam.TokenID(fmt.Sprint("jti", i)), b.clock.Now(), event("x")))
	}
	b.clock.Advance(time.Hour)
	if n, err := b.Clean(ctx, 3); err != nil || n < 7 {
		t.Errorf("%d rows went in batches of 3, want all 7: %v", n, err)
	}
}

func cancelled(t *testing.T, b *bench) {
	gone, cancel := context.WithCancel(ctx)
	cancel()
	err := b.CreateAPI(gone, iam.API{Name: "x", Audience: "https://x"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := b.API(ctx, "x"); !errors.Is(err, iam.ErrNotFound) {
		t.Error("C27: a caller gone before its turn is skipped")
	}
	b.must(b.CreateAPI(ctx, iam.API{Name: "x", Audience: "https://x"}))
}
