package guard

import (
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// What Verify can answer. Match with errors.Is.
var (
	// ErrNoToken: the request carries no bearer token.
	ErrNoToken = errors.New("no token")
	// ErrInvalid: the token is not, or no longer, good for this API.
	ErrInvalid = errors.New("token is not valid")
	// ErrExpired is an ErrInvalid: the token was good once.
	ErrExpired = fmt.Errorf("token has expired: %w", ErrInvalid)
	// ErrRevoked is an ErrInvalid: the issuer took the token back before its time,
	// for example because its user logged out.
	ErrRevoked = fmt.Errorf("token was revoked: %w", ErrInvalid)
	// ErrForbidden: the token is good, and does not allow this.
	ErrForbidden = errors.New("not allowed")
	// ErrUnavailable: the issuer's keys cannot be had, so nothing is known about
	// the token, or its revocations are not known and the route wants them to be.
	// The answer is 503, never 401.
	ErrUnavailable = errors.New("verification is not available")
)

// refused carries why a token was refused: one sentence for the caller, a
// reason for the log, and which of the errors above it is.
type refused struct {
	kind     error
	sentence string
	reason   string
	cause    error
}

func (e *refused) Error() string   { return e.kind.Error() + ": " + e.sentence }
func (e *refused) Unwrap() []error { return []error{e.kind, e.cause} }

// sentences say what is wrong in words that help the honest and tell the
// forger nothing he does not know.
var sentences = []struct {
	cause    error
	kind     error
	reason   string
	sentence string
}{
	// First: what made the keys unavailable may itself be a malformed document.
	{errStale, ErrUnavailable, "stale", "It is not known right now whether the token was revoked. Try again in a moment."},
	{ErrUnavailable, ErrUnavailable, "unavailable", "The token cannot be checked right now. Try again in a moment."},
	{jose.ErrTooLarge, ErrInvalid, "size", "The token is larger than any token of this issuer."},
	{jose.ErrCritical, ErrInvalid, "crit", "The token declares an extension critical that is not supported here."},
	{jose.ErrMalformed, ErrInvalid, "malformed", "The token is not a well-formed JSON Web Token."},
	{jose.ErrAlgorithm, ErrInvalid, "algorithm", "The token is signed with another algorithm than the issuer's key."},
	{jose.ErrUnknownKey, ErrInvalid, "key", "The token is not signed with a key of this issuer."},
	{jose.ErrSignature, ErrInvalid, "signature", "The token's signature is not valid."},
	{jose.ErrType, ErrInvalid, "type", "The token is not an access token."},
	{jose.ErrIssuer, ErrInvalid, "issuer", "The token is of another issuer."},
	{jose.ErrAudience, ErrInvalid, "audience", "The token is for another audience."},
	{errRevoked, ErrRevoked, "revoked", "The token was revoked."},
	{jose.ErrExpired, ErrExpired, "expired", "The token has expired."},
	{jose.ErrNotYet, ErrInvalid, "not_yet", "The token is not valid yet."},
	{jose.ErrClaim, ErrInvalid, "claim", "A claim of the token is missing or malformed."},
}

func refuse(err error) *refused {
	for _, s := range sentences {
		if errors.Is(err, s.cause) {
			return &refused{kind: s.kind, sentence: s.sentence, reason: s.reason, cause: err}
		}
	}
	return &refused{kind: ErrInvalid, sentence: "The token is not valid.", reason: "invalid", cause: err}
}
