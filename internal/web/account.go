package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/page"
)

// account is a person's own page: which apps have access, and where one is
// signed in.
func (h *handler) account(w http.ResponseWriter, r *http.Request) error {
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	return h.showAccount(w, r, visit, "")
}

func (h *handler) showAccount(w http.ResponseWriter, r *http.Request, visit login.Visit, notice string) error {
	f := flow{Kind: flowAccount, Since: h.Now().UnixMicro(), User: visit.User.ID}
	if !visit.SignedIn() {
		return h.showLogin(w, r, http.StatusOK, f, page.Login{})
	}
	sealed, err := h.seal(w, r, f)
	if err != nil {
		return err
	}
	view := page.Account{Username: visit.User.Username, Name: visit.User.Name, Flow: sealed, Notice: notice, Password: true}
	if view.Apps, err = h.accountApps(r, visit.User.ID); err != nil {
		return err
	}
	if view.Sessions, err = h.accountSessions(r, visit); err != nil {
		return err
	}
	h.Pages.Account(w, r, http.StatusOK, view)
	return nil
}

// accountApps are the apps that hold a grant or a consent.
func (h *handler) accountApps(r *http.Request, user iam.UserID) ([]page.AccountApp, error) {
	consents, err := h.Records.Consents(r.Context(), user)
	if err != nil {
		return nil, err
	}
	grants, err := h.Records.GrantedApps(r.Context(), user)
	if err != nil {
		return nil, err
	}
	apis, err := h.Records.APIs(r.Context())
	if err != nil {
		return nil, err
	}
	byClient := map[iam.ClientID]*page.AccountApp{}
	var order []iam.ClientID
	at := func(id iam.ClientID) *page.AccountApp {
		if byClient[id] == nil {
			byClient[id] = &page.AccountApp{ClientID: string(id), Name: string(id)}
			order = append(order, id)
		}
		return byClient[id]
	}
	for _, c := range consents {
		app := at(c.ClientID)
		app.Since, app.Scopes = c.Since, allowed(apis, c.Scopes)
	}
	for _, g := range grants {
		app := at(g.ClientID)
		if app.Since.IsZero() || g.CreatedAt.Before(app.Since) {
			app.Since = g.CreatedAt
		}
		for _, used := range []time.Time{g.CreatedAt, g.RotatedAt} {
			if used.After(app.LastUsed) {
				app.LastUsed = used
			}
		}
		app.Scopes = described(apis, app.Scopes, g.Scopes)
	}
	slices.Sort(order)
	var apps []page.AccountApp
	for _, id := range order {
		client, err := h.Records.Client(r.Context(), id)
		if err == nil {
			byClient[id].Name = nameOf(client)
		} else if !errors.Is(err, iam.ErrNotFound) {
			return nil, err
		}
		apps = append(apps, *byClient[id])
	}
	return apps, nil
}

// allowed are the scopes of a consent, each in the words of its own API.
func allowed(apis []iam.API, scopes []string) []page.ConsentScope {
	var list []page.ConsentScope
	for _, s := range scopes {
		name, scope := iam.AllowedScope(s)
		i := slices.IndexFunc(apis, func(a iam.API) bool { return a.Name == name })
		if i < 0 {
			list = append(list, page.ConsentScope{Name: scope})
			continue
		}
		list = append(list, sentences(apis[i], []string{scope})...)
	}
	return list
}

// described adds scopes that are not in the list yet, in the API's words.
func described(apis []iam.API, have []page.ConsentScope, scopes []string) []page.ConsentScope {
	for _, name := range scopes {
		if slices.ContainsFunc(have, func(s page.ConsentScope) bool { return s.Name == name }) {
			continue
		}
		s := page.ConsentScope{Name: name}
		for _, a := range apis {
			for _, d := range a.Scopes {
				if d.Name == name {
					s.Sentence = d.Description
				}
			}
		}
		have = append(have, s)
	}
	return have
}

func (h *handler) accountSessions(r *http.Request, visit login.Visit) ([]page.AccountSession, error) {
	sessions, err := h.Records.Sessions(r.Context(), visit.User.ID)
	if err != nil {
		return nil, err
	}
	var list []page.AccountSession
	for _, s := range sessions {
		if s.CookieHash == "" {
			continue // of an app without a browser: it is listed among the apps
		}
		view := page.AccountSession{ID: string(s.ID), Current: s.ID == visit.Session.ID, Since: s.CreatedAt, LastSeen: s.SeenAt, Browser: browserName(s.Agent)}
		apps, err := h.Records.SessionApps(r.Context(), s.ID)
		if err != nil {
			return nil, err
		}
		for _, a := range apps {
			if client, err := h.Records.Client(r.Context(), a.ClientID); err == nil {
				view.Apps = append(view.Apps, nameOf(client))
			}
		}
		list = append(list, view)
	}
	return list, nil
}

// onAccount reads a form of the account page and who sent it. Not ok: the page
// was shown again instead.
func (h *handler) onAccount(w http.ResponseWriter, r *http.Request) (get func(string) string, visit login.Visit, ok bool, err error) {
	form, f, fault, err := h.posted(w, r, flowAccount)
	if err != nil {
		return nil, login.Visit{}, false, err
	}
	if visit, err = h.visit(r); err != nil {
		return nil, login.Visit{}, false, err
	}
	if fault != "" || !visit.SignedIn() || visit.User.ID != f.User {
		return nil, visit, false, h.showAccount(w, r, visit, "")
	}
	return form.Get, visit, true, nil
}

func (h *handler) revokeApp(w http.ResponseWriter, r *http.Request) error {
	get, visit, ok, err := h.onAccount(w, r)
	if !ok {
		return err
	}
	id := iam.ClientID(get("client_id"))
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventConsentRevoked, Actor: string(visit.User.ID), UserID: visit.User.ID, ClientID: id}
	if _, err := h.Records.RevokeConsent(r.Context(), visit.User.ID, id, event); err != nil {
		return fmt.Errorf("revoke consent: %w", err)
	}
	return h.showAccount(w, r, visit, page.NoticeRevoked)
}

func (h *handler) endSession(w http.ResponseWriter, r *http.Request) error {
	get, visit, ok, err := h.onAccount(w, r)
	if !ok {
		return err
	}
	id := iam.SessionID(get("id"))
	if err := h.Sessions.End(r.Context(), visit, id); err != nil {
		return err
	}
	if id == visit.Session.ID {
		h.cookies.clear(w, h.cookies.session)
		return h.loggedOut(w, r, iam.Client{}, "", true)
	}
	return h.showAccount(w, r, visit, page.NoticeEnded)
}

func (h *handler) endOthers(w http.ResponseWriter, r *http.Request) error {
	_, visit, ok, err := h.onAccount(w, r)
	if !ok {
		return err
	}
	event := iam.Event{ID: iam.NewEventID(), Kind: iam.EventSessionEnded, Actor: string(visit.User.ID), UserID: visit.User.ID, Detail: map[string]string{"which": "all others"}}
	if err := h.Records.EndOtherSessions(r.Context(), visit.Session.ID, visit.User.ID, event); err != nil {
		return err
	}
	return h.showAccount(w, r, visit, page.NoticeOthersEnded)
}
