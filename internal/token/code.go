package token

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// maxCodeBytes bounds a sealed code (C10).
const maxCodeBytes = 2 << 10

// viaChallenge marks codes of the challenge endpoint: they redeem without a
// redirect URI, every other code needs the one it was sent to (C11).
const viaChallenge = "challenge"

// code is what an authorization code seals. Nothing about it is stored before
// it is redeemed (C10).
type code struct {
	ID          iam.CodeID          `json:"id"`
	Client      iam.ClientID        `json:"c"`
	User        iam.UserID          `json:"u"`
	Scopes      []string            `json:"s,omitempty"`
	Resource    string              `json:"r,omitempty"`
	Challenge   oauth.PKCEChallenge `json:"p"`
	RedirectURI string              `json:"ru,omitempty"`
	Via         string              `json:"v,omitempty"`
	AuthTime    int64               `json:"at"` // seconds
	ACR         string              `json:"acr"`
	AMR         []string            `json:"amr"`
	UserEpoch   int64               `json:"ue"`
	ClientEpoch int64               `json:"ce"`
	Expires     int64               `json:"x"` // seconds
	// Of the authorization endpoint only.
	Session iam.SessionID `json:"sid,omitempty"`
	Nonce   string        `json:"n,omitempty"`
	Claims  string        `json:"cl,omitempty"`
	Consent bool          `json:"co,omitempty"` // the user was asked, and it must still hold
}

// CheckChallenge tells whether a client may ask for a code at the challenge
// endpoint and whether what it asks for can be granted at all. It runs before
// the login, so that its answer says nothing about the account.
func (s *Service) CheckChallenge(ctx context.Context, r oauth.ChallengeRequest) (iam.Client, error) {
	client, err := s.Authenticate(ctx, oauth.Credentials{ClientID: r.ClientID, Method: oauth.MethodNone})
	if err != nil {
		return iam.Client{}, err
	}
	if !client.Challenge || !client.FirstParty || !client.Uses(iam.AuthorizationCode) {
		return iam.Client{}, oauth.Refuse(oauth.CodeUnauthorizedClient, "This client may not use the challenge endpoint.")
	}
	_, err = s.decide(ctx, client, nil, iam.Asked{Scopes: r.Scopes, Resource: r.Resource})
	return client, err
}

// Login is what the login decision said about the user.
type Login struct {
	User iam.User
	At   time.Time
	ACR  string
	AMR  []string
}

// IssueCode seals the code of a successful challenge (C11).
func (s *Service) IssueCode(ctx context.Context, client iam.Client, login Login, r oauth.ChallengeRequest) (string, error) {
	granted, err := s.decide(ctx, client, login.User.Roles, iam.Asked{Scopes: r.Scopes, Resource: r.Resource})
	if err != nil {
		return "", err
	}
	return s.sealCode(code{
		ID: iam.NewCodeID(), Client: client.ID, User: login.User.ID,
		Scopes: granted.Standing, Resource: r.Resource, Challenge: r.Challenge, Via: viaChallenge,
		AuthTime: login.At.Unix(), ACR: login.ACR, AMR: login.AMR,
		UserEpoch: login.User.Epoch, ClientEpoch: client.Epoch,
		Expires: s.now().Add(iam.CodeLife).Unix(),
	})
}

// sealCode writes `v1.keyId.sealed`: the key id in the clear, so that any key
// that is still around can open it.
func (s *Service) sealCode(c code) (string, error) {
	var plaintext bytes.Buffer
	encoder := json.NewEncoder(&plaintext)
	encoder.SetEscapeHTML(false) // a nonce of "<<<" is as long as it looks
	if err := encoder.Encode(c); err != nil {
		return "", fmt.Errorf("seal code: %w", err)
	}
	id, sealed, err := s.sealer.SealCode(plaintext.Bytes())
	if err != nil {
		return "", fmt.Errorf("seal code: %w", err)
	}
	raw := "v1." + string(id) + "." + base64.RawURLEncoding.EncodeToString(sealed)
	if len(raw) > maxCodeBytes {
		return "", oauth.InvalidRequest("The request is too large: scope, nonce, claims, resource and redirect_uri must fit in a code of %d bytes.", maxCodeBytes)
	}
	return raw, nil
}

var errCode = oauth.InvalidGrant("The code is not one of this server, or has expired.")

func (s *Service) openCode(raw string) (code, error) {
	parts := strings.Split(raw, ".")
	if len(raw) > maxCodeBytes || len(parts) != 3 || parts[0] != "v1" || strings.ContainsAny(raw, "\r\n") {
		return code{}, errCode.Because(errors.New("malformed code"))
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return code{}, errCode.Because(err)
	}
	plaintext, err := s.sealer.OpenCode(iam.KeyID(parts[1]), sealed)
	if errors.Is(err, iam.ErrUnavailable) {
		return code{}, fmt.Errorf("open code: %w", err)
	}
	if err != nil {
		return code{}, errCode.Because(err)
	}
	var c code
	if err := json.Unmarshal(plaintext, &c); err != nil {
		return code{}, errCode.Because(err)
	}
	return c, nil // whether it expired is for the store's clock to say (C26)
}

