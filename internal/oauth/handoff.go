package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// Words of the hand-off that the authority and package guard share.
const (
	// HandoffType is the `typ` of a hand-off token, normalised.
	HandoffType = "handoff+jwt"
	// HandoffPath is where an app sends the browser, HandoffRedeemPath where it
	// spends what came back.
	HandoffPath       = "/oauth/handoff"
	HandoffRedeemPath = "/oauth/handoff/redeem"
	// HandoffParameter carries the token in a form or an address.
	HandoffParameter = "handoff"
	// handoffCookie carries it for a shared parent domain. The prefix makes
	// browsers refuse it from an origin without https.
	handoffCookie = "__Secure-handoff-"
)

// HandoffCookie is the cookie that carries the token to a client. Each client
// has its own name, so that two apps of one domain do not meet.
func HandoffCookie(clientID string) string { return handoffCookie + clientID }

// HandoffRequest asks that a login be handed to an app (C33).
type HandoffRequest struct {
	ClientID string
	// NonceHash is of the nonce that only the browser in which the app began has.
	NonceHash string
}

// ParseHandoff reads a request. What it refuses is shown to the person: an app
// that cannot speak OpenID Connect understands no errors either.
func ParseHandoff(form Form) (HandoffRequest, error) {
	r := HandoffRequest{ClientID: form.Get("client_id"), NonceHash: form.Get("nonce_hash")}
	if digest, err := base64.RawURLEncoding.Strict().DecodeString(r.NonceHash); err != nil || len(digest) != sha256.Size {
		return HandoffRequest{}, InvalidRequest("The parameter nonce_hash must be the SHA-256 of a nonce that the app keeps in a cookie, in base64url without padding: 43 characters.")
	}
	return r, nil
}

// NonceHash is what an app sends instead of its nonce.
func NonceHash(nonce string) string {
	digest := sha256.Sum256([]byte(nonce))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// NonceFits tells, in constant time, whether the nonce is the one behind a hash.
// An empty nonce fits nothing.
func NonceFits(nonce, hash string) bool {
	return nonce != "" && subtle.ConstantTimeCompare([]byte(NonceHash(nonce)), []byte(hash)) == 1
}
