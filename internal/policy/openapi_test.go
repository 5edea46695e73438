package policy_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/policy"
)

const document = `openapi: 3.1.0
servers: [{url: https://api.example.com/v1/}]
security: [{oauth: [orders:read]}]
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {}}
    jwt: {type: http, scheme: Bearer}
    oidc: {type: openIdConnect, openIdConnectUrl: https://id.example.com/.well-known/openid-configuration}
    key: {type: apiKey, in: header, name: X-Key}
paths:
  /healthz:
    get: {security: []}
  /orders:
    parameters: []
    get: {}
    post: {security: [{oauth: [orders:write, orders:read]}]}
  /orders/{order-id}:
    get: {security: [{jwt: []}]}
    delete: {security: [{oauth: [a]}, {jwt: []}]}
    put: {security: [{key: []}]}
  /files/{name}.json:
    get: {}
  /odd:
    get: {security: [{oauth: ["true"]}]}
    post: {security: [{}]}
`

func TestReadOpenAPI(t *testing.T) {
	made, err := policy.ReadOpenAPI("openapi.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range made.Routes {
		line := r.Method + " " + r.Pattern + " " + r.Rule
		if r.Why != "" {
			line += "!"
		}
		got = append(got, line)
	}
	want := `GET /v1/healthz { public: true }
GET /v1/orders { scope: orders:read }
POST /v1/orders { scope: [orders:write, orders:read] }
GET /v1/orders/{order_id} {}
DELETE /v1/orders/{order_id} !
PUT /v1/orders/{order_id} !
GET /v1/files/{name}.json !
GET /v1/odd { scope: "true" }
POST /v1/odd { public: true }`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	// The draft loads, and denies what has no rule.
	p, err := policy.Parse("draft.yaml", []byte(made.Draft("openapi.yaml")))
	if err != nil {
		t.Fatalf("%v\n%s", err, made.Draft("openapi.yaml"))
	}
	if len(p.Routes()) != 6 || p.Tokens()[0].Issuer != "https://id.example.com" {
		t.Errorf("%d routes, tokens %+v", len(p.Routes()), p.Tokens())
	}
	if d := ask(t, p, "DELETE", "/v1/orders/7", &policy.Caller{Scopes: []string{"a"}}); d.Reason != "no_route" {
		t.Errorf("%+v", d)
	}
	if d := ask(t, p, "GET", "/v1/odd", &policy.Caller{Scopes: []string{"true"}}); !d.Allow {
		t.Errorf("%+v", d)
	}
}

func TestReadOpenAPIFaults(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"swagger: '2.0'\npaths: {}", "this is no OpenAPI 3 document"},
		{"openapi: 3.0.0", "the document has no paths"},
		{"- a", "this is no OpenAPI 3 document"},
		{"openapi: 3.0.0\npaths: {}\ncomponents: {securitySchemes: {a: {}}}", "security scheme a has no type"},
	} {
		if _, err := policy.ReadOpenAPI("o.yaml", []byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %s", tc.text, err, tc.want)
		}
	}
}

// A draft never says more than the document: whatever stands in it, the draft
// loads or does not, and no rule escapes from a comment or a name.
func FuzzReadOpenAPI(f *testing.F) {
	f.Add(document)
	f.Add("openapi: 3.0.0\npaths: {\"/a: { public: true }\\n  - GET /b\": {get: {security: [{x: []}]}}}")
	f.Fuzz(func(t *testing.T, text string) {
		made, err := policy.ReadOpenAPI("o.yaml", []byte(text))
		if err != nil {
			return
		}
		p, err := policy.Parse("draft.yaml", []byte(made.Draft("o.yaml")))
		if err != nil {
			return
		}
		public := 0
		for _, r := range made.Routes {
			if r.Rule == "{ public: true }" {
				public++
			}
		}
		for _, r := range p.Routes() {
			if r.Public {
				public--
			}
		}
		if public < 0 {
			t.Fatalf("the draft has more public routes than the document:\n%s", made.Draft("o.yaml"))
		}
	})
}
