package oauth

import (
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// AssertionType is the only client_assertion_type (RFC 7523 §2.2).
const AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Bounds of a client assertion (C20).
const (
	MaxAssertionLife = 5 * time.Minute  // how far ahead `exp` may be
	assertionLeeway  = 30 * time.Second // for client clocks that run ahead
	maxAssertionID   = 256              // bytes of `jti`
)

// AssertionAlgorithms are what an assertion may be signed with, for the
// discovery document: every asymmetric algorithm that jose knows. Ed25519 is
// the name of RFC 9864 for EdDSA with that curve. A client's key fixes one.
func AssertionAlgorithms() []string {
	return []string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}
}

// Assertion is a client's proof by a signed JWT (RFC 7523 §3), parsed and NOT
// YET VERIFIED.
type Assertion struct {
	token  jose.Token
	claims jose.Claims
}

func badAssertion(format string, args ...any) *Error {
	return InvalidClient("The client_assertion is not accepted: %s.", fmt.Sprintf(format, args...))
}

// ParseAssertion reads an assertion and finds out whose it says it is. A token
// of another class is refused by its type: none, JWT and
// client-authentication+jwt are those of assertions.
func ParseAssertion(raw string) (Assertion, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return Assertion{}, badAssertion("it is not a well-formed signed JWT").Because(err)
	}
	switch t.Type() {
	case "", "jwt", "client-authentication+jwt":
	default:
		return Assertion{}, badAssertion("its typ is of another kind of token")
	}
	if !t.Algorithm().Asymmetric() {
		return Assertion{}, badAssertion("it must be signed with the private half of a registered key").Because(jose.ErrAlgorithm)
	}
	claims, err := t.Claims()
	if err != nil {
		return Assertion{}, badAssertion("its claims are not well-formed").Because(err)
	}
	if claims.Subject == "" || claims.Issuer != claims.Subject {
		return Assertion{}, badAssertion("iss and sub must both be the client_id")
	}
	return Assertion{token: t, claims: claims}, nil
}

// Check compares the claims with C20. They say nothing about the client, so
// that the answer may say which of them is wrong, before anybody is looked up.
func (a Assertion) Check(issuer string, now time.Time) error {
	audience, err := a.claims.String("aud")
	switch {
	case err != nil || audience != issuer:
		// One string, and not an endpoint: an assertion for another server that
		// this one could be mixed up with must not fit (RFC 7523bis).
		return badAssertion("aud must be the issuer %s, as one string", issuer)
	case a.claims.ID == "" || len(a.claims.ID) > maxAssertionID:
		return badAssertion("jti must be a new id for each assertion, of at most %d bytes", maxAssertionID)
	case !a.claims.Has("exp") || !now.Before(a.claims.Expires):
		return badAssertion("exp is missing or has passed")
	case a.claims.Expires.After(now.Add(MaxAssertionLife)):
		return badAssertion("exp is more than %d minutes ahead", int(MaxAssertionLife.Minutes()))
	case a.claims.NotBefore.After(now.Add(assertionLeeway)) || a.claims.IssuedAt.After(now.Add(assertionLeeway)):
		return badAssertion("nbf or iat is in the future; compare the clocks")
	case a.claims.Has("iat") && a.claims.IssuedAt.Before(now.Add(-MaxAssertionLife-assertionLeeway)):
		return badAssertion("iat is more than %d minutes ago", int(MaxAssertionLife.Minutes()))
	}
	return nil
}

// Verify checks the signature with a key that the client registered.
func (a Assertion) Verify(key jose.Key) error { return a.token.Verify(key) }

// ClientID is who it says signed it.
func (a Assertion) ClientID() string { return a.claims.Subject }

// KeyID names the key, "" when the header does not.
func (a Assertion) KeyID() string { return a.token.KeyID() }

// ID is the `jti`, to be spent once.
func (a Assertion) ID() string { return a.claims.ID }

// Expires is when it may be forgotten.
func (a Assertion) Expires() time.Time { return a.claims.Expires }
