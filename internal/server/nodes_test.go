package server

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/store"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// live starts the watchers of nodes, as Run does, until the test is over.
func live(t *testing.T, nodes ...*Parts) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, p := range nodes {
		all.Go(func() { p.watch(ctx) })
	}
	t.Cleanup(func() { stop(); all.Wait() })
}

// within waits for something that must become true on all nodes, and says how
// long it took.
func within(t *testing.T, limit time.Duration, what string, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// beside opens the database of a node as the command line does.
func beside(t *testing.T, dir string, keks ...keys.KEK) (*store.DB, *keys.Service) {
	t.Helper()
	db := storetest.OpenAt(t, dir, nil)
	ring, err := keys.Open(context.Background(), keys.Config{Records: db, KEKs: keks, PublishAhead: keys.DefaultPublishAhead})
	if err != nil {
		t.Fatal(err)
	}
	return db, ring
}

// An emergency retire beside running nodes: each drops the key within a second,
// none signs with it any more, and verifiers are told by the key's own entry.
func TestC24AnEmergencyRetireReachesEveryNode(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	kek, _ := keys.GenerateKEK()
	nodes := []*Parts{node(t, dir, kek, nil), node(t, dir, kek, nil), node(t, dir, kek, nil)}
	live(t, nodes...)
	db, ring := beside(t, dir, kek)
	for range 3 {
		signer, err := nodes[0].Keys.Signer(ctx, "ES256")
		if err != nil {
			t.Fatal(err)
		}
		bad := signer.Key().ID()
		next, err := ring.Retire(ctx, "cli:test", iam.KeyID(bad))
		if err != nil {
			t.Fatal(err)
		}
		took := within(t, time.Second, "every node dropped the key", func() bool {
			for _, p := range nodes {
				s, err := p.Keys.Signer(ctx, "ES256")
				if _, published := p.Keys.Published().Key(bad); err != nil || published || s.Key().ID() != string(next.ID) {
					return false
				}
			}
			return true
		})
		t.Logf("after %s", took)
		rows, err := db.Revocations(ctx, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, r := range rows {
			if r.Kind == iam.RevokeKey && r.Subject == bad {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d entries for the key, want 1", found)
		}
	}
}

// `kek rotate` beside running nodes that were restarted with both keys: they go
// on signing, also with keys that are made afterwards.
func TestC23RewrapBesideRunningNodes(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	old, _ := keys.GenerateKEK()
	next, _ := keys.GenerateKEK()
	open := func() *Parts {
		p, err := Assemble(ctx, Config{Issuer: "https://auth.example.com", Dir: dir, Database: storetest.Database(t, dir), KEKs: []keys.KEK{next, old}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	node(t, dir, old, nil).Close()
	nodes := []*Parts{open(), open()}
	live(t, nodes...)
	db, ring := beside(t, dir, next, old)
	total, changed, err := keys.Rewrap(ctx, db, "cli:test", []keys.KEK{next, old})
	if err != nil || changed == 0 || changed != total {
		t.Fatalf("%d of %d: %v", changed, total, err)
	}
	made, err := ring.Rotate(ctx, "cli:test", iam.TokenKeys, "ES256", keys.AtOnce)
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Second, "every node signs with the new key", func() bool {
		for _, p := range nodes {
			if s, err := p.Keys.Signer(ctx, "ES256"); err != nil || s.Key().ID() != string(made.ID) {
				return false
			}
		}
		return true
	})
	// The old key-encryption key opens nothing any more, and is not needed.
	if _, err := keys.Open(ctx, keys.Config{Records: db, KEKs: []keys.KEK{next}}); err != nil {
		t.Error(err)
	}
}

// What one node changes the others do not hold on to: clients, APIs, roles and
// keys, each within a second; users and consents are held by nobody.
func TestC28CopiesAcrossNodes(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	kek, _ := keys.GenerateKEK()
	a, b := node(t, dir, kek, nil), node(t, dir, kek, nil)
	live(t, a, b)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.Store.CreateAPI(ctx, iam.API{Name: "orders", Audience: "https://orders.example.com", Algorithm: "ES256", Scopes: []iam.Scope{{Name: "read"}}}))
	must(a.Store.CreateRole(ctx, iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "read"}}}))
	must(a.Store.CreateClient(ctx, iam.Client{ID: "app", Type: iam.Public, Name: "0"}))
	u := iam.User{ID: iam.NewUserID(), Username: "ada", Name: "0", Roles: []string{"viewer"}}
	must(a.Store.CreateUser(ctx, u))
	name := func(p *Parts) string {
		c, err := p.Store.Client(ctx, "app")
		must(err)
		apis, err := p.Store.APIs(ctx)
		must(err)
		roles, err := p.Store.Roles(ctx)
		must(err)
		user, err := p.Store.User(ctx, u.ID)
		must(err)
		consent, err := p.Store.Consent(ctx, u.ID, "app")
		must(err)
		return fmt.Sprint(c.Name, c.Disabled, c.Epoch, len(apis), len(apis[0].Scopes), len(roles), roles[0].Description, user.Name, user.Epoch, user.Disabled, len(consent.Scopes))
	}
	for i, change := range []func(){
		func() {
			c, err := a.Store.DB.Client(ctx, "app")
			must(err)
			c.Name = "1"
			must(a.Store.UpdateClient(ctx, c, iam.EndAccess))
		},
		func() { must(a.Store.EndClientGrants(ctx, "app")) },
		func() {
			api, err := a.Store.API(ctx, "orders")
			must(err)
			api.Scopes = append(api.Scopes, iam.Scope{Name: "write"})
			must(a.Store.UpdateAPI(ctx, api))
		},
		func() {
			r, err := a.Store.Role(ctx, "viewer")
			must(err)
			r.Description = "1"
			must(a.Store.UpdateRole(ctx, r))
		},
		func() { must(a.Store.BumpHolders(ctx, "viewer")) },
		func() {
			u, err := a.Store.User(ctx, u.ID)
			must(err)
			u.Name, u.Disabled = "1", true
			must(a.Store.UpdateUser(ctx, u, iam.EndEverything))
		},
		func() { must(a.Store.GiveConsent(ctx, u.ID, "app", []string{"read"}, iam.Event{Kind: "x"})) },
		func() {
			_, err := a.Store.RevokeConsent(ctx, u.ID, "app", iam.Event{Kind: "x"})
			must(err)
		},
		func() { // moves the epochs of clients
			mac, err := a.Keys.RefreshKey()
			must(err)
			_, err = a.Keys.Retire(ctx, "test", mac)
			must(err)
		},
		func() {
			must(a.Store.DeleteRole(ctx, "viewer"))
			must(a.Store.CreateRole(ctx, iam.Role{Name: "other"}))
		},
	} {
		before := name(b)
		change()
		within(t, time.Second, fmt.Sprintf("change %d is seen on the other node", i), func() bool { return name(b) != before && name(b) == name(a) })
	}
}

// b.9: an account that is attacked through one node is slowed down on the
// others; a node that is started then hears of it too.
func TestGuessesAreCountedAcrossNodes(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	kek, _ := keys.GenerateKEK()
	a, b := node(t, dir, kek, nil), node(t, dir, kek, nil)
	live(t, a, b)
	from := func(i int) netip.Prefix {
		return throttle.Network(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	for i := range 100 {
		if _, refused := a.throttle.Begin("ada", from(i), throttle.Stranger); refused != nil {
			t.Fatalf("attempt %d: %+v", i, refused)
		}
	}
	refuses := func(p *Parts) bool {
		attempt, refused := p.throttle.Begin("ada", from(5000), throttle.Stranger)
		if refused == nil {
			attempt.Refund()
			return false
		}
		return refused.Scope == throttle.ByAccount
	}
	t.Logf("after %s", within(t, time.Second, "the other node slows the account down", func() bool { return refuses(b) }))
	c := node(t, dir, kek, nil)
	live(t, c)
	within(t, time.Second, "a new node slows the account down", func() bool { return refuses(c) })
	rows, _, err := a.Store.Changes(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, r := range rows {
		if r.Kind == iam.ChangePressure {
			told++
			if strings.Contains(r.Subject, "ada") {
				t.Errorf("it names the account: %s", r.Subject)
			}
		}
	}
	if told == 0 || told > 20 {
		t.Errorf("%d rows for a hundred attempts", told)
	}
}
