package iam_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

const issuer = "https://auth.example.com"

var (
	orders = iam.API{Name: "orders", Audience: "https://orders.example.com", Algorithm: "ES256",
		Scopes: []iam.Scope{{Name: "orders:read"}, {Name: "orders:write"}, {Name: "shared"}}}
	stock = iam.API{Name: "stock", Audience: "https://stock.example.com", Algorithm: "ES256",
		Scopes: []iam.Scope{{Name: "stock:read"}, {Name: "shared"}}}
	closed = iam.API{Name: "closed", Audience: "https://closed.example.com", Disabled: true,
		Scopes: []iam.Scope{{Name: "closed:read"}}}
	plain = iam.API{Name: "plain", Audience: "https://plain.example.com", Algorithm: "ES256"}
	apis  = []iam.API{orders, stock, closed, plain}

	viewer = iam.Role{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}}
	editor = iam.Role{Name: "editor", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}, {API: "orders", Scope: "orders:write"}}}
	keeper = iam.Role{Name: "keeper", Scopes: []iam.RoleScope{{API: "stock", Scope: "stock:read"}, {API: "stock", Scope: "shared"}}}

	app = iam.Client{ID: "app", Type: iam.Public, FirstParty: true,
		Scopes: []string{"orders:read", "orders:write", "stock:read", "shared", "offline_access", "roles", "openid"}, DefaultScopes: []string{"orders:read"}}
	third   = iam.Client{ID: "third", Type: iam.Confidential, Scopes: []string{"orders:read", "roles"}}
	service = iam.Client{ID: "robot", Type: iam.Service}
)

