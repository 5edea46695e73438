package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/textproto"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

// Bounds and defaults that a policy may change.
const (
	defaultBody = 10 << 20
	// rememberTokens is how many verified tokens are kept at hand.
	rememberTokens = 32 << 10
)

// leeway is guard's default: how far clocks may differ.
const leeway = 30e9

// rules are a policy and all that is made of it. They are replaced as a whole.
type rules struct {
	policy          *policy.Policy
	guard           *guard.Guard
	algorithms      map[string][]string // by issuer; none: all that guard takes
	upstream        *url.URL            // nil: forward-auth only
	proxy           *httputil.ReverseProxy
	trusted         []netip.Prefix
	headers         []policy.Header
	claims          []string        // that routes compare with requests
	identity        *Identity       // nil: no signed identity
	identityHeaders []string        // canonical names of all that the gateway may set
	identityNames   map[string]bool // the same, for looking up
	identityFolded  map[string]bool // the same, folded
	own             map[string]ownPath
	metadata        map[string]http.Handler
	challenge       string // address of the metadata, for refusals
	body            int64
	perSubject      *limiter
	perClient       *limiter
	asks            map[string]bool // issuers that can be asked about a token
	seen            *memory
}

// ownPath is a path that the gateway itself answers.
type ownPath int

const (
	_ ownPath = iota
	ownForwardAuth
	ownHealth
	ownReady
	ownMetadata
	ownIdentityKeys
)

// compile reads a policy and makes everything that it asks for. What did not
// change is taken over from the rules before: keys, connections, counters.
func (g *Gateway) compile(text []byte, name string, old *rules) (*rules, error) {
	p, err := policy.Parse(name, text)
	if err != nil {
		return nil, err
	}
	r := &rules{policy: p, headers: p.IdentityHeaders(), claims: p.Claims(), body: p.Limits().Body, algorithms: map[string][]string{}, asks: map[string]bool{}, seen: newMemory(rememberTokens)}
	if r.body == 0 {
		r.body = defaultBody
	}
	for _, t := range p.Tokens() {
		r.algorithms[t.Issuer] = t.Algorithms
		r.asks[t.Issuer] = g.readerOf(t.Issuer) != (guard.Reader{})
	}
	if g.config.Reader != (guard.Reader{}) && len(p.Tokens()) > 1 {
		return nil, errors.New("a client for introspection is one issuer's, and the policy takes tokens of several")
	}
	for _, route := range p.Routes() {
		if route.OnStale == policy.StaleIntrospect && !g.canAsk(p.Tokens()) {
			return nil, fmt.Errorf("%s:%d: on_stale: introspect needs a client that may ask every issuer of the policy: give --reader-id and --reader-secret-file", p.File(), route.Line)
		}
	}
	if g.config.BFF != nil {
		if _, err := g.bffIssuer(p.Tokens()); err != nil {
			return nil, err
		}
	}
	if err := g.compileUpstream(r, old); err != nil {
		return nil, err
	}
	if err := g.compileProxies(r); err != nil {
		return nil, err
	}
	if err := g.compileIdentity(r); err != nil {
		return nil, err
	}
	r.perSubject, r.perClient = newLimiter(p.Limits().PerSubject, g.now), newLimiter(p.Limits().PerClient, g.now)
	if old != nil && old.policy.Limits() == p.Limits() {
		r.perSubject, r.perClient = old.perSubject, old.perClient
	}
	if old != nil && sameTokens(old.policy, p) {
		r.guard = old.guard
	} else if r.guard, err = g.newGuard(p.Tokens()); err != nil {
		return nil, err
	}
	return r, g.compileOwn(r)
}

// audienceOf is what tokens of an issuer must be for.
func (r *rules) audienceOf(issuer string) string {
	for _, t := range r.policy.Tokens() {
		if t.Issuer == issuer {
			return t.Audience
		}
	}
	return ""
}

// sameTokens tells whether two policies take the same tokens; lines do not count.
func sameTokens(a, b *policy.Policy) bool {
	bare := func(p *policy.Policy) []policy.Token {
		all := p.Tokens()
		for i := range all {
			all[i].Line, all[i].Algorithms = 0, nil
		}
		return all
	}
	return reflect.DeepEqual(bare(a), bare(b))
}

func (g *Gateway) compileUpstream(r, old *rules) error {
	address := g.config.Upstream
	if address == "" {
		address = r.policy.Upstream()
	}
	if address == "" {
		if g.config.ForwardAuth == (Carrier{}) {
			return ErrNothingToDo
		}
		return nil
	}
	var err error
	if r.upstream, err = ParseUpstream(address); err != nil {
		return err
	}
	if old != nil && old.proxy != nil && *old.upstream == *r.upstream {
		r.proxy = old.proxy
		return nil
	}
	r.proxy = g.newProxy(r.upstream, g.config.Timeout)
	return nil
}

// ParseUpstream reads the address of an upstream: scheme, host and port. It has
// no path, because what is decided about is what is forwarded.
func ParseUpstream(address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || !slices.Contains([]string{schemeHTTP, schemeHTTPS, schemeH2C}, u.Scheme) {
		return nil, fmt.Errorf("the upstream %q is not of the form http://HOST:PORT, https://HOST:PORT or h2c://HOST:PORT, without a path", address)
	}
	return u, nil
}

