package token

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// maxRefreshBytes bounds a refresh token before anything is computed.
const maxRefreshBytes = 512

// refreshToken is `v1.macKeyId.grant.gen.mac` (C13). It is never stored: the
// successor is recomputed from the row.
type refreshToken struct {
	key   iam.KeyID
	grant iam.GrantID
	gen   int64
}

func (t refreshToken) message() string {
	return strings.Join([]string{"v1", string(t.key), string(t.grant), strconv.FormatInt(t.gen, 10)}, ".")
}

var errRefresh = oauth.InvalidGrant("The refresh token is not valid any more. Log in again.")

func (s *Service) formatRefresh(t refreshToken) (string, error) {
	mac, err := s.sealer.RefreshMAC(t.key, t.message())
	if err != nil {
		return "", fmt.Errorf("make refresh token: %w", err)
	}
	return t.message() + "." + base64.RawURLEncoding.EncodeToString(mac), nil
}

// parseRefresh checks the mac in constant time: a forged token dies here,
// before the database.
func (s *Service) parseRefresh(raw string) (refreshToken, error) {
	parts := strings.Split(raw, ".")
	if len(raw) > maxRefreshBytes || len(parts) != 5 || parts[0] != "v1" {
		return refreshToken{}, errRefresh.Because(errors.New("malformed refresh token"))
	}
	gen, err := strconv.ParseInt(parts[3], 10, 64)
	t := refreshToken{key: iam.KeyID(parts[1]), grant: iam.GrantID(parts[2]), gen: gen}
	if err != nil || gen < 1 || !strings.HasPrefix(raw, t.message()+".") {
		return refreshToken{}, errRefresh.Because(errors.New("malformed refresh token"))
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(parts[4])
	if err != nil || strings.ContainsAny(raw, "\r\n") {
		return refreshToken{}, errRefresh.Because(errors.New("malformed refresh token"))
	}
	want, err := s.sealer.RefreshMAC(t.key, t.message())
	if errors.Is(err, iam.ErrUnavailable) {
		return refreshToken{}, fmt.Errorf("check refresh token: %w", err) // it may be good: no reason to log in again
	}
	if err != nil || !hmac.Equal(mac, want) {
		return refreshToken{}, errRefresh.Because(errors.New("wrong mac, or its key is gone"))
	}
	return t, nil
}

// Refresh rotates a refresh token (RFC 6749 §6, C12, C13).
func (s *Service) Refresh(ctx context.Context, client iam.Client, r oauth.TokenRequest) (oauth.TokenResponse, error) {
	if !client.Uses(iam.RefreshToken) {
		return oauth.TokenResponse{}, oauth.Refuse(oauth.CodeUnauthorizedClient, "This client may not use refresh_token.")
	}
	presented, err := s.parseRefresh(r.RefreshToken)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	for range attempts {
		a, outcome, err := s.turn(ctx, client, presented, r)
		if err != nil {
			return oauth.TokenResponse{}, err
		}
		switch outcome {
		case iam.Rotated, iam.Repeated:
			return s.signWithRefresh(ctx, a)
		case iam.Reused:
			return oauth.TokenResponse{}, oauth.InvalidGrant("The refresh token was used before. Everything issued from this login is revoked; log in again.")
		case iam.GrantEnded:
			return oauth.TokenResponse{}, errRefresh.Because(fmt.Errorf("grant %s has ended", presented.grant))
		}
		// EpochChanged: roles or the like moved since they were read.
	}
	return oauth.TokenResponse{}, fmt.Errorf("refresh: %w", iam.ErrConflict)
}

// soon is how long the first try of a change may have taken for a second one. A
// store that took longer has tried for itself, and whoever waits for us must
// have the time to come back within the grace.
const soon = time.Second

// turn computes what the new access token carries from today's roles and then
// rotates under the condition that nothing moved meanwhile.
func (s *Service) turn(ctx context.Context, proven iam.Client, presented refreshToken, r oauth.TokenRequest) (access, iam.TurnOutcome, error) {
	a, err := s.prepareTurn(ctx, proven, presented, r)
	if err != nil {
		return access{}, 0, err
	}
	next, err := s.sealer.RefreshKey()
	if err != nil {
		return access{}, 0, fmt.Errorf("make refresh token: %w", err)
	}
	turn := iam.Turn{
		Grant: presented.grant, Client: proven.ID, Gen: presented.gen, MacKey: presented.key, Grace: s.grace, NextMacKey: next,
		UserEpoch: a.user.Epoch, ClientEpoch: a.client.Epoch, Event: a.frequent(iam.EventRefreshed, s.now()),
	}
	asked := time.Now()
	grant, outcome, err := s.grants.TurnRefresh(ctx, turn)
	if err != nil && ctx.Err() == nil && s.grace > 0 && time.Since(asked) < soon {
		// The commit may have happened: inside the grace the same question has
		// the same answer (C13).
		grant, outcome, err = s.grants.TurnRefresh(ctx, turn)
	}
	if err != nil {
		return access{}, 0, fmt.Errorf("rotate refresh token: %w", err)
	}
	a.grant = grant
	return a, outcome, nil
}

func (s *Service) prepareTurn(ctx context.Context, proven iam.Client, presented refreshToken, r oauth.TokenRequest) (access, error) {
	client, err := s.liveClient(ctx, proven)
	if err != nil {
		return access{}, err
	}
	grant, err := s.grants.Grant(ctx, presented.grant)
	if errors.Is(err, iam.ErrNotFound) {
		return access{}, errRefresh.Because(fmt.Errorf("no grant %s", presented.grant))
	}
	if err != nil {
		return access{}, fmt.Errorf("read grant: %w", err)
	}
	user, err := s.liveUser(ctx, grant.UserID)
	if err != nil {
		return access{}, err
	}
	asked := iam.Asked{Scopes: grant.Scopes, Granted: true, Resource: grant.Resource}
	if len(r.Scopes) > 0 {
		if slices.ContainsFunc(r.Scopes, func(s string) bool { return !slices.Contains(grant.Scopes, s) }) {
			return access{}, oauth.InvalidScope("A refresh may ask for less than the login was granted, never for more.")
		}
		asked.Scopes = r.Scopes
	}
	granted, err := s.decideFor(ctx, client, user.Roles, asked, r.Resource)
	if err != nil {
		return access{}, err
	}
	return access{id: iam.NewTokenID(), client: client, user: &user, grant: grant, granted: granted}, nil
}

// signWithRefresh answers with an access token and, where the grant has them,
// the current refresh token.
func (s *Service) signWithRefresh(ctx context.Context, a access) (oauth.TokenResponse, error) {
	response, err := s.sign(ctx, a)
	if err != nil || a.grant.Gen == 0 {
		return response, err
	}
	response.RefreshToken, err = s.formatRefresh(refreshToken{key: a.grant.MacKeyID, grant: a.grant.ID, gen: a.grant.Gen})
	return response, err
}
