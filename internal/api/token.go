package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// proof is how strictly a client must prove who it is.
type proof func(ctx context.Context, c oauth.Credentials) (iam.Client, error)

// from reads the form of a request and who it comes from.
func (h handler) from(w http.ResponseWriter, r *http.Request, prove proof) (oauth.Form, iam.Client, error) {
	form, err := readForm(w, r)
	if err != nil {
		return oauth.Form{}, iam.Client{}, err
	}
	credentials, err := oauth.ParseCredentials(r.Header.Values("Authorization"), form)
	if err != nil {
		return oauth.Form{}, iam.Client{}, err
	}
	client, err := prove(r.Context(), credentials)
	if err != nil {
		return oauth.Form{}, iam.Client{}, err
	}
	return form, client, nil
}

// fromPage is from for an endpoint whose answers a page of the client may read:
// also the refusals, from the moment the client is known.
func (h handler) fromPage(w http.ResponseWriter, r *http.Request, prove proof) (oauth.Form, iam.Client, error) {
	form, client, err := h.from(w, r, prove)
	if err == nil {
		allowPage(w, r, client)
	}
	return form, client, err
}

// token is the token endpoint (RFC 6749 §3.2).
func (h handler) token(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.fromPage(w, r, h.tokens.Authenticate)
	if err != nil {
		return err
	}
	request, err := oauth.ParseTokenRequest(form)
	if err != nil {
		return err
	}
	response, err := h.issue(r, client, request)
	if err != nil {
		return err
	}
	w.Header().Set("Pragma", "no-cache")
	return respond.JSON(w, http.StatusOK, response)
}

func (h handler) issue(r *http.Request, client iam.Client, request oauth.TokenRequest) (oauth.TokenResponse, error) {
	switch request.GrantType {
	case iam.ClientCredentials:
		return h.tokens.ClientCredentials(r.Context(), client, request)
	case iam.AuthorizationCode:
		return h.tokens.Redeem(r.Context(), client, request)
	case iam.DeviceCode:
		return h.tokens.RedeemDevice(r.Context(), client, request)
	default:
		return h.tokens.Refresh(r.Context(), client, request)
	}
}

// challenge is the first-party login without a browser (C11). It has no CORS,
// refuses browsers, and neither reads nor sets a cookie.
func (h handler) challenge(w http.ResponseWriter, r *http.Request) error {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		return oauth.InvalidRequest("The challenge endpoint is for native first-party apps, not for pages in a browser.")
	}
	if r.Header.Get("Authorization") != "" {
		return oauth.InvalidRequest("The challenge endpoint is for public clients and takes no client authentication.")
	}
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	request, err := oauth.ParseChallengeRequest(form)
	if err != nil {
		return err
	}
	client, err := h.tokens.CheckChallenge(r.Context(), request)
	if err != nil {
		return err
	}
	result, err := h.logins.Password(r.Context(), login.Attempt{Username: request.Username, Password: request.Password, Address: respond.Address(r), Client: client.ID})
	if err != nil {
		return loginRefusal(err)
	}
	code, err := h.tokens.IssueCode(r.Context(), client, token.Login(result), request)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, map[string]string{"authorization_code": code})
}

func loginRefusal(err error) error {
	var throttled *login.Throttled
	switch {
	case errors.As(err, &throttled):
		return oauth.TooMany(throttled.Wait, throttled.Sentence()).Because(err)
	case errors.Is(err, login.ErrDenied):
		return oauth.Refuse(oauth.CodeAccessDenied, "That username and password don't match.").Because(err)
	case errors.Is(err, login.ErrBusy):
		return oauth.Refuse(oauth.CodeTemporarilyUnavailable, "Too many logins at once. Try again in a moment.").Because(err)
	}
	return err
}

// revoke ends a token (RFC 7009). The answer is 200 whatever the token was.
func (h handler) revoke(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.fromPage(w, r, h.tokens.Authenticate)
	if err != nil {
		return err
	}
	raw, err := form.Require("token")
	if err != nil {
		return err
	}
	if err := h.tokens.Revoke(r.Context(), client, raw); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// introspect tells whether a token is live (RFC 7662).
func (h handler) introspect(w http.ResponseWriter, r *http.Request) error {
	form, asker, err := h.from(w, r, h.tokens.AuthenticateConfidential)
	if err != nil {
		return err
	}
	raw, err := form.Require("token")
	if err != nil {
		return err
	}
	answer, err := h.tokens.Introspect(r.Context(), asker, raw)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, answer)
}
