package policy_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

const tree = head + `routes:
- GET /**:                  { public: true }
- GET /admin:               { role: admin }
- GET /{page}:              { public: true }
- GET /press:             { role: press }
- GET /a:                 { role: meet }
- GET /a/{x}:               { role: ax }
- GET /a/b:                 { role: ab }
- GET /a/**:                { role: a }
- GET /a/{x}/**:            { role: axx }
- GET /a/b/c/d:             { role: abcd }
- POST /a/b:                { role: post }
- GET /docs/:               { role: docs }
- GET /m;v=1/x:             { role: matrix }
- GET /caf%C3%A9:           { role: coffee }
- GET /tea/grün:            { role: tea }
`

// The most specific route wins, and nothing wins that a careless upstream would
// take for the path of another.
func TestMatchOrder(t *testing.T) {
	p := parse(t, tree)
	for _, tc := range []struct{ name, method, target, want string }{
		{"** at the root", "GET", "/", "GET /**"},
		{"literal before parameter", "GET", "/admin", "GET /admin"},
		{"parameter before **", "GET", "/x", "GET /{page}"},
		{"where two routes meet", "GET", "/a", "GET /a"},
		{"** for the rest", "GET", "/x/y/z", "GET /**"},
		{"literal before parameter, deeper", "GET", "/a/b", "GET /a/b"},
		{"parameter, deeper", "GET", "/a/c", "GET /a/{x}"},
		{"** matches no segment", "GET", "/a/c/", ""},
		{"parameter and ** before **", "GET", "/a/b/c", "GET /a/{x}/**"},
		{"longest literal", "GET", "/a/b/c/d", "GET /a/b/c/d"},
		{"back from a dead end", "GET", "/a/b/c/e", "GET /a/{x}/**"},
		{"the method chooses first", "POST", "/a/b", "POST /a/b"},
		{"no such method", "PUT", "/a/b", ""},
		{"slash as written", "GET", "/docs/", "GET /docs/"},
		{"T76 slash missing", "GET", "/docs", ""},
		{"T76 slash too many", "GET", "/admin/", ""},
		{"slash under **", "GET", "/x/y/", "GET /**"},
		{"T76 case", "GET", "/Admin", ""},
		{"T76 case, encoded", "GET", "/%41dmin", ""},
		{"T76 case, one letter deeper", "GET", "/a/B", ""},
		{"T76 case, then another way", "GET", "/A/b", ""},
		{"T76 long s", "GET", "/doc%C5%BF/", ""},
		{"T76 long s in a page", "GET", "/pre%C5%BF%C5%BF", ""},
		{"T76 case beyond ASCII", "GET", "/CAF%C3%89", ""},
		{"beyond ASCII", "GET", "/caf%C3%A9", "GET /caf%C3%A9"},
		{"a pattern in UTF-8", "GET", "/tea/gr%c3%bcn", "GET /tea/grün"},
		{"T76 path parameter", "GET", "/admin;x=1", ""},
		{"T76 path parameter under **", "GET", "/x/y;z/admin", ""},
		{"T76 path parameter far under **", "GET", "/x/y/admin;a", ""},
		{"; as written", "GET", "/m;v=1/x", "GET /m;v=1/x"},
		{"; otherwise", "GET", "/m;v=2/x", ""},
		{"the query chooses nothing (T75)", "GET", "/admin?x=/docs/", "GET /admin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := ask(t, p, tc.method, tc.target, &policy.Caller{})
			got := ""
			if d.Route != nil {
				got = d.Route.String()
			}
			if got != tc.want {
				t.Errorf("%s %s: %q, want %q", tc.method, tc.target, got, tc.want)
			}
		})
	}
}

// The order of the file decides nothing.
func TestMatchOrderOfFile(t *testing.T) {
	for _, text := range []string{
		"routes:\n- GET /a/**: {role: x}\n- GET /a/b: {public: true}\n",
		"routes:\n- GET /a/b: {public: true}\n- GET /a/**: {role: x}\n",
	} {
		if d := ask(t, parse(t, head+text), "GET", "/a/b", nil); !d.Public {
			t.Errorf("%s: %+v", text, d)
		}
	}
}

