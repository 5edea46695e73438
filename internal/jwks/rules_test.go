package jwks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// The tests A3-1 to A3-8 are the rules of a verifier's key cache, one by one.
// Those about time run in a bubble with a clock of its own, so that ten minutes
// take none; there the issuer is reached without a socket.

// issuer answers inside a bubble.
type issuer struct {
	key     jose.Key
	header  string
	asked   atomic.Int64
	down    atomic.Bool
	hanging atomic.Bool
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.asked.Add(1)
	if i.hanging.Load() {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	if i.down.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return w.Result(), nil
	}
	if i.header != "" {
		w.Header().Set("Cache-Control", i.header)
	}
	json.NewEncoder(w).Encode(jose.NewKeySet(i.key))
	return w.Result(), nil
}

func newKey(t *testing.T) jose.Key {
	t.Helper()
	signer, err := jose.GenerateSigner(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	return signer.Key()
}

// bubbled makes a cache of an issuer in a bubble; the test closes it.
func (i *issuer) bubbled(t *testing.T) *jwks.Cache {
	t.Helper()
	c, err := jwks.New(jwks.Config{Issuer: "https://auth.example.com", KeysURL: "https://auth.example.com/jwks.json", HTTPClient: &http.Client{Transport: i}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestA31MemoryThenNetwork(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	var asked atomic.Int64
	k.Config.Handler = counting(k.Config.Handler, &asked)
	c := k.cache(t, clock)
	if c.Current() != nil || asked.Load() != 0 {
		t.Errorf("New asked the issuer %d times; a process must start without it", asked.Load())
	}
	for range 10 {
		if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d fetches, want one and then memory", n)
	}
}

// Half of the time to live, give or take a tenth, whatever the first fetch said.
func TestA32RefreshAheadAtHalfOfTheTimeToLive(t *testing.T) {
	for header, ttl := range map[string]time.Duration{"": 10 * time.Minute, "max-age=120": 2 * time.Minute, "max-age=3600": time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			i := &issuer{key: newKey(t), header: header}
			c := i.bubbled(t)
			defer c.Close()
			if _, err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			for round := int64(1); round <= 3; round++ {
				begin := time.Now()
				for i.asked.Load() == round && time.Since(begin) < time.Hour {
					time.Sleep(time.Second)
					synctest.Wait()
				}
				if took := time.Since(begin); took < ttl*45/100-time.Second || took > ttl*55/100+time.Second {
					t.Errorf("%q, round %d: refreshed after %s, want half of %s", header, round, took, ttl)
				}
			}
		})
	}
}

func TestA32JitterSpreadsAFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{key: newKey(t)}
		for range 40 {
			c := i.bubbled(t)
			defer c.Close()
			if _, err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := i.asked.Load() - 40; n < 5 || n > 35 {
			t.Errorf("at half of the time to live %d of 40 have asked again: they are in step", n)
		}
	})
}

// A failure keeps the keys and is followed by quick attempts; one issuer that
// hangs delays no other.
func TestA32AFailureIsRetriedSoonAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := &issuer{key: newKey(t)}, &issuer{key: newKey(t)}
		a, b := bad.bubbled(t), good.bubbled(t)
		defer a.Close()
		defer b.Close()
		for _, c := range []*jwks.Cache{a, b} {
			if _, err := c.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		bad.hanging.Store(true)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if n := good.asked.Load(); n != 2 {
			t.Errorf("the other issuer was asked %d times, want 2", n)
		}
		if a.Current() == nil {
			t.Error("a failed refresh dropped good keys")
		}
		bad.hanging.Store(false)
		asked := bad.asked.Load()
		time.Sleep(80 * time.Second)
		synctest.Wait()
		if n := bad.asked.Load() - asked; n != 1 {
			t.Errorf("%d attempts within 80 s after the failures, want 1", n)
		}
	})
}

// Nobody asks for anything, and the keys come as soon as the issuer is there.
func TestA32AColdStartRecoversByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{key: newKey(t)}
		i.down.Store(true)
		c := i.bubbled(t)
		defer c.Close()
		if _, err := c.Ready(t.Context()); !errors.Is(err, jwks.ErrUnavailable) {
			t.Fatal(err)
		}
		i.down.Store(false)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if c.Current() == nil {
			t.Error("no keys six seconds after the issuer came back")
		}
	})
}

