package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// accessType is the `typ` of RFC 9068 §2.1.
const accessType = "at+jwt"

// access is everything an access token says.
type access struct {
	id      iam.TokenID
	client  iam.Client
	user    *iam.User // nil: the client acts for itself
	grant   iam.Grant
	granted iam.Granted
	nonce   string        // for the ID token, at redemption only
	session iam.SessionID // in which the user signed in, also when the grant outlives it
}

// claims of RFC 9068 §2.2 and of the contract (C3). Epochs are counters, never
// times (C16).
func (a access) claims(issuer string, now time.Time) map[string]any {
	claims := map[string]any{}
	if a.user != nil {
		for name, value := range iam.ClaimsFor(a.granted.API, *a.user) {
			claims[name] = value
		}
	}
	claims["iss"] = issuer
	claims["sub"] = string(a.client.ID)
	claims["aud"] = a.granted.Audience
	claims["exp"] = now.Add(iam.AccessTokenLife).Unix()
	claims["iat"] = now.Unix()
	claims["jti"] = string(a.id)
	claims["client_id"] = string(a.client.ID)
	claims["scope"] = oauth.JoinScope(a.granted.Scopes)
	claims["gid"] = string(a.grant.ID)
	claims["ce"] = a.client.Epoch
	if len(a.granted.Roles) > 0 {
		claims["roles"] = a.granted.Roles
	}
	if a.user != nil {
		claims["sub"] = string(a.user.ID)
		claims["ue"] = a.user.Epoch
		claims["auth_time"] = a.grant.AuthTime.Unix()
		claims["acr"] = a.grant.ACR
		claims["amr"] = a.grant.AMR
		if a.grant.SessionID != "" {
			claims["sid"] = string(a.grant.SessionID)
		}
	}
	return claims
}

// sign makes the token and the answer. It comes last: the row that records the
// token is already committed.
func (s *Service) sign(ctx context.Context, a access) (oauth.TokenResponse, error) {
	algorithm := a.granted.API.Algorithm
	if algorithm == "" {
		algorithm = "ES256"
	}
	signer, err := s.signer.Signer(ctx, algorithm)
	if err != nil {
		return oauth.TokenResponse{}, fmt.Errorf("sign access token: %w", err)
	}
	raw, err := signer.Sign(accessType, a.claims(s.issuer, s.now()))
	if err != nil {
		return oauth.TokenResponse{}, fmt.Errorf("sign access token: %w", err)
	}
	response := oauth.TokenResponse{
		AccessToken: raw,
		TokenType:   "Bearer",
		ExpiresIn:   int64(iam.AccessTokenLife / time.Second),
		Scope:       oauth.JoinScope(a.granted.Scopes),
	}
	if a.user != nil && slices.Contains(a.granted.Scopes, "openid") {
		response.IDToken, err = s.signIDToken(ctx, a, raw)
	}
	return response, err
}

// event records a token; never the token itself.
func (a access) event(kind string) iam.Event {
	e := iam.Event{ID: iam.NewEventID(), Kind: kind, Actor: string(a.client.ID), ClientID: a.client.ID, GrantID: a.grant.ID, TokenID: a.id,
		Detail: map[string]string{"aud": a.granted.Audience, "scope": oauth.JoinScope(a.granted.Scopes)}}
	if a.user != nil {
		e.UserID = a.user.ID
	}
	return e
}

// frequent is event for what happens with every token.
func (a access) frequent(kind string, now time.Time) iam.Event {
	e := a.event(kind)
	e.ID = iam.NewEventIDAt(now)
	return e
}
