package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// attempts bounds how often a decision is made again because the user or the
// client changed between reading and writing.
const attempts = 3

// ClientCredentials issues a token for a service account (RFC 6749 §4.4).
// There is no refresh token (§4.4.3).
func (s *Service) ClientCredentials(ctx context.Context, client iam.Client, r oauth.TokenRequest) (oauth.TokenResponse, error) {
	if !client.Uses(iam.ClientCredentials) {
		return oauth.TokenResponse{}, oauth.Refuse(oauth.CodeUnauthorizedClient, "This client may not use client_credentials: only service accounts may.")
	}
	for range attempts {
		response, err := s.clientCredentials(ctx, client, r)
		if !errors.Is(err, iam.ErrConflict) {
			return response, err
		}
		if client, err = s.liveClient(ctx, client); err != nil {
			return oauth.TokenResponse{}, err
		}
	}
	return oauth.TokenResponse{}, fmt.Errorf("issue token: %w", iam.ErrConflict)
}

func (s *Service) clientCredentials(ctx context.Context, client iam.Client, r oauth.TokenRequest) (oauth.TokenResponse, error) {
	granted, err := s.decide(ctx, client, client.Roles, iam.Asked{Scopes: r.Scopes, Resource: r.Resource})
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	a := access{id: iam.NewTokenID(), client: client, granted: granted}
	candidate := iam.Grant{ID: iam.NewGrantID(), ClientID: client.ID, CreatedAt: s.now()}
	if a.grant.ID, err = s.grants.IssueForClient(ctx, candidate, client.Epoch, a.frequent(iam.EventTokenIssued, s.now())); err != nil {
		return oauth.TokenResponse{}, fmt.Errorf("record token: %w", err)
	}
	return s.sign(ctx, a)
}

// liveClient reads a client again that proved itself a moment ago. What it
// proved itself with must still be its own: the copy that it was compared with
// may have been old (C28).
func (s *Service) liveClient(ctx context.Context, proven iam.Client) (iam.Client, error) {
	client, err := s.people.Client(ctx, proven.ID)
	if errors.Is(err, iam.ErrNotFound) || err == nil && (client.Disabled || !client.SameProof(proven)) {
		return iam.Client{}, errClient.Because(fmt.Errorf("client %s ended or got another secret meanwhile", proven.ID))
	}
	if err != nil {
		return iam.Client{}, fmt.Errorf("read client: %w", err)
	}
	return client, nil
}