// check proves that the code is this client's and goes where it was meant to
// (C10). Failing here spends and revokes nothing: a thief who lacks the
// verifier cannot burn the code either.
func (c code) check(client iam.Client, r oauth.TokenRequest) error {
	if c.Client != client.ID {
		return errCode.Because(fmt.Errorf("code of client %s presented by %s", c.Client, client.ID))
	}
	if c.RedirectURI != r.RedirectURI {
		return oauth.InvalidGrant("The redirect_uri is not the one that the code was sent to.")
	}
	if c.RedirectURI == "" && c.Via != viaChallenge {
		return errCode.Because(errors.New("code without redirect_uri that is not of the challenge endpoint"))
	}
	return c.Challenge.CheckVerifier(r.Verifier)
}

// Redeem exchanges a code for tokens, exactly once (RFC 6749 §4.1.3, C10).
func (s *Service) Redeem(ctx context.Context, client iam.Client, r oauth.TokenRequest) (oauth.TokenResponse, error) {
	if !client.Uses(iam.AuthorizationCode) {
		return oauth.TokenResponse{}, oauth.Refuse(oauth.CodeUnauthorizedClient, "This client may not use authorization_code.")
	}
	c, err := s.openCode(r.Code)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	if err := c.check(client, r); err != nil {
		return oauth.TokenResponse{}, err
	}
	user, err := s.liveUser(ctx, c.User)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	granted, err := s.decideFor(ctx, client, user.Roles, iam.Asked{Scopes: c.Scopes, Granted: true, Resource: c.Resource}, r.Resource)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	grant, session, err := s.newGrant(client, c, granted)
	if err != nil {
		return oauth.TokenResponse{}, err
	}
	a := access{id: iam.NewTokenID(), client: client, user: &user, grant: grant, granted: granted, nonce: c.Nonce, session: c.Session}
	return s.redeem(ctx, a, c, session)
}

func (s *Service) redeem(ctx context.Context, a access, c code, session *iam.Session) (oauth.TokenResponse, error) {
	redemption := iam.Redemption{
		Code: c.ID, CodeExpires: time.Unix(c.Expires, 0), Grant: a.grant, Session: session,
		UserEpoch: c.UserEpoch, ClientEpoch: c.ClientEpoch, Within: c.Session, Asked: c.Consent, Consent: iam.AllAllowed(a.granted.API, c.Scopes), Event: a.event(iam.EventCodeRedeemed),
	}
	asked := time.Now()
	outcome, err := s.grants.RedeemCode(ctx, redemption)
	if err != nil && ctx.Err() == nil && time.Since(asked) < soon {
		// The commit may have happened: asking again with the same grant id
		// finds our own row and succeeds (C10).
		outcome, err = s.grants.RedeemCode(ctx, redemption)
	}
	switch {
	case err != nil:
		return oauth.TokenResponse{}, fmt.Errorf("redeem code: %w", err)
	case outcome == iam.CodeReplayed:
		return oauth.TokenResponse{}, oauth.InvalidGrant("The code was used before. Everything issued from it is revoked.")
	case outcome != iam.Redeemed:
		return oauth.TokenResponse{}, oauth.InvalidGrant("The login that this code stands for has ended.")
	}
	return s.signWithRefresh(ctx, a)
}

// newGrant draws the grant before the transaction. Without offline_access it
// belongs to the session of the login; a challenge login begins one here (C12).
func (s *Service) newGrant(client iam.Client, c code, granted iam.Granted) (iam.Grant, *iam.Session, error) {
	now := s.now()
	grant := iam.Grant{
		ID: iam.NewGrantID(), UserID: c.User, ClientID: client.ID, Scopes: c.Scopes, Resource: c.Resource,
		AuthTime: time.Unix(c.AuthTime, 0), ACR: c.ACR, AMR: c.AMR, Claims: c.Claims, CreatedAt: now,
		IdleExpires: now.Add(iam.GrantIdle), Expires: now.Add(iam.GrantAbsolute),
	}
	if client.Uses(iam.RefreshToken) {
		key, err := s.sealer.RefreshKey()
		if err != nil {
			return iam.Grant{}, nil, fmt.Errorf("make refresh token: %w", err)
		}
		grant.Gen, grant.MacKeyID = 1, key
	}
	for _, scope := range granted.Scopes {
		if scope == "offline_access" {
			return grant, nil, nil
		}
	}
	if c.Session != "" {
		grant.SessionID = c.Session
		return grant, nil, nil
	}
	session := &iam.Session{
		ID: iam.NewSessionID(), UserID: c.User, AuthTime: grant.AuthTime, ACR: c.ACR, AMR: c.AMR, CreatedAt: now,
		IdleExpires: now.Add(iam.SessionIdle), Expires: now.Add(iam.SessionAbsolute),
	}
	grant.SessionID = session.ID
	return grant, session, nil
}

func (s *Service) liveUser(ctx context.Context, id iam.UserID) (iam.User, error) {
	user, err := s.people.User(ctx, id)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return iam.User{}, oauth.InvalidGrant("The login that this stands for has ended.").Because(fmt.Errorf("user %s is gone or disabled", id))
	}
	if err != nil {
		return iam.User{}, fmt.Errorf("read user: %w", err)
	}
	return user, nil
}
