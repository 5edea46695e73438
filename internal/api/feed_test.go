package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/api"
	"github.com/gatehouse-auth/gatehouse/internal/broadcast"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/keys"
	"github.com/gatehouse-auth/gatehouse/internal/server"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// node is another process on the same database, with the right time, that
// answers on a real connection.
type node struct {
	*server.Parts
	url  string
	stop func()
}

func (h *house) node(change func(*server.Config)) *node {
	h.t.Helper()
	c := server.Config{Issuer: h.issuer, Dir: h.dir, Database: storetest.Database(h.t, h.dir), KEKs: []keys.KEK{h.kek}}
	if change != nil {
		change(&c)
	}
	parts, err := server.Assemble(context.Background(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(parts.Handler)
	s.Config.ReadTimeout, s.Config.WriteTimeout = time.Second, time.Second // a stream outlives them
	s.Start()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { parts.Feed.Run(ctx) })
	n := &node{Parts: parts, url: s.URL, stop: sync.OnceFunc(func() { cancel(); running.Wait(); s.Close(); parts.Close() })}
	h.t.Cleanup(n.stop)
	return n
}

// get asks the node under the issuer's name.
func (n *node) get(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r, err := http.NewRequestWithContext(t.Context(), method, n.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = strings.TrimPrefix(issuer, "https://")
		for name, values := range header {
			r.Header[name] = values
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		if response.StatusCode != http.StatusServiceUnavailable || time.Now().After(end) || header.Get("Last-Event-ID") == "now" {
			return response
		}
		response.Body.Close()
	}
}

// follower follows the feed of a node as guard does.
type follower struct {
	t    *testing.T
	set  feed.Set
	mu   sync.Mutex
	err  error
	live chan struct{}
}

func (n *node) follow(t *testing.T) *follower {
	t.Helper()
	f := &follower{t: t, live: make(chan struct{})}
	response := n.get(t, "GET", "/revocations", nil)
	if response.StatusCode != 200 {
		body, _ := io.ReadAll(response.Body)
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	go func() {
		r, events, once := feed.NewReader(issuer, &f.set), feed.NewEvents(response.Body), sync.Once{}
		r.Begin()
		for {
			e, err := events.Next()
			if err == nil {
				var o feed.Outcome
				if o, err = r.Take(e, n.Keys.PublishedFeed(), time.Now()); o.Live {
					once.Do(func() { close(f.live) })
				}
			}
			if err != nil {
				f.mu.Lock()
				f.err = err
				f.mu.Unlock()
				return
			}
		}
	}()
	select {
	case <-f.live:
	case <-time.After(10 * time.Second):
		t.Fatalf("the feed is not live: %v", f.fault())
	}
	return f
}

func (f *follower) fault() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// subjectOf is what guard asks about a token.
func subjectOf(t *testing.T, raw string) feed.Subject {
	t.Helper()
	token, err := jose.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	claims, s := claimsOf(t, raw), feed.Subject{KeyID: token.KeyID()}
	text := func(name string) string { v, _ := claims[name].(string); return v }
	number := func(name string) int64 { v, _ := claims[name].(float64); return int64(v) }
	s.TokenID, s.GrantID, s.SessionID, s.ClientID = text("jti"), text("gid"), text("sid"), text("client_id")
	if text("sub") != s.ClientID {
		s.UserID = text("sub")
	}
	s.UserEpoch, s.ClientEpoch = number("ue"), number("ce")
	return s
}

func (f *follower) revoked(token string) (feed.Kind, bool) {
	return f.set.Revoked(f.set.Marks(subjectOf(f.t, token)))
}

// C14, C15, C16: each act that ends access reaches a reader at another node,
// and the token that came before it is refused there. Under a second here; the
// test fails above five.
func TestC15_EachActReachesAnotherNode(t *testing.T) {
	ctx := context.Background()
	d := func(h *house) *directory.Service { return h.parts.Directory }
	role := func(h *house, roles ...string) error {
		_, err := d(h).EditUser(ctx, "test", h.ada.ID, func(u *iam.User) error { u.Roles = roles; return nil })
		return err
	}
	session := func(h *house, login answer) iam.SessionID {
		sid, _ := claimsOf(h.t, login.str("access_token"))["sid"].(string)
		return iam.SessionID(sid)
	}
	for _, tc := range []struct {
		name  string
		scope string // of the login; robot: of the service account
		act   func(h *house, login answer) error
		want  feed.Kind
	}{
		{"C14 logout", "", func(h *house, login answer) error {
			ended, err := h.parts.Store.EndSession(ctx, session(h, login), h.ada.ID, iam.Event{Kind: iam.EventSessionEnded, Actor: "test"})
			if err == nil && !ended {
				err = iam.ErrNotFound
			}
			return err
		}, feed.Grant},
		{"C14 logout everywhere else", "", func(h *house, login answer) error {
			return h.parts.Store.EndOtherSessions(ctx, "ses_of_another_browser", h.ada.ID, iam.Event{Kind: iam.EventSessionEnded, Actor: "test"})
		}, feed.Grant},
		{"C14 user disabled", "orders:read offline_access", func(h *house, _ answer) error { return d(h).SetUser(ctx, "test", h.ada.ID, directory.Disabled) }, feed.Grant},
		{"C14 user deleted", "orders:read offline_access", func(h *house, _ answer) error { return d(h).DeleteUser(ctx, "test", h.ada.ID) }, feed.Grant},
		{"C14 password changed by an administrator", "", func(h *house, _ answer) error {
			return d(h).SetPassword(ctx, "test", h.ada.ID, "seven green doors ajar")
		}, feed.Grant},
		{"C14 password changed by the user", "orders:read offline_access", func(h *house, _ answer) error {
			form := values("username", "ada", "current-password", password, "new-password", "seven green doors ajar", "new-password-again", "seven green doors ajar")
			if w := h.from("192.0.2.1:1000", "/account/password", form, nil); w.Code != http.StatusOK {
				return fmt.Errorf("%d %s", w.Code, w.Body)
			}
			return nil
		}, feed.Grant},
		{"C16 role given", "", func(h *house, _ answer) error { return role(h, "editor", "viewer") }, feed.User},
		{"C16 role taken", "", func(h *house, _ answer) error { return role(h) }, feed.User},
		{"C16 role deleted", "", func(h *house, _ answer) error { return d(h).DeleteRole(ctx, "test", "editor") }, feed.User},
		{"C16 role edited, --now", "", func(h *house, _ answer) error { return d(h).EndHolders(ctx, "test", "editor") }, feed.User},
		{"C16 role of a service account taken", "robot", func(h *house, _ answer) error {
			_, err := d(h).EditClient(ctx, "test", "robot", func(c *iam.Client) error { c.Roles = nil; return nil })
			return err
		}, feed.Client},
		{"C16 role of a service account edited, --now", "robot", func(h *house, _ answer) error { return d(h).EndHolders(ctx, "test", "viewer") }, feed.Client},
		{"C14 client disabled", "", func(h *house, _ answer) error { return d(h).SetClient(ctx, "test", "app", directory.Disabled) }, feed.Client},
		{"C14 client deleted", "", func(h *house, _ answer) error { return d(h).DeleteClient(ctx, "test", "app") }, feed.Client},
		{"C14 service account disabled", "robot", func(h *house, _ answer) error { return d(h).SetClient(ctx, "test", "robot", directory.Disabled) }, feed.Client},
		{"C15 grant revoked", "", func(h *house, _ answer) error { return revokeFirstGrant(h) }, feed.Grant},
		{"C15 consent taken back", "", func(h *house, _ answer) error {
			_, err := h.parts.Store.RevokeConsent(ctx, h.ada.ID, "app", iam.Event{Kind: iam.EventConsentRevoked, Actor: "test"})
			return err
		}, feed.Grant},
		{"C15 access token revoked", "", func(h *house, login answer) error { return revokeBy(h, login.str("access_token")) }, feed.Token},
		{"C15 refresh token revoked", "", func(h *house, login answer) error { return revokeBy(h, login.str("refresh_token")) }, feed.Grant},
		{"C13 refresh token used again", "", func(h *house, login answer) error {
			h.refresh(login.str("refresh_token"))
			h.clock.Advance(iam.RefreshGrace)
			if a := h.refresh(login.str("refresh_token")); a.str("error") != "invalid_grant" {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		}, feed.Grant},
		{"C10 code used again", "code", func(h *house, login answer) error {
			if a := h.post("/oauth/token", redeemForm(login.str("code"))); a.str("error") != "invalid_grant" {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		}, feed.Grant},
		{"C24 signing key retired", "", func(h *house, login answer) error {
			_, err := h.parts.Keys.Retire(ctx, "test", iam.KeyID(subjectOf(h.t, login.str("access_token")).KeyID))
			return err
		}, feed.Key},
		{"C13 mac key retired", "", func(h *house, login answer) error {
			_, err := h.parts.Keys.Retire(ctx, "test", iam.KeyID(strings.Split(login.str("refresh_token"), ".")[1]))
			return err
		}, feed.Client},
		{"C14 all sessions of a user ended", "", func(h *house, _ answer) error {
			_, err := d(h).RevokeSessions(ctx, "test", directory.Logins{User: "ada"})
			return err
		}, feed.User},
		{"C15 all grants of a user at a client ended", "", func(h *house, _ answer) error {
			_, err := d(h).RevokeGrants(ctx, "test", directory.Logins{User: "ada", Client: "app"})
			return err
		}, feed.User},
		{"C15 all grants of a client ended", "", func(h *house, _ answer) error {
			_, err := d(h).RevokeGrants(ctx, "test", directory.Logins{Client: "app"})
			return err
		}, feed.Client},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHouse(t)
			var login answer
			switch tc.scope {
			case "robot":
				login = h.service()
			case "code":
				code := h.code("ada", "")
				login = h.post("/oauth/token", redeemForm(code))
				login.json["code"] = code
			default:
				login = h.login("ada", tc.scope)
			}
			other := h.service() // what has nothing to do with it
			if tc.scope == "robot" {
				other = h.login("bob", "")
			}
			f := h.node(nil).follow(t)
			token := login.str("access_token")
			if kind, revoked := f.revoked(token); revoked {
				t.Fatalf("revoked by %s before anything happened", kind)
			}
			began := time.Now()
			if err := tc.act(h, login); err != nil {
				t.Fatal(err)
			}
			acted := time.Now()
			for {
				if _, revoked := f.revoked(token); revoked {
					break
				}
				if time.Since(acted) > 5*time.Second {
					t.Fatalf("not revoked at the other node after 5 seconds; the stream: %v", f.fault())
				}
				time.Sleep(time.Millisecond)
			}
			t.Logf("the act took %s, the way to the other node %s", acted.Sub(began).Round(time.Millisecond), time.Since(acted).Round(time.Millisecond))
			// The kind that was asked for comes with it, in the same transaction.
			if kind, _ := f.revoked(token); kind != tc.want {
				t.Errorf("revoked by %s, want %s", kind, tc.want)
			}
			if kind, revoked := f.revoked(other.str("access_token")); revoked && kind != feed.Key && !strings.Contains(tc.name, "--now") {
				t.Errorf("a token that has nothing to do with it is revoked by %s", kind)
			}
		})
	}
}

func revokeBy(h *house, token string) error {
	if a := h.post("/oauth/revoke", values("client_id", "app", "token", token)); a.status != http.StatusOK {
		return fmt.Errorf("%d %s", a.status, a.body)
	}
	return nil
}

// C16: no token survives its revoke because a node is fast or its copies are
// old. A node whose clock is an hour ahead, and which never hears of changes,
// issues a token after roles changed elsewhere: the token carries the epoch of
// the moment, or is not made.
func TestC16_AFastNodeWithOldCopiesMintsNothingThatSurvives(t *testing.T) {
	ctx := context.Background()
	h := newHouse(t)
	fast := h.node(func(c *server.Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	f := h.node(nil).follow(t)
	mint := func(form ...string) answer {
		r := httptest.NewRequest("POST", issuer+"/oauth/token", strings.NewReader(values(form...).Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		fast.Handler.ServeHTTP(w, r)
		a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}
		if err := json.Unmarshal(w.Body.Bytes(), &a.json); err != nil {
			t.Fatal(err, a.body)
		}
		return a
	}
	service := func() answer {
		return mint("grant_type", "client_credentials", "client_id", "robot", "client_secret", h.serviceSecret)
	}
	refresh := func(token string) answer {
		return mint("grant_type", "refresh_token", "client_id", "app", "refresh_token", token)
	}
	login := h.login("ada", "orders:read offline_access")
	before := []answer{service(), login} // the fast node has copies of robot and app now
	user := refresh(login.str("refresh_token"))
	before = append(before, user)
	for _, a := range before {
		if a.str("access_token") == "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	// At another node: the service account loses its role, and the user all of hers.
	if _, err := h.parts.Directory.EditClient(ctx, "test", "robot", func(c *iam.Client) error { c.Roles = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := h.parts.Directory.EditUser(ctx, "test", h.ada.ID, func(u *iam.User) error { u.Roles = []string{"viewer"}; return nil }); err != nil {
		t.Fatal(err)
	}
	// At once, with copies that are old: whatever the fast node makes now either is
	// refused with the rest, or holds what is true now.
	after := []answer{service(), refresh(user.str("refresh_token"))}
	deadline := time.Now().Add(5 * time.Second)
	for _, a := range before {
		for {
			if _, revoked := f.revoked(a.str("access_token")); revoked {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("a token of before survives")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	for i, a := range after {
		token := a.str("access_token")
		if token == "" {
			continue // it made none
		}
		if _, revoked := f.revoked(token); revoked {
			continue
		}
		if scope := a.str("scope"); i == 0 && scope != "" || strings.Contains(scope, "write") {
			t.Errorf("a token with the scope %q, made with old copies, survives", scope)
		}
	}
	if last := service(); strings.Contains(last.str("scope"), "orders") {
		t.Errorf("the next token still has %q", last.str("scope"))
	}
}

// C19, C24: what the endpoint says, and to whom.
func TestC19_FeedEndpoint(t *testing.T) {
	h := newHouse(t)
	n := h.node(nil)
	n.follow(t)
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no",
		"Access-Control-Allow-Origin": "", "Set-Cookie": "", "Content-Encoding": "", "X-Content-Type-Options": "nosniff"} {
		for _, method := range []string{"GET", "HEAD"} {
			got := n.get(t, method, "/revocations", http.Header{"Origin": {"https://evil.example"}, "Accept-Encoding": {"gzip, br"}, "Cookie": {"a=b"}}).Header.Get(name)
			if got != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got, want)
			}
		}
	}
	if a := h.do("POST", "/revocations", "", "", nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", a.status)
	}
	if got := n.get(t, "HEAD", "/revocations", nil); got.StatusCode != 200 {
		t.Errorf("HEAD: %d", got.StatusCode)
	}
	// The keys have a document of their own, and the other one has none of them.
	feedKeys, tokenKeys := h.do("GET", "/.well-known/feed-keys.json", "", "", nil), h.do("GET", "/.well-known/jwks.json", "", "", nil)
	if feedKeys.header.Get("Cache-Control") != tokenKeys.header.Get("Cache-Control") || feedKeys.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("headers of the keys: %v", feedKeys.header)
	}
	set, _, err := jose.ParseKeySet([]byte(feedKeys.body))
	if err != nil || set.Len() != 2 {
		t.Errorf("%d feed keys, want an active and a pending one: %v", set.Len(), err)
	}
	for _, k := range set.Keys() {
		if strings.Contains(tokenKeys.body, k.ID()) {
			t.Error("a feed key would verify tokens")
		}
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		a := h.do("GET", path, "", "", nil)
		if a.str("revocation_feed_endpoint") != issuer+"/revocations" || a.str("revocation_feed_jwks_uri") != issuer+"/.well-known/feed-keys.json" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

// C24: neither kind of key passes for the other.
func TestC24_FeedKeysSignNoTokens(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	key, err := h.parts.Keys.FeedSigner(ctx)
	if err != nil {
		t.Fatal(err)
	}
	good := h.login("ada", "").str("access_token")
	forged, err := key.Sign("at+jwt", claimsOf(t, good))
	if err != nil {
		t.Fatal(err)
	}
	if !h.active(good) || h.active(forged) {
		t.Error("a token that the feed's key signed is live")
	}
	token, err := h.parts.Keys.Signer(ctx, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	m := feed.Message{Type: feed.Heartbeat, Stream: "s", Salt: feed.SaltOf("x"), At: time.Now()}
	raw, err := m.Sign(token, issuer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Open(raw, h.parts.Keys.PublishedFeed(), issuer); err == nil {
		t.Error("a token key signs the feed")
	}
}

// C19: feed_access: private asks for a client that may introspect.
func TestC19_PrivateFeed(t *testing.T) {
	h := newHouse(t)
	n := h.node(func(c *server.Config) { c.FeedAccess = api.FeedPrivate })
	basic := func(id, secret string) http.Header {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(id, secret)
		return r.Header
	}
	for _, tc := range []struct {
		name   string
		header http.Header
		want   int
	}{
		{"a reader of an API", basic("orders-api", h.readerSecret), 200},
		{"without credentials", nil, 401},
		{"a wrong secret", basic("orders-api", "x"), 401},
		{"a client that reads nothing", basic("robot", h.serviceSecret), 403},
		{"a public client", basic("app", ""), 401},
		{"a client that does not exist", basic("nobody", "x"), 401},
		{"a bearer token", http.Header{"Authorization": {"Bearer " + h.service().str("access_token")}}, 401},
		{"two credentials", http.Header{"Authorization": {"Basic YTpi", "Basic YTpi"}}, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := n.get(t, "GET", "/revocations", tc.header); got.StatusCode != tc.want {
				t.Errorf("%d, want %d", got.StatusCode, tc.want)
			}
		})
	}
	// Discovery names a private feed, too, and its keys are public.
	if got := n.get(t, "GET", "/.well-known/feed-keys.json", nil); got.StatusCode != 200 {
		t.Errorf("the keys of a private feed: %d", got.StatusCode)
	}
}

// A stream outlives the limits of ordinary requests, and ends at once when the
// node ends.
func TestC19_StreamsEndWithTheNode(t *testing.T) {
	h := newHouse(t)
	n := h.node(nil)
	f := n.follow(t)
	time.Sleep(2500 * time.Millisecond) // the server's limits are one second
	if err := f.fault(); err != nil || f.set.Age(time.Now()) > 2*time.Second {
		t.Errorf("the stream ended: %v, age %s", err, f.set.Age(time.Now()))
	}
	began := time.Now()
	n.stop()
	if took := time.Since(began); took > time.Second {
		t.Errorf("the node took %s to stop with a reader", took)
	}
	for end := time.Now().Add(5 * time.Second); f.fault() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the stream did not end")
		}
	}
}

// door serves the endpoint alone, with short times and a hub of its own.
func (h *house) door(change func(*broadcast.Config), access api.FeedAccess, write, life, again time.Duration) (*broadcast.Hub, *httptest.Server) {
	h.t.Helper()
	c := broadcast.Config{Issuer: issuer, Keys: h.parts.Keys, Follow: func() broadcast.Tail { return h.parts.Store.TailRevocations(0) }}
	if change != nil {
		change(&c)
	}
	hub, err := broadcast.New(c)
	if err != nil {
		h.t.Fatal(err)
	}
	mux, err := api.Routes(api.WithFeedTimes(api.Config{Issuer: issuer, Tokens: h.parts.Tokens, Logins: h.parts.Logins, Keys: h.parts.Keys, Records: h.parts.Store,
		Feed: hub, FeedAccess: access, Logger: slog.New(slog.DiscardHandler)}, write, life, again))
	if err != nil {
		h.t.Fatal(err)
	}
	s := httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { hub.Run(ctx) })
	h.t.Cleanup(func() { cancel(); running.Wait(); s.Close() })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if r, err := hub.Enter(netip.Addr{}, ""); err == nil {
			r.Close()
			return hub, s
		}
		if time.Now().After(end) {
			h.t.Fatal("the hub does not run")
		}
	}
}

func waitFor(t *testing.T, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s not: %s", limit, what)
		}
	}
}

// flood has thousands of new revocations at each look.
type flood struct{ seq int64 }

func (f *flood) Next(context.Context) ([]iam.Revocation, int64, error) {
	if f.seq++; f.seq%2 == 0 {
		return nil, f.seq, nil // so that one look ends
	}
	now := time.Now()
	list := make([]iam.Revocation, 5000)
	for i := range list {
		list[i] = iam.Revocation{Seq: f.seq, At: now, Kind: iam.RevokeToken, Subject: fmt.Sprint(f.seq, i), DropAfter: now.Add(time.Second)}
	}
	return list, f.seq, nil
}

// A reader that never reads is cut, and its place is free again.
func TestC19_AReaderThatNeverReadsIsCut(t *testing.T) {
	h := newHouse(t)
	hub, s := h.door(func(c *broadcast.Config) { c.Follow = func() broadcast.Tail { return &flood{} } }, api.FeedPublic, 200*time.Millisecond, time.Hour, time.Hour)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /revocations HTTP/1.1\r\nHost: auth.example.com\r\n\r\n")
	waitFor(t, "the reader is in", 5*time.Second, func() bool { return hub.Readers() == 1 })
	waitFor(t, "the reader is out", 30*time.Second, func() bool { return hub.Readers() == 0 })
}

// A reader that goes away, and a stream that is old, leave their places.
func TestC19_StreamsEnd(t *testing.T) {
	h := newHouse(t)
	hub, s := h.door(nil, api.FeedPublic, time.Second, time.Second, time.Hour)
	response, err := http.Get(s.URL + "/revocations")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	began := time.Now()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Errorf("an old stream does not end in order: %v", err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || took > 3*time.Second {
		t.Errorf("a stream of one second ended after %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/revocations", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err = http.DefaultClient.Do(request); err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	cancel()
	waitFor(t, "who went away is out", 700*time.Millisecond, func() bool { return hub.Readers() == 0 })
}

// C19: a reader of a private feed that loses its right loses the stream.
func TestC19_ADisabledReaderLosesThePrivateStream(t *testing.T) {
	h := newHouse(t)
	hub, s := h.door(nil, api.FeedPrivate, time.Second, time.Hour, time.Millisecond)
	request, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/revocations", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("orders-api", h.readerSecret)
	response, err := http.DefaultClient.Do(request)
	if err != nil || response.StatusCode != 200 {
		t.Fatal(response, err)
	}
	defer response.Body.Close()
	time.Sleep(1200 * time.Millisecond)
	if hub.Readers() != 1 {
		t.Fatal("the stream ended while the client was a reader")
	}
	if err := h.parts.Directory.SetClient(context.Background(), "test", "orders-api", directory.Disabled); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the stream ends", 5*time.Second, func() bool { return hub.Readers() == 0 })
}

// Who finds no room hears when to come again, and keeps no connection.
func TestC19_TooManyReaders(t *testing.T) {
	h := newHouse(t)
	_, s := h.door(func(c *broadcast.Config) { c.Readers = 1 }, api.FeedPublic, time.Second, time.Hour, time.Hour)
	var last *http.Response
	for range 2 {
		response, err := http.Get(s.URL + "/revocations")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		last = response
	}
	if last.StatusCode != http.StatusServiceUnavailable || len(last.Header.Get("Retry-After")) != 2 || !last.Close {
		t.Errorf("%d, Retry-After %q, closes: %v", last.StatusCode, last.Header.Get("Retry-After"), last.Close)
	}
	// The readiness of the node has nothing to do with its readers.
	if a := h.do("GET", "/readyz", "", "", nil); a.status != 200 {
		t.Errorf("readyz: %d", a.status)
	}
}
