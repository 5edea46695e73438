package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// Bounds of the cache (C18, gateway rules: refresh ahead, bounded refetch).
const (
	defaultTTL = 10 * time.Minute
	minTTL     = time.Minute
	maxTTL     = time.Hour
	// maxStale is how long keys may be used that could not be refreshed, without
	// a revocation feed (C18).
	maxStale = time.Hour
	// fetchTimeout bounds one fetch, discovery and keys together.
	fetchTimeout = 5 * time.Second
	// An unknown kid may cause refetchBurst fetches at once and then one every
	// refetchEvery: random kids must not make us a hammer on the issuer.
	refetchEvery = 10 * time.Second
	refetchBurst = 2
	// retryEvery is the pause between attempts while there are no keys at all.
	retryEvery = time.Second
	// maxUnknown bounds the memory for kids that were looked for and not found.
	maxUnknown = 1024
)

// ErrUnavailable says that the keys of the issuer cannot be had now: the
// answer is 503, never 401, because the token may be good.
var ErrUnavailable = errors.New("the issuer's keys cannot be had")

// Config of a Cache. Issuer is required.
type Config struct {
	Issuer string
	// KeysURL is the key set itself, where the issuer's name cannot be reached;
	// empty: it is found by discovery.
	KeysURL    string
	HTTPClient *http.Client
	// Lazy fetches when keys are asked for that are older than their time to
	// live, or than ten minutes, and never ahead of time: for sets that may not be
	// used for months.
	Lazy   bool
	Now    func() time.Time
	Logger *slog.Logger
}

// Cache holds the keys of one issuer. Safe for concurrent use.
type Cache struct {
	issuer  string
	keysURL string
	lazy    bool
	client  *http.Client
	now     func() time.Time
	logger  *slog.Logger

	snapshot atomic.Pointer[Snapshot]
	begin    sync.Once
	stop     context.CancelFunc
	ctx      context.Context
	ended    sync.WaitGroup

	mu       sync.Mutex
	flight   *flight // the fetch under way, nil: none
	tokens   float64 // of the refetch bucket
	filled   time.Time
	unknown  map[string]time.Time
	attempt  time.Time // of the last fetch while there was no snapshot
	lastFail error
}

// Snapshot is an immutable key set and when it was fetched.
type Snapshot struct {
	Keys    jose.KeySet
	Fetched time.Time
	ttl     time.Duration
}

type flight struct {
	done chan struct{}
	err  error
}

// New checks the configuration. It does no I/O.
func New(c Config) (*Cache, error) {
	if c.Issuer == "" {
		return nil, errors.New("jwks: Issuer is required")
	}
	cache := &Cache{issuer: c.Issuer, keysURL: c.KeysURL, lazy: c.Lazy, client: sameOrigin(c.HTTPClient), now: c.Now, logger: c.Logger,
		tokens: refetchBurst, unknown: map[string]time.Time{}}
	if cache.now == nil {
		cache.now = time.Now
	}
	if cache.logger == nil {
		cache.logger = slog.New(slog.DiscardHandler)
	}
	cache.ctx, cache.stop = context.WithCancel(context.Background())
	return cache, nil
}

// sameOrigin copies a client and refuses redirects to another origin: keys
// come from the issuer, not from where it is told to send us.
func sameOrigin(client *http.Client) *http.Client {
	copied := http.Client{}
	if client != nil {
		copied = *client
	}
	copied.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		if len(via) > 3 || next.URL.Scheme != via[0].URL.Scheme || next.URL.Host != via[0].URL.Host {
			return errors.New("redirect to another origin")
		}
		return nil
	}
	return &copied
}

// Current is the snapshot that may be used now, or nil. It takes no lock.
func (c *Cache) Current() *Snapshot {
	s := c.snapshot.Load()
	if s == nil || c.now().Sub(s.Fetched) > s.ttl+maxStale {
		return nil
	}
	return s
}

