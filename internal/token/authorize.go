package token

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// ErrNowhere says that an authorization request has no place where its answer
// could go: the client or the redirect URI is not proven. It is shown to the
// person and never redirected (RFC 6749 §4.1.2.1).
var ErrNowhere = errors.New("no proven redirect URI")

func nowhere(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNowhere, fmt.Sprintf(format, args...))
}

// Destination proves the client and the redirect URI of a request.
func (s *Service) Destination(ctx context.Context, w oauth.Where) (iam.Client, error) {
	if w.ClientID == "" {
		return iam.Client{}, nowhere("client_id is missing, or given more than once")
	}
	client, err := s.people.Client(ctx, iam.ClientID(w.ClientID))
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return iam.Client{}, nowhere("no client %q is registered", iam.Printable(w.ClientID, 64))
	case err != nil:
		return iam.Client{}, fmt.Errorf("read client: %w", err)
	case client.Disabled:
		return iam.Client{}, nowhere("the client %q is disabled", client.ID)
	case client.Type == iam.Service:
		return iam.Client{}, nowhere("%q is a service account: it signs nobody in", client.ID)
	case w.RedirectURI == "":
		return client, nowhere("redirect_uri is missing, or given more than once")
	case !client.AllowsRedirect(w.RedirectURI):
		return client, nowhere("the redirect_uri %q is not registered for client %q", iam.Printable(w.RedirectURI, 256), client.ID)
	}
	return client, nil
}

// Question is an authorization request that its client may ask.
type Question struct {
	Client  iam.Client
	Request oauth.AuthorizeRequest
	// Standing are the scopes that the client may hold: what consent is about.
	Standing []string
	API      iam.API
}

// Asks are the scopes that consent must cover, those of claims asked for by
// name included.
func (q Question) Asks() []string {
	asks := slices.Clone(q.Standing)
	for _, name := range q.Request.Claims.Names() {
		if scope := iam.ClaimScope(name); scope != "" && q.Client.MayHold(scope) && !slices.Contains(asks, scope) {
			asks = append(asks, scope)
		}
	}
	return asks
}

// Allows are Asks in the names of a consent.
func (q Question) Allows() []string { return iam.AllAllowed(q.API, q.Asks()) }

// Examine reads a request and tells whether its client may ask it at all. It
// is repeated at each step of a flow, because a client may change meanwhile
// (C31). What it refuses is answered at the redirect URI.
func (s *Service) Examine(ctx context.Context, client iam.Client, r oauth.AuthorizeRequest) (Question, error) {
	if !client.Uses(iam.AuthorizationCode) {
		return Question{}, oauth.Refuse(oauth.CodeUnauthorizedClient, "This client may not use the authorization endpoint.")
	}
	if r.IDTokenHint != "" {
		hint, err := s.ReadHint(r.IDTokenHint)
		if err != nil {
			return Question{}, err
		}
		r.Subject, r.IDTokenHint = string(hint.Subject), ""
	}
	if r.OpenID() && r.Resource == "" && !client.MayHold("openid") {
		return Question{}, oauth.InvalidScope("This client may not be granted openid. Allow it with: gatehouse client edit %s --add-scope openid", client.ID)
	}
	granted, err := s.decide(ctx, client, nil, iam.Asked{Scopes: r.Scopes, Resource: r.Resource})
	if err != nil {
		return Question{}, err
	}
	q := Question{Client: client, Request: r, Standing: granted.Standing, API: granted.API}
	// Sealed for nobody: what is too large for a code is refused before anybody
	// types a password for it (C10).
	_, err = s.AnswerCode(q, longest, iam.User{ID: iam.NewUserID(), Epoch: math.MaxInt32})
	return q, err
}

// longest is a session whose parts are as long as they get.
var longest = iam.Session{ID: iam.NewSessionID(), AuthTime: time.Unix(1<<33, 0), ACR: iam.ACRPassword, AMR: []string{"pwd", "otp", "mfa", "hwk"}}

// AnswerCode seals a code for a user who is signed in (C10). Whether the user
// may be answered has been judged; the redemption repeats what can have changed.
func (s *Service) AnswerCode(q Question, session iam.Session, user iam.User) (string, error) {
	r := q.Request
	return s.sealCode(code{
		ID: iam.NewCodeID(), Client: q.Client.ID, User: user.ID,
		Scopes: q.Standing, Resource: r.Resource, Challenge: r.Challenge, RedirectURI: r.RedirectURI,
		AuthTime: session.AuthTime.Unix(), ACR: session.ACR, AMR: session.AMR,
		UserEpoch: user.Epoch, ClientEpoch: q.Client.Epoch, Expires: s.now().Add(iam.CodeLife).Unix(),
		Session: session.ID, Nonce: r.Nonce, Claims: r.Claims.Text(), Consent: q.Client.NeedsConsent(),
	})
}
