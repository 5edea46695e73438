package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// logout is the end session endpoint (OpenID Connect RP-Initiated Logout). With
// an ID token of this very session the person asked in the app, and it ends at
// once; else a page asks, so that no other site can sign people out.
func (h *handler) logout(w http.ResponseWriter, r *http.Request) error {
	form, wrong := oauth.ParseQuery(r.URL.RawQuery)
	if wrong != nil {
		return atFault(wrong)
	}
	hint, client, err := h.whoAsks(r, form)
	if err != nil {
		return err
	}
	target, err := afterLogout(form, client)
	if err != nil {
		return err
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	if !visit.SignedIn() {
		return h.loggedOut(w, r, client, target, false)
	}
	if ofThis(hint, visit) {
		if err := h.endVisit(w, r, visit); err != nil {
			return err
		}
		return h.loggedOut(w, r, client, target, false)
	}
	return h.showLogout(w, r, flow{Kind: flowLogout, Since: h.Now().UnixMicro(), Client: client.ID, Target: target}, visit)
}

// ofThis tells whether the hint proves that the app knows this session.
func ofThis(hint token.Hint, visit login.Visit) bool {
	if hint.Subject != visit.User.ID {
		return false
	}
	return hint.Session == visit.Session.ID
}

// whoAsks is the client that sent the browser here, if it says so.
func (h *handler) whoAsks(r *http.Request, form oauth.Form) (token.Hint, iam.Client, error) {
	var hint token.Hint
	if raw := form.Get("id_token_hint"); raw != "" {
		var err error
		if hint, err = h.Tokens.ReadHint(raw); err != nil {
			return token.Hint{}, iam.Client{}, atFault(err)
		}
	}
	id := iam.ClientID(form.Get("client_id"))
	if id != "" && hint.Client != "" && id != hint.Client {
		return token.Hint{}, iam.Client{}, atFault(oauth.InvalidRequest("The client_id is not the one that the id_token_hint was issued to."))
	}
	if id == "" {
		id = hint.Client
	}
	if id == "" {
		return hint, iam.Client{}, nil
	}
	client, err := h.Records.Client(r.Context(), id)
	if errors.Is(err, iam.ErrNotFound) || err == nil && client.Disabled {
		return token.Hint{}, iam.Client{}, atFault(oauth.InvalidRequest("No client %q is registered.", iam.Printable(string(id), 64)))
	}
	return hint, client, err
}

// afterLogout is where the app wants the browser back, proven and with its state.
func afterLogout(form oauth.Form, client iam.Client) (string, error) {
	uri := form.Get("post_logout_redirect_uri")
	switch {
	case uri == "":
		return "", nil
	case client.ID == "":
		return "", atFault(oauth.InvalidRequest("A post_logout_redirect_uri needs an id_token_hint or a client_id."))
	case !client.AllowsPostLogout(uri):
		return "", atFault(oauth.InvalidRequest("The post_logout_redirect_uri %q is not registered for client %q.", iam.Printable(uri, 256), client.ID))
	}
	state := form.Get("state")
	switch {
	case state == "":
		return uri, nil
	case len(state) > oauth.MaxState:
		return "", atFault(oauth.InvalidRequest("The parameter \"state\" has more than %d bytes.", oauth.MaxState))
	}
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + "state=" + url.QueryEscape(state), nil
}

func (h *handler) showLogout(w http.ResponseWriter, r *http.Request, f flow, visit login.Visit) error {
	client := iam.Client{}
	if f.Client != "" {
		var err error
		if client, err = h.Records.Client(r.Context(), f.Client); err != nil && !errors.Is(err, iam.ErrNotFound) {
			return err
		}
	}
	if !visit.SignedIn() {
		return h.loggedOut(w, r, client, "", true)
	}
	f.User = visit.User.ID
	sealed, err := h.seal(w, r, f)
	if err != nil {
		return err
	}
	app := ""
	if client.ID != "" {
		app = nameOf(client)
	}
	h.Pages.Logout(w, r, http.StatusOK, page.Logout{App: app, Username: visit.User.Username, Flow: sealed})
	return nil
}

// logoutDecision ends the session, or leaves it.
func (h *handler) logoutDecision(w http.ResponseWriter, r *http.Request) error {
	form, f, fault, err := h.posted(w, r, flowLogout, flowAccount)
	if err != nil {
		return err
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	client := iam.Client{}
	if f.Client != "" {
		if client, err = h.Records.Client(r.Context(), f.Client); err != nil && !errors.Is(err, iam.ErrNotFound) {
			return err
		}
	}
	if visit.SignedIn() && (fault != "" || visit.User.ID != f.User) {
		f.Kind = flowLogout
		return h.showLogout(w, r, f, visit)
	}
	if form.Get("decision") != "logout" {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/account", http.StatusSeeOther)
		return nil
	}
	if visit.SignedIn() {
		if err := h.endVisit(w, r, visit); err != nil {
			return err
		}
	}
	target := f.Target
	if target != "" && !leadsTo(client.PostLogoutRedirectURIs, target) {
		target = "" // the client changed meanwhile
	}
	return h.loggedOut(w, r, client, target, true)
}

// leadsTo tells whether target is one of uris, with a state or without.
func leadsTo(uris []string, target string) bool {
	for _, uri := range uris {
		if target == uri || strings.HasPrefix(target, uri+"?state=") || strings.HasPrefix(target, uri+"&state=") {
			return true
		}
	}
	return false
}

func (h *handler) endVisit(w http.ResponseWriter, r *http.Request, visit login.Visit) error {
	if err := h.Sessions.End(r.Context(), visit, visit.Session.ID); err != nil {
		return err
	}
	h.cookies.clear(w, h.cookies.session)
	return nil
}

// loggedOut says so. After a form the browser goes on by way of the page.
func (h *handler) loggedOut(w http.ResponseWriter, r *http.Request, client iam.Client, target string, posted bool) error {
	if target != "" && !posted {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	app := ""
	if target != "" {
		app = nameOf(client)
	}
	h.Pages.LoggedOut(w, r, http.StatusOK, page.LoggedOut{App: app, Target: target})
	return nil
}
