package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

func (h *handler) showConsent(w http.ResponseWriter, r *http.Request, f flow, q token.Question, visit login.Visit) error {
	f.User, f.Shown = visit.User.ID, shown(q)
	sealed, err := h.seal(w, r, f)
	if err != nil {
		return err
	}
	h.Pages.Consent(w, r, http.StatusOK, page.Consent{
		Common: page.Common{Locales: f.locales()}, Flow: sealed, App: nameOf(q.Client), RedirectHost: hostOf(f.Request.RedirectURI), Username: visit.User.Username,
		Scopes: sentences(q.API, q.Asks()), API: q.API.Name, Native: q.Client.Impersonable(f.Request.RedirectURI),
	})
	return nil
}

// shown is what the page of a question asks for, as a digest.
func shown(q token.Question) string {
	return hashOf(strings.Join(append(q.Asks(), q.API.Audience, nameOf(q.Client)), " "))
}

// sentences says what scopes mean: the API's own words for its scopes.
func sentences(api iam.API, scopes []string) []page.ConsentScope {
	var list []page.ConsentScope
	for _, name := range scopes {
		s := page.ConsentScope{Name: name}
		if i := slices.IndexFunc(api.Scopes, func(d iam.Scope) bool { return d.Name == name }); i >= 0 {
			s.Sentence = api.Scopes[i].Description
		}
		list = append(list, s)
	}
	return list
}

// consent writes what the user allows. What is allowed is worked out again from
// the request; the form says yes or no.
func (h *handler) consent(w http.ResponseWriter, r *http.Request) error {
	form, f, fault, err := h.posted(w, r, flowAuthorize)
	if err != nil {
		return err
	}
	to, q, err := h.again(r, f)
	if err != nil {
		if to.client.ID != "" {
			return h.refuse(w, r, to, err)
		}
		return err
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	if fault != "" || !visit.SignedIn() || visit.User.ID != f.User || f.Shown != shown(q) {
		// Too old, another browser, another user than the one who saw it, or more
		// than was seen: ask anew.
		return h.advance(w, r, to, f, q, visit)
	}
	if form.Get("decision") != "allow" {
		f.Denied = true
		return h.goOn(w, r, f)
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventConsentGiven, Actor: string(visit.User.ID), UserID: visit.User.ID, ClientID: q.Client.ID,
		Detail: map[string]string{"scope": oauth.JoinScope(q.Asks())}}
	if err := h.Records.GiveConsent(r.Context(), visit.User.ID, q.Client.ID, q.Allows(), event); err != nil {
		return fmt.Errorf("give consent: %w", err)
	}
	return h.goOn(w, r, f)
}