func TestA33UnknownKeys(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	var asked atomic.Int64
	k.Config.Handler = counting(k.Config.Handler, &asked)
	c := k.cache(t, clock)
	find := func(kid string) error { _, err := c.Find(context.Background(), kid); return err }
	if err := find(k.key.ID()); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name    string
		advance time.Duration
		kid     string
		fetches int64 // so far
	}{
		{"first", 0, "a", 2},
		{"looked for a moment ago", time.Second, "a", 2},
		{"second of the burst", 0, "b", 3},
		{"over budget", 0, "c", 3},
		{"nine seconds later", 8 * time.Second, "d", 3},
		{"one for each ten seconds", time.Second, "e", 4},
		{"and no more", 0, "f", 4},
		{"the first again, later", 10 * time.Second, "a", 5},
		{"no kid at all", time.Hour / 2, "", 5},
	}
	for _, s := range steps {
		clock.Advance(s.advance)
		start := time.Now()
		if err := find(s.kid); !errors.Is(err, jose.ErrUnknownKey) {
			t.Errorf("%s: %v", s.name, err)
		}
		if n := asked.Load(); n != s.fetches {
			t.Errorf("%s: %d fetches so far, want %d", s.name, n, s.fetches)
		}
		if time.Since(start) > 5*time.Second {
			t.Errorf("%s: it waited", s.name)
		}
	}
}

// Attempts count, not successes, and over budget nothing is known: 503, because
// the token may well be good.
func TestA33AttemptsCountWhenTheIssuerIsDown(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	var asked atomic.Int64
	k.Config.Handler = counting(k.Config.Handler, &asked)
	c := k.cache(t, clock)
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	k.down.Store(true)
	for n := range 50 {
		if _, err := c.Find(context.Background(), fmt.Sprint("new", n%10)); !errors.Is(err, jwks.ErrUnavailable) {
			t.Fatalf("attempt %d: %v, want unavailable", n, err)
		}
	}
	if n := asked.Load() - 1; n != 2 {
		t.Errorf("%d attempts, want 2", n)
	}
	if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
		t.Errorf("a known key meanwhile: %v", err)
	}
}

func TestA33OneFetchForManyAtOnce(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	var asked atomic.Int64
	inner := k.Config.Handler
	c := k.cache(t, clock)
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	k.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		time.Sleep(200 * time.Millisecond)
		inner.ServeHTTP(w, r)
	})
	next := newKey(t)
	k.next.Store(&next)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := c.Find(context.Background(), next.ID()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d fetches for one new key", n)
	}
}

// The call that discovers a new key is answered with it.
func TestA34TheDiscoveringCallGetsTheKey(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	c := k.cache(t, clock)
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	next := newKey(t)
	k.next.Store(&next)
	if got, err := c.Find(context.Background(), next.ID()); err != nil || !got.Equal(next) {
		t.Errorf("got %v %v", got, err)
	}
}

