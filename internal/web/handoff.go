package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/page"
)

// handoff hands a login to an app that cannot speak OpenID Connect (C33). The
// app begins and names no address: only the registered one is ever used. Every
// refusal is a page, since there is no protocol to answer in.
func (h *handler) handoff(w http.ResponseWriter, r *http.Request) error {
	form, fault := oauth.ParseQuery(r.URL.RawQuery)
	if fault != nil {
		return atFault(fault)
	}
	client, err := h.Tokens.HandoffClient(r.Context(), iam.ClientID(form.Get("client_id")))
	if err != nil {
		return atFault(err)
	}
	request, err := oauth.ParseHandoff(form)
	if err != nil {
		return atFault(err)
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	f := flow{Kind: flowHandoff, Client: client.ID, NonceHash: request.NonceHash, Since: h.Now().UnixMicro()}
	return h.handOver(w, r, f, visit, false)
}

// handOver takes the flow one step: to the login page, or to the app. posted
// says that the person just sent a form (C30).
func (h *handler) handOver(w http.ResponseWriter, r *http.Request, f flow, visit login.Visit, posted bool) error {
	client, err := h.Tokens.HandoffClient(r.Context(), f.Client)
	if err != nil {
		return atFault(err)
	}
	ask := page.Login{App: nameOf(client), AppHost: hostOf(client.Handoff.URL)}
	if !visit.SignedIn() {
		return h.showLogin(w, r, http.StatusOK, f, ask)
	}
	raw, err := h.Tokens.IssueHandoff(r.Context(), client, visit.Session, visit.User, f.NonceHash)
	if errors.Is(err, iam.ErrConflict) {
		return h.showLogin(w, r, http.StatusOK, f, ask)
	}
	if err != nil {
		return err
	}
	return h.deliver(w, r, client, raw, posted)
}

// deliver sends the browser to the registered URL with the token.
func (h *handler) deliver(w http.ResponseWriter, r *http.Request, client iam.Client, raw string, posted bool) error {
	w.Header().Set("Cache-Control", "no-store")
	target := client.Handoff.URL
	switch client.Handoff.Mode {
	case iam.HandoffForm:
		h.Pages.FormPost(w, r, http.StatusOK, page.FormPost{App: nameOf(client), Action: target, Fields: [][2]string{{oauth.HandoffParameter, raw}}})
		return nil
	case iam.HandoffQuery:
		separator := "?"
		if strings.Contains(target, "?") {
			separator = "&"
		}
		target += separator + oauth.HandoffParameter + "=" + raw // base64url and dots: nothing to escape
	case iam.HandoffCookie:
		http.SetCookie(w, handoffCookie(client, raw))
	}
	if posted {
		h.Pages.Continue(w, r, http.StatusOK, page.Continue{App: nameOf(client), Target: target})
		return nil
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// handoffCookie reaches the registered path on the hosts of the shared domain
// and lives as long as the token.
func handoffCookie(client iam.Client, raw string) *http.Cookie {
	path := "/"
	if u, err := url.Parse(client.Handoff.URL); err == nil && u.Path != "" {
		path = u.EscapedPath()
	}
	return &http.Cookie{Name: oauth.HandoffCookie(string(client.ID)), Value: raw, Domain: client.Handoff.Domain, Path: path,
		MaxAge: int(iam.HandoffLife / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}