// Ready fetches the keys if there are none yet. ErrUnavailable when that fails.
func (c *Cache) Ready(ctx context.Context) (*Snapshot, error) {
	if !c.lazy {
		c.start()
	}
	s := c.Current()
	if s != nil && (!c.lazy || c.now().Sub(s.Fetched) <= min(s.ttl, defaultTTL)) {
		return s, nil
	}
	if err := c.fetchFirst(ctx); err != nil {
		if s != nil {
			return s, nil // stale keys are better than none, for as long as C18 says
		}
		return nil, err
	}
	if s := c.Current(); s != nil {
		return s, nil
	}
	return nil, ErrUnavailable
}

// Find returns a key by kid. A kid that is not in the snapshot causes at most
// one bounded refetch, after which the same request is answered from the new
// snapshot. jose.ErrUnknownKey when the issuer does not have it.
func (c *Cache) Find(ctx context.Context, kid string) (jose.Key, error) {
	s, err := c.Ready(ctx)
	if err != nil {
		return jose.Key{}, err
	}
	if key, ok := s.Keys.Key(kid); ok {
		return key, nil
	}
	if kid == "" || !c.mayRefetch(kid, s.Fetched) {
		return jose.Key{}, jose.ErrUnknownKey
	}
	if err := c.fetch(ctx); err != nil {
		return jose.Key{}, err
	}
	if key, ok := c.snapshot.Load().Keys.Key(kid); ok {
		return key, nil
	}
	return jose.Key{}, jose.ErrUnknownKey
}

// mayRefetch spends from the bucket. It counts attempts, not successes, and
// answers at once: over budget, the kid is unknown.
func (c *Cache) mayRefetch(kid string, fetched time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.flight != nil {
		return true // joins the fetch under way
	}
	if at, ok := c.unknown[kid]; ok && now.Sub(at) < refetchEvery && !fetched.After(at) {
		return false
	}
	c.tokens = min(refetchBurst, c.tokens+now.Sub(c.filled).Seconds()/refetchEvery.Seconds())
	c.filled = now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	if len(c.unknown) >= maxUnknown {
		clear(c.unknown)
	}
	c.unknown[kid] = now
	return true
}

// fetchFirst is fetch with a pause between failures, so that an issuer that is
// down is not asked once for each request.
func (c *Cache) fetchFirst(ctx context.Context) error {
	c.mu.Lock()
	wait := c.flight == nil && c.lastFail != nil && c.now().Sub(c.attempt) < retryEvery
	last := c.lastFail
	c.mu.Unlock()
	if wait {
		return last
	}
	return c.fetch(ctx)
}

// fetch joins the fetch under way or begins one. The fetch runs on the cache's
// own time: a caller that gives up does not end it for the others.
func (c *Cache) fetch(ctx context.Context) error {
	c.mu.Lock()
	f := c.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		c.flight = f
		c.ended.Go(func() { c.run(f) })
	}
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

func (c *Cache) run(f *flight) {
	ctx, cancel := context.WithTimeout(c.ctx, fetchTimeout)
	defer cancel()
	s, err := c.load(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flight, c.attempt, c.lastFail = nil, c.now(), nil
	if err != nil {
		f.err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		c.lastFail = f.err
		c.logger.Warn("issuer keys not fetched", "issuer", c.issuer, "cause", err)
	} else {
		c.snapshot.Store(s)
	}
	close(f.done)
}

// start begins the refresh ahead of time, once.
func (c *Cache) start() {
	c.begin.Do(func() { c.ended.Go(c.refresh) })
}

// refresh fetches at half of the time to live, give or take a tenth so that a
// fleet of verifiers does not ask in step.
func (c *Cache) refresh() {
	for {
		pause := defaultTTL / 2
		if s := c.snapshot.Load(); s != nil {
			pause = s.ttl / 2
		}
		pause += time.Duration((rand.Float64() - 0.5) * 0.2 * float64(pause))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
			return
		}
		// A failure keeps the old snapshot; the next round tries again.
		if c.snapshot.Load() != nil && c.fetch(c.ctx) != nil {
			continue
		}
	}
}

// Close ends the background work.
func (c *Cache) Close() error {
	c.stop()
	c.ended.Wait()
	return nil
}

func origin(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q is not a URL", raw)
	}
	return u.Scheme + "://" + u.Host, nil
}
