package guard_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/guardtest"
	"github.com/gatehouse-auth/gatehouse/internal/feed"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// network is what lies between a guard and its issuer. Paths that are cut do
// not answer any more, and what they were answering ends.
type network struct {
	mu    sync.Mutex
	cut   map[string]bool
	open  map[string][]io.Closer
	delay map[string]time.Duration
	asked map[string]int
}

func newNetwork() *network {
	return &network{cut: map[string]bool{}, open: map[string][]io.Closer{}, delay: map[string]time.Duration{}, asked: map[string]int{}}
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	path := r.URL.Path
	n.mu.Lock()
	n.asked[path]++
	cut, delay := n.cut[path] || n.cut["*"], n.delay[path]
	n.mu.Unlock()
	if cut {
		return nil, errors.New("the network is cut")
	}
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		n.mu.Lock()
		n.open[path] = append(n.open[path], response.Body)
		n.mu.Unlock()
	}
	return response, err
}

func (n *network) cutOff(paths ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range paths {
		n.cut[p] = true
		for _, body := range n.open[p] {
			body.Close()
		}
		delete(n.open, p)
	}
}

func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

func (n *network) count(path string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[path]
}

// clock is the time, and what a test adds to it.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// of is a guard of an issuer, over a network.
func of(t testing.TB, iss *guardtest.Issuer, n *network, change ...func(*guard.Config)) *guard.Guard {
	t.Helper()
	c := guard.Config{Issuer: iss.URL(), Audience: audience, HTTPClient: &http.Client{Transport: n, Timeout: 3 * time.Second}, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	g, err := guard.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func send(h http.Handler, method, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/orders", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func soon(t testing.TB, what string, is func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !is() {
		if time.Since(begun) > 20*time.Second {
			t.Fatal("it does not happen: " + what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(begun)
}

func TestC17ACachedTokenDiesWithItsRevocation(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	g := iss.Guard(t, audience)
	h := g.Authenticated()(hello)
	token, other := iss.Token(guardtest.Token{}), iss.Token(guardtest.Token{})
	for range 3 {
		if w := get(h, token); w.Code != 200 {
			t.Fatal(w.Code, w.Body)
		}
	}
	begun := time.Now()
	iss.Revoke(t, token)
	if late := time.Since(begun); late > 5*time.Second {
		t.Errorf("after %s", late)
	}
	w := get(h, token)
	want(t, w, 401, "invalid_token", "The token was revoked.")
	if c := w.Header().Get("WWW-Authenticate"); !strings.Contains(c, `error="invalid_token"`) {
		t.Errorf("the challenge: %s", c)
	}
	if w := get(h, other); w.Code != 200 {
		t.Errorf("another token: %d", w.Code)
	}
	_, err := g.Verify(context.Background(), token)
	if !errors.Is(err, guard.ErrRevoked) || !errors.Is(err, guard.ErrInvalid) || errors.Is(err, guard.ErrExpired) {
		t.Errorf("got %v", err)
	}
}

// The rules of OnStale, by method, age of the feed and whether there is a reader.
func TestOnStale(t *testing.T) {
	const fresh, stale, long = 0, 6 * time.Second, 70 * time.Second
	for _, reader := range []bool{false, true} {
		iss, n, c := guardtest.NewIssuer(t), newNetwork(), &clock{}
		g := of(t, iss, n, func(config *guard.Config) {
			config.SetClock(c.now)
			if reader {
				config.Reader = guard.Reader{ClientID: "orders", ClientSecret: "secret"}
			}
		})
		token := func() string { return iss.Token(guardtest.Token{Audience: audience}) }
		live, dead, known := token(), token(), token()
		if err := g.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		iss.Revoke(t, known)
		soon(t, "a revocation", func() bool { _, err := g.Verify(t.Context(), known); return err != nil })
		n.cutOff("/revocations")
		iss.Revoke(t, dead) // unknown to g
		type answers struct{ fresh, stale, long int }
		for _, tc := range []struct {
			on       guard.OnStale
			method   string
			without  answers // a reader, for a live token
			with     answers
			withDead answers // with a reader, for a token that was revoked meanwhile
		}{
			{guard.StaleDefault, "GET", answers{200, 200, 200}, answers{200, 200, 200}, answers{200, 200, 401}},
			{guard.StaleDefault, "HEAD", answers{200, 200, 200}, answers{200, 200, 200}, answers{200, 200, 401}},
			{guard.StaleDefault, "POST", answers{200, 200, 200}, answers{200, 200, 200}, answers{200, 401, 401}},
			{guard.StaleDefault, "OPTIONS", answers{200, 200, 200}, answers{200, 200, 200}, answers{200, 401, 401}},
			{guard.StaleAllow, "POST", answers{200, 200, 200}, answers{200, 200, 200}, answers{200, 200, 200}},
			{guard.StaleBriefly, "POST", answers{200, 200, 503}, answers{200, 200, 200}, answers{200, 200, 401}},
			{guard.StaleIntrospect, "GET", answers{}, answers{200, 200, 200}, answers{200, 401, 401}},
			{guard.StaleDeny, "GET", answers{200, 503, 503}, answers{200, 503, 503}, answers{200, 503, 503}},
		} {
			if !reader && tc.on == guard.StaleIntrospect {
				continue
			}
			h := g.Enforce(guard.Rule{OnStale: tc.on})(hello)
			for age, pick := range map[time.Duration]func(answers) int{
				fresh: func(a answers) int { return a.fresh }, stale: func(a answers) int { return a.stale }, long: func(a answers) int { return a.long },
			} {
				// The feed was heard until it was cut off; how long ago that is the clock says.
				c.ahead.Store(int64(age))
				if seen, _ := g.FeedAge(); seen < age || seen > age+4*time.Second {
					t.Fatalf("the feed is %s old, the test wants %s", seen, age)
				}
				name := fmt.Sprintf("reader %v, %v, %s, after %s", reader, tc.on, tc.method, age)
				expect := tc.without
				if reader {
					expect = tc.with
				}
				if w := send(h, tc.method, live); w.Code != pick(expect) {
					t.Errorf("%s: live: %d %s, want %d", name, w.Code, w.Body, pick(expect))
				}
				if w := send(h, tc.method, known); w.Code != 401 {
					t.Errorf("%s: a revocation that is known: %d", name, w.Code)
				}
				if !reader {
					continue
				}
				if w := send(h, tc.method, dead); w.Code != pick(tc.withDead) {
					t.Errorf("%s: revoked meanwhile: %d %s, want %d", name, w.Code, w.Body, pick(tc.withDead))
				}
			}
		}
	}
}

// Where nobody can be asked the answer is 503, and never a guess.
func TestOnStaleAnIssuerThatDoesNotAnswer(t *testing.T) {
	iss, n, c := guardtest.NewIssuer(t), newNetwork(), &clock{}
	g := of(t, iss, n, func(config *guard.Config) {
		config.SetClock(c.now)
		config.Reader = guard.Reader{ClientID: "orders", ClientSecret: "secret"}
	})
	if err := g.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := iss.Token(guardtest.Token{Audience: audience})
	n.cutOff("/revocations", "/introspect")
	c.ahead.Store(int64(6 * time.Second))
	w := send(g.Authenticated()(hello), "POST", token)
	want(t, w, 503, "temporarily_unavailable", "It is not known right now whether the token was revoked.")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if w := send(g.Authenticated()(hello), "GET", token); w.Code != 200 {
		t.Errorf("a read: %d %s", w.Code, w.Body)
	}
	// Verify and Check know no method, so they decide as for a write.
	if _, err := g.Verify(t.Context(), token); !errors.Is(err, guard.ErrUnavailable) {
		t.Errorf("Verify: %v", err)
	}
	if _, err := g.Check(guard.Rule{})(t.Context(), []string{"Bearer " + token}); !errors.Is(err, guard.ErrUnavailable) {
		t.Errorf("Check: %v", err)
	}
	if _, err := g.Check(guard.Rule{OnStale: guard.StaleAllow})(t.Context(), []string{"Bearer " + token}); err != nil {
		t.Errorf("Check that allows: %v", err)
	}
	// In two steps.
	caller, err := g.VerifyUnconfirmed(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	for on, kind := range map[guard.OnStale]error{guard.StaleAllow: nil, guard.StaleBriefly: nil, guard.StaleDeny: guard.ErrUnavailable, guard.StaleIntrospect: guard.ErrUnavailable, guard.StaleDefault: guard.ErrUnavailable} {
		if err := g.Confirm(t.Context(), caller, token, on); !errors.Is(err, kind) {
			t.Errorf("Confirm %v: %v", on, err)
		}
	}
	if err := g.Confirm(t.Context(), guard.Caller{}, token, guard.StaleAllow); !errors.Is(err, guard.ErrNoToken) {
		t.Errorf("Confirm of nobody: %v", err)
	}
	n.mend()
	c.ahead.Store(0)
	soon(t, "it recovers", func() bool { _, err := g.Verify(t.Context(), token); return err == nil })
}

func TestOnStaleRulesThatCannotBeMeantPanic(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	g := iss.Guard(t, audience)
	for name, register := range map[string]func(){
		"a number":     func() { g.Enforce(guard.Rule{OnStale: 9}) },
		"a negative":   func() { g.Enforce(guard.Rule{OnStale: -1}) },
		"nobody asks":  func() { g.Enforce(guard.Rule{OnStale: guard.StaleIntrospect}) },
		"nor in Check": func() { g.Check(guard.Rule{OnStale: guard.StaleIntrospect}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			register()
		}()
	}
	var none *guard.Guard
	if w := get(none.Enforce(guard.Rule{OnStale: guard.StaleIntrospect})(hello), "x"); w.Code != 503 {
		t.Errorf("a nil guard: %d", w.Code)
	}
	for on, name := range map[guard.OnStale]string{guard.StaleDefault: "StaleDefault", guard.StaleDeny: "StaleDeny", 9: "OnStale(9)"} {
		if on.String() != name {
			t.Errorf("%d is %s", int(on), on)
		}
	}
}

func TestAReaderPrintsWithoutItsSecret(t *testing.T) {
	c := guard.Config{Reader: guard.Reader{ClientID: "orders", ClientSecret: "hunter2"}}
	encoded, err := json.Marshal(c.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "reader", c.Reader)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprint(c.Reader), string(encoded), log.String()} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the secret is in %s", text)
		}
	}
	for _, half := range []guard.Reader{{ClientID: "x"}, {ClientSecret: "x"}} {
		if _, err := guard.New(guard.Config{Issuer: "https://a.example", Audience: "x", Reader: half}); err == nil || !strings.Contains(err.Error(), "Reader") {
			t.Errorf("half a credential: %v", err)
		}
	}
}

// A first request after a restart waits for the revocations, so that it does not
// let in what was revoked; a feed that does not come is stale.
func TestTheFirstRequestWaitsForTheRevocations(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	token, dead := iss.Token(guardtest.Token{Audience: audience}), iss.Token(guardtest.Token{Audience: audience})
	iss.Revoke(t, dead)
	n := newNetwork()
	n.delay["/revocations"] = 500 * time.Millisecond
	h := of(t, iss, n).Authenticated()(hello)
	want(t, get(h, dead), 401, "invalid_token", "revoked")

	n = newNetwork()
	n.delay["/revocations"] = time.Hour
	g := of(t, iss, n)
	begun := time.Now()
	if w := get(g.Authenticated()(hello), token); w.Code != 200 || time.Since(begun) < time.Second || time.Since(begun) > 4*time.Second {
		t.Errorf("%d after %s", w.Code, time.Since(begun))
	}
	begun = time.Now()
	if w := get(g.Enforce(guard.Rule{OnStale: guard.StaleDeny})(hello), iss.Token(guardtest.Token{Audience: audience})); w.Code != 503 || time.Since(begun) > time.Second {
		t.Errorf("the second: %d after %s", w.Code, time.Since(begun))
	}
	if _, heard := g.FeedAge(); heard {
		t.Error("it was heard")
	}
}

func TestC38ReadyWaitsForTheFirstSnapshot(t *testing.T) {
	iss, n := guardtest.NewIssuer(t), newNetwork()
	n.cutOff("/revocations")
	g := of(t, iss, n)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := g.Ready(ctx); !errors.Is(err, guard.ErrUnavailable) || !strings.Contains(err.Error(), "revocations have not come") {
		t.Errorf("got %v", err)
	}
	n.mend()
	if err := g.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if age, heard := g.FeedAge(); !heard || age > 3*time.Second {
		t.Errorf("%s %v", age, heard)
	}
	n.cutOff("/revocations")
	if err := g.Ready(t.Context()); err != nil {
		t.Errorf("what was ready once: %v", err)
	}
}

func TestC18ARestartWithTheIssuerDownRefusesWhatWasRevoked(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	keep := func(c *guard.Config) { c.SnapshotFile = file }
	live, dead := iss.Token(guardtest.Token{Audience: audience}), iss.Token(guardtest.Token{Audience: audience})
	n := newNetwork()
	g := of(t, iss, n, keep)
	if err := g.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	iss.Revoke(t, dead)
	soon(t, "the revocation", func() bool { _, err := g.Verify(t.Context(), dead); return errors.Is(err, guard.ErrRevoked) })
	g.Close()
	n.cutOff("*")
	later := &clock{}
	later.ahead.Store(int64(10 * time.Second))
	again := of(t, iss, n, keep, func(c *guard.Config) { c.SetClock(later.now) })
	h := again.Authenticated()(hello)
	if w := get(h, live); w.Code != 200 {
		t.Errorf("a live token: %d %s", w.Code, w.Body)
	}
	want(t, get(h, dead), 401, "invalid_token", "revoked")
	want(t, get(again.Enforce(guard.Rule{OnStale: guard.StaleDeny})(hello), live), 503, "temporarily_unavailable", "not known right now")
	if age, heard := again.FeedAge(); !heard || age > time.Minute {
		t.Errorf("the feed: %s %v", age, heard)
	}
	// When the issuer is back, so is the feed: its address was on the disk.
	n.mend()
	soon(t, "it is fresh", func() bool { return get(again.Enforce(guard.Rule{OnStale: guard.StaleDeny})(hello), live).Code == 200 })
}

// The tokens of a feed's key are none, and a key that signs tokens signs no
// feed: each has a document of its own (C24).
func TestC24FeedKeysAndTokenKeysAreApart(t *testing.T) {
	i := newIssuer(t)
	feedSigner := newSigner(t, jose.ES256)
	i.document = func() any {
		return map[string]string{"issuer": i.url(), "jwks_uri": i.url() + "/jwks.json", "revocation_feed_endpoint": i.url() + "/revocations", "revocation_feed_jwks_uri": i.url() + "/feed.json"}
	}
	signer := &i.signer
	i.other = map[string]http.HandlerFunc{
		"/feed.json": func(w http.ResponseWriter, _ *http.Request) {
			json.NewEncoder(w).Encode(jose.NewKeySet(feedSigner.Key()))
		},
		"/revocations": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			m := feed.Message{Type: feed.Snapshot, Stream: "s", Part: 1, Parts: 1, At: time.Now(), Salt: feed.SaltOf("x")}
			raw, err := m.Sign(*signer, i.url()) // with a key that signs tokens
			if err != nil {
				t.Error(err)
			}
			w.Write(feed.Event{Name: "snapshot", Data: raw}.Append(nil))
		},
	}
	g := i.guard()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := g.Ready(ctx); err == nil || guard.Revocations(g).Salt() != (feed.Salt{}) {
		t.Errorf("a feed that a token key signs is believed: %v", err)
	}
	want(t, get(g.Authenticated()(hello), sign(t, feedSigner, "at+jwt", i.claims())), 401, "invalid_token", "not signed with a key of this issuer")
}

// That the issuer took back all its keys ends what they verified, cached or not,
// and has them fetched again. Until they are, nothing verifies, not even with
// what is on the disk.
func TestC15AllKeysAreVoid(t *testing.T) {
	iss, n := guardtest.NewIssuer(t), newNetwork()
	file := filepath.Join(t.TempDir(), "keys.json")
	keep := func(c *guard.Config) { c.SnapshotFile = file }
	g := of(t, iss, n, keep)
	h := g.Authenticated()(hello)
	old := iss.Token(guardtest.Token{Audience: audience})
	if w := get(h, old); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	iss.Forget()
	soon(t, "the end of the old key", func() bool { return get(h, old).Code == 401 })
	want(t, get(h, old), 401, "invalid_token", "not signed with a key of this issuer")
	next := iss.Token(guardtest.Token{Audience: audience})
	if w := get(h, next); w.Code != 200 {
		t.Errorf("a token of the new key: %d %s", w.Code, w.Body)
	}
	n.cutOff("/jwks.json")
	iss.Forget()
	soon(t, "the end of the new key", func() bool { return get(h, next).Code == 503 })
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("keys that are void are on the disk: %v", err)
	}
	g.Close()
	n.cutOff("*")
	if w := get(of(t, iss, n, keep).Authenticated()(hello), next); w.Code != 503 {
		t.Errorf("after a restart: %d", w.Code)
	}
	n.mend()
}

// A claim of the wrong type hides a token from its revocation, so it is refused
// where there is a feed; another issuer may mean something else by the name.
func TestC3ClaimsThatAreRevokedBy(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	fed, i := iss.Guard(t, audience), newIssuer(t)
	alone := i.guard()
	for name, value := range map[string]any{"gid": 7, "ue": "3", "ce": 1.5} {
		want(t, get(fed.Authenticated()(hello), iss.Token(guardtest.Token{Claims: map[string]any{name: value}})), 401, "invalid_token", "missing or malformed")
		if w := get(alone.Authenticated()(hello), i.token(name, value)); w.Code != 200 {
			t.Errorf("%s without a feed: %d", name, w.Code)
		}
	}
}

// Tokens of other products have no feed of ours, whatever their issuer says.
func TestOtherProfilesFollowNoFeed(t *testing.T) {
	iss, n := guardtest.NewIssuer(t), newNetwork()
	g := of(t, iss, n, func(c *guard.Config) { c.Profile = guard.Auth0 })
	if err := g.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := iss.Token(guardtest.Token{Audience: audience, Claims: map[string]any{"azp": "app"}})
	if w := get(g.Enforce(guard.Rule{OnStale: guard.StaleDeny})(hello), token); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if _, heard := g.FeedAge(); heard || n.count("/revocations") > 0 {
		t.Error("the feed was read")
	}
}

func TestWatchEndsWithTheToken(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	g := iss.Guard(t, audience)
	verify := func(g *guard.Guard, token string) guard.Caller {
		t.Helper()
		c, err := g.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ended := func(ctx context.Context, within time.Duration) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(within + 10*time.Millisecond):
			return nil
		}
	}
	token, other := iss.Token(guardtest.Token{}), iss.Token(guardtest.Token{})
	both, err := guard.Any(g)
	if err != nil {
		t.Fatal(err)
	}
	watched, stop := g.Watch(t.Context(), verify(g, token))
	defer stop()
	any, stopAny := both.Watch(t.Context(), verify(both, token))
	defer stopAny()
	live, stopLive := g.Watch(t.Context(), verify(g, other))
	stopped, stopNow := g.Watch(t.Context(), verify(g, token))
	stopNow()
	caller := verify(g, token)
	iss.Revoke(t, token)
	for name, ctx := range map[string]context.Context{"watched": watched, "by Any": any} {
		if cause := ended(ctx, 5*time.Second); !errors.Is(cause, guard.ErrRevoked) {
			t.Errorf("%s: %v", name, cause)
		}
	}
	if cause := ended(stopped, 0); !errors.Is(cause, context.Canceled) {
		t.Errorf("stopped: %v", cause)
	}
	late, stopLate := g.Watch(t.Context(), caller)
	defer stopLate()
	if cause := ended(late, time.Second); !errors.Is(cause, guard.ErrRevoked) {
		t.Errorf("begun after the revocation: %v", cause)
	}
	if cause := ended(live, 200*time.Millisecond); cause != nil {
		t.Errorf("another token's: %v", cause)
	}
	stopLive()
	short, stopShort := g.Watch(t.Context(), verify(g, iss.Token(guardtest.Token{Expires: 2 * time.Second})))
	defer stopShort()
	if cause := ended(short, 5*time.Second); !errors.Is(cause, guard.ErrExpired) {
		t.Errorf("at its end: %v", cause)
	}
	nobody, stopNobody := g.Watch(t.Context(), guard.Caller{})
	defer stopNobody()
	if cause := ended(nobody, 0); !errors.Is(cause, guard.ErrNoToken) {
		t.Errorf("nobody: %v", cause)
	}
	parent, cancel := context.WithCancel(t.Context())
	child, stopChild := g.Watch(parent, verify(g, other))
	defer stopChild()
	cancel()
	if cause := ended(child, time.Second); !errors.Is(cause, context.Canceled) {
		t.Errorf("with its parent: %v", cause)
	}
}

