package token

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// UserInfo tells a client about the user who signed in (OpenID Connect Core
// §5.3). It takes any live access token of a user with the scope openid,
// whatever its audience: the one exception of the token classes (C4).
func (s *Service) UserInfo(ctx context.Context, raw string) (map[string]any, iam.Client, error) {
	a, err := s.accept(ctx, raw)
	if errors.Is(err, errDead) {
		return nil, iam.Client{}, oauth.Refuse(oauth.CodeInvalidToken, "The access token is not valid here, or has ended.").Because(err)
	}
	if err != nil {
		return nil, iam.Client{}, err
	}
	scopes := strings.Fields(a.scope)
	if a.user.ID == "" || !slices.Contains(scopes, "openid") {
		return nil, iam.Client{}, oauth.Refuse(oauth.CodeInsufficientScope, "The access token has no scope openid of a user.")
	}
	client, err := s.people.Client(ctx, a.client)
	if err != nil {
		return nil, iam.Client{}, err
	}
	claims := iam.PersonClaims(a.user, scopes, oauth.StoredClaimsRequest(a.grant.Claims).UserInfo, client.MayHold)
	claims["sub"] = string(a.user.ID)
	return claims, client, nil
}
