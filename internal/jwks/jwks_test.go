package jwks_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

// keys is a server of one key set that can be down.
type keys struct {
	*httptest.Server
	key     jose.Key
	caching string
	down    atomic.Bool
	next    atomic.Pointer[jose.Key] // published instead of key
}

func serve(t *testing.T, caching string) *keys {
	t.Helper()
	signer, err := jose.GenerateSigner(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	k := &keys{key: signer.Key(), caching: caching}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if k.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if k.caching != "" {
			w.Header().Set("Cache-Control", k.caching)
		}
		if next := k.next.Load(); next != nil {
			json.NewEncoder(w).Encode(jose.NewKeySet(*next))
			return
		}
		json.NewEncoder(w).Encode(jose.NewKeySet(k.key))
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *keys) cache(t *testing.T, clock *storetest.Clock) *jwks.Cache {
	t.Helper()
	c, err := jwks.New(jwks.Config{Issuer: "https://auth.example.com", KeysURL: k.URL, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Keys that cannot be refreshed verify for an hour after their time to live,
// then the answer is that nothing is known (C18).
func TestC18StaleKeys(t *testing.T) {
	for caching, live := range map[string]time.Duration{"": 10 * time.Minute, "public, max-age=300": 5 * time.Minute, "max-age=1": time.Minute, "no-store": 10 * time.Minute, "max-age=99999999999": time.Hour, "max-age=-5": time.Minute} {
		t.Run(caching, func(t *testing.T) {
			k, clock := serve(t, caching), storetest.NewClock()
			c := k.cache(t, clock)
			if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
				t.Fatal(err)
			}
			k.down.Store(true)
			clock.Advance(live + time.Hour)
			if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
				t.Errorf("within the hour: %v", err)
			}
			clock.Advance(time.Millisecond)
			if _, err := c.Find(context.Background(), k.key.ID()); !errors.Is(err, jwks.ErrUnavailable) || c.Current() != nil {
				t.Errorf("after the hour: %v", err)
			}
			k.down.Store(false)
			clock.Advance(2 * time.Second)
			if _, err := c.Find(context.Background(), k.key.ID()); err != nil {
				t.Errorf("when the issuer is back: %v", err)
			}
		})
	}
}

// While there are no keys at all, requests do not hammer the issuer.
func TestFailuresArePaced(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	var asked atomic.Int64
	k.down.Store(true)
	k.Config.Handler = counting(k.Config.Handler, &asked)
	c := k.cache(t, clock)
	for range 100 {
		if _, err := c.Ready(context.Background()); !errors.Is(err, jwks.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("%d requests within one second, want 1", n)
	}
	clock.Advance(time.Second)
	c.Ready(context.Background())
	if n := asked.Load(); n != 2 {
		t.Errorf("%d requests a second later, want 2", n)
	}
}

func counting(h http.Handler, n *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.Add(1); h.ServeHTTP(w, r) })
}

// A caller that gives up does not end the fetch for the others.
func TestACallerThatGivesUp(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	hold := make(chan struct{})
	inner := k.Config.Handler
	k.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-hold; inner.ServeHTTP(w, r) })
	c := k.cache(t, clock)
	gone, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { _, err := c.Ready(gone); result <- err }()
	time.Sleep(20 * time.Millisecond)
	cancel()
	if err := <-result; !errors.Is(err, jwks.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	go func() { _, err := c.Ready(context.Background()); result <- err }()
	time.Sleep(20 * time.Millisecond)
	close(hold)
	if err := <-result; err != nil {
		t.Errorf("the other caller: %v", err)
	}
}
