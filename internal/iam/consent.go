package iam

import (
	"slices"
	"strings"
	"time"
)

// Consent is what a user allowed a client of somebody else. Its scopes are
// those of Allowed: two APIs may call a scope the same.
type Consent struct {
	UserID   UserID    `json:"user_id"`
	ClientID ClientID  `json:"client_id"`
	Scopes   []string  `json:"scopes"`
	Since    time.Time `json:"since"` // first given
	At       time.Time `json:"at"`    // last renewed
}

// Covers tells whether everything asked for was allowed before.
func (c Consent) Covers(scopes []string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// Allowed is the name by which a consent holds a scope: for a scope of an API,
// the API and the scope.
func Allowed(api API, scope string) string {
	if IdentityScope(scope) {
		return scope
	}
	return api.Name + " " + scope
}

// AllowedScope undoes Allowed; the API is "" for an identity scope.
func AllowedScope(allowed string) (api, scope string) {
	api, scope, found := strings.Cut(allowed, " ")
	if !found {
		return "", allowed
	}
	return api, scope
}

// AllAllowed is Allowed of a list.
func AllAllowed(api API, scopes []string) []string {
	var list []string
	for _, s := range scopes {
		list = append(list, Allowed(api, s))
	}
	return list
}

// NeedsConsent tells whether users are asked before this client gets tokens for
// them. A first-party client is the operator's own.
func (c Client) NeedsConsent() bool { return !c.FirstParty }

// Impersonable tells whether another program on the user's device could
// receive what is sent to uri: a loopback port or a private-use scheme belongs
// to nobody. Such a client is never answered without the user (RFC 8252 §8.6).
func (c Client) Impersonable(uri string) bool {
	return c.Type == Public && !strings.HasPrefix(uri, "https://")
}
