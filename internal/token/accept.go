package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
)

// accepted is one of our own access tokens, verified and still live.
type accepted struct {
	claims jose.Claims
	client iam.ClientID
	scope  string
	roles  []string
	grant  iam.Grant
	user   iam.User // zero for a service account
}

// errDead says that a token is not, or no longer, good. The reason is for the log.
var errDead = errors.New("token is not live")

func dead(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errDead, fmt.Errorf(format, args...))
}

// verify checks that raw is an unexpired access token which this issuer signed
// with a key that is still published. It does not know revocations.
func (s *Service) verify(raw string) (jose.Claims, error) {
	t, err := jose.Parse(raw)
	if err != nil {
		return jose.Claims{}, dead("%w", err)
	}
	key, ok := s.signer.Published().Key(t.KeyID())
	if !ok {
		return jose.Claims{}, dead("%w", jose.ErrUnknownKey)
	}
	if err := t.Verify(key); err != nil {
		return jose.Claims{}, dead("%w", err)
	}
	claims, err := t.Claims()
	if err != nil {
		return jose.Claims{}, dead("%w", err)
	}
	if len(claims.Audience) != 1 || claims.Has("cnf") {
		return jose.Claims{}, dead("no single audience, or bound to a key")
	}
	if err := complete(claims); err != nil {
		return jose.Claims{}, dead("%w", err)
	}
	expect := jose.Expect{Type: accessType, Issuer: s.issuer, Audience: claims.Audience[0], Now: s.now()}
	if err := expect.Check(t, claims); err != nil {
		return jose.Claims{}, dead("%w", err)
	}
	return claims, nil
}

// complete tells whether claims are those of an access token (RFC 9068 §2.2).
// Without jti a token could not be revoked by it.
func complete(claims jose.Claims) error {
	if claims.ID == "" || !claims.Has("iat") {
		return fmt.Errorf("%w: jti or iat is missing", jose.ErrClaim)
	}
	var err error
	for _, name := range []string{"acr", "sid"} {
		_, wrong := claims.String(name)
		err = errors.Join(err, wrong)
	}
	_, wrong := claims.Int("auth_time")
	return errors.Join(err, wrong)
}

// accept is verify and everything that can end a token before it expires:
// revocation, grant, session, and the epochs of user and client (C15, C16).
func (s *Service) accept(ctx context.Context, raw string) (accepted, error) {
	claims, err := s.verify(raw)
	if err != nil {
		return accepted{}, err
	}
	a := accepted{claims: claims}
	clientID, err1 := claims.String("client_id")
	gid, err2 := claims.String("gid")
	scope, err3 := claims.String("scope")
	roles, err4 := claims.Strings("roles")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return accepted{}, dead("%w", err)
	}
	a.client, a.scope, a.roles = iam.ClientID(clientID), scope, roles
	revoked, err := s.revocations.TokenRevoked(ctx, iam.TokenID(claims.ID))
	if err != nil {
		return accepted{}, err
	}
	if revoked {
		return accepted{}, dead("token %s is revoked", claims.ID)
	}
	if a.grant, err = s.liveGrant(ctx, iam.GrantID(gid)); err != nil {
		return accepted{}, err
	}
	if err := s.checkClientEpoch(ctx, a); err != nil {
		return accepted{}, err
	}
	a.user, err = s.checkUserEpoch(ctx, a)
	return a, err
}

func (s *Service) liveGrant(ctx context.Context, id iam.GrantID) (iam.Grant, error) {
	grant, err := s.grants.Grant(ctx, id)
	if err != nil || !grant.Live(s.now()) {
		return iam.Grant{}, notLive(err, "grant %s has ended", id)
	}
	if grant.SessionID == "" {
		return grant, nil
	}
	session, err := s.grants.Session(ctx, grant.SessionID)
	if err != nil || !session.Live(s.now()) {
		return iam.Grant{}, notLive(err, "session %s has ended", grant.SessionID)
	}
	return grant, nil
}

func (s *Service) checkClientEpoch(ctx context.Context, a accepted) error {
	epoch, err := a.claims.Int("ce")
	if err != nil || !a.claims.Has("ce") || a.grant.ClientID != a.client {
		return dead("client claims do not fit the grant")
	}
	client, err := s.people.Client(ctx, a.client)
	if err != nil || client.Disabled || epoch < client.Epoch {
		return notLive(err, "client %s ended or moved on", a.client)
	}
	return nil
}

func (s *Service) checkUserEpoch(ctx context.Context, a accepted) (iam.User, error) {
	if a.grant.UserID == "" {
		if a.claims.Subject != string(a.client) {
			return iam.User{}, dead("subject does not fit the grant")
		}
		return iam.User{}, nil
	}
	epoch, err := a.claims.Int("ue")
	if err != nil || !a.claims.Has("ue") || a.claims.Subject != string(a.grant.UserID) {
		return iam.User{}, dead("user claims do not fit the grant")
	}
	user, err := s.people.User(ctx, a.grant.UserID)
	if err != nil || user.Disabled || epoch < user.Epoch {
		return iam.User{}, notLive(err, "user %s ended or moved on", a.grant.UserID)
	}
	return user, nil
}

// notLive keeps an error of the store an error: only a missing row is a dead token.
func notLive(err error, format string, args ...any) error {
	if err == nil || errors.Is(err, iam.ErrNotFound) {
		return dead(format, args...)
	}
	return err
}
