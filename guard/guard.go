package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/follow"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/jwks"
)

// Bounds and defaults of a Config.
const (
	defaultLeeway    = 30 * time.Second
	maxLeeway        = 60 * time.Second
	defaultCacheSize = 4096
	// The first snapshot of the revocations is waited for this long: by Ready, and
	// by requests, counted from the first of them. After that it counts as stale.
	readyPatience   = 5 * time.Second
	requestPatience = 2 * time.Second
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
	// Logger gets one line for each refusal, and for keys that cannot be had, read
	// or kept. Nil: slog.Default.
	Logger *slog.Logger
	// Leeway is how far clocks may differ: 0 means 30 seconds, at most 60.
	Leeway time.Duration
	// CacheSize is how many verified tokens are remembered: 0 means 4096. Every
	// hit is checked again for expiry and for the key.
	CacheSize int
	// SnapshotFile keeps the issuer's keys on disk, readable by this user alone,
	// so that a restart while the issuer is down can verify, for as long as the
	// process before it could have. One file for each issuer, in a folder that is
	// there. The revocations are kept beside it, in the same name with
	// ".revocations" after it. Empty: both are in memory only.
	SnapshotFile string
	// Reader is this API's client at the issuer: with it guard asks about tokens
	// while the revocation feed is stale (OnStale), and reads a private feed. Zero:
	// nobody is asked, and the feed is read as anyone may.
	Reader Reader
	// CORS lets pages of other origins call the API. Zero: none.
	CORS CORS
	// Profile is what the issuer's tokens look like. Zero: RFC 9068, as Gatehouse
	// issues them.
	Profile Profile
	// InsecureHTTPIssuer allows an issuer of plain http that is not on loopback.
	InsecureHTTPIssuer bool

	// now is the clock of tests.
	now func() time.Time
}

// Reader is a confidential client of the issuer, authenticated by
// client_secret_basic, that is a reader of this API: the issuer tells it whether
// a token is live (RFC 7662 §2.1). It prints without its secret.
type Reader struct{ ClientID, ClientSecret string }

// String hides the secret.
func (r Reader) String() string { return "Reader(" + r.ClientID + ")" }

// GoString hides the secret.
func (r Reader) GoString() string { return r.String() }

// LogValue hides the secret.
func (r Reader) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalJSON hides the secret.
func (r Reader) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// Guard verifies the tokens of one issuer for one API. Safe for concurrent
// use. A nil or zero Guard lets nothing through: it answers 503.
type Guard struct {
	issuer   string
	audience string
	leeway   time.Duration
	logger   *slog.Logger
	now      func() time.Time
	form     form
	cors     *cors  // nil: no page of another origin
	metadata string // where a client finds the metadata, "" when the audience is no URL
	keys     *jwks.Cache
	feed     *follow.Follower
	watches  *watches
	stop     context.CancelFunc
	cache    *cache

	// Of a guard made by Any, by issuer and in order; it has no keys of its own.
	members map[string]*Guard
	order   []*Guard
}

// New checks the whole Config and reports all its faults at once. It does no
// I/O: keys are fetched by the first request, or by Ready.
func New(c Config) (*Guard, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	g := &Guard{issuer: c.Issuer, audience: c.Audience, leeway: c.Leeway, logger: c.Logger, now: c.now, form: forms[c.Profile], cors: newCORS(c.CORS)}
	_, g.metadata, _ = locate(c.Audience)
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
	logger := c.Logger
	if logger == nil {
		logger = slog.Default()
	}
	if err := g.assemble(c, logger); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return g, nil
}

// assemble introduces the keys and the feed to each other: the discovery
// document that leads to the keys leads to the feed, and a fresh feed lets keys
// live longer (C18).
func (g *Guard) assemble(c Config, logger *slog.Logger) (err error) {
	ctx, stop := context.WithCancel(context.Background())
	g.stop, g.watches = stop, newWatches(ctx, g.revoked)
	feed := follow.Config{Issuer: c.Issuer, HTTPClient: c.HTTPClient, Reader: follow.Reader(c.Reader), Now: g.now, Logger: logger, Changed: g.watches.changed, KeysVoid: g.keysVoid}
	if c.SnapshotFile != "" {
		feed.File = jwks.PrivateFile{Path: c.SnapshotFile + ".revocations", MaxBytes: follow.MaxFileBytes}
	}
	if g.feed, err = follow.New(feed); err != nil {
		return err
	}
	if c.KeysURL != "" || c.Profile != RFC9068 {
		g.feed.None() // no discovery, or tokens of a product that has no feed
	}
	g.keys, err = jwks.New(jwks.Config{Issuer: c.Issuer, KeysURL: c.KeysURL, HTTPClient: c.HTTPClient, SnapshotFile: c.SnapshotFile,
		Discovered: g.discovered, FeedFresh: g.feed.Fresh, Now: g.now, Logger: logger})
	return err
}

