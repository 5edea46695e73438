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
	// staleAlone is how long keys may be used past their time to live that could
	// not be refreshed, without a fresh revocation feed; staleFed is with one, which
	// would say that a key was taken back (C18).
	staleAlone = time.Hour
	staleFed   = 24 * time.Hour
	// fetchTimeout bounds one fetch, discovery and keys together.
	fetchTimeout = 5 * time.Second
	// An unknown kid may cause refetchBurst fetches at once and then one every
	// refetchEvery: random kids must not make us a hammer on the issuer.
	refetchEvery = 10 * time.Second
	refetchBurst = 2
	// retryEvery is the pause between attempts that requests cause while there are
	// no keys at all.
	retryEvery = time.Second
	// After a failure the background tries again after retryFirst, then after
	// twice as long each time, up to retryMost.
	retryFirst = 5 * time.Second
	retryMost  = time.Minute
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
	Lazy bool
	// SnapshotFile keeps the last fetched keys on disk, for a restart while the
	// issuer cannot be reached. Empty: in memory only.
	SnapshotFile string
	// Discovered is told what the discovery document says beside the keys, each
	// time that it was read. It must not wait. Nil: nobody is.
	Discovered func(Metadata)
	// FeedFresh tells whether a key that was taken back would be known to be, so
	// that keys may be used for longer without a refresh (C18). Nil: it would not.
	FeedFresh func() bool
	Now       func() time.Time
	Logger    *slog.Logger
}

// Metadata is what a discovery document says that others than this package
// use. Nothing in it is checked; a member that is absent, or not text, is "".
type Metadata struct {
	Feed          string `json:"feed,omitempty"`          // revocation_feed_endpoint
	FeedKeys      string `json:"feed_keys,omitempty"`     // revocation_feed_jwks_uri
	Introspection string `json:"introspection,omitempty"` // introspection_endpoint (RFC 8414 §2)
}

// Cache holds the keys of one issuer. Safe for concurrent use.
type Cache struct {
	issuer  string
	keysURL string
	lazy    bool
	file    string
	client  *http.Client
	told    func(Metadata)
	fed     func() bool
	now     func() time.Time
	logger  *slog.Logger

	snapshot atomic.Pointer[Snapshot]
	epoch    atomic.Uint64 // moves with each Void
	begin    sync.Once
	settled  chan struct{} // a fetch has ended: plan the next one anew
	saving   sync.Mutex
	stop     context.CancelFunc
	ctx      context.Context
	ended    sync.WaitGroup

	mu       sync.Mutex
	flight   *flight // the fetch under way, nil: none
	tokens   float64 // of the refetch bucket
	filled   time.Time
	unknown  map[string]time.Time // kids that were looked for, and when
	attempt  time.Time            // when the last fetch ended
	lastFail error                // of the last fetch, nil: it brought keys
	failures int                  // since the last success
}

