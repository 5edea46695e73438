package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

const head = "version: 1\ntokens: [{issuer: https://auth.example.com, audience: api}]\n"

// Each fault has its line and says what to do; want is "line: part of the text".
func TestParseFaults(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "1: the file is empty"},
		{"no YAML", "version: [", ": not YAML"},
		{"a list", "- a", "1: a policy is a list of"},
		{"two documents", head + "routes: [{GET /: {}}]\n---\nversion: 1\n", "4: a second document"},
		{"version missing", "tokens: [{issuer: https://a.example, audience: b}]\nroutes: [{GET /: {}}]", "1: version is missing"},
		{"version 2", "version: 2\nroutes: [{GET /: {public: true}}]", "1: version is one of 1"},
		{"unknown key", head + "rutes: []\nroutes: [{GET /: {}}]", `3: a policy has no key "rutes"`},
		{"key twice", head + "routes: [{GET /: {}}]\nroutes: [{GET /: {}}]", `4: a policy says "routes" twice`},
		{"routes missing", head, "1: routes is missing"},
		{"routes empty", head + "routes: []", "3: routes is empty"},
		{"tokens missing", "version: 1\nroutes: [{GET /: {}}]", "1: tokens is missing"},
		{"tokens empty", "version: 1\ntokens: []\nroutes: [{GET /: {public: true}}]", "2: tokens is empty"},
		{"issuer missing", "version: 1\ntokens: [{audience: b}]\nroutes: [{GET /: {}}]", "2: issuer is missing"},
		{"audience missing", "version: 1\ntokens: [{issuer: https://a.example}]\nroutes: [{GET /: {}}]", "2: audience is missing"},
		{"issuer no URL", "version: 1\ntokens: [{issuer: auth, audience: b}]\nroutes: [{GET /: {}}]", "2: issuer is a URL"},
		{"issuer twice", "version: 1\ntokens:\n- {issuer: https://a.example, audience: b}\n- {issuer: https://a.example, audience: c}\nroutes: [{GET /: {}}]", "4: issuer https://a.example is listed twice"},
		{"profile", "version: 1\ntokens: [{issuer: https://a.example, audience: b, profile: okta}]\nroutes: [{GET /: {}}]", "2: profile is one of rfc9068, auth0, keycloak, entra"},
		{"HS256", "version: 1\ntokens: [{issuer: https://a.example, audience: b, algorithms: [HS256]}]\nroutes: [{GET /: {}}]", `2: "HS256" is not an algorithm`},
		{"none", "version: 1\ntokens: [{issuer: https://a.example, audience: b, algorithms: [none]}]\nroutes: [{GET /: {}}]", `2: "none" is not an algorithm`},
		{"methods missing", head + "routes:\n- /orders: {}", `4: "/orders" has no methods`},
		{"lower case", head + "routes:\n- get /orders: {}", `4: "get" is not a method`},
		{"any method", head + "routes:\n- \"* /orders\": {}", `4: "*" is not a method`},
		{"TRACE", head + "routes:\n- TRACE /orders: {}", `4: "TRACE" is not a method`},
		{"method twice", head + "routes:\n- GET,GET /orders: {}", "4: GET is listed twice"},
		{"says nothing", head + "routes:\n- GET /orders", "4: route \"GET /orders\" says nothing"},
		{"says null", head + "routes:\n- GET /orders:", "4: GET /orders says nothing"},
		{"two routes in one", head + "routes:\n- GET /a: {}\n  GET /b: {}", "4: an entry of routes is one route"},
		{"no slash", head + "routes:\n- GET orders: {}", "4: GET orders: a pattern begins with /"},
		{"** in the middle", head + "routes:\n- GET /**/x: {}", "4: GET /**/x: ** stands at the end only"},
		{"** and a slash", head + "routes:\n- GET /**/: {}", "4: GET /**/: ** stands at the end only"},
		{"* alone", head + "routes:\n- GET /a/*: {}", `4: GET /a/*: "*" mixes text and pattern`},
		{"half a parameter", head + "routes:\n- GET /a-{id}: {}", `"a-{id}" mixes text and pattern`},
		{"no name", head + "routes:\n- GET /{}: {}", "4: GET /{}: {} is not a name"},
		{"parameter twice", head + "routes:\n- GET /{a}/{a}: {}", "4: GET /{a}/{a}: {a} occurs twice"},
		{"never matches", head + "routes:\n- GET /a/../b: {}", `4: GET /a/../b: ".." never matches`},
		{"empty segment", head + "routes:\n- GET /a//b: {}", "an empty segment is refused in every request"},
		{"unknown word", head + "routes:\n- GET /a: {scopes: x}", `4: a route has no key "scopes". It has: cors, forward, max_token_age`},
		{"scope twice", head + "routes:\n- GET /a: {scope: x x}", `4: scope: "x" is listed twice`},
		{"scope empty", head + "routes:\n- GET /a: {scope: ''}", "4: scope is a text"},
		{"scope with a quote", head + "routes:\n- GET /a: {scope: [\"a\\\"b\"]}", "is not one scope or role"},
		{"role empty", head + "routes:\n- GET /a: {role: []}", "4: role is empty"},
		{"unknown role", head + "roles: [admin]\nroutes:\n- GET /a: {role: editor}", `5: GET /a: role "editor" is not in roles: admin`},
		{"where no claim", head + "routes:\n- GET /{a}: {where: {path.a: token.b}}", `4: where: "path.a" is not a claim`},
		{"where a text", head + "routes:\n- GET /{a}: {where: {token.b: t1}}", `4: where: token.b is compared with "t1"`},
		{"where no parameter", head + "routes:\n- GET /{a}: {where: {token.b: path.c}}", "4: where: /{a} has no {c}"},
		{"where empty", head + "routes:\n- GET /{a}: {where: {}}", "4: where is empty"},
		{"age", head + "routes:\n- GET /a: {max_token_age: 5}", "4: max_token_age is a time"},
		{"age negative", head + "routes:\n- GET /a: {max_token_age: -5m}", "4: max_token_age is a time"},
		{"public no bool", head + "routes:\n- GET /a: {public: yes please}", "4: public is true or false"},
		{"public is a text", head + "routes:\n- GET /a: {public: \"true\"}", "4: public is true or false"},
		{"public and scope", head + "routes:\n- GET /a: {public: true, scope: x}", "4: GET /a is public and has scope"},
		{"on_stale", head + "routes:\n- GET /a: {on_stale: maybe}", "4: on_stale is one of allow, introspect, deny"},
		{"sensitive and allow", head + "routes:\n- GET /a: {sensitive: true, on_stale: allow}", "4: GET /a is sensitive and has on_stale: allow"},
		{"mode", head + "routes:\n- GET /a: {mode: off}", "4: mode is one of enforce, shadow"},
		{"forward", head + "routes:\n- GET /a: {forward: [host]}", `4: forward: "host" is not`},
		{"cors without origins", head + "routes:\n- GET /a: {cors: {headers: [X-A]}}", "4: cors needs origins"},
		{"cors *", head + "routes:\n- GET /a: {cors: {origins: ['*']}}", `4: origin "*" is not one`},
		{"cors null", head + "routes:\n- GET /a: {cors: {origins: ['null']}}", `4: origin "null" is not one`},
		{"same route", head + "routes:\n- GET /a: {}\n- POST,GET /a: {}", "5: GET /a is the same route as /a in line 4"},
		{"same route, other name", head + "routes:\n- GET /{a}: {}\n- GET /{b}: {}", "5: GET /{b} is the same route as /{a} in line 4"},
		{"same route, encoded", head + "routes:\n- GET /a: {}\n- GET /%61: {}", "5: GET /%61 is the same route"},
		{"crossing", head + "routes:\n- GET /{a}/b: {}\n- GET /a/{b}: {}", "5: GET /a/{b} and /{a}/b in line 4 both match /a/b, and"},
		{"crossing **", head + "routes:\n- GET /{a}/b: {}\n- GET /a/**: {}", "5: GET /a/** and /{a}/b in line 4 both match /a/b, and"},
		{"crossing where ** is nothing", head + "routes:\n- GET /{a}: {}\n- GET /a/**: {}", "5: GET /a/** and /{a} in line 4 both match /a, and"},
		{"crossing, both **", head + "routes:\n- GET /{x}/b/**: {}\n- GET /a/**: {}", "or add a route GET /a/b/**"},
		{"crossing, one method settled", head + "routes:\n- GET,POST /{a}/b: {}\n- GET,POST /a/{b}: {}\n- GET /a/b: {}", "5: POST /a/{b} and /{a}/b in line 4"},
		{"crossing with a slash", head + "routes:\n- GET /{a}/: {}\n- GET /a/**: {}\n- GET /a: {}", "5: GET /a/** and /{a}/ in line 4 both match /a/, and"},
		{"upstream with a path", head + "routes: [{GET /: {}}]\nupstream: http://a/b", "4: upstream has a path"},
		{"header with underscore", head + "routes: [{GET /: {}}]\nidentity_headers: {X_User: token.sub}", "4: X_User: a header with an underscore"},
		{"header Authorization", head + "routes: [{GET /: {}}]\nidentity_headers: {Authorization: token.sub}", "4: Authorization is not a header for an identity"},
		{"header X-Forwarded-For", head + "routes: [{GET /: {}}]\nidentity_headers: {X-Forwarded-For: token.sub}", "4: X-Forwarded-For is not a header for an identity"},
		{"header twice", head + "routes: [{GET /: {}}]\nidentity_headers: {X-A: token.sub, x-a: token.sub}", "4: x-a is set twice"},
		{"header from elsewhere", head + "routes: [{GET /: {}}]\nidentity_headers: {X-A: path.a}", `4: X-A comes from "path.a"`},
		{"forward_auth empty", head + "routes: [{GET /: {}}]\nforward_auth: {}", "4: forward_auth needs trusted_proxies"},
		{"trusting everybody", head + "routes: [{GET /: {}}]\nforward_auth: {trusted_proxies: [0.0.0.0/0]}", "4: trusted_proxies: 0.0.0.0/0 is everybody"},
		{"no range", head + "routes: [{GET /: {}}]\ntrusted_proxies: [proxy]", `4: trusted_proxies: "proxy" is not an address`},
		{"limit", head + "routes: [{GET /: {}}]\nlimits: {per_subject: 0}", "4: per_subject (requests a second) is a whole number"},
		{"body", head + "routes: [{GET /: {}}]\nlimits: {body: ten}", "4: body is a number of bytes"},
		{"alias", head + "routes:\n- GET /a: &x {}\n- GET /b: *x", "5: a route is a list of"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := policy.Parse("p.yaml", []byte(tc.text))
			var faults policy.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("%v, want %s", err, tc.want)
			}
			if !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if len(faults) > 2 {
				t.Errorf("one mistake is told %d times: %v", len(faults), err)
			}
		})
	}
}