func (g *Gateway) compileProxies(r *rules) error {
	r.trusted = slices.Concat(g.config.TrustedProxies, r.policy.TrustedProxies(), r.policy.ForwardAuth().TrustedProxies)
	for _, p := range r.trusted {
		if p.Bits() == 0 {
			return fmt.Errorf("trusted proxy %s is everybody, who could then say who called", p)
		}
	}
	if len(r.trusted) > 0 {
		return nil
	}
	if g.config.ForwardAuth != (Carrier{}) {
		return errors.New("forward-auth needs trusted proxies: name the addresses that may ask, with --trusted-proxy or with forward_auth.trusted_proxies in the policy")
	}
	if g.config.ProxiesOnly {
		return errors.New("a listener without TLS that other machines can reach needs trusted proxies: name them with --trusted-proxy or with trusted_proxies in the policy")
	}
	return nil
}

func (r *rules) trusts(a netip.Addr) bool {
	for _, p := range r.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func (g *Gateway) compileIdentity(r *rules) error {
	r.identityNames, r.identityFolded = map[string]bool{}, map[string]bool{fold(IdentityHeader): true}
	for i, h := range r.headers {
		name := textproto.CanonicalMIMEHeaderKey(h.Name)
		if !settable(name) {
			return fmt.Errorf("%s:%d: %s cannot carry an identity: a header of letters, digits and hyphens that has no other meaning can, such as X-User-Id", r.policy.File(), h.Line, h.Name)
		}
		r.headers[i].Name = name
		r.identityHeaders = append(r.identityHeaders, name)
		r.identityNames[name], r.identityFolded[fold(name)] = true, true
	}
	signed := r.policy.Identity()
	if !signed.JWT {
		return nil
	}
	audience := signed.Audience
	if audience == "" && r.upstream != nil {
		audience = r.upstream.String()
	}
	switch {
	case audience == "":
		return errors.New("identity_jwt needs an audience where there is no upstream: identity_jwt: { audience: https://api.internal }")
	case g.config.Data == "" || g.config.IdentityIssuer == "":
		return errors.New("identity_jwt needs a key and a name of the gateway's own: give --data FOLDER and --identity-issuer URL")
	}
	for _, t := range r.policy.Tokens() {
		if t.Issuer == g.config.IdentityIssuer {
			return fmt.Errorf("the identity issuer %s is that of an authorization server; the gateway needs a name of its own", t.Issuer)
		}
	}
	var err error
	r.identity, err = OpenIdentity(g.config.Data, g.config.IdentityIssuer, audience)
	r.identityHeaders = append(r.identityHeaders, IdentityHeader)
	return err
}

var profiles = map[string]guard.Profile{"rfc9068": guard.RFC9068, "auth0": guard.Auth0, "keycloak": guard.Keycloak, "entra": guard.Entra}

// newGuard makes a guard of every issuer's.
func (g *Gateway) newGuard(tokens []policy.Token) (*guard.Guard, error) {
	var all []*guard.Guard
	for _, t := range tokens {
		c := guard.Config{HTTPClient: g.config.client, Reader: g.readerOf(t.Issuer), Issuer: t.Issuer, Audience: t.Audience, KeysURL: t.KeysURL, Profile: profiles[t.Profile], Logger: g.logger, CacheSize: rememberTokens}
		if g.config.Data != "" {
			digest := sha256.Sum256([]byte(t.Issuer))
			c.SnapshotFile = filepath.Join(g.config.Data, "issuer-keys-"+hex.EncodeToString(digest[:8])+".json")
		}
		made, err := guard.New(c)
		if err != nil {
			return nil, fmt.Errorf("tokens of %s: %w", t.Issuer, err)
		}
		all = append(all, made)
	}
	if len(all) == 0 {
		return nil, errors.New("the policy takes no tokens: name an issuer and an audience under tokens")
	}
	return guard.Any(all...)
}

// readerOf is who asks an issuer about tokens while revocations are not known:
// the client that is configured for it, or the BFF's own at its issuer.
func (g *Gateway) readerOf(issuer string) guard.Reader {
	switch {
	case g.config.Reader != (guard.Reader{}):
		return g.config.Reader
	case g.config.BFF != nil && g.config.BFF.ClientID != "" && g.config.BFF.ClientSecret != "" && (g.config.BFF.Issuer == issuer || g.config.BFF.Issuer == ""):
		return guard.Reader{ClientID: g.config.BFF.ClientID, ClientSecret: g.config.BFF.ClientSecret}
	}
	return guard.Reader{}
}

func (g *Gateway) canAsk(tokens []policy.Token) bool {
	for _, t := range tokens {
		if g.readerOf(t.Issuer) == (guard.Reader{}) {
			return false
		}
	}
	return true
}

// compileOwn lists the paths that the gateway answers itself. A route of the
// policy with exactly such a path wins for health and readiness: many APIs have
// their own.
func (g *Gateway) compileOwn(r *rules) error {
	r.own = map[string]ownPath{"/healthz": ownHealth, "/readyz": ownReady}
	for _, route := range r.policy.Routes() {
		if r.proxy != nil {
			delete(r.own, route.Pattern)
		}
	}
	if g.config.ForwardAuth != (Carrier{}) {
		r.own[ForwardAuthPath] = ownForwardAuth
	}
	if r.identity != nil {
		r.own[IdentityKeysPath] = ownIdentityKeys
	}
	r.metadata = map[string]http.Handler{}
	byAudience := map[string][]string{}
	for _, t := range r.policy.Tokens() {
		byAudience[t.Audience] = append(byAudience[t.Audience], t.Issuer)
	}
	for audience, issuers := range byAudience {
		path, address, ok := place(audience)
		if !ok {
			continue
		}
		r.own[path] = ownMetadata
		r.metadata[path] = describe(audience, issuers, r.policy.Scopes())
		if len(byAudience) == 1 {
			r.challenge = address
		}
	}
	return nil
}