// keysVoid ends keys that the issuer took back for good, also when their
// revocation is forgotten.
func (g *Guard) keysVoid() { g.keys.Void() }

func (g *Guard) discovered(m jwks.Metadata) {
	if g.form.feeds {
		g.feed.Found(follow.Places{Feed: m.Feed, Keys: m.FeedKeys, Introspection: m.Introspection})
	}
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
	if (c.Reader.ClientID == "") != (c.Reader.ClientSecret == "") {
		fault("Reader needs both ClientID and ClientSecret, or neither")
	}
	if c.CacheSize < 0 {
		fault("CacheSize is negative")
	}
	if _, known := forms[c.Profile]; !known {
		fault("Profile %d is not one of RFC9068, Auth0, Keycloak and Entra", int(c.Profile))
	}
	if err := c.CORS.check(); err != nil {
		faults = append(faults, err)
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

// Ready fetches the issuer's keys and, where it has a feed of revocations, waits
// for their first snapshot, for a readiness check; of a guard made by Any, those
// of every issuer. ErrUnavailable when they cannot be had.
func (g *Guard) Ready(ctx context.Context) error {
	if !g.usable() {
		return ErrUnavailable
	}
	var faults []error
	for _, member := range g.each() {
		member.feed.Start()
		_, err := member.keys.Ready(ctx)
		if err == nil {
			err = member.feed.Wait(ctx, readyPatience)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: %w", ErrUnavailable, err))
		}
	}
	return errors.Join(faults...)
}

// Close ends the background work. A closed Guard must not be used any more.
func (g *Guard) Close() error {
	if !g.usable() {
		return nil
	}
	var faults []error
	for _, member := range g.each() {
		member.stop()
		faults = append(faults, member.feed.Close(), member.keys.Close())
		member.watches.ended.Wait()
	}
	return errors.Join(faults...)
}

// Verify checks a token for transports other than HTTP headers. While its
// revocations are not known it decides as StaleDefault does for an unsafe
// method. The error is one of this package's, with the reason wrapped.
func (g *Guard) Verify(ctx context.Context, raw string) (Caller, error) {
	c, err := g.VerifyUnconfirmed(ctx, raw)
	if err == nil {
		err = g.Confirm(ctx, c, raw, StaleDefault)
	}
	if err != nil {
		return Caller{}, err
	}
	return c, nil
}

// VerifyUnconfirmed is Verify without the question whether revocations are known
// right now: for whoever finds out only afterwards what the route wants then,
// and calls Confirm. Revocations that are known are honoured.
func (g *Guard) VerifyUnconfirmed(ctx context.Context, raw string) (Caller, error) {
	if !g.usable() {
		return Caller{}, refuse(ErrUnavailable)
	}
	if raw == "" {
		return Caller{}, ErrNoToken
	}
	digest := digestOf(raw)
	v, ok := g.cached(digest)
	var err error
	if !ok {
		v, err = g.verify(ctx, raw, digest)
	}
	if err == nil {
		// Never cached past this step (C17).
		err = v.by.revoked(v)
	}
	if errors.Is(err, jwks.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return Caller{}, refuse(err)
	}
	return Caller{v}, nil
}

// cached looks the token up with each guard that may have verified it.
func (g *Guard) cached(digest [32]byte) (*verified, bool) {
	if g.members == nil {
		return g.hit(digest)
	}
	for _, member := range g.order {
		if v, ok := member.hit(digest); ok {
			return v, true
		}
	}
	return nil, false
}

// verify finds the guard for the token and lets it judge.
func (g *Guard) verify(ctx context.Context, raw string, digest [32]byte) (*verified, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return nil, err
	}
	member, err := g.pick(t)
	if err != nil {
		return nil, err
	}
	v, err := member.accept(ctx, t)
	if err != nil {
		return nil, err
	}
	member.cache.put(digest, v)
	return v, nil
}

// hit finds a token in the cache, and counts only if the key that verified the token is still the
// issuer's, and the times still hold (C17). Authorization is never cached.
func (g *Guard) hit(digest [32]byte) (*verified, bool) {
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

// accept is the whole acceptance of RFC 9068 §4, or of the profile. The header and the claims are
// compared with what we expect before an unknown kid may cause a fetch, so
// that garbage costs the issuer nothing; a signature that can be checked is
// judged before anything the unsigned text says.
func (g *Guard) accept(ctx context.Context, t jose.Token) (*verified, error) {
	g.feed.Start()
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
	v, err := g.form.readAll(claims, key, g.audience)
	if err != nil {
		return nil, err
	}
	v.by = g
	// Whoever comes first waits a moment for the revocations: a restart must not
	// let in what was revoked. Whether they came is for OnStale to judge.
	if !g.feed.Calm() {
		g.feed.WaitWhole(ctx, requestPatience)
	}
	return v, nil
}
