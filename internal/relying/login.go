package relying

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// Attempt is a login under way. It is a secret of the server and of the
// browser that began it.
type Attempt struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
}

// NewAttempt draws the three values of a login.
func NewAttempt() Attempt {
	return Attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
}

// oauth is rebuilt for each use: the endpoints come from discovery.
func (p *Party) oauth(e Endpoints) *oauth2.Config {
	return &oauth2.Config{ClientID: p.config.ClientID, ClientSecret: p.config.Secret, RedirectURL: p.config.RedirectURL, Scopes: p.config.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: e.Authorization, TokenURL: e.Token, AuthStyle: oauth2.AuthStyleInHeader}}
}

// outgoing lets x/oauth2 use our client, with its timeout.
func (p *Party) outgoing(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, p.client)
}

// AuthorizeURL is where the browser goes to log in, with parameters beside the
// usual ones (OpenID Connect Core §3.1.2.1, RFC 7636).
func (p *Party) AuthorizeURL(ctx context.Context, a Attempt, more url.Values) (string, error) {
	e, err := p.Discover(ctx)
	if err != nil {
		return "", err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier), oauth2.SetAuthURLParam("nonce", a.Nonce)}
	for name := range more {
		options = append(options, oauth2.SetAuthURLParam(name, more.Get(name)))
	}
	return p.oauth(e).AuthCodeURL(a.State, options...), nil
}

// Profile is what userinfo says (OpenID Connect Core §5.3).
type Profile struct {
	Subject  string `json:"sub"`
	Name     string `json:"name"`
	Username string `json:"preferred_username"`
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
}

// Login is a login that was proven.
type Login struct {
	Tokens   *oauth2.Token
	Identity Identity
	Profile  Profile
}

// Redeem exchanges the code, proves the ID token and asks who it is.
func (p *Party) Redeem(ctx context.Context, code string, a Attempt) (Login, error) {
	e, err := p.Discover(ctx)
	if err != nil {
		return Login{}, err
	}
	var l Login
	if l.Tokens, err = p.oauth(e).Exchange(p.outgoing(ctx), code, oauth2.VerifierOption(a.Verifier)); err != nil {
		return Login{}, fmt.Errorf("redeem the code: %w", err)
	}
	raw, _ := l.Tokens.Extra("id_token").(string)
	if l.Identity, err = p.ReadIDToken(ctx, raw, a.Nonce, l.Tokens.AccessToken); err != nil {
		return Login{}, err
	}
	if err := p.Get(ctx, e.UserInfo, l.Tokens.AccessToken, &l.Profile); err != nil {
		return Login{}, fmt.Errorf("ask userinfo: %w", err)
	}
	if l.Profile.Subject != l.Identity.Subject {
		return Login{}, errors.New("userinfo is about another user than the ID token")
	}
	return l, nil
}

// Refresh gets the next tokens. HasEnded tells whether an error is final.
func (p *Party) Refresh(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
	e, err := p.Discover(ctx)
	if err != nil {
		return nil, err
	}
	// A token without an access token is renewed at once.
	next, err := p.oauth(e).TokenSource(p.outgoing(ctx), &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	return next, nil
}

// HasEnded tells whether an error of Refresh means that the login has ended at
// the issuer, rather than that the issuer has trouble.
func HasEnded(err error) bool {
	var refused *oauth2.RetrieveError
	return errors.As(err, &refused) && refused.ErrorCode == "invalid_grant"
}

// Revoke ends a refresh token and all that came from it (RFC 7009).
func (p *Party) Revoke(ctx context.Context, refreshToken string) error {
	e, err := p.Discover(ctx)
	if err != nil {
		return err
	}
	if e.Revocation == "" {
		return errors.New("the issuer has no revocation endpoint")
	}
	form := url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(p.config.ClientID), url.QueryEscape(p.config.Secret)) // RFC 6749 §2.3.1
	response, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer)) // so that the connection is used again
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("revoke: %w", &StatusError{response.StatusCode})
	}
	return nil
}

// EndSessionURL is where the browser goes to end the session at the issuer
// (OpenID Connect RP-Initiated Logout §2). With an ID token as a hint it ends at
// once, but then the browser sees the token; without one the issuer asks.
func (p *Party) EndSessionURL(ctx context.Context, back, hint string) (string, error) {
	e, err := p.Discover(ctx)
	if err != nil {
		return "", err
	}
	query := url.Values{"client_id": {p.config.ClientID}, "post_logout_redirect_uri": {back}}
	if hint != "" {
		query.Set("id_token_hint", hint)
	}
	return e.EndSession + "?" + query.Encode(), nil
}
