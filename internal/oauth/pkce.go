package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// PKCEChallenge is an S256 code challenge (RFC 7636 §4.2); "plain" does not
// exist here, so a challenge can never be its own verifier.
type PKCEChallenge string

// ParsePKCE reads code_challenge and code_challenge_method. A missing method
// means "plain" in RFC 7636 §4.3 and is refused like it.
func ParsePKCE(form Form) (PKCEChallenge, error) {
	challenge, err := form.Require("code_challenge")
	if err != nil {
		return "", err
	}
	if form.Get("code_challenge_method") != "S256" {
		return "", InvalidRequest("The code_challenge_method must be S256.")
	}
	digest, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(digest) != sha256.Size || strings.ContainsAny(challenge, "\r\n") {
		return "", InvalidRequest("The code_challenge is not the base64url form of a SHA-256 digest.")
	}
	return PKCEChallenge(challenge), nil
}

// CheckVerifier proves that verifier belongs to c (RFC 7636 §4.6), in constant time.
func (c PKCEChallenge) CheckVerifier(verifier string) error {
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, notUnreserved) {
		return InvalidGrant("The code_verifier must be 43 to 128 unreserved characters (RFC 7636).")
	}
	digest := sha256.Sum256([]byte(verifier))
	want := base64.RawURLEncoding.EncodeToString(digest[:])
	if c == "" || subtle.ConstantTimeCompare([]byte(want), []byte(c)) != 1 {
		return InvalidGrant("The code_verifier does not belong to this code.")
	}
	return nil
}

func notUnreserved(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._~", r))
}
