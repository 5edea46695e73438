package policy

import (
	"slices"
	"time"
)

// Reasons of a Decision, beside those of a Rejected.
const (
	NoRoute           = "no_route"
	MissingToken      = "missing_token"
	InsufficientScope = "insufficient_scope"
	Role              = "role"
	Where             = "where"
	MaxTokenAge       = "max_token_age"
)

// What on_stale may say, and StaleBriefly, which is the default of reads: allow
// for a minute, and introspect after it.
const (
	StaleAllow      = "allow"
	StaleBriefly    = "allow_briefly"
	StaleIntrospect = "introspect"
	StaleDeny       = "deny"
)

// Caller is what a decision needs of a verified token.
type Caller struct {
	Issuer   string
	Subject  string
	ClientID string
	Scopes   []string // the token's own (C6)
	Roles    []string
	Issued   time.Time // iat; zero: unknown, and then too old for max_token_age
	// Claim reads a claim as text: a string, a number as it is written, true or
	// false. False where the claim is absent or anything else. Nil: no claims.
	Claim func(name string) (string, bool)
}

func (c *Caller) claim(name string) (string, bool) {
	if c.Claim == nil {
		return "", false
	}
	return c.Claim(name)
}

// Decision is the answer to one request.
type Decision struct {
	Allow     bool
	Status    int    // 200, 400, 401 or 403
	Reason    string // "" for a plain allow; otherwise why not
	Scope     string // what the route needs, with spaces between
	Route     *Route // nil: none matched
	Sensitive bool
	OnStale   string // allow, allow_briefly, introspect or deny; "" on public routes
	Public    bool
	// Shadow: the route only watches. Allow is true, and Reason says why it would
	// have been false; "" where it would have been true as well.
	Shadow bool

	// Filled by Explain only.
	Trace []Check
	Fix   string // the smallest change that would allow it
}

// Deny is the decision about a request that Canonicalize rejected.
func Deny(r *Rejected) Decision { return Decision{Status: 400, Reason: r.Reason} }

// Decide says whether a caller may make a request. A nil caller has no token; a
// caller's token was verified before. Nothing that is not written is allowed.
func (p *Policy) Decide(req Canonical, caller *Caller, now time.Time) Decision {
	r, _ := p.match(req)
	if r == nil {
		return Decision{Status: 403, Reason: NoRoute}
	}
	d := Decision{Route: r, Scope: r.scope, Public: r.Public, Sensitive: r.Sensitive, OnStale: r.onStale(req.Method), Shadow: r.Shadow}
	d.Status, d.Reason = r.judge(req, caller, now)
	d.Allow = d.Reason == ""
	if r.Shadow {
		d.Allow, d.Status = true, 200
	}
	return d
}

// judge asks the route's conditions in the order in which a caller can do
// something about them.
func (r *Route) judge(req Canonical, caller *Caller, now time.Time) (int, string) {
	switch {
	case r.Public:
		return 200, ""
	case caller == nil:
		return 401, MissingToken
	case !r.young(caller, now):
		return 401, MaxTokenAge
	case !r.hasScopes(caller):
		return 403, InsufficientScope
	case !r.hasRole(caller):
		return 403, Role
	}
	for i := range r.Where {
		if !r.Where[i].holds(req, caller) {
			return 403, Where
		}
	}
	return 200, ""
}

// young: a token without iat is as old as the zero time.
func (r *Route) young(c *Caller, now time.Time) bool {
	return r.MaxTokenAge == 0 || now.Sub(c.Issued) <= r.MaxTokenAge
}

func (r *Route) hasScopes(c *Caller) bool {
	for _, scope := range r.Scopes {
		if !slices.Contains(c.Scopes, scope) {
			return false
		}
	}
	return true
}

func (r *Route) hasRole(c *Caller) bool {
	if len(r.Roles) == 0 {
		return true
	}
	for _, role := range r.Roles {
		if slices.Contains(c.Roles, role) {
			return true
		}
	}
	return false
}

// holds is exact, byte for byte; an absent or empty value equals nothing.
func (e *Equality) holds(req Canonical, c *Caller) bool {
	want, ok := c.claim(e.Claim)
	if !ok || want == "" {
		return false
	}
	got, ok := e.value(req)
	return ok && got == want
}

// value is what the request has to offer.
func (e *Equality) value(req Canonical) (string, bool) {
	if e.From == "query" {
		return req.Query(e.Name)
	}
	return req.Segments[e.index], true
}

// onStale is what happens while revocations are not known: reads go on for a
// minute, anything else is asked about, and a sensitive route stands still. Where
// nobody can be asked, the gateway's defaults allow.
func (r *Route) onStale(method string) string {
	switch {
	case r.Public:
		return ""
	case r.OnStale != "":
		return r.OnStale
	case r.Sensitive:
		return StaleDeny
	case method == "GET" || method == "HEAD":
		return StaleBriefly
	}
	return StaleIntrospect
}

// Stale is what a method of the route does while revocations are not known:
// StaleAllow, StaleBriefly, StaleIntrospect, StaleDeny, or "" where nobody is
// asked for a token.
func (r *Route) Stale(method string) string { return r.onStale(method) }

// staleText says what onStale means.
func (r *Route) staleText(method string) string {
	said := "on_stale: " + r.OnStale
	switch {
	case r.OnStale == "" && r.Sensitive:
		said = "sensitive"
	case r.OnStale == "":
		said = "default"
	}
	return "while revocations are not known: " + map[string]string{
		StaleAllow:      "allow",
		StaleBriefly:    "allow for a minute, then ask the issuer",
		StaleIntrospect: "ask the issuer about the token",
		StaleDeny:       "deny",
	}[r.onStale(method)] + " (" + said + ")"
}

// Check is one step of Explain.
type Check struct {
	Name string // path, route, token, max_token_age, scope, role, where, stale
	OK   bool
	Text string
	Line int // of the policy; 0: none
}
