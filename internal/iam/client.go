package iam

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// ClientType says how a client proves who it is and whom it acts for.
type ClientType string

const (
	Public       ClientType = "public"       // a browser or mobile app: holds no secret
	Confidential ClientType = "confidential" // a server-side app: acts for users, holds a secret
	Service      ClientType = "service"      // a service account: acts for itself
)

// GrantType names of RFC 6749.
const (
	AuthorizationCode = "authorization_code"
	RefreshToken      = "refresh_token"
	ClientCredentials = "client_credentials"
)

// Client is an application, or a service account when Type is Service.
type Client struct {
	ID         ClientID   `json:"client_id"`
	Name       string     `json:"name,omitempty"`
	Type       ClientType `json:"type"`
	FirstParty bool       `json:"first_party"`
	GrantTypes []string   `json:"grant_types"`
	// RedirectURIs are matched exactly.
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// Scopes bound what the client may be granted. Empty for a service account
	// means: everything that its roles hold.
	Scopes []string `json:"scopes,omitempty"`
	// DefaultScopes are granted when none are asked for (C4); empty means Scopes.
	DefaultScopes []string `json:"default_scopes,omitempty"`
	// Roles are held by service accounts only.
	Roles []string `json:"roles,omitempty"`
	// Challenge allows the first-party challenge endpoint (C11). Never set by registration.
	Challenge bool `json:"challenge,omitempty"`
	// ReaderOf names the APIs whose tokens the client may introspect (C19).
	ReaderOf []string `json:"reader_of,omitempty"`
	// Auth is how the client proves who it is; ask AuthMethod.
	Auth AuthMethod `json:"auth"`
	// Keys are registered by value, KeysURI says where to fetch them.
	Keys    jose.KeySet `json:"jwks,omitzero"`
	KeysURI string      `json:"jwks_uri,omitempty"`
	// Origins of pages that may read the client's answers (C21).
	Origins []string `json:"origins,omitempty"`
	// PostLogoutRedirectURIs are where a browser may be sent after a logout,
	// matched exactly.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// BackchannelLogoutURI is told when a session ends.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`
	// IDTokenAlgorithm signs its ID and logout tokens: RS256 when empty, ES256 or EdDSA.
	IDTokenAlgorithm string `json:"id_token_signed_response_alg,omitempty"`
	// RequirePAR refuses authorization requests that were not pushed (RFC 9126).
	RequirePAR bool `json:"require_pushed_authorization_requests,omitempty"`
	// Handoff is for an app that cannot speak OpenID Connect; nil: off.
	Handoff *Handoff `json:"handoff,omitempty"`
	// SecretHash is the SHA-256 of a 256-bit random secret, nil without a secret.
	SecretHash []byte `json:"-"`
	// OldSecretHash is of the secret before, good until OldSecretEnds.
	OldSecretHash []byte    `json:"-"`
	OldSecretEnds time.Time `json:"old_secret_ends,omitzero"`
	Epoch         int64     `json:"epoch"` // counter of C16
	Disabled      bool      `json:"disabled"`
	Version       int64     `json:"-"`
	CreatedAt     time.Time `json:"created_at"`
}

// Check reports the first reason why c cannot be stored.
func (c Client) Check() error {
	if err := CheckClientID(c.ID); err != nil {
		return err
	}
	switch {
	case c.Type != Public && c.Type != Confidential && c.Type != Service:
		return Invalidf("The client type %q is not one of public, confidential, service.", c.Type)
	case c.Challenge && (!c.FirstParty || c.Type != Public):
		return Invalidf("Only a public first-party client may use the challenge endpoint: it hands the user's password to the application.")
	case c.Type != Service && len(c.Roles) > 0:
		return Invalidf("Only service accounts hold roles; a user's roles follow the user.")
	case c.Type == Public && len(c.ReaderOf) > 0:
		return Invalidf("A public client cannot introspect tokens: it has no secret to prove who it is.")
	}
	for _, check := range []func() error{c.checkAuth, c.checkGrantTypes, c.checkOrigins, c.checkLogout, c.checkHandoff} {
		if err := check(); err != nil {
			return err
		}
	}
	for _, uri := range c.RedirectURIs {
		if err := CheckRedirectURI(uri, c.Type); err != nil {
			return err
		}
	}
	for _, s := range slices.Concat(c.Scopes, c.DefaultScopes) {
		if err := CheckScope(s); err != nil {
			return err
		}
	}
	for _, s := range c.DefaultScopes {
		if !c.MayHold(s) {
			return Invalidf("The default scope %q is not among the client's scopes.", s)
		}
	}
	return nil
}

func (c Client) checkGrantTypes() error {
	allowed := []string{AuthorizationCode, RefreshToken, DeviceCode}
	if c.Type == Service {
		allowed = []string{ClientCredentials}
	}
	for _, g := range c.GrantTypes {
		if !slices.Contains(allowed, g) {
			return Invalidf("A %s client cannot use the grant type %q; it may use %v.", c.Type, g, allowed)
		}
	}
	return nil
}

// Uses tells whether the client may use the grant type.
func (c Client) Uses(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// MayHold tells whether the client may be granted the scope at all.
func (c Client) MayHold(scope string) bool {
	if c.Type == Service && len(c.Scopes) == 0 {
		return !IdentityScope(scope)
	}
	return slices.Contains(c.Scopes, scope)
}
