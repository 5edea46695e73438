package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/gateway"
	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// wire is what lies between a gateway and its issuer. A path that is cut does not
// answer, and what it was answering ends.
type wire struct {
	mu   sync.Mutex
	cut  map[string]bool
	open map[string][]io.Closer
}

func (n *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	cut := n.cut[r.URL.Path]
	n.mu.Unlock()
	if cut {
		return nil, errors.New("the network is cut")
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		n.mu.Lock()
		n.open[r.URL.Path] = append(n.open[r.URL.Path], response.Body)
		n.mu.Unlock()
	}
	return response, err
}

func (n *wire) set(path string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[path] = cut
	if !cut {
		return
	}
	for _, body := range n.open[path] {
		body.Close()
	}
	delete(n.open, path)
}

const stalePolicy = `version: 1
tokens:
  - issuer: ISSUER
    audience: https://api.example.com
identity_headers: { X-User-Id: token.sub }
routes:
  - GET /public: { public: true }
  - GET,POST /default: {}
  - POST /allow: { on_stale: allow }
  - GET /deny: { on_stale: deny }
  - POST /sensitive: { sensitive: true }
  - GET /shadow: { on_stale: deny, mode: shadow }
`

// locked is a writer that a test may read meanwhile.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.b.String()
	l.b.Reset()
	return text
}

// staleHouse is a gateway in both faces, with a wire to its issuer that can be cut.
type staleHouse struct {
	t         *testing.T
	issuer    *guardtest.Issuer
	wire      *wire
	decisions *locked
	faces     map[string]*gateway.Gateway
}

func newStaleHouse(t *testing.T, text string, reader guard.Reader) *staleHouse {
	t.Helper()
	h := &staleHouse{t: t, issuer: guardtest.NewIssuer(t), wire: &wire{cut: map[string]bool{}, open: map[string][]io.Closer{}}, decisions: &locked{}, faces: map[string]*gateway.Gateway{}}
	for _, face := range []string{"proxy", "forward-auth"} {
		c := gateway.Config{Policy: []byte(strings.ReplaceAll(text, "ISSUER", h.issuer.URL())), Logger: discard(), Reader: reader, Decisions: h.decisions}
		c.SetClient(&http.Client{Transport: h.wire})
		if face == "proxy" {
			c.Upstream = newLenient(t).url
		} else {
			c.ForwardAuth, _ = gateway.CarrierOf("nginx")
			c.TrustedProxies = loopback()
		}
		g, err := gateway.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close() })
		h.faces[face] = g
	}
	return h
}