func TestDecide(t *testing.T) {
	for _, tc := range []struct {
		name   string
		client iam.Client
		roles  []iam.Role
		asked  iam.Asked
		aud    string
		scopes []string
		shown  []string
		denied string // "", "scope" or "target"
	}{
		{name: "C4 one API by its scopes", client: app, roles: []iam.Role{editor}, asked: ask("orders:read orders:write"), aud: orders.Audience, scopes: list("orders:read", "orders:write"), shown: list("editor")},
		{name: "C4 scopes of two APIs", client: app, roles: []iam.Role{editor, keeper}, asked: ask("orders:read stock:read"), denied: "target"},
		{name: "C4 one scope that two APIs define", client: app, roles: []iam.Role{keeper}, asked: ask("shared"), denied: "target"},
		{name: "C4 the resource says which", client: app, roles: []iam.Role{keeper}, asked: iam.Asked{Scopes: list("shared"), Resource: stock.Audience}, aud: stock.Audience, scopes: list("shared"), shown: list("keeper")},
		{name: "C4 an unknown resource", client: app, asked: iam.Asked{Resource: "https://other.example.com"}, denied: "target"},
		{name: "C4 a disabled API", client: app, asked: iam.Asked{Resource: closed.Audience}, denied: "target"},
		{name: "C4 scopes of a disabled API", client: iam.Client{Scopes: list("closed:read")}, asked: ask("closed:read"), denied: "target"},
		{name: "C4 none but identity scopes", client: app, roles: []iam.Role{editor}, asked: ask("offline_access"), aud: issuer, scopes: list("offline_access")},
		{name: "C4 nothing asked: the default scopes", client: app, roles: []iam.Role{editor}, aud: orders.Audience, scopes: list("orders:read"), shown: list("editor")},
		{name: "C4 service account with one API", client: service, roles: []iam.Role{viewer}, aud: orders.Audience, scopes: list("orders:read"), shown: list("viewer")},
		{name: "C4 service account with two APIs", client: service, roles: []iam.Role{viewer, keeper}, denied: "target"},
		{name: "C4 service account with two APIs and a resource", client: service, roles: []iam.Role{viewer, keeper}, asked: iam.Asked{Resource: orders.Audience}, aud: orders.Audience, scopes: list("orders:read"), shown: list("viewer")},
		{name: "C4 service account without roles", client: service, denied: "target"},
		{name: "C5 narrowed by the roles", client: app, roles: []iam.Role{viewer}, asked: ask("orders:read orders:write"), aud: orders.Audience, scopes: list("orders:read"), shown: list("viewer")},
		{name: "C5 narrowed to nothing", client: app, roles: nil, asked: ask("orders:read"), aud: orders.Audience},
		{name: "C5 narrowed by the client", client: third, roles: []iam.Role{editor}, asked: ask("orders:read orders:write"), aud: orders.Audience, scopes: list("orders:read")},
		{name: "C5 the client may hold none of them", client: third, roles: []iam.Role{editor}, asked: ask("orders:write"), denied: "scope"},
		{name: "C5 a scope that nobody defines", client: app, roles: []iam.Role{editor}, asked: ask("orders:raed"), denied: "scope"},
		{name: "C5 a disabled role holds nothing", client: app, roles: []iam.Role{{Name: "off", Disabled: true, Scopes: editor.Scopes}}, asked: ask("orders:read"), aud: orders.Audience},
		{name: "C5 a scope of one API is not granted at another", client: app, roles: []iam.Role{editor}, asked: iam.Asked{Scopes: list("orders:read"), Resource: stock.Audience}, aud: stock.Audience},
		{name: "C5 service accounts get no identity scopes", client: iam.Client{Type: iam.Service, Scopes: list("orders:read", "offline_access")}, roles: []iam.Role{viewer}, asked: ask("orders:read offline_access"), aud: orders.Audience, scopes: list("orders:read"), shown: list("viewer")},
		{name: "C5 a disabled API counts for nobody", client: service, roles: []iam.Role{viewer, {Name: "old", Scopes: []iam.RoleScope{{API: "closed", Scope: "closed:read"}}}}, aud: orders.Audience, scopes: list("orders:read"), shown: list("viewer")},
		{name: "C5 an identity scope beside those of an API", client: app, roles: []iam.Role{viewer}, asked: ask("openid orders:read"), aud: orders.Audience, scopes: list("openid", "orders:read"), shown: list("viewer")},
		{name: "C5 a grant without scopes gets no default ones", client: app, roles: []iam.Role{editor}, asked: iam.Asked{Granted: true, Resource: orders.Audience}, aud: orders.Audience, shown: list("editor")},
		{name: "C4 the issuer as resource", client: app, roles: []iam.Role{editor}, asked: iam.Asked{Scopes: list("orders:read", "offline_access"), Resource: issuer}, aud: issuer, scopes: list("offline_access")},
		{name: "C4 the issuer as resource of a service account", client: service, roles: []iam.Role{viewer}, asked: iam.Asked{Resource: issuer}, denied: "target"},
		{name: "C4 an API that the client has no scope of", client: third, roles: []iam.Role{keeper}, asked: iam.Asked{Resource: stock.Audience}, denied: "target"},
		{name: "C4 nor by one of its scopes beside another", client: third, roles: []iam.Role{keeper}, asked: ask("stock:read roles"), denied: "target"},
		{name: "C4 an API that no role of the service account is for", client: service, roles: []iam.Role{viewer}, asked: iam.Asked{Resource: stock.Audience}, denied: "target"},
		{name: "C4 nor by its scope", client: service, roles: []iam.Role{viewer}, asked: ask("stock:read"), denied: "target"},
		{name: "C4 an API without scopes is for everybody", client: third, asked: iam.Asked{Resource: plain.Audience}, aud: plain.Audience, scopes: list("roles")},
		{name: "C4 an API of one's own with the client's list of scopes", client: iam.Client{Type: iam.Service, Scopes: list("orders:read")}, roles: []iam.Role{editor}, aud: orders.Audience, scopes: list("orders:read"), shown: list("editor")},
		{name: "C5 a scope that a role has of an API which does not define it", client: app, roles: []iam.Role{{Name: "odd", Scopes: []iam.RoleScope{{API: "orders", Scope: "stock:read"}}}}, asked: iam.Asked{Scopes: list("stock:read"), Resource: orders.Audience}, aud: orders.Audience, shown: list("odd")},
		{name: "C6 a third party does not see roles", client: third, roles: []iam.Role{editor}, asked: ask("orders:read"), aud: orders.Audience, scopes: list("orders:read")},
		{name: "C6 unless it was granted the scope roles", client: third, roles: []iam.Role{editor}, asked: ask("orders:read roles"), aud: orders.Audience, scopes: list("orders:read", "roles"), shown: list("editor")},
		{name: "C6 only roles of this audience", client: app, roles: []iam.Role{viewer, keeper}, asked: ask("orders:read"), aud: orders.Audience, scopes: list("orders:read"), shown: list("viewer")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := iam.Decide(issuer, apis, tc.client, iam.Holder{Roles: tc.roles, Service: tc.client.Type == iam.Service}, tc.asked)
			var denied *iam.Denied
			if tc.denied != "" {
				if !errors.As(err, &denied) || denied.Target != (tc.denied == "target") {
					t.Fatalf("got %+v, %v; want denied: %s", got, err, tc.denied)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Audience != tc.aud || !slices.Equal(got.Scopes, tc.scopes) || !slices.Equal(got.Roles, tc.shown) {
				t.Errorf("got aud %s scopes %v roles %v; want %s %v %v", got.Audience, got.Scopes, got.Roles, tc.aud, tc.scopes, tc.shown)
			}
		})
	}
}

// A grant keeps what the client may hold, whatever the roles of today say, and
// nothing beyond that and what was asked for.
func TestC5WhatAGrantKeeps(t *testing.T) {
	two := iam.Client{ID: "two", Scopes: list("orders:read", "stock:read", "offline_access"), DefaultScopes: list("orders:read", "stock:read", "offline_access")}
	for name, tc := range map[string]struct {
		client iam.Client
		asked  iam.Asked
		want   []string
	}{
		"what was asked for":                        {app, ask("orders:read orders:write"), list("orders:read", "orders:write")},
		"not what the client may not hold":          {third, ask("orders:read orders:write"), list("orders:read")},
		"the default scopes, if none were":          {app, iam.Asked{}, list("orders:read")},
		"of them those that the resource is for":    {two, iam.Asked{Resource: stock.Audience}, list("stock:read", "offline_access")},
		"all scopes, if there are no default ones":  {third, iam.Asked{}, list("orders:read", "roles")},
		"nothing, if the grant before held nothing": {app, iam.Asked{Granted: true, Resource: orders.Audience}, nil},
	} {
		got, err := iam.Decide(issuer, apis, tc.client, iam.Holder{}, tc.asked)
		if err != nil || !slices.Equal(got.Standing, tc.want) {
			t.Errorf("%s: got %v %v, want %v", name, got.Standing, err, tc.want)
		}
	}
}

func TestC8AttributesBecomeClaimsByName(t *testing.T) {
	api := iam.API{Claims: []string{"tenant", "sub", "Roles", "absent"}}
	user := iam.User{Attributes: map[string]string{"tenant": "t1", "sub": "usr_other", "Roles": "admin", "hidden": "x"}}
	got := iam.ClaimsFor(api, user)
	if len(got) != 1 || got["tenant"] != "t1" {
		t.Errorf("got %v, want only tenant: a registered name must never be a target", got)
	}
}

func TestC7Strengths(t *testing.T) {
	for _, tc := range []struct {
		have, want string
		ok         bool
	}{{"pwd", "pwd", true}, {"mfa", "pwd", true}, {"pwd", "mfa", false}, {"phr", "mfa", true}, {"", "pwd", false}, {"gold", "pwd", false}, {"pwd", "", false}} {
		if got := iam.ACRAtLeast(tc.have, tc.want); got != tc.ok {
			t.Errorf("ACRAtLeast(%q, %q) = %v, want %v", tc.have, tc.want, got, tc.ok)
		}
	}
}

func ask(scope string) iam.Asked {
	a := iam.Asked{}
	for i, j := 0, 0; j <= len(scope); j++ {
		if j == len(scope) || scope[j] == ' ' {
			a.Scopes = append(a.Scopes, scope[i:j])
			i = j + 1
		}
	}
	return a
}

func list(s ...string) []string { return s }