// Bounds of what is fetched; an answer that is no key set leaves the keys alone.
func TestA36Bounds(t *testing.T) {
	good := newKey(t)
	one, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	list := func(n int) string {
		return `{"keys":[` + string(one) + strings.Repeat(`,{"kty":"AKP","alg":"ML-DSA-44","kid":"pq"}`, n-1) + `]}`
	}
	padded := func(n int) string {
		body := `{"keys":[` + string(one) + `],"x":""}`
		return body[:len(body)-2] + strings.Repeat("x", n-len(body)) + `"}`
	}
	for name, tc := range map[string]struct {
		status int
		body   string
		ok     bool
	}{
		"100 keys, 99 of them unknown": {200, list(100), true},
		"101 keys":                     {200, list(101), false},
		"512 KiB":                      {200, padded(512 << 10), true},
		"a byte more":                  {200, padded(512<<10 + 1), false},
		"an error object":              {200, `{"error":"server_error"}`, false},
		"an error page":                {200, "<html>", false},
		"no usable key":                {200, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, false},
		"another status":               {203, list(1), false},
		"unknown kinds of keys": {200, `{"keys":[{"kty":"AKP","alg":"ML-DSA-65","pub":"x"},{"kty":"OKP","crv":"Ed448","x":"AA"},{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},` +
			`{"kty":"RSA","alg":"RS1","n":"AA","e":"AQAB"},{"kty":"RSA","use":"enc","n":"AA","e":"AQAB"},{"kty":7},[],null,` + string(one) + `]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if broken.Load() {
					w.WriteHeader(tc.status)
					w.Write([]byte(tc.body))
					return
				}
				json.NewEncoder(w).Encode(jose.NewKeySet(good))
			}))
			defer server.Close()
			fresh := func() *jwks.Cache {
				c, err := jwks.New(jwks.Config{Issuer: server.URL, KeysURL: server.URL, Now: storetest.NewClock().Now})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			before := fresh()
			if _, err := before.Ready(context.Background()); err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			if _, err := fresh().Ready(context.Background()); (err == nil) != tc.ok {
				t.Errorf("at the start: %v", err)
			}
			if _, err := before.Find(context.Background(), "other"); errors.Is(err, jwks.ErrUnavailable) == tc.ok {
				t.Errorf("later: %v", err)
			}
			if _, err := before.Find(context.Background(), good.ID()); err != nil {
				t.Errorf("the keys from before: %v", err)
			}
		})
	}
}

func TestA36AFetchEndsAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{key: newKey(t)}
		i.hanging.Store(true)
		c := i.bubbled(t)
		defer c.Close()
		begin := time.Now()
		if _, err := c.Ready(t.Context()); !errors.Is(err, jwks.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %s, want 5s", took)
		}
	})
}

func TestA36Redirects(t *testing.T) {
	key := newKey(t)
	set := func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(jose.NewKeySet(key)) }
	var abroad atomic.Int64
	other := httptest.NewServer(counting(http.HandlerFunc(set), &abroad))
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", set)
	mux.Handle("/here", http.RedirectHandler("/jwks", http.StatusFound))
	mux.Handle("/abroad", http.RedirectHandler(other.URL, http.StatusFound))
	mux.Handle("/by-way-of", http.RedirectHandler("/abroad", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, ok := range map[string]bool{"/here": true, "/abroad": false, "/by-way-of": false, "/round": false} {
		c, err := jwks.New(jwks.Config{Issuer: server.URL, KeysURL: server.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Ready(context.Background()); (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
		c.Close()
	}
	if abroad.Load() != 0 {
		t.Error("another host was asked for keys")
	}
}

// Readers take no lock: they go on while a fetch is under way, and a lookup
// allocates nothing.
func TestA37ReadersTakeNoLock(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	c := k.cache(t, clock)
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	inner, hold, entered := k.Config.Handler, make(chan struct{}), make(chan struct{}, 1)
	k.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-hold
		inner.ServeHTTP(w, r)
	})
	go c.Find(context.Background(), "unknown")
	<-entered
	done := make(chan error, 1)
	go func() {
		_, err := c.Find(context.Background(), k.key.ID())
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a reader waited for a fetch")
	}
	close(hold)
	if n := testing.AllocsPerRun(100, func() { c.Current().Keys.Key(k.key.ID()) }); n != 0 {
		t.Errorf("%v allocations for a lookup", n)
	}
}

// A kid is text of a stranger: what it says never begins a line of the log.
func TestA37AKidIsNeverLoggedRaw(t *testing.T) {
	const evil = "x\r\nlevel=ERROR msg=forged"
	var log bytes.Buffer
	// Two keys under one id, which the log mentions.
	set := map[string]any{"keys": []any{newKey(t), renamed(t, newKey(t), evil), renamed(t, newKey(t), evil)}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(set) }))
	defer server.Close()
	// A handler that escapes nothing, as some do.
	logger := slog.New(raw{&log})
	c, err := jwks.New(jwks.Config{Issuer: server.URL, KeysURL: server.URL, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Find(context.Background(), evil+"2"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q", err)
	}
	if !strings.Contains(log.String(), "forged") || strings.Contains(log.String(), "\n") {
		t.Errorf("the log: %q", log.String())
	}
}

// renamed is the JWK of a key under another id.
func renamed(t *testing.T, k jose.Key, kid string) map[string]any {
	t.Helper()
	raw, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	members["kid"] = kid
	return members
}

// raw writes records without escaping.
type raw struct{ b *bytes.Buffer }

func (raw) Enabled(context.Context, slog.Level) bool { return true }
func (h raw) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h raw) WithGroup(string) slog.Handler          { return h }
func (h raw) Handle(_ context.Context, r slog.Record) error {
	h.b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool { h.b.WriteString(" " + a.Key + "=" + a.Value.String()); return true })
	return nil
}

func TestA38ARemovedKeyIsGoneWithTheNextFetch(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	c := k.cache(t, clock)
	if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
		t.Fatal(err)
	}
	next := newKey(t)
	k.next.Store(&next)
	if _, err := c.Find(context.Background(), next.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Find(context.Background(), k.key.ID()); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("CVE-2025-22149: a removed key stays trusted: %v", err)
	}
}