// Streams cost nothing once they have ended, and many end together.
func TestWatchManyStreams(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	g := iss.Guard(t, audience)
	token := iss.Token(guardtest.Token{})
	caller, err := g.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	var stops []context.CancelFunc
	var watched []context.Context
	for range 10_000 {
		ctx, stop := g.Watch(context.Background(), caller)
		watched, stops = append(watched, ctx), append(stops, stop)
	}
	if n := runtime.NumGoroutine(); n > before+5 {
		t.Errorf("%d goroutines more", n-before)
	}
	begun := time.Now()
	iss.Revoke(t, token)
	for _, ctx := range watched {
		<-ctx.Done()
	}
	t.Logf("10,000 streams ended %s after the revocation", time.Since(begun))
	if time.Since(begun) > 5*time.Second {
		t.Error("too late")
	}
	for _, stop := range stops {
		stop()
	}
}

func TestCloseEndsTheFeedAndTheWatches(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	before := runtime.NumGoroutine()
	g, err := guard.New(guard.Config{Issuer: iss.URL(), Audience: audience, HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	if err != nil {
		t.Fatal(err)
	}
	caller, err := g.Verify(t.Context(), iss.Token(guardtest.Token{Audience: audience}))
	if err != nil {
		t.Fatal(err)
	}
	_, stop := g.Watch(t.Context(), caller)
	g.Close()
	stop()
	soon(t, "the goroutines end", func() bool { return runtime.NumGoroutine() <= before+1 })
}
