package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/jose"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// handoffs is the store's part of the hand-off.
type handoffs interface {
	IssueHandoff(ctx context.Context, h iam.HandoffIssue) (bool, error)
	SpendHandoff(ctx context.Context, h iam.HandoffUse) (bool, error)
}

// refusedHandoff is an ErrNowhere in words of its own: there is no redirect URI
// that could be proven.
type refusedHandoff string

func (e refusedHandoff) Error() string { return string(e) }

// Is makes it an ErrNowhere.
func (refusedHandoff) Is(target error) bool { return target == ErrNowhere }

func noHandoff(format string, args ...any) error {
	return refusedHandoff(fmt.Sprintf(format, args...))
}

// HandoffClient proves that logins may be handed to a client, now. ErrNowhere
// says why not; it is shown to the person, because nothing else is proven.
func (s *Service) HandoffClient(ctx context.Context, id iam.ClientID) (iam.Client, error) {
	if id == "" {
		return iam.Client{}, noHandoff("client_id is missing, or given more than once")
	}
	client, err := s.people.Client(ctx, id)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return iam.Client{}, noHandoff("no client %q is registered", iam.Printable(string(id), 64))
	case err != nil:
		return iam.Client{}, fmt.Errorf("read client: %w", err)
	case client.Disabled:
		return iam.Client{}, noHandoff("the client %q is disabled", client.ID)
	case client.Handoff == nil || !client.FirstParty:
		return iam.Client{}, noHandoff("logins are not handed to the client %q; allow it with: gatehouse client edit %s --handoff-url URL", client.ID, client.ID)
	case !client.Handoff.CanCome(s.issuer):
		return iam.Client{}, noHandoff("the hand-off cookie of the client %q is for %s, where the issuer %s cannot set it", client.ID, client.Handoff.Domain, s.issuer)
	}
	return client, nil
}

// handoffAlgorithm signs the hand-off tokens of a client: the one registered
// for its ID tokens, else ES256, which keeps an address or a cookie short
// (docs/why/0052).
func handoffAlgorithm(c iam.Client) string { return cmp.Or(c.IDTokenAlgorithm, string(jose.ES256)) }

// IssueHandoff says to one app, for 30 seconds and once, who signed in (C33).
// It echoes the hash of the nonce with which the app began. iam.ErrConflict:
// the login has ended meanwhile.
func (s *Service) IssueHandoff(ctx context.Context, client iam.Client, session iam.Session, user iam.User, nonceHash string) (string, error) {
	roles, err := s.people.Roles(ctx)
	if err != nil {
		return "", fmt.Errorf("read roles: %w", err)
	}
	id := iam.NewTokenID()
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventHandoff, Actor: string(client.ID), UserID: user.ID, ClientID: client.ID, TokenID: id,
		Detail: map[string]string{"mode": string(client.Handoff.Mode)}}
	live, err := s.grants.IssueHandoff(ctx, iam.HandoffIssue{Session: session.ID, User: user.ID, UserEpoch: user.Epoch, Client: client.ID, ClientEpoch: client.Epoch, Event: event})
	if err != nil {
		return "", fmt.Errorf("issue hand-off: %w", err)
	}
	if !live {
		return "", fmt.Errorf("issue hand-off: the login has ended: %w", iam.ErrConflict)
	}
	now := s.now()
	claims := iam.PersonClaims(user, client.Scopes, nil, client.MayHold)
	claims["iss"] = s.issuer
	claims["sub"] = string(user.ID)
	claims["aud"] = string(client.ID)
	claims["exp"] = now.Add(iam.HandoffLife).Unix()
	claims["iat"] = now.Unix()
	claims["jti"] = string(id)
	claims["nonce_hash"] = nonceHash
	claims["sid"] = string(session.ID)
	claims["auth_time"] = session.AuthTime.Unix()
	claims["acr"] = session.ACR
	claims["amr"] = session.AMR
	if names := iam.HandoffRoles(client, named(roles, user.Roles)); len(names) > 0 {
		claims["roles"] = names
	}
	signer, err := s.signer.Signer(ctx, handoffAlgorithm(client))
	if err != nil {
		return "", fmt.Errorf("sign hand-off: %w", err)
	}
	raw, err := signer.Sign(oauth.HandoffType, claims)
	if err == nil && !client.Handoff.Fits(len(raw)) {
		err = fmt.Errorf("the hand-off token for %s has %d bytes, too many for the mode %s; take scopes from the client or use form_post", client.ID, len(raw), client.Handoff.Mode)
	}
	return raw, err
}

var errHandoff = oauth.InvalidGrant("The hand-off is not one for this client and nonce, was used before, or has expired.")

// RedeemHandoff spends a hand-off token for the app that it was made for, once,
// and returns its claims as JSON. Nothing is spent for whoever lacks the nonce:
// it proves, also for a public client, that the app's own browser brought the
// token.
func (s *Service) RedeemHandoff(ctx context.Context, client iam.Client, raw, nonce string) ([]byte, error) {
	if client.Handoff == nil {
		return nil, oauth.Refuse(oauth.CodeUnauthorizedClient, "Logins are not handed to this client.")
	}
	t, err := jose.Parse(raw)
	if err != nil {
		return nil, errHandoff.Because(err)
	}
	key, ok := s.signer.Published().Key(t.KeyID())
	if !ok {
		return nil, errHandoff.Because(jose.ErrUnknownKey)
	}
	if err := t.Verify(key); err != nil {
		return nil, errHandoff.Because(err)
	}
	claims, err := t.Claims()
	if err != nil {
		return nil, errHandoff.Because(err)
	}
	expect := jose.Expect{Type: oauth.HandoffType, Issuer: s.issuer, Audience: string(client.ID), Now: s.now()}
	if err := expect.Check(t, claims); err != nil {
		return nil, errHandoff.Because(err)
	}
	hash, err1 := claims.String("nonce_hash")
	sid, err2 := claims.String("sid")
	if err := errors.Join(err1, err2); err != nil {
		return nil, errHandoff.Because(err)
	}
	if !oauth.NonceFits(nonce, hash) {
		return nil, errHandoff.Because(errors.New("the nonce does not fit"))
	}
	spent, err := s.grants.SpendHandoff(ctx, iam.HandoffUse{ID: iam.TokenID(claims.ID), Session: iam.SessionID(sid), User: iam.UserID(claims.Subject), Expires: claims.Expires,
		Event: iam.Event{ID: iam.NewEventID(), Kind: iam.EventHandoffRedeemed, Actor: string(client.ID), UserID: iam.UserID(claims.Subject), ClientID: client.ID, TokenID: iam.TokenID(claims.ID)}})
	if err != nil {
		return nil, fmt.Errorf("spend hand-off: %w", err)
	}
	if !spent {
		return nil, errHandoff.Because(errors.New("used before, expired, or the login has ended"))
	}
	return t.Payload(), nil
}
