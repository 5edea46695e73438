package jose

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// What can be wrong with a token or a key. Wrapping errors carry detail for
// the log (wanted and got), never the token.
var (
	ErrMalformed  = errors.New("token is malformed")
	ErrTooLarge   = errors.New("token is too large")
	ErrAlgorithm  = errors.New("algorithm is not the key's")
	ErrCritical   = errors.New("critical header is not supported")
	ErrKey        = errors.New("key is not usable")
	ErrUnknownKey = errors.New("key is unknown")
	ErrSignature  = errors.New("signature is invalid")
	ErrType       = errors.New("token is of another type")
	ErrIssuer     = errors.New("token is of another issuer")
	ErrAudience   = errors.New("token is for another audience")
	ErrExpired    = errors.New("token has expired")
	ErrNotYet     = errors.New("token is not valid yet")
	ErrClaim      = errors.New("claim is missing or malformed")
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Fingerprint names a token in a log: 8 hex characters of its SHA-256.
func Fingerprint(raw string) string {
	digest := sha256.Sum256([]byte(raw))
	return hex.EncodeToString(digest[:4])
}

// clip shortens untrusted text for an error.
func clip(s string) string {
	if len(s) > 40 {
		s = s[:40] + "…"
	}
	return fmt.Sprintf("%q", s)
}