// ask returns the status, and the sentence of a refusal.
func (h *staleHouse) ask(face, route, token string) (status int, said string) {
	h.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	r := httptest.NewRequest(method, path, nil)
	if face == "forward-auth" {
		r = httptest.NewRequest("GET", "/forward-auth", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-Original-Method", method)
		r.Header.Set("X-Original-Uri", path)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.faces[face].ServeHTTP(w, r)
	var body struct {
		Said string `json:"error_description"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &body)
	return w.Code, body.Said
}

func (h *staleHouse) token() string {
	return h.issuer.Token(guardtest.Token{Subject: "usr_amy", Audience: audience})
}

// ready is the state of the feed, by /readyz.
func (h *staleHouse) stale(face string) bool {
	w := httptest.NewRecorder()
	h.faces[face].ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	var body struct {
		Revocations *struct{ Stale bool }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Revocations == nil {
		h.t.Fatalf("readyz: %d %s", w.Code, w.Body)
	}
	return body.Revocations.Stale
}

func within(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// What is revoked is refused, in both faces, whatever a route says; while
// revocations are not known each route does what it says, and its default else.
func TestC15C17OnStale(t *testing.T) {
	for name, row := range map[string]struct {
		reader   guard.Reader
		unsafe   int // POST /default while the feed is stale
		revoked  int // the same with a token that was revoked meanwhile
		unasked  int // the same when the issuer does not answer either
		revokedG int // GET /default with that token, in the first minute
	}{
		"with a reader":    {guard.Reader{ClientID: "api", ClientSecret: "s"}, 200, 401, 503, 200},
		"without a reader": {guard.Reader{}, 200, 200, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newStaleHouse(t, stalePolicy, row.reader)
			routes := []string{"GET /default", "POST /default", "POST /allow", "GET /deny", "POST /sensitive", "GET /shadow", "GET /public"}
			good, early, late := h.token(), h.token(), h.token()
			want := func(when, token string, statuses ...int) {
				t.Helper()
				for face := range h.faces {
					for i, route := range routes {
						if got, said := h.ask(face, route, token); got != statuses[i] {
							t.Errorf("%s, %s: %s is %d %s, want %d", when, face, route, got, said, statuses[i])
						}
					}
				}
			}
			for face := range h.faces {
				h.ask(face, "GET /default", early)
				within(t, 5*time.Second, "the feed is heard", func() bool { return !h.stale(face) })
			}
			want("fresh", good, 200, 200, 200, 200, 200, 200, 200)
			h.issuer.Revoke(t, early)
			for face := range h.faces {
				within(t, 2*time.Second, "the revoked token is refused", func() bool { status, _ := h.ask(face, "GET /default", early); return status == 401 })
				if _, said := h.ask(face, "POST /allow", early); said != "The token was revoked." {
					t.Errorf("%s says %q", face, said)
				}
			}
			want("revoked", early, 401, 401, 401, 401, 401, 200, 200)

			h.wire.set("/revocations", true)
			for face := range h.faces {
				within(t, 10*time.Second, "the feed is stale", func() bool { return h.stale(face) })
			}
			h.decisions.take()
			want("stale", good, 200, row.unsafe, 200, 503, 503, 200, 200)
			want("stale, revoked before", early, 401, 401, 401, 401, 401, 200, 200)
			h.issuer.Revoke(t, late)
			want("stale, revoked meanwhile", late, row.revokedG, row.revoked, 200, 503, 503, 200, 200)
			h.wire.set("/introspect", true)
			time.Sleep(1100 * time.Millisecond) // an answer of the issuer holds for a second
			want("stale, nobody answers", good, 200, row.unasked, 200, 503, 503, 200, 200)

			time.Sleep(1100 * time.Millisecond) // the log is written once a second
			reasons := map[string]bool{}
			for line := range strings.Lines(h.decisions.take()) {
				var r policy.Record
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatal(err)
				}
				if reasons[r.Reason] = true; r.FeedAge < 4 {
					t.Fatalf("the feed is %v s old in the log: %s", r.FeedAge, line)
				}
			}
			if !reasons["stale"] || !reasons["revoked_token"] {
				t.Errorf("reasons in the log: %v", reasons)
			}
			metrics := httptest.NewRecorder()
			h.faces["proxy"].Metrics().ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
			for _, line := range []string{`gatehouse_gateway_decisions_total{decision="deny",reason="stale"}`, `{decision="deny",reason="revoked_token"}`, `{decision="allow",reason=""}`, `{decision="shadow",reason="stale"}`, "\ngatehouse_revocation_feed_age_seconds "} {
				if !strings.Contains(metrics.Body.String(), line) {
					t.Errorf("metrics have no %s:\n%s", line, metrics.Body)
				}
			}

			h.wire.set("/introspect", false)
			h.wire.set("/revocations", false)
			for face := range h.faces {
				within(t, 10*time.Second, "the feed is heard again", func() bool { return !h.stale(face) })
			}
			want("fresh again", good, 200, 200, 200, 200, 200, 200, 200)
			want("fresh again, revoked meanwhile", late, 401, 401, 401, 401, 401, 200, 200)
		})
	}
}

// A policy that says introspect needs somebody who may ask.
func TestOnStaleIntrospectNeedsAReader(t *testing.T) {
	text := strings.ReplaceAll(stalePolicy, "ISSUER", "https://auth.example.com") + "  - GET /ask: { on_stale: introspect }\n"
	c := gateway.Config{Policy: []byte(text), Upstream: "http://127.0.0.1:1", Logger: discard()}
	if g, err := gateway.New(c); err == nil || !strings.Contains(err.Error(), ":13: on_stale: introspect needs a client") {
		t.Errorf("%v %v", g, err)
	}
	c.Reader = guard.Reader{ClientID: "api", ClientSecret: "s"}
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	g.Close()
}

// What lasts ends when its token is revoked, in its own language.
func TestC15StreamsEndWithTheRevocation(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(streamer))
	t.Cleanup(func() { upstream.CloseClientConnections(); upstream.Close() })
	h := newHouse(t, policyText, func(c *gateway.Config) { c.Upstream = upstream.URL })
	fresh := func() string {
		return h.issuer.Token(guardtest.Token{Subject: "usr_amy", Audience: audience, Scopes: []string{"orders:read"}})
	}
	revoked, other := fresh(), fresh()
	stream := func(token string) *http.Response {
		t.Helper()
		r, _ := http.NewRequest("GET", h.url+"/orders/stream", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(r)
		if err != nil || answer.StatusCode != 200 {
			t.Fatalf("%v %v", answer, err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	dying, living := stream(revoked), stream(other)
	_, socket := openSocket(t, h, "/orders/socket", revoked)
	frame(t, socket)
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	h.issuer.Revoke(t, revoked)
	if _, err := io.Copy(io.Discard, dying.Body); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("events ended after %s: %v", time.Since(began), err)
	}
	if kind, text := frame(t, socket); kind != 0x88 || text != "\x11\x31the token was revoked" || time.Since(began) > 3*time.Second {
		t.Errorf("the socket's last frame is %x %q after %s", kind, text, time.Since(began))
	}
	events := bufio.NewReader(living.Body)
	for range 20 { // beyond what was in flight
		if _, err := events.ReadString('\n'); err != nil {
			t.Fatalf("another token's stream ended: %v", err)
		}
	}
}

// A grant that is revoked ends the session, at the next request and for who only
// looks; a change of roles renews its token and ends nothing.
func TestC15C16RevocationAndTheSession(t *testing.T) {
	a := newApp(t)
	ctx := context.Background()
	p, looker := a.person(), a.person()
	p.signIn()
	looker.signIn()
	user, err := a.parts.Store.UserByName(ctx, "ada")
	a.must(err)
	if r := p.get("/orders/7"); r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}

	_, err = a.parts.Directory.CreateRole(ctx, "test", iam.Role{Name: "more", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}})
	a.must(err)
	a.set(func() { a.refreshes, a.ahead = 0, 2*time.Second })
	_, err = a.parts.Directory.EditUser(ctx, "test", user.ID, func(u *iam.User) error { u.Roles = append(u.Roles, "more"); return nil })
	a.must(err)
	within(t, 5*time.Second, "the token is renewed after a change of roles", func() bool {
		if r := p.get("/orders/7"); r.StatusCode != 200 {
			t.Fatalf("after a change of roles: %d %s", r.StatusCode, r.body)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.refreshes == 1
	})

	a.set(func() { a.ahead = 20 * time.Second })
	a.must(a.parts.Directory.SetPassword(ctx, "test", user.ID, bffPassword)) // ends all grants (C14)
	within(t, 5*time.Second, "the session is over at the next request", func() bool { return p.get("/orders/7").StatusCode == 401 && p.value() == "" })
	within(t, 5*time.Second, "the session is over for who only looks", func() bool { return !looker.signedIn() })
	a.mu.Lock()
	n := a.refreshes
	a.mu.Unlock()
	p.get("/orders/7")
	looker.get("/orders/7")
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refreshes != n {
		t.Errorf("%d refreshes of sessions that are over", a.refreshes-n)
	}
}