func TestDecideWords(t *testing.T) {
	p := parse(t, head+`routes:
- GET /any: {}
- GET,POST /stale: { scope: x }
- GET /sensitive: { sensitive: true }
- GET /chosen: { on_stale: introspect }
- GET /public: { public: true }
- GET /shadow: { scope: x, mode: shadow }
- GET /two: { scope: x y }
- GET /either: { role: [a, b] }
- GET /q: { where: { token.tenant: query.tenant } }
- GET /both/{a}/{b}: { where: { token.a: path.a, token.b: path.b } }
`)
	x := &policy.Caller{Scopes: []string{"x"}, Issued: noon, Claim: claims(map[string]string{"tenant": "t1", "a": "1", "b": "2", "empty": ""})}
	for _, tc := range []struct {
		method, target string
		caller         *policy.Caller
		allow          bool
		status         int
		reason, stale  string
		shadow         bool
	}{
		{"GET", "/any", nil, false, 401, "missing_token", "allow_briefly", false},
		{"GET", "/any", &policy.Caller{}, true, 200, "", "allow_briefly", false},
		{"GET", "/stale", x, true, 200, "", "allow_briefly", false},
		{"POST", "/stale", x, true, 200, "", "introspect", false},
		{"GET", "/sensitive", x, true, 200, "", "deny", false},
		{"GET", "/chosen", x, true, 200, "", "introspect", false},
		{"GET", "/public", x, true, 200, "", "", false},
		{"GET", "/shadow", x, true, 200, "", "allow_briefly", true},
		{"GET", "/shadow", nil, true, 200, "missing_token", "allow_briefly", true},
		{"GET", "/shadow", &policy.Caller{}, true, 200, "insufficient_scope", "allow_briefly", true},
		{"GET", "/two", x, false, 403, "insufficient_scope", "allow_briefly", false},
		{"GET", "/two", &policy.Caller{Scopes: []string{"y", "x"}}, true, 200, "", "allow_briefly", false},
		{"GET", "/either", &policy.Caller{Roles: []string{"b"}}, true, 200, "", "allow_briefly", false},
		{"GET", "/either", &policy.Caller{Roles: []string{"c"}}, false, 403, "role", "allow_briefly", false},
		{"GET", "/q?tenant=t1", x, true, 200, "", "allow_briefly", false},
		{"GET", "/q?tenant=t2", x, false, 403, "where", "allow_briefly", false},
		{"GET", "/q?tenant=t1&tenant=t1", x, false, 403, "where", "allow_briefly", false},
		{"GET", "/q?tenant=t1&tenant=t2", x, false, 403, "where", "allow_briefly", false},
		{"GET", "/q", x, false, 403, "where", "allow_briefly", false},
		{"GET", "/q?tenant=", &policy.Caller{Claim: claims(map[string]string{"tenant": ""})}, false, 403, "where", "allow_briefly", false},
		{"GET", "/both/1/2", x, true, 200, "", "allow_briefly", false},
		{"GET", "/both/1/3", x, false, 403, "where", "allow_briefly", false},
		{"GET", "/both/3/2", x, false, 403, "where", "allow_briefly", false},
	} {
		d := ask(t, p, tc.method, tc.target, tc.caller)
		if d.Allow != tc.allow || d.Status != tc.status || d.Reason != tc.reason || d.OnStale != tc.stale || d.Shadow != tc.shadow {
			t.Errorf("%s %s: %+v, want %+v", tc.method, tc.target, d, tc)
		}
		if d.Sensitive != (tc.target == "/sensitive") || d.Public != (tc.target == "/public") {
			t.Errorf("%s: %+v", tc.target, d)
		}
		if tc.target == "/two" && d.Scope != "x y" {
			t.Errorf("scope %q", d.Scope)
		}
	}
}

// The bound of the design: a decision takes at most a microsecond.
func BenchmarkDecide(b *testing.B) {
	p := sample(b)
	amy := &policy.Caller{Scopes: []string{"profile", "orders:read"}, Issued: noon, Claim: claims(map[string]string{"tenant": "t1"})}
	req, err := policy.Canonicalize("GET", "/tenants/t1/orders/7")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !p.Decide(req, amy, noon).Allow {
			b.Fatal("denied")
		}
	}
}

func BenchmarkCanonicalizeAndDecide(b *testing.B) {
	p := sample(b)
	amy := &policy.Caller{Scopes: []string{"profile", "orders:read"}, Issued: noon, Claim: claims(map[string]string{"tenant": "t1"})}
	b.ReportAllocs()
	for b.Loop() {
		req, err := policy.Canonicalize("GET", "/tenants/t1/orders/7?page=2")
		if err != nil || !p.Decide(req, amy, noon).Allow {
			b.Fatal("denied")
		}
	}
}

// The bound is a test as well, with room for a machine that is busy.
func TestDecideIsFast(t *testing.T) {
	result := testing.Benchmark(BenchmarkDecide)
	t.Logf("%d ns a decision", result.NsPerOp())
	if limit := 10 * time.Microsecond; time.Duration(result.NsPerOp()) > limit || result.AllocsPerOp() > 0 {
		t.Errorf("%d ns and %d allocations, more than %s and 0", result.NsPerOp(), result.AllocsPerOp(), limit)
	}
}
