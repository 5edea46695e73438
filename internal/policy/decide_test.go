package policy_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// claims makes the Claim function of a Caller.
func claims(of map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := of[name]; return v, ok }
}

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sample(t testing.TB) *policy.Policy {
	t.Helper()
	text, err := os.ReadFile("testdata/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

// ask canonicalizes and decides; the reason of a rejected request counts too.
func ask(t testing.TB, p *policy.Policy, method, target string, caller *policy.Caller) policy.Decision {
	t.Helper()
	d := p.Explain(method, target, caller, noon)
	req, err := policy.Canonicalize(method, target)
	if err != nil {
		return d
	}
	plain := p.Decide(req, caller, noon)
	if plain.Allow != d.Allow || plain.Reason != d.Reason || plain.Route != d.Route || plain.Status != d.Status {
		t.Errorf("Decide says %+v, Explain %+v", plain, d)
	}
	return d
}

// The sample of the design, and each reason that it can give.
func TestDecideSample(t *testing.T) {
	p := sample(t)
	amy := policy.Caller{Subject: "amy", Scopes: []string{"orders:read"}, Issued: noon.Add(-time.Minute), Claim: claims(map[string]string{"tenant": "t1"})}
	with := func(change func(*policy.Caller)) *policy.Caller { c := amy; change(&c); return &c }
	for _, tc := range []struct {
		name, method, target string
		caller               *policy.Caller
		status               int
		reason               string
	}{
		{"public without a token", "GET", "/healthz", nil, 200, ""},
		{"public with a token", "GET", "/healthz", &amy, 200, ""},
		{"scope held", "GET", "/orders", &amy, 200, ""},
		{"no token", "GET", "/orders", nil, 401, "missing_token"},
		{"C6 scope not held", "POST", "/orders", &amy, 403, "insufficient_scope"},
		{"C6 a role is no scope", "GET", "/orders", with(func(c *policy.Caller) { c.Scopes, c.Roles = nil, []string{"orders:read"} }), 403, "insufficient_scope"},
		{"scopes are case-sensitive", "GET", "/orders", with(func(c *policy.Caller) { c.Scopes = []string{"Orders:read"} }), 403, "insufficient_scope"},
		{"C6 scope without the role", "DELETE", "/users/7", with(func(c *policy.Caller) { c.Scopes = []string{"users:manage"} }), 403, "role"},
		{"C6 role without the scope", "DELETE", "/users/7", with(func(c *policy.Caller) { c.Roles = []string{"admin"} }), 403, "insufficient_scope"},
		{"scope and role", "DELETE", "/users/7", with(func(c *policy.Caller) { c.Scopes, c.Roles = []string{"users:manage"}, []string{"admin"} }), 200, ""},
		{"where equal", "GET", "/tenants/t1/orders/7", &amy, 200, ""},
		{"where equal, encoded letters", "GET", "/tenants/%74%31/orders/7", &amy, 200, ""},
		{"where different", "GET", "/tenants/t2/orders/7", &amy, 403, "where"},
		{"where in another case", "GET", "/tenants/T1/orders/7", &amy, 403, "where"},
		{"where without the claim", "GET", "/tenants/t1/orders/7", with(func(c *policy.Caller) { c.Claim = claims(nil) }), 403, "where"},
		{"where without claims", "GET", "/tenants/t1/orders/7", with(func(c *policy.Caller) { c.Claim = nil }), 403, "where"},
		{"where with a claim that is not one text", "GET", "/tenants/t1/orders/7", with(func(c *policy.Caller) { c.Claim = func(string) (string, bool) { return "t1", false } }), 403, "where"},
		{"C35 dots", "GET", "/tenants/t1/%2e%2e/t2/orders/7", &amy, 400, "bad_path"},
		{"young enough", "PUT", "/orders/7", with(func(c *policy.Caller) { c.Scopes = []string{"orders:write"}; c.Issued = noon.Add(-5 * time.Minute) }), 200, ""},
		{"too old", "PUT", "/orders/7", with(func(c *policy.Caller) {
			c.Scopes = []string{"orders:write"}
			c.Issued = noon.Add(-5*time.Minute - time.Second)
		}), 401, "max_token_age"},
		{"age unknown", "PUT", "/orders/7", with(func(c *policy.Caller) { c.Scopes = []string{"orders:write"}; c.Issued = time.Time{} }), 401, "max_token_age"},
		{"** matches none and many", "POST", "/orders/a/b/c", with(func(c *policy.Caller) { c.Scopes = []string{"orders:write"} }), 200, ""},
		{"T78 method not listed", "PATCH", "/orders/7", &amy, 403, "no_route"},
		{"T78 HEAD is not GET", "HEAD", "/orders", &amy, 403, "no_route"},
		{"path not listed", "GET", "/secret", &amy, 403, "no_route"},
		{"root not listed", "GET", "/", &amy, 403, "no_route"},
		{"T76 case", "GET", "/Orders", &amy, 403, "no_route"},
		{"T76 slash at the end", "GET", "/orders/", &amy, 403, "no_route"},
		{"deeper than a parameter", "GET", "/tenants/t1/orders/7/x", &amy, 403, "no_route"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := ask(t, p, tc.method, tc.target, tc.caller)
			if d.Status != tc.status || d.Reason != tc.reason || d.Allow != (tc.status == 200) {
				t.Errorf("%s %s: %v %d %q, want %d %q", tc.method, tc.target, d.Allow, d.Status, d.Reason, tc.status, tc.reason)
			}
			if (d.Fix == "") != d.Allow || len(d.Trace) == 0 {
				t.Errorf("fix %q, trace %v", d.Fix, d.Trace)
			}
			if d.Route == nil && d.Reason != "no_route" && d.Reason != "bad_path" || d.Route != nil && (d.Route.Line == 0 || d.Route.File != "policy.yaml") {
				t.Errorf("route %+v", d.Route)
			}
			failed := slices.IndexFunc(d.Trace, func(c policy.Check) bool { return !c.OK })
			if (failed < 0) != d.Allow {
				t.Errorf("trace %+v of a decision %v", d.Trace, d.Allow)
			}
		})
	}
}

func TestZeroPolicyDeniesAll(t *testing.T) {
	req, err := policy.Canonicalize("GET", "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*policy.Policy{nil, {}} {
		if d := p.Decide(req, &policy.Caller{}, noon); d.Allow || d.Status != 403 {
			t.Errorf("%+v", d)
		}
	}
}
