package iam

import (
	"slices"
	"strings"
	"time"
)

// Consent is what a user allowed a client of somebody else.
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

// NeedsConsent tells whether users are asked before this client gets tokens for
// them. A first-party client is the operator's own.
func (c Client) NeedsConsent() bool { return !c.FirstParty }

// Impersonable tells whether another program on the user's device could
// receive what is sent to uri: a loopback port or a private-use scheme belongs
// to nobody. Such a client is never answered without the user (RFC 8252 §8.6).
func (c Client) Impersonable(uri string) bool {
	return c.Type == Public && !strings.HasPrefix(uri, "https://")
}
