package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// Revoke ends a token of the client that asks (RFC 7009). A refresh token of
// any generation ends its grant, an access token itself (C15). A token that is
// unknown, dead or another client's is no error and changes nothing: the
// answer must not tell which.
func (s *Service) Revoke(ctx context.Context, client iam.Client, raw string) error {
	if strings.HasPrefix(raw, "v1.") {
		return s.revokeRefresh(ctx, client, raw)
	}
	claims, err := s.verify(raw)
	if err != nil {
		return nil
	}
	if owner, err := claims.String("client_id"); err != nil || owner != string(client.ID) {
		return nil
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventTokenRevoked, Actor: string(client.ID), ClientID: client.ID, TokenID: iam.TokenID(claims.ID)}
	if gid, err := claims.String("gid"); err == nil {
		event.GrantID = iam.GrantID(gid)
	}
	if err := s.revocations.RevokeToken(ctx, iam.TokenID(claims.ID), claims.Expires, event); err != nil {
		return fmt.Errorf("revoke access token: %w", err)
	}
	return nil
}

func (s *Service) revokeRefresh(ctx context.Context, client iam.Client, raw string) error {
	t, err := s.parseRefresh(raw)
	if err != nil {
		return nil
	}
	grant, err := s.grants.Grant(ctx, t.grant)
	if errors.Is(err, iam.ErrNotFound) || err == nil && grant.ClientID != client.ID {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read grant: %w", err)
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventGrantRevoked, Actor: string(client.ID), ClientID: client.ID, GrantID: grant.ID, UserID: grant.UserID}
	if _, err := s.revocations.RevokeGrant(ctx, grant.ID, "revoked by the client", event); err != nil {
		return fmt.Errorf("revoke grant: %w", err)
	}
	return nil
}

// Introspect tells an API, or the client itself, whether a token is live
// (RFC 7662, C19). Everybody else, and every dead token, gets the zero answer.
func (s *Service) Introspect(ctx context.Context, asker iam.Client, raw string) (oauth.Introspection, error) {
	if strings.HasPrefix(raw, "v1.") {
		return s.introspectRefresh(ctx, asker, raw)
	}
	a, err := s.accept(ctx, raw)
	if errors.Is(err, errDead) {
		return oauth.Introspection{}, nil
	}
	if err != nil {
		return oauth.Introspection{}, fmt.Errorf("introspect: %w", err)
	}
	may, err := s.mayRead(ctx, asker, a)
	if err != nil || !may {
		return oauth.Introspection{}, err
	}
	i := oauth.Introspection{
		Active: true, Scope: a.scope, ClientID: string(a.client), Username: a.user.Username, TokenType: "Bearer",
		Expires: a.claims.Expires.Unix(), IssuedAt: a.claims.IssuedAt.Unix(), Subject: a.claims.Subject,
		Audience: a.claims.Audience[0], Issuer: a.claims.Issuer, TokenID: a.claims.ID, Roles: a.roles,
		GrantID: string(a.grant.ID), SessionID: string(a.grant.SessionID), ACR: a.grant.ACR,
	}
	if !a.grant.AuthTime.IsZero() {
		i.AuthTime = a.grant.AuthTime.Unix()
	}
	return i, nil
}

// mayRead: the client that the token was issued to, or a reader of its API.
func (s *Service) mayRead(ctx context.Context, asker iam.Client, a accepted) (bool, error) {
	if asker.ID == a.client {
		return true, nil
	}
	apis, err := s.people.APIs(ctx)
	if err != nil {
		return false, fmt.Errorf("read APIs: %w", err)
	}
	return slices.ContainsFunc(apis, func(api iam.API) bool {
		return api.Audience == a.claims.Audience[0] && slices.Contains(asker.ReaderOf, api.Name)
	}), nil
}

func (s *Service) introspectRefresh(ctx context.Context, asker iam.Client, raw string) (oauth.Introspection, error) {
	t, err := s.parseRefresh(raw)
	if err != nil {
		return oauth.Introspection{}, nil
	}
	grant, err := s.liveGrant(ctx, t.grant)
	if errors.Is(err, errDead) {
		return oauth.Introspection{}, nil
	}
	if err != nil {
		return oauth.Introspection{}, fmt.Errorf("introspect: %w", err)
	}
	user, err := s.liveUser(ctx, grant.UserID)
	if err != nil || grant.ClientID != asker.ID || grant.Gen != t.gen || grant.MacKeyID != t.key {
		var refusal *oauth.Error
		if err == nil || errors.As(err, &refusal) {
			return oauth.Introspection{}, nil
		}
		return oauth.Introspection{}, err
	}
	return oauth.Introspection{
		Active: true, Scope: oauth.JoinScope(grant.Scopes), ClientID: string(grant.ClientID), Username: user.Username,
		TokenType: "refresh_token", Expires: grant.Expires.Unix(), Subject: string(grant.UserID), Issuer: s.issuer,
		GrantID: string(grant.ID), SessionID: string(grant.SessionID),
	}, nil
}
