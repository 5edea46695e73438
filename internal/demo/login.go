package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// scopes that the demo app asks for; what it gets depends on the user's roles.
var appScopes = []string{"orders:read", "orders:write"}

// person is a demo user with the tokens of one login; none when the user was
// disabled in a kept folder.
type person struct {
	username, password string
	name, email        string
	roles              []string
	token              *oauth2.Token
}

// access is the access token, or "".
func (p *person) access() string {
	if p.token == nil {
		return ""
	}
	return p.token.AccessToken
}

// fresh makes sure that the access token was issued within the last minutes:
// by the refresh token, or by a new login when the old one was ended.
func (p *person) fresh(ctx context.Context, issuer string) error {
	config := oauth2.Config{ClientID: appID, Scopes: appScopes, Endpoint: oauth2.Endpoint{TokenURL: issuer + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams}}
	if p.token != nil && p.token.RefreshToken != "" {
		token, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: p.token.RefreshToken}).Token()
		if err == nil {
			p.token = token
			return nil
		}
	}
	p.token = nil
	verifier := oauth2.GenerateVerifier()
	code, err := challenge(ctx, issuer, p.username, p.password, oauth2.S256ChallengeFromVerifier(verifier))
	if err != nil {
		return fmt.Errorf("log in %s: %w", p.username, err)
	}
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return fmt.Errorf("log in %s: %w", p.username, err)
	}
	p.token = token
	return nil
}

// refusedLogin is an answer of the authority, not a failure to ask.
type refusedLogin struct{ answer string }

func (e *refusedLogin) Error() string { return e.answer }

// challenge is the first-party login of C11, as a mobile app would do it.
func challenge(ctx context.Context, issuer, username, password, codeChallenge string) (string, error) {
	form := url.Values{
		"client_id": {appID}, "username": {username}, "password": {password}, "scope": {strings.Join(appScopes, " ")},
		"code_challenge": {codeChallenge}, "code_challenge_method": {"S256"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/oauth/authorize-challenge", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		Code        string `json:"authorization_code"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&answer); err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	if answer.Code == "" {
		return "", &refusedLogin{answer.Error + ": " + answer.Description}
	}
	return answer.Code, nil
}

// serviceToken obtains a token for the demo service; "" when it was disabled.
func serviceToken(ctx context.Context, issuer, secret string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	config := clientcredentials.Config{ClientID: serviceID, ClientSecret: secret, TokenURL: issuer + "/oauth/token"}
	token, err := config.Token(ctx)
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("log in %s: %w", serviceID, err)
	}
	return token.AccessToken, nil
}
