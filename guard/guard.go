package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
)

// Bounds and defaults of a Config.
const (
	defaultLeeway    = 30 * time.Second
	maxLeeway        = 60 * time.Second
	defaultCacheSize = 4096
)

// Config of a Guard. Issuer and Audience are required; the zero value of
// everything else is the safe choice.
type Config struct {
	// Issuer is the authorization server, exactly as in the `iss` claim.
	Issuer string
	// Audience is this API, exactly as in the `aud` claim.
	Audience string
	// KeysURL is the issuer's key set, where its name cannot be reached from
	// here. Empty: found by discovery.
	KeysURL string
	// HTTPClient fetches the keys. Nil: a client of our own with a timeout.
	HTTPClient *http.Client
	// Logger gets one line for each refusal. Nil: slog.Default.
	Logger *slog.Logger
	// Leeway is how far clocks may differ: 0 means 30 seconds, at most 60.
	Leeway time.Duration
	// CacheSize is how many verified tokens are remembered: 0 means 4096. Every
	// hit is checked again for expiry and for the key.
	CacheSize int
	// SnapshotFile keeps the issuer's keys on disk, readable by this user alone,
	// so that a restart while the issuer is down can verify, for as long as the
	// process before it could have. Empty: keys are in memory only.
	SnapshotFile string
	// Profile is what the issuer's tokens look like. Zero: RFC 9068, as Gatehouse
	// issues them.
	Profile Profile
	// InsecureHTTPIssuer allows an issuer of plain http that is not on loopback.
	InsecureHTTPIssuer bool

	// now is the clock of tests.
	now func() time.Time
}

// Guard verifies the tokens of one issuer for one API. Safe for concurrent
// use. A nil or zero Guard lets nothing through: it answers 503.
type Guard struct {
	issuer   string
	audience string
	leeway   time.Duration
	logger   *slog.Logger
	now      func() time.Time
	form     form
	keys     *jwks.Cache
	cache    *cache
}

// New checks the whole Config and reports all its faults at once. It does no
// I/O: keys are fetched by the first request, or by Ready.
func New(c Config) (*Guard, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	g := &Guard{issuer: c.Issuer, audience: c.Audience, leeway: c.Leeway, logger: c.Logger, now: c.now, form: forms[c.Profile]}
	if g.leeway == 0 {
		g.leeway = defaultLeeway
	}
	if g.now == nil {
		g.now = time.Now
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	g.cache = newCache(c.CacheSize)
	var err error
	g.keys, err = jwks.New(jwks.Config{Issuer: c.Issuer, KeysURL: c.KeysURL, HTTPClient: c.HTTPClient, SnapshotFile: c.SnapshotFile, Now: g.now, Logger: c.Logger})
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return g, nil
}

func (c Config) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("guard: "+format, args...)) }
	if c.Issuer == "" {
		fault("Issuer is required: the authorization server's URL, such as https://auth.example.com")
	} else if err := c.checkURL(c.Issuer); err != nil {
		fault("Issuer %w", err)
	}
	if c.Audience == "" {
		fault("Audience is required: this API's identifier, as in the tokens' aud claim")
	}
	if c.KeysURL != "" {
		if err := c.checkURL(c.KeysURL); err != nil {
			fault("KeysURL %w", err)
		}
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		fault("Leeway is %s; it may be 0 (for %s) to %s", c.Leeway, defaultLeeway, maxLeeway)
	}
	if c.CacheSize < 0 {
		fault("CacheSize is negative")
	}
	if _, known := forms[c.Profile]; !known {
		fault("Profile %d is not one of RFC9068, Auth0, Keycloak and Entra", int(c.Profile))
	}
	return errors.Join(faults...)
}

func (c Config) checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not a URL such as https://auth.example.com", raw)
	}
	switch {
	case u.Scheme == "https" || u.Scheme == "http" && (c.InsecureHTTPIssuer || loopback(u.Hostname())):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("%q is plain http on another host: anyone between here and there could hand out keys. Use https", raw)
	}
	return fmt.Errorf("%q is not an https URL", raw)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// Ready fetches the issuer's keys, for a readiness check. ErrUnavailable when
// they cannot be had.
func (g *Guard) Ready(ctx context.Context) error {
	if g == nil || g.keys == nil {
		return ErrUnavailable
	}
	if _, err := g.keys.Ready(ctx); err != nil {
		return errors.Join(ErrUnavailable, err)
	}
	return nil
}

// Close ends the background work. A closed Guard must not be used any more.
func (g *Guard) Close() error {
	if g == nil || g.keys == nil {
		return nil
	}
	return g.keys.Close()
}

// Verify checks a token for transports other than HTTP headers. The error is
// one of this package's, with the reason wrapped.
func (g *Guard) Verify(ctx context.Context, raw string) (Caller, error) {
	if g == nil || g.keys == nil {
		return Caller{}, refuse(ErrUnavailable)
	}
	if raw == "" {
		return Caller{}, ErrNoToken
	}
	digest := digestOf(raw)
	if v, ok := g.cached(digest); ok {
		return Caller{v}, nil
	}
	v, err := g.verify(ctx, raw)
	if errors.Is(err, jwks.ErrUnavailable) {
		err = errors.Join(ErrUnavailable, err)
	}
	if err != nil {
		return Caller{}, refuse(err)
	}
	g.cache.put(digest, v)
	return Caller{v}, nil
}

// cached is a hit only if the key that verified the token is still the
// issuer's, and the times still hold (C17). Authorization is never cached.
func (g *Guard) cached(digest [32]byte) (*verified, bool) {
	v, ok := g.cache.get(digest)
	if !ok {
		return nil, false
	}
	s := g.keys.Current()
	if s == nil {
		return nil, false
	}
	key, ok := s.Keys.Key(v.key.ID())
	if !ok || !key.Equal(v.key) {
		return nil, false
	}
	now := g.now()
	if !now.Before(v.claims.Expires.Add(g.leeway)) || v.claims.NotBefore.After(now.Add(g.leeway)) {
		return nil, false
	}
	return v, true
}

// verify is the whole acceptance of RFC 9068 §4, or of the profile. The header and the claims are
// compared with what we expect before an unknown kid may cause a fetch, so
// that garbage costs the issuer nothing; a signature that can be checked is
// judged before anything the unsigned text says.
func (g *Guard) verify(ctx context.Context, raw string) (*verified, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return nil, err
	}
	s, err := g.keys.Ready(ctx)
	if err != nil {
		return nil, err
	}
	key, known := s.Keys.Key(t.KeyID())
	if known {
		if err := t.Verify(key); err != nil {
			return nil, err
		}
	}
	claims, err := t.Claims()
	if err != nil {
		return nil, err
	}
	expect := jose.Expect{Type: g.form.expected(t.Type()), Issuer: g.issuer, Audience: g.audience, Now: g.now(), Leeway: g.leeway}
	if err := expect.Check(t, claims); err != nil {
		return nil, err
	}
	if !known {
		if !t.Algorithm().Asymmetric() {
			return nil, fmt.Errorf("%w: got %q", jose.ErrAlgorithm, t.Algorithm())
		}
		if key, err = g.keys.Find(ctx, t.KeyID()); err != nil {
			return nil, err
		}
		if err := t.Verify(key); err != nil {
			return nil, err
		}
	}
	return g.form.readAll(claims, key, g.audience)
}