// Snapshot is an immutable key set and when it was fetched.
type Snapshot struct {
	Keys    jose.KeySet
	Fetched time.Time
	ttl     time.Duration
	// generation when the fetch began, and what the discovery document said, nil
	// where none was read.
	generation uint64
	metadata   *Metadata
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
	cache := &Cache{issuer: c.Issuer, keysURL: c.KeysURL, lazy: c.Lazy, file: c.SnapshotFile, client: sameOrigin(c.HTTPClient),
		told: c.Discovered, fed: c.FeedFresh, now: c.Now, logger: c.Logger,
		tokens: refetchBurst, unknown: map[string]time.Time{}, settled: make(chan struct{}, 1)}
	if cache.now == nil {
		cache.now = time.Now
	}
	if cache.told == nil {
		cache.told = func(Metadata) {}
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
	if s == nil || s.generation != c.epoch.Load() || !c.usable(c.now().Sub(s.Fetched), s.ttl) {
		return nil
	}
	return s
}

// usable tells whether keys of an age may still verify (C18).
func (c *Cache) usable(age, ttl time.Duration) bool {
	return age <= ttl+staleAlone || age <= ttl+c.maxStale()
}

// maxStale is how long keys are good past their time to live: 24 hours while a
// revocation feed is fresh, because then a key that was taken back is known to
// be, otherwise an hour (C18).
func (c *Cache) maxStale() time.Duration {
	if c.fed != nil && c.fed() {
		return staleFed
	}
	return staleAlone
}

// Void says that the issuer took a key back, or all of them: what was fetched
// before counts no more, in memory and on disk, and is fetched again past every
// cache. A revocation is forgotten when the tokens that the issuer signed have
// expired; who has stolen the key signs new ones.
func (c *Cache) Void() {
	c.epoch.Add(1)
	if c.file != "" {
		c.saving.Lock()
		PrivateFile{Path: c.file}.Remove()
		c.saving.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastFail = nil // a failure of before is no reason to wait
	if c.ctx.Err() == nil {
		c.ended.Go(func() { c.fetch(c.ctx) })
	}
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
	err := c.fetchFirst(ctx)
	// Also after a failure: keys from the disk or stale ones are better than none,
	// for as long as C18 says.
	if s := c.Current(); s != nil {
		return s, nil
	}
	if err == nil {
		err = ErrUnavailable
	}
	return nil, err
}

// Find returns a key by kid. A kid that is not in the snapshot causes at most
// one bounded refetch, after which the same request is answered from the new
// snapshot. jose.ErrUnknownKey when the issuer does not have it,
// ErrUnavailable when that cannot be known now.
func (c *Cache) Find(ctx context.Context, kid string) (jose.Key, error) {
	s, err := c.Ready(ctx)
	if err != nil {
		return jose.Key{}, err
	}
	if key, ok := s.Keys.Key(kid); ok {
		return key, nil
	}
	if kid == "" {
		return jose.Key{}, jose.ErrUnknownKey
	}
	if err := c.spend(kid); err != nil {
		return jose.Key{}, err
	}
	if err := c.fetch(ctx); err != nil {
		return jose.Key{}, err
	}
	if key, ok := c.snapshot.Load().Keys.Key(kid); ok {
		return key, nil
	}
	return jose.Key{}, jose.ErrUnknownKey
}

// spend takes a fetch for an unknown kid from the bucket. It counts attempts,
// not successes, and answers at once: over budget, or looked for a moment ago,
// the kid is unknown. After a fetch that failed nothing is known about it.
func (c *Cache) spend(kid string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight != nil {
		return nil // joins the fetch under way
	}
	now := c.now()
	c.tokens = min(refetchBurst, c.tokens+now.Sub(c.filled).Seconds()/refetchEvery.Seconds())
	c.filled = now
	at, looked := c.unknown[kid]
	if looked && now.Sub(at) < refetchEvery || c.tokens < 1 {
		if c.lastFail != nil {
			return c.lastFail
		}
		return jose.ErrUnknownKey
	}
	c.tokens--
	c.remember(kid, now)
	return nil
}

// remember keeps the newest maxUnknown kids that were looked for.
func (c *Cache) remember(kid string, now time.Time) {
	if len(c.unknown) >= maxUnknown {
		var oldest string
		for other, at := range c.unknown {
			if oldest == "" || at.Before(c.unknown[oldest]) {
				oldest = other
			}
		}
		delete(c.unknown, oldest)
	}
	c.unknown[kid] = now
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
	if err != nil && c.ctx.Err() == nil { // not because we are closing
		c.logger.Warn("issuer keys not fetched", "issuer", c.issuer, "cause", err)
		c.restore()
	}
	c.settle(f, s, err)
	if err == nil {
		c.save()
	}
}

// settle ends a flight with the keys that it brought, or with its failure.
func (c *Cache) settle(f *flight, s *Snapshot, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flight, c.attempt, c.lastFail = nil, c.now(), nil
	if err != nil {
		f.err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		c.lastFail = f.err
		c.failures++
	} else {
		c.failures = 0
		c.snapshot.Store(s)
	}
	close(f.done)
	select {
	case c.settled <- struct{}{}:
	default:
	}
}

// start begins the refresh ahead of time, once.
func (c *Cache) start() {
	c.begin.Do(func() { c.ended.Go(c.refresh) })
}

// refresh fetches ahead of time, and soon again after a failure, which keeps
// the old snapshot. Each issuer has a refresh of its own, so that one that is
// down delays no other.
func (c *Cache) refresh() {
	for {
		timer := time.NewTimer(c.pause())
		select {
		case <-timer.C:
			c.fetch(c.ctx)
		case <-c.settled:
			timer.Stop()
		case <-c.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// pause until the next fetch: half of the time to live, give or take a tenth so
// that a fleet of verifiers does not ask in step.
func (c *Cache) pause() time.Duration {
	pause := defaultTTL / 2
	if s := c.snapshot.Load(); s != nil {
		pause = s.ttl / 2
	}
	c.mu.Lock()
	if c.failures > 0 {
		pause = min(pause, retryMost, retryFirst<<min(c.failures-1, 10))
	}
	c.mu.Unlock()
	return pause + time.Duration((rand.Float64()-0.5)*0.2*float64(pause))
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
