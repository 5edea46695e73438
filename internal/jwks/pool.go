package jwks

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// maxSets bounds how many key sets a pool keeps.
const maxSets = 1024

// PoolConfig of a Pool. HTTPClient is required: the addresses come from
// strangers, so it must be a guarded one (C34).
type PoolConfig struct {
	HTTPClient *http.Client
	Now        func() time.Time
	Logger     *slog.Logger
}

// Pool holds the key sets that clients publish, by address, each with the
// bounds of a Cache. Nothing is fetched before it is asked for. Safe for
// concurrent use.
type Pool struct {
	config PoolConfig

	mu   sync.Mutex
	sets map[string]*pooled
	uses int64
}

type pooled struct {
	cache *Cache
	used  int64
}

// NewPool makes an empty pool. It does no I/O.
func NewPool(c PoolConfig) (*Pool, error) {
	if c.HTTPClient == nil {
		return nil, errors.New("jwks: HTTPClient is required")
	}
	return &Pool{config: c, sets: map[string]*pooled{}}, nil
}

// Key finds a key of the set at uri. Without a kid it is the only key of the
// set. jose.ErrUnknownKey when there is none such, ErrUnavailable when the set
// cannot be had.
func (p *Pool) Key(ctx context.Context, uri, kid string) (jose.Key, error) {
	c, err := p.cache(uri)
	if err != nil {
		return jose.Key{}, err
	}
	if kid != "" {
		return c.Find(ctx, kid)
	}
	s, err := c.Ready(ctx)
	if err != nil {
		return jose.Key{}, err
	}
	if s.Keys.Len() != 1 {
		return jose.Key{}, jose.ErrUnknownKey
	}
	return s.Keys.Keys()[0], nil
}

func (p *Pool) cache(uri string) (*Cache, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses++
	if known, ok := p.sets[uri]; ok {
		known.used = p.uses
		return known.cache, nil
	}
	c, err := New(Config{Issuer: uri, KeysURL: uri, HTTPClient: p.config.HTTPClient, Lazy: true, Now: p.config.Now, Logger: p.config.Logger})
	if err != nil {
		return nil, err
	}
	if len(p.sets) >= maxSets {
		p.evict()
	}
	p.sets[uri] = &pooled{cache: c, used: p.uses}
	return c, nil
}

// evict forgets the set that was asked for longest ago. Whoever waits for it
// still gets its answer: a fetch under way ends by its own deadline.
func (p *Pool) evict() {
	var oldest string
	for uri, s := range p.sets {
		if oldest == "" || s.used < p.sets[oldest].used {
			oldest = uri
		}
	}
	delete(p.sets, oldest)
}

// Close ends the fetches under way.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for uri, s := range p.sets {
		errs = append(errs, s.cache.Close())
		delete(p.sets, uri)
	}
	return errors.Join(errs...)
}
