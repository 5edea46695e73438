package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Explain is Decide with every check written down, and the smallest change that
// would allow the request. Target and method are as they were received.
func (p *Policy) Explain(method, target string, caller *Caller, now time.Time) Decision {
	req, err := Canonicalize(method, target)
	if err != nil {
		rejected := err.(*Rejected)
		d := Deny(rejected)
		d.Trace = []Check{{Name: "request", Text: rejected.Detail}}
		d.Fix = "Send a request that has one reading: no policy can allow this one."
		return d
	}
	d := p.Decide(req, caller, now)
	d.Trace = append(d.Trace, Check{Name: "request", OK: true, Text: fmt.Sprintf("%s, segments %q", req.Method, req.Segments)})
	if d.Route == nil {
		d.Trace = append(d.Trace, Check{Name: "route", Text: p.whyNone(req)})
		d.Fix = fmt.Sprintf("Add a route, such as \"- %s %s: { scope: … }\", to %s.", req.Method, req.RawPath, p.file)
		if _, doubt := p.match(req); doubt != clear {
			d.Fix = "Call the path as the route is written; or add a route for this one too."
		}
		return d
	}
	d.Trace = append(d.Trace, Check{Name: "route", OK: true, Text: d.Route.String(), Line: d.Route.Line})
	d.Trace = append(d.Trace, d.Route.checks(req, caller, now)...)
	d.Fix = d.Route.fix(d, req, caller)
	return d
}

// whyNone says what comes closest.
func (p *Policy) whyNone(req Canonical) string {
	if _, doubt := p.match(req); doubt != clear {
		return "none: " + string(doubt)
	}
	var others []string
	for _, r := range p.routes {
		for _, m := range r.Methods {
			other := req
			other.Method = m
			if found, _ := p.match(other); found == r {
				others = append(others, fmt.Sprintf("%s %s (line %d)", m, r.Pattern, r.Line))
			}
		}
	}
	if others != nil {
		return "none for " + req.Method + "; this path has " + strings.Join(others, ", ")
	}
	return "none matches, and what is not listed is denied"
}

// checks are all conditions of the route, also those behind the first that fails.
func (r *Route) checks(req Canonical, caller *Caller, now time.Time) []Check {
	if r.Public {
		return []Check{{Name: "public", OK: true, Text: "no token is asked for", Line: r.Line}}
	}
	if caller == nil {
		return []Check{{Name: "token", Text: "none; the route needs one", Line: r.Line}}
	}
	all := []Check{{Name: "token", OK: true, Text: "of " + orNone(caller.Subject) + ", client " + orNone(caller.ClientID)}}
	add := func(name string, ok bool, format string, args ...any) {
		all = append(all, Check{Name: name, OK: ok, Text: fmt.Sprintf(format, args...), Line: r.Line})
	}
	if r.MaxTokenAge > 0 {
		age := "unknown"
		if !caller.Issued.IsZero() {
			age = now.Sub(caller.Issued).Round(time.Second).String()
		}
		add("max_token_age", r.young(caller, now), "the token is %s old, at most %s", age, r.MaxTokenAge)
	}
	if len(r.Scopes) > 0 {
		add("scope", r.hasScopes(caller), "needs %s; the token has %s", r.scope, orNone(strings.Join(caller.Scopes, " ")))
	}
	if len(r.Roles) > 0 {
		add("role", r.hasRole(caller), "needs %s; the token has %s", strings.Join(r.Roles, " or "), orNone(strings.Join(caller.Roles, " ")))
	}
	for i := range r.Where {
		e := &r.Where[i]
		add("where", e.holds(req, caller), "%s", e.compare(req, caller))
	}
	add("stale", true, "%s", r.staleText(req.Method))
	return all
}

// compare shows both sides.
func (e *Equality) compare(req Canonical, caller *Caller) string {
	left, right := "absent", "absent, or not there exactly once"
	if v, ok := caller.claim(e.Claim); ok {
		left = fmt.Sprintf("%q", v)
	}
	if v, ok := e.value(req); ok {
		right = fmt.Sprintf("%q", v)
	}
	sign := "="
	if !e.holds(req, caller) {
		sign = "≠"
	}
	return fmt.Sprintf("token.%s %s %s %s.%s %s", e.Claim, left, sign, e.From, e.Name, right)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// fix is the smallest change that would allow the request: one that the caller
// can make, before one to the policy.
func (r *Route) fix(d Decision, req Canonical, caller *Caller) string {
	switch d.Reason {
	case MissingToken:
		return "Send a token" + withScope(r.scope) + "."
	case MaxTokenAge:
		return fmt.Sprintf("Get a new token: this route takes one for %s after it was issued.", r.MaxTokenAge)
	case InsufficientScope:
		var missing []string
		for _, s := range r.Scopes {
			if !slices.Contains(caller.Scopes, s) {
				missing = append(missing, s)
			}
		}
		return "Get a token that also has the scope " + strings.Join(missing, " ") + "; or change scope at " + r.place() + "."
	case Role:
		return "Give the user the role " + strings.Join(r.Roles, " or ") + " and get a new token; or change role at " + r.place() + "."
	case Where:
		for i := range r.Where {
			if e := &r.Where[i]; !e.holds(req, caller) {
				return e.fix(req, caller) + "; or change where at " + r.place() + "."
			}
		}
	}
	return ""
}

func (e *Equality) fix(req Canonical, caller *Caller) string {
	want, ok := caller.claim(e.Claim)
	switch got, there := e.value(req); {
	case !ok || want == "":
		return "Get a token with the claim " + e.Claim
	case !there:
		return fmt.Sprintf("Send %s exactly once in the query, as %s=%s", e.Name, e.Name, want)
	default:
		return fmt.Sprintf("Call with %s %s instead of %s, or with a token whose %s is %s", e.Name, want, got, e.Claim, got)
	}
}

func withScope(scope string) string {
	if scope == "" {
		return ""
	}
	return " with the scope " + scope
}

func (r *Route) place() string { return fmt.Sprintf("%s:%d", r.File, r.Line) }
