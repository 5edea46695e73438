package api

import (
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
)

// neighbourhood is where a request comes from, as far as places are shared out.
// One that nobody knows is a neighbourhood of its own.
func neighbourhood(r *http.Request) string {
	if p := throttle.Neighbourhood(respond.Address(r)); p.IsValid() {
		return p.String()
	}
	return "unknown"
}

// push keeps an authorization request (RFC 9126).
func (h handler) push(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.from(w, r, h.tokens.Authenticate)
	if err != nil {
		return err
	}
	response, err := h.tokens.Push(r.Context(), client, neighbourhood(r), form)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusCreated, response)
}

// deviceAuthorization begins a login on a device without a browser (RFC 8628 §3.1).
func (h handler) deviceAuthorization(w http.ResponseWriter, r *http.Request) error {
	form, client, err := h.from(w, r, h.tokens.Authenticate)
	if err != nil {
		return err
	}
	response, err := h.tokens.StartDevice(r.Context(), client, neighbourhood(r), form)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, response)
}

// userinfo tells a client about the user (OpenID Connect Core §5.3). The token
// comes in the header, or alone in a form (RFC 6750 §2.2); never in the URL.
func (h handler) userinfo(w http.ResponseWriter, r *http.Request) error {
	raw, err := bearer(w, r)
	if err != nil {
		return h.challengePage(w, r, err)
	}
	claims, client, err := h.tokens.UserInfo(r.Context(), raw)
	if err != nil {
		return h.challengePage(w, r, err)
	}
	allowPage(w, r, client)
	return respond.JSON(w, http.StatusOK, claims)
}

func bearer(w http.ResponseWriter, r *http.Request) (string, error) {
	raw, err := oauth.ParseBearer(r.Header.Values("Authorization"))
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || kind != "application/x-www-form-urlencoded" {
		return raw, err
	}
	form, fault := readForm(w, r)
	if fault != nil {
		return "", fault
	}
	inForm := form.Get("access_token")
	switch {
	case inForm == "":
		return raw, err
	case len(r.Header.Values("Authorization")) > 0:
		return "", oauth.InvalidRequest("The request carries two tokens: in the Authorization header and in the form.")
	}
	return inForm, nil
}

// challengePage is a refusal that a page may read, so that an app in a browser
// learns that its token has ended. A dead token names no client, and a refusal
// holds nothing of a user: any origin that a client registered will do.
func (h handler) challengePage(w http.ResponseWriter, r *http.Request, err error) error {
	known, fault := h.originKnown(r)
	if fault != nil {
		return fmt.Errorf("read origins: %w", fault)
	}
	if known {
		exposeTo(w, r.Header.Get("Origin"))
	}
	return challenge(w, err)
}

// challenge adds the header of RFC 6750 §3 to a refusal.
func challenge(w http.ResponseWriter, err error) error {
	c := oauth.Challenge{Realm: "userinfo"}
	var refusal *oauth.Error
	switch {
	case errors.Is(err, oauth.ErrNoToken):
		w.Header().Set("WWW-Authenticate", c.String())
		return oauth.Refuse(oauth.CodeInvalidToken, "The request carries no access token. Send it as Authorization: Bearer TOKEN.")
	case errors.As(err, &refusal):
		c.Code, c.Description = refusal.Code, refusal.Description
		if refusal.Code == oauth.CodeInsufficientScope {
			c.Scope = "openid"
		}
		w.Header().Set("WWW-Authenticate", c.String())
	}
	return err
}
