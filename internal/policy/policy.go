package policy

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Policy is a policy file that was read and found without fault. It is
// immutable and safe for concurrent use.
type Policy struct {
	file     string
	tokens   []Token
	roles    []string
	upstream string
	headers  []Header
	identity Identity
	forward  ForwardAuth
	proxies  []netip.Prefix
	limits   Limits
	cors     *CORS
	routes   []*Route
	tree     *node
}

// Token is whose tokens are taken.
type Token struct {
	Issuer     string
	Audience   string
	KeysURL    string   // empty: found by discovery
	Profile    string   // rfc9068, auth0, keycloak or entra
	Algorithms []string // none: all that the verifier knows
	Line       int
}

// Header is a header for the upstream and where its value comes from.
type Header struct {
	Name string
	From string // "token." and a claim
	Line int
}

// Claim is the claim that fills the header.
func (h Header) Claim() string { return strings.TrimPrefix(h.From, "token.") }

// Identity is how the upstream learns who calls, beside headers.
type Identity struct {
	JWT      bool   // send Gatehouse-Identity (C25)
	Audience string // its aud; empty: the upstream's URL
}

// ForwardAuth is for proxies that ask before they forward. Without trusted
// proxies it is off.
type ForwardAuth struct{ TrustedProxies []netip.Prefix }

// Limits of the gateway; 0 is the gateway's default.
type Limits struct {
	PerSubject int   // requests a second
	PerClient  int   // requests a second
	Body       int64 // bytes
}

// CORS is which pages of other origins may call a route.
type CORS struct {
	Origins []string
	Headers []string
	Expose  []string
	MaxAge  time.Duration
}

// Route is one entry of `routes`.
type Route struct {
	File          string
	Line          int
	Methods       []string
	Pattern       string
	Scopes        []string // all of them, of the token's own (C6)
	Roles         []string // any of them, a further condition
	Where         []Equality
	MaxTokenAge   time.Duration // since the token was issued; 0: any
	Public        bool
	Sensitive     bool
	OnStale       string // allow, introspect, deny, or "" for the default
	Shadow        bool
	CORS          *CORS // nil: the policy's, if it has one
	ForwardToken  bool  // Authorization reaches the upstream (C36)
	ForwardCookie bool  // Cookie reaches the upstream (C36)

	scope    string
	segments []segment
	slash    bool
	broken   bool // its pattern has a fault
}

// Equality is one line of `where`: a claim equals a value of the request.
type Equality struct {
	Claim string
	From  string // path or query
	Name  string
	index int // of the path's segment
}

func (e Equality) String() string { return "token." + e.Claim + " = " + e.From + "." + e.Name }

// String is the route as it is written: "POST,PUT /orders/**".
func (r *Route) String() string { return strings.Join(r.Methods, ",") + " " + r.Pattern }

// Scope is what a token needs, as in a challenge: scopes with spaces between.
func (r *Route) Scope() string { return r.scope }

// File is the name that Parse was given.
func (p *Policy) File() string { return p.file }

// Tokens are the issuers whose tokens are taken.
func (p *Policy) Tokens() []Token { return slices.Clone(p.tokens) }

// Upstream is the URL of what is protected, empty where the policy has none.
func (p *Policy) Upstream() string { return p.upstream }

// IdentityHeaders are the headers that the upstream gets.
func (p *Policy) IdentityHeaders() []Header { return slices.Clone(p.headers) }

// Identity is the signed identity for the upstream.
func (p *Policy) Identity() Identity { return p.identity }

// ForwardAuth is the section forward_auth.
func (p *Policy) ForwardAuth() ForwardAuth { return p.forward }

// TrustedProxies may say by X-Forwarded-For who called them; none by default.
func (p *Policy) TrustedProxies() []netip.Prefix { return slices.Clone(p.proxies) }

// Limits is the section limits.
func (p *Policy) Limits() Limits { return p.limits }

// Routes are all routes, in the order of the file. They are not to be changed.
func (p *Policy) Routes() []*Route { return slices.Clone(p.routes) }

// Scopes are all scopes that routes need, sorted, each once (RFC 9728
// scopes_supported).
func (p *Policy) Scopes() []string {
	var all []string
	for _, r := range p.routes {
		all = append(all, r.Scopes...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Claims are all claims that routes compare with requests, sorted, each once.
func (p *Policy) Claims() []string {
	var all []string
	for _, r := range p.routes {
		for _, e := range r.Where {
			all = append(all, e.Claim)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// CORSFor is what a preflight for a method and this path may be told: the
// route's own section, or the policy's. Nil: no page of another origin.
func (p *Policy) CORSFor(c Canonical) *CORS {
	r, _ := p.match(c)
	switch {
	case r == nil:
		return nil
	case r.CORS != nil:
		return r.CORS
	}
	return p.cors
}
