package jwks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
	"github.com/gatehouse-auth/gatehouse/internal/store/storetest"
)

func pool(t *testing.T, clock *storetest.Clock) *jwks.Pool {
	t.Helper()
	p, err := jwks.NewPool(jwks.PoolConfig{HTTPClient: http.DefaultClient, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPoolWantsItsClient(t *testing.T) {
	if _, err := jwks.NewPool(jwks.PoolConfig{}); err == nil {
		t.Error("a pool fetched with the default client")
	}
}

// Keys are fetched when they are asked for: at first, after their time to live,
// and for an unknown kid within the budget.
func TestPoolFetchesOnUse(t *testing.T) {
	k, clock := serve(t, "max-age=600"), storetest.NewClock()
	var asked atomic.Int64
	k.Config.Handler = counting(k.Config.Handler, &asked)
	p := pool(t, clock)
	find := func(kid string) error {
		_, err := p.Key(context.Background(), k.URL, kid)
		return err
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := find(k.key.ID()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("%d fetches for 20 uses at once, want 1", n)
	}
	clock.Advance(10 * time.Minute)
	if find("") != nil || asked.Load() != 1 {
		t.Errorf("within the time to live: %d fetches", asked.Load())
	}
	clock.Advance(time.Millisecond)
	if find(k.key.ID()) != nil || asked.Load() != 2 {
		t.Errorf("after the time to live: %d fetches", asked.Load())
	}
	for i := range 50 {
		if err := find(fmt.Sprint("unknown", i)); !errors.Is(err, jose.ErrUnknownKey) {
			t.Fatal(err)
		}
	}
	if n := asked.Load(); n != 4 {
		t.Errorf("%d fetches after 50 unknown ids, want 2 more than 2", n)
	}
	clock.Advance(10 * time.Second)
	find("unknown one more")
	if n := asked.Load(); n != 5 {
		t.Errorf("%d fetches ten seconds later, want 5", n)
	}
}

// A key that its owner took away is gone after the time to live, and while the
// owner is down its keys stay good for an hour.
func TestPoolStale(t *testing.T) {
	k, clock := serve(t, "max-age=60"), storetest.NewClock()
	p := pool(t, clock)
	if _, err := p.Key(context.Background(), k.URL, k.key.ID()); err != nil {
		t.Fatal(err)
	}
	k.down.Store(true)
	clock.Advance(time.Minute + time.Hour)
	if _, err := p.Key(context.Background(), k.URL, k.key.ID()); err != nil {
		t.Errorf("while the owner is down: %v", err)
	}
	clock.Advance(time.Second)
	if _, err := p.Key(context.Background(), k.URL, k.key.ID()); !errors.Is(err, jwks.ErrUnavailable) {
		t.Errorf("after an hour: %v", err)
	}
	k.down.Store(false)
	clock.Advance(time.Second)
	if _, err := p.Key(context.Background(), k.URL, k.key.ID()); err != nil {
		t.Errorf("when the owner is back: %v", err)
	}
	signer, err := jose.GenerateSigner(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	next := signer.Key()
	k.next.Store(&next)
	clock.Advance(time.Minute + time.Millisecond)
	if _, err := p.Key(context.Background(), k.URL, k.key.ID()); !errors.Is(err, jose.ErrUnknownKey) {
		t.Errorf("a key that was taken away: %v", err)
	}
}

// However long the owner says: a key that leaked and was taken away is gone
// after ten minutes.
func TestPoolAsksAgainAfterTenMinutes(t *testing.T) {
	k, clock := serve(t, "max-age=3600"), storetest.NewClock()
	var asked atomic.Int64
	k.Config.Handler = counting(k.Config.Handler, &asked)
	p := pool(t, clock)
	for range 2 {
		if _, err := p.Key(context.Background(), k.URL, k.key.ID()); err != nil {
			t.Fatal(err)
		}
		clock.Advance(10*time.Minute + time.Millisecond)
	}
	if asked.Load() != 2 {
		t.Errorf("%d fetches, want 2", asked.Load())
	}
}

// Without a kid, only the only key can be meant.
func TestPoolWithoutKeyID(t *testing.T) {
	k, clock := serve(t, ""), storetest.NewClock()
	signer, err := jose.GenerateSigner(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	k.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.NewKeySet(k.key, signer.Key()))
	})
	p := pool(t, clock)
	if key, err := p.Key(context.Background(), k.URL, ""); !errors.Is(err, jose.ErrUnknownKey) || !key.IsZero() {
		t.Errorf("got %v %v", key, err)
	}
	if key, err := p.Key(context.Background(), k.URL, signer.Key().ID()); err != nil || !key.Equal(signer.Key()) {
		t.Errorf("got %v %v", key, err)
	}
}

// A pool does not grow without end, and forgets what was used longest ago.
func TestPoolIsBounded(t *testing.T) {
	k, clock := serve(t, "max-age=3600"), storetest.NewClock()
	var asked atomic.Int64
	k.Config.Handler = counting(k.Config.Handler, &asked)
	p := pool(t, clock)
	at := func(i int) {
		t.Helper()
		if _, err := p.Key(context.Background(), fmt.Sprint(k.URL, "/", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1025 {
		at(i)
	}
	at(1024)
	at(1)
	if n := asked.Load(); n != 1025 {
		t.Errorf("%d fetches: a set in use was forgotten", n)
	}
	at(0)
	if n := asked.Load(); n != 1026 {
		t.Errorf("%d fetches, want 1026: the pool keeps everything", n)
	}
}
