package iam_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
)

func TestC33HandoffRegistration(t *testing.T) {
	const url = "https://shop.example.co.uk/in"
	for name, tc := range map[string]struct {
		handoff iam.Handoff
		change  func(*iam.Client)
		says    string // "" for good
	}{
		"form":                    {iam.Handoff{URL: url, Mode: iam.HandoffForm}, nil, ""},
		"query":                   {iam.Handoff{URL: url, Mode: iam.HandoffQuery}, nil, ""},
		"loopback":                {iam.Handoff{URL: "http://localhost:8080/in", Mode: iam.HandoffQuery}, nil, ""},
		"public":                  {iam.Handoff{URL: url, Mode: iam.HandoffForm}, func(c *iam.Client) { c.Type, c.SecretHash = iam.Public, nil }, ""},
		"no URL":                  {iam.Handoff{Mode: iam.HandoffForm}, nil, "needs the URL"},
		"third party":             {iam.Handoff{URL: url, Mode: iam.HandoffForm}, func(c *iam.Client) { c.FirstParty = false }, "first-party"},
		"service account":         {iam.Handoff{URL: url, Mode: iam.HandoffForm}, func(c *iam.Client) { c.Type, c.GrantTypes = iam.Service, nil }, "first-party"},
		"plain http":              {iam.Handoff{URL: "http://shop.example.com/in", Mode: iam.HandoffForm}, nil, "plain http"},
		"private scheme":          {iam.Handoff{URL: "com.example.app:/in", Mode: iam.HandoffForm}, func(c *iam.Client) { c.Type, c.SecretHash = iam.Public, nil }, "not allowed"},
		"fragment":                {iam.Handoff{URL: url + "#x", Mode: iam.HandoffForm}, nil, "fragment"},
		"its own handoff":         {iam.Handoff{URL: url + "?a=b&handoff=x", Mode: iam.HandoffQuery}, nil, "called handoff"},
		"no mode":                 {iam.Handoff{URL: url}, nil, "not one of form_post, query, cookie"},
		"other mode":              {iam.Handoff{URL: url, Mode: "fragment"}, nil, "not one of form_post, query, cookie"},
		"form with domain":        {iam.Handoff{URL: url, Mode: iam.HandoffForm, Domain: "example.co.uk"}, nil, "belongs to the hand-off mode cookie"},
		"cookie":                  {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "example.co.uk"}, nil, ""},
		"cookie, the host itself": {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "shop.example.co.uk"}, nil, ""},
		"cookie without domain":   {iam.Handoff{URL: url, Mode: iam.HandoffCookie}, nil, "not a parent"},
		"cookie, leading dot":     {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: ".example.co.uk"}, nil, "not a parent"},
		"cookie, upper case":      {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "Example.co.uk"}, nil, "not a parent"},
		"cookie, half a label":    {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "ample.co.uk"}, nil, "not a parent"},
		"cookie, other domain":    {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "example.com"}, nil, "not a parent"},
		"cookie, a child":         {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "x.shop.example.co.uk"}, nil, "not a parent"},
		"cookie by http":          {iam.Handoff{URL: "http://localhost/in", Mode: iam.HandoffCookie, Domain: "localhost"}, nil, "needs https"},
		"cookie for co.uk":        {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "co.uk"}, nil, "public suffix"},
		"cookie for uk":           {iam.Handoff{URL: url, Mode: iam.HandoffCookie, Domain: "uk"}, nil, "public suffix"},
		"cookie for com":          {iam.Handoff{URL: "https://shop.example.com/in", Mode: iam.HandoffCookie, Domain: "com"}, nil, "public suffix"},
		"cookie for github.io":    {iam.Handoff{URL: "https://ada.github.io/in", Mode: iam.HandoffCookie, Domain: "github.io"}, nil, "public suffix"},
		"cookie below github.io":  {iam.Handoff{URL: "https://x.ada.github.io/in", Mode: iam.HandoffCookie, Domain: "ada.github.io"}, nil, ""},
		"cookie for a wildcard":   {iam.Handoff{URL: "https://a.b.ck/in", Mode: iam.HandoffCookie, Domain: "b.ck"}, nil, "public suffix"},
		"cookie for an address":   {iam.Handoff{URL: "https://10.0.0.1/in", Mode: iam.HandoffCookie, Domain: "0.0.1"}, nil, "has no parent domain"},
	} {
		c := iam.Client{ID: "shop", Type: iam.Confidential, FirstParty: true, GrantTypes: []string{iam.AuthorizationCode}, SecretHash: make([]byte, 32), Handoff: &tc.handoff}
		if tc.change != nil {
			tc.change(&c)
		}
		err := c.Check()
		if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
}

func TestC33HandoffCookieComesFromItsDomainOnly(t *testing.T) {
	cookie := iam.Handoff{Mode: iam.HandoffCookie, Domain: "example.com"}
	for issuer, want := range map[string]bool{
		"https://auth.example.com": true, "https://example.com": true, "https://AUTH.example.com:8443": true, "http://auth.example.com": false,
		"https://auth.example.org": false, "https://notexample.com": false, "https://example.com.evil.org": false, "": false,
	} {
		if got := cookie.CanCome(issuer); got != want {
			t.Errorf("%s: %v, want %v", issuer, got, want)
		}
	}
	if (iam.Handoff{Mode: iam.HandoffCookie}).CanCome("https://auth.example.com") || !(iam.Handoff{Mode: iam.HandoffForm}).CanCome("http://localhost:1") {
		t.Error("a cookie needs a domain; a form needs none")
	}
}

func TestC6HandoffRoles(t *testing.T) {
	held := []iam.Role{
		{Name: "viewer", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:read"}}},
		{Name: "clerk", Scopes: []iam.RoleScope{{API: "orders", Scope: "orders:write"}, {API: "orders", Scope: "orders:read"}}},
		{Name: "doctor", Scopes: []iam.RoleScope{{API: "health", Scope: "health:read"}}},
		{Name: "empty"},
	}
	for name, tc := range map[string]struct{ scopes, want []string }{
		"no scope of an API": {[]string{"openid", "email"}, nil},
		"one scope":          {[]string{"openid", "orders:read"}, []string{"clerk", "viewer"}},
		"another":            {[]string{"orders:write"}, []string{"clerk"}},
	} {
		if got := iam.HandoffRoles(iam.Client{Type: iam.Confidential, Scopes: tc.scopes}, held); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