func TestParseSaysAllFaults(t *testing.T) {
	_, err := policy.Parse("p.yaml", []byte("version: 3\nflavour: 1\ntokens: [{issuer: x}]\nroutes:\n- /a: {}\n- GET /b: {scop: x}\n"))
	var faults policy.Faults
	if !errors.As(err, &faults) || len(faults) != 6 {
		t.Fatalf("%d faults, want 6: %v", len(faults), err)
	}
	for i, line := range []int{1, 2, 3, 3, 5, 6} {
		if faults[i].Line != line {
			t.Errorf("fault %d is in line %d, want %d: %v", i, faults[i].Line, line, faults[i])
		}
	}
}

func TestParseAll(t *testing.T) {
	p := parse(t, head+`roles: [admin, editor]
upstream: http://127.0.0.1:9000/
identity_headers: { X-User-Id: token.sub }
identity_jwt: { audience: orders }
forward_auth: { trusted_proxies: [127.0.0.1, "10.1.2.3/8"] }
trusted_proxies: ["::1"]
limits: { per_subject: 50, per_client: 500, body: 10MiB }
cors: { origins: [https://app.example.com], headers: [X-Trace], expose: [ETag], max_age: 10m }
routes:
- GET,HEAD /a: { scope: [b, a], role: admin editor, on_stale: deny, forward: [authorization, cookie], cors: { origins: ["http://localhost:3000"] } }
- GET /b/: { public: true }
`)
	if len(p.Tokens()) != 1 || p.Tokens()[0].Profile != "rfc9068" || p.Upstream() != "http://127.0.0.1:9000" {
		t.Errorf("%+v %q", p.Tokens(), p.Upstream())
	}
	if h := p.IdentityHeaders(); len(h) != 1 || h[0].Name != "X-User-Id" || h[0].Claim() != "sub" {
		t.Errorf("%+v", h)
	}
	if p.Identity() != (policy.Identity{JWT: true, Audience: "orders"}) || p.Limits() != (policy.Limits{PerSubject: 50, PerClient: 500, Body: 10 << 20}) {
		t.Errorf("%+v %+v", p.Identity(), p.Limits())
	}
	if f := p.ForwardAuth().TrustedProxies; len(f) != 2 || f[0].String() != "127.0.0.1/32" || f[1].String() != "10.0.0.0/8" || p.TrustedProxies()[0].String() != "::1/128" {
		t.Errorf("%v %v", f, p.TrustedProxies())
	}
	r := p.Routes()[0]
	if r.Line != 12 || r.Scope() != "b a" || !r.ForwardToken || !r.ForwardCookie || r.OnStale != "deny" || r.String() != "GET,HEAD /a" || len(r.Roles) != 2 {
		t.Errorf("%+v", r)
	}
	if got := strings.Join(p.Scopes(), " "); got != "a b" {
		t.Errorf("scopes %q", got)
	}
	for target, want := range map[string]string{"/a": "http://localhost:3000", "/b/": "https://app.example.com", "/c": ""} {
		req, err := policy.Canonicalize("GET", target)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if c := p.CORSFor(req); c != nil {
			got = c.Origins[0]
		}
		if got != want {
			t.Errorf("CORS of %s: %q, want %q", target, got, want)
		}
	}
}

// Whatever is read never panics, and what is accepted denies what it does not list.
func FuzzParse(f *testing.F) {
	f.Add(head + "routes:\n- GET /a/{b}/**: { scope: x, where: {token.b: path.b} }\n")
	f.Add("version: 1\nroutes: [{GET /: {public: true}}]")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := policy.Parse("p.yaml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Fatalf("%v has no place", err)
			}
			return
		}
		for _, r := range p.Routes() {
			if len(r.Methods) == 0 || r.Pattern == "" {
				t.Fatalf("route %+v", r)
			}
		}
		if d := p.Explain("PURGE-NOTHING", "/never/listed", nil, noon); d.Allow && !d.Public && !d.Shadow {
			t.Fatalf("%+v", d)
		}
	})
}
