package iam

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// API is a resource server: an audience and the scopes it defines.
type API struct {
	Name     string  `json:"name"`
	Audience string  `json:"audience"`
	Scopes   []Scope `json:"scopes"`
	// Claims names the user attributes that become claims of tokens for this API (C8).
	Claims []string `json:"claims,omitempty"`
	// Algorithm signs the tokens for this API: ES256 (default), RS256 or EdDSA.
	Algorithm string    `json:"algorithm"`
	Disabled  bool      `json:"disabled"`
	Version   int64     `json:"-"` // compare-and-swap counter of the row
	CreatedAt time.Time `json:"created_at"`
}

// Scope is a permission that an API defines.
type Scope struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// Check reports the first reason why a cannot be stored.
func (a API) Check() error {
	if err := CheckName("API", a.Name); err != nil {
		return err
	}
	if err := CheckResource(a.Audience); err != nil {
		return err
	}
	if !slices.Contains([]string{"ES256", "RS256", "EdDSA"}, a.Algorithm) {
		return Invalidf("The signing algorithm %q is not one of ES256, RS256, EdDSA.", a.Algorithm)
	}
	seen := map[string]bool{}
	for _, s := range a.Scopes {
		if err := CheckScope(s.Name); err != nil {
			return err
		}
		if IdentityScope(s.Name) {
			return Invalidf("The scope %q has a meaning of its own in OpenID Connect. Choose another name, such as %q.", s.Name, a.Name+":"+s.Name)
		}
		if seen[s.Name] {
			return Invalidf("The scope %q is listed twice.", s.Name)
		}
		seen[s.Name] = true
	}
	for _, c := range a.Claims {
		if err := CheckClaimName(c); err != nil {
			return err
		}
	}
	return nil
}

// Defines tells whether the API defines the scope.
func (a API) Defines(scope string) bool {
	return slices.ContainsFunc(a.Scopes, func(s Scope) bool { return s.Name == scope })
}

// CheckResource reports why uri cannot be an audience or a `resource`
// parameter: RFC 8707 §2 wants an absolute URI without fragment.
func CheckResource(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || len(uri) > 512 || strings.ContainsAny(uri, " \"\\\t\r\n") {
		return Invalidf("The audience %q is not an absolute URI such as https://api.example.com.", uri)
	}
	if strings.Contains(uri, "#") {
		return Invalidf("The audience %q has a fragment; RFC 8707 §2 forbids one.", uri)
	}
	return nil
}

// CheckScope reports why name cannot be a scope (RFC 6749 §3.3).
func CheckScope(name string) error {
	if name == "" || len(name) > 128 {
		return Invalidf("A scope has 1 to 128 characters.")
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || r == '"' || r == '\\' {
			return Invalidf("The scope %q may hold printable ASCII only, without space, quote and backslash.", name)
		}
	}
	return nil
}

// identityScopes have a meaning of their own beside the scopes of APIs (C5).
var identityScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access", "roles"}

// IdentityScope tells whether name is one of the scopes that no API may define.
func IdentityScope(name string) bool { return slices.Contains(identityScopes, name) }

// IdentityScopes are the scopes that no API may define.
func IdentityScopes() []string { return slices.Clone(identityScopes) }

// registeredClaims cannot be the target of a user attribute (C8): they are the
// JWT, OpenID Connect and Gatehouse claims whose meaning the contract fixes.
var registeredClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "roles", "gid", "ue", "ce",
	"auth_time", "acr", "amr", "azp", "sid", "nonce", "at_hash", "c_hash", "s_hash", "cnf", "act", "may_act",
	"events", "toe", "txn", "typ", "org", "authorization_details", "entitlements", "groups",
	"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
	"website", "email", "email_verified", "gender", "birthdate", "zoneinfo", "locale", "phone_number",
	"phone_number_verified", "address", "updated_at",
}

// CheckClaimName reports why an attribute of that name cannot become a claim.
func CheckClaimName(name string) error {
	if err := checkName("attribute name", name); err != nil {
		return err
	}
	if slices.Contains(registeredClaims, strings.ToLower(name)) {
		return Invalidf("The attribute %q would overwrite a claim whose meaning is fixed. Choose another name, such as %q.", name, "app_"+name)
	}
	return nil
}
