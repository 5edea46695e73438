package token

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// Types of the tokens that are no access tokens. Each acceptor wants one of
// them and no other (RFC 8725 §3.11).
const (
	idType     = "jwt"
	logoutType = "logout+jwt"
)

// idTokenLife is how long an ID token may be presented. Clients read it once,
// when they get it.
const idTokenLife = 10 * time.Minute

// signIDToken says to the client who signed in, when and how (OpenID Connect
// Core §2). It is for the client, never for an API.
func (s *Service) signIDToken(ctx context.Context, a access, accessToken string) (string, error) {
	algorithm, now := a.client.IDTokenAlg(), s.now()
	asked := oauth.StoredClaimsRequest(a.grant.Claims)
	claims := iam.PersonClaims(*a.user, nil, asked.IDToken, a.client.MayHold)
	claims["iss"] = s.issuer
	claims["sub"] = string(a.user.ID)
	claims["aud"] = string(a.client.ID)
	claims["exp"] = now.Add(idTokenLife).Unix()
	claims["iat"] = now.Unix()
	claims["auth_time"] = a.grant.AuthTime.Unix()
	claims["acr"] = a.grant.ACR
	claims["amr"] = a.grant.AMR
	claims["at_hash"] = halfHash(algorithm, accessToken)
	if a.nonce != "" {
		claims["nonce"] = a.nonce
	}
	if sid := a.sid(); sid != "" {
		claims["sid"] = string(sid)
	}
	signer, err := s.signer.Signer(ctx, algorithm)
	if err != nil {
		return "", fmt.Errorf("sign ID token: %w", err)
	}
	return signer.Sign("JWT", claims)
}

// sid is the session that a logout token will name.
func (a access) sid() iam.SessionID {
	if a.session != "" {
		return a.session
	}
	return a.grant.SessionID
}

// halfHash is the left half of the hash that belongs to the algorithm (OpenID
// Connect Core §3.1.3.6; SHA-512 for Ed25519).
func halfHash(algorithm, text string) string {
	if algorithm == "EdDSA" {
		digest := sha512.Sum512([]byte(text))
		return base64.RawURLEncoding.EncodeToString(digest[:32])
	}
	digest := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// Hint is what an ID token says that comes back to us: whose login it was and
// for which client. It may have expired; it proves nothing about today.
type Hint struct {
	Subject iam.UserID
	Client  iam.ClientID
	Session iam.SessionID
}

var errHint = oauth.InvalidRequest("The id_token_hint is not an ID token of this server.")

// ReadHint checks that an ID token was signed by this issuer, at any time
// (OpenID Connect RP-Initiated Logout §2).
func (s *Service) ReadHint(raw string) (Hint, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return Hint{}, errHint.Because(err)
	}
	key, ok := s.signer.Remembered().Key(t.KeyID())
	if !ok {
		return Hint{}, errHint.Because(jose.ErrUnknownKey)
	}
	if err := t.Verify(key); err != nil {
		return Hint{}, errHint.Because(err)
	}
	claims, err := t.Claims()
	if err != nil {
		return Hint{}, errHint.Because(err)
	}
	// The type says most of it; at_hash is in each ID token of ours and client_id
	// in none (RFC 8725 §3.12).
	if t.Type() != idType || claims.Issuer != s.issuer || len(claims.Audience) != 1 || claims.Subject == "" || !claims.Has("at_hash") || claims.Has("client_id") {
		return Hint{}, errHint.Because(errors.New("signed by us, and not an ID token"))
	}
	sid, err := claims.String("sid")
	if err != nil {
		return Hint{}, errHint.Because(err)
	}
	return Hint{Subject: iam.UserID(claims.Subject), Client: iam.ClientID(claims.Audience[0]), Session: iam.SessionID(sid)}, nil
}

// LogoutToken tells a client that a session ended (OpenID Connect Back-Channel
// Logout §2.4). It has no nonce, so that it cannot be taken for an ID token.
func (s *Service) LogoutToken(ctx context.Context, client iam.Client, d iam.LogoutDelivery) (string, error) {
	now := s.now()
	claims := map[string]any{
		"iss": s.issuer, "aud": string(client.ID), "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": string(iam.NewTokenID()),
		"sub": string(d.UserID), "sid": string(d.SessionID),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	}
	signer, err := s.signer.Signer(ctx, client.IDTokenAlg())
	if err != nil {
		return "", fmt.Errorf("sign logout token: %w", err)
	}
	return signer.Sign(logoutType, claims)
}
