package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/oidc"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// authorize is the authorization endpoint (RFC 6749 §4.1.1). Until client and
// redirect URI are proven every refusal is a page; from there on it is an
// answer to the client.
func (h *handler) authorize(w http.ResponseWriter, r *http.Request) error {
	form, fault := oauth.ParseQuery(r.URL.RawQuery)
	where := oauth.ParseWhere(form)
	pushed := where.RequestURI != ""
	if pushed && fault == nil {
		pulled, err := h.Tokens.Pull(r.Context(), where)
		if !errors.As(err, &fault) && err != nil {
			return err
		}
		if fault == nil {
			form, where = pulled, oauth.ParseWhere(pulled)
		}
	}
	client, err := h.Tokens.Destination(r.Context(), where)
	if err != nil {
		return atFault(err, fault)
	}
	to := destination{client: client, redirectURI: where.RedirectURI, mode: where.Mode, state: where.State}
	if fault != nil {
		return h.refuse(w, r, to, fault)
	}
	if client.RequirePAR && !pushed {
		return h.refuse(w, r, to, errUnpushed)
	}
	request, err := oauth.ParseAuthorize(form)
	if err != nil {
		return h.refuse(w, r, to, err)
	}
	err = h.begin(w, r, to, request, pushed)
	if err != nil && request.Asks("none") {
		// Nobody looks at a page of this request: also our own trouble is for the
		// client to hear (RFC 6749 §4.1.2.1).
		h.Logger.Error("authorization failed", "client_id", client.ID, "request_id", respond.RequestID(r.Context()), "cause", err)
		return h.answer(w, r, to, oauth.AuthorizeAnswer{Err: trouble(err)})
	}
	return err
}

// trouble is how a client hears that something is wrong on our side.
func trouble(err error) *oauth.Error {
	if errors.Is(err, iam.ErrUnavailable) {
		return oauth.Refuse(oauth.CodeTemporarilyUnavailable, "The database cannot be used now. Try again in a moment.")
	}
	return oauth.Refuse(oauth.CodeServerError, "Something went wrong on our side.")
}

// begin takes a request whose form and destination are good to its first step.
func (h *handler) begin(w http.ResponseWriter, r *http.Request, to destination, request oauth.AuthorizeRequest, pushed bool) error {
	question, err := h.Tokens.Examine(r.Context(), to.client, request)
	if err != nil {
		return h.refuse(w, r, to, err)
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	f := flow{Kind: flowAuthorize, Request: &question.Request, Pushed: pushed, Since: h.Now().UnixMicro()}
	if err := f.fits(); err != nil {
		return h.refuse(w, r, to, err)
	}
	return h.advance(w, r, to, f, question, visit)
}

var errUnpushed = oauth.InvalidRequest("This client must push its requests to the PAR endpoint first (RFC 9126).")

// atFault explains a request that cannot be answered at a redirect URI: why
// not, and the fault that the client would have been told of, if there is one.
func atFault(err error, told ...*oauth.Error) error {
	var refusal *oauth.Error
	switch {
	case errors.Is(err, token.ErrNowhere):
		detail := err.Error()
		for _, fault := range told {
			if fault != nil {
				detail += ". " + fault.Code + ": " + fault.Description
			}
		}
		return &problem{status: http.StatusBadRequest, app: true, fault: page.FaultApp, detail: detail}
	case errors.As(err, &refusal):
		return &problem{status: http.StatusBadRequest, app: true, fault: page.FaultApp, detail: refusal.Code + ": " + refusal.Description, cause: err}
	}
	return err
}

// destination is a proven place for an answer.
type destination struct {
	client      iam.Client
	redirectURI string
	mode        string
	state       string
	// posted: the person just sent a form, so the browser would not follow a
	// redirect to another origin; the answer goes by way of a page (C30).
	posted bool
	common page.Common
}

func destinationOf(client iam.Client, r oauth.AuthorizeRequest) destination {
	return destination{client: client, redirectURI: r.RedirectURI, mode: r.ResponseMode, state: r.State}
}

// refuse answers the client with an error. What is not its fault is ours.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, to destination, err error) error {
	var refusal *oauth.Error
	if !errors.As(err, &refusal) {
		return err
	}
	h.Logger.Info("authorization refused", "code", refusal.Code, "client_id", to.client.ID, "cause", err.Error())
	return h.answer(w, r, to, oauth.AuthorizeAnswer{Err: refusal})
}

// answer sends a code or an error to the client.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, to destination, a oauth.AuthorizeAnswer) error {
	a.State = to.state
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case to.mode == oauth.ModeFormPost:
		h.Pages.FormPost(w, r, http.StatusOK, page.FormPost{Common: to.common, App: nameOf(to.client), Action: to.redirectURI, Fields: a.Fields(h.Issuer)})
	case to.posted:
		h.Pages.Continue(w, r, http.StatusOK, page.Continue{Common: to.common, App: nameOf(to.client), Target: a.URL(to.redirectURI, h.Issuer)})
	default:
		// 303: a browser that came with a POST must not send it on (RFC 9700 §4.12).
		w.Header().Set("Location", a.URL(to.redirectURI, h.Issuer))
		w.WriteHeader(http.StatusSeeOther)
	}
	return nil
}

func privateUse(uri string) bool {
	u, err := url.Parse(uri)
	return err != nil || u.Scheme != "https" && u.Scheme != "http"
}

func nameOf(c iam.Client) string {
	if c.Name != "" {
		return c.Name
	}
	return string(c.ID)
}

// advance takes a flow one step: it shows what is still needed, or answers.
func (h *handler) advance(w http.ResponseWriter, r *http.Request, to destination, f flow, q token.Question, visit login.Visit) error {
	to.common = page.Common{Locales: f.locales()}
	if f.Denied {
		return h.answer(w, r, to, oauth.AuthorizeAnswer{Err: oauth.Refuse(oauth.CodeAccessDenied, "The user refused.")})
	}
	standing := oidc.Standing{Client: q.Client, Session: visit.Session, Asks: q.Allows(), Since: f.since(), Now: h.Now()}
	if visit.SignedIn() {
		var err error
		if standing.Consent, err = h.Records.Consent(r.Context(), visit.User.ID, q.Client.ID); err != nil {
			return err
		}
	}
	step, reason, refusal := oidc.Next(q.Request, standing)
	if f.Pushed && !to.posted && (step == oidc.StepLogin || step == oidc.StepConsent) {
		// A pushed request is good once. The page gets an address of its own, so
		// that loading it again does not lose the request (RFC 9126 §4).
		return h.goOn(w, r, f)
	}
	switch step {
	case oidc.StepLogin:
		return h.showLogin(w, r, http.StatusOK, f, page.Login{App: nameOf(q.Client), AppHost: hostOf(q.Request.RedirectURI), Username: q.Request.LoginHint, Why: why(reason), Cancel: true})
	case oidc.StepConsent:
		return h.showConsent(w, r, f, q, visit)
	case oidc.StepRefuse:
		return h.refuse(w, r, to, refusal)
	}
	code, err := h.Tokens.AnswerCode(q, visit.Session, visit.User)
	if err != nil {
		return h.refuse(w, r, to, err)
	}
	return h.answer(w, r, to, oauth.AuthorizeAnswer{Code: code})
}

func why(reason oidc.Reason) page.Why {
	return map[oidc.Reason]page.Why{oidc.AskedByApp: page.WhyPrompt, oidc.TooLongAgo: page.WhyAge, oidc.OtherAccount: page.WhySwitch}[reason]
}

// hostOf is where an answer goes, for a person to read; "" for an app on this
// device.
func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || privateUse(uri) {
		return ""
	}
	return u.Host
}

// again examines a flow that comes back: the client may have changed, or gone,
// since it began (C31).
func (h *handler) again(r *http.Request, f flow) (destination, token.Question, error) {
	if f.Request == nil {
		return destination{}, token.Question{}, &problem{status: http.StatusBadRequest, fault: page.FaultForm, cause: errors.New("a flow without a request")}
	}
	client, err := h.Tokens.Destination(r.Context(), oauth.Where{ClientID: f.Request.ClientID, RedirectURI: f.Request.RedirectURI})
	if err != nil {
		return destination{}, token.Question{}, atFault(err)
	}
	to := destinationOf(client, *f.Request)
	to.posted, to.common = true, page.Common{Locales: f.locales()}
	if client.RequirePAR && !f.Pushed {
		return to, token.Question{}, errUnpushed
	}
	q, err := h.Tokens.Examine(r.Context(), client, *f.Request)
	return to, q, err
}

// resume is the page at which every form ends (C30). It works out from the flow
// and the session alone what comes next, so that loading it again is harmless.
func (h *handler) resume(w http.ResponseWriter, r *http.Request) error {
	form, wrong := oauth.ParseQuery(r.URL.RawQuery)
	if wrong != nil {
		return &problem{status: http.StatusBadRequest, fault: page.FaultForm, cause: wrong}
	}
	f, fault, err := h.open(r, form.Get("flow"))
	if err != nil {
		return err
	}
	switch fault {
	case page.FaultCookies:
		return &problem{status: http.StatusBadRequest, fault: fault, cause: errors.New("the flow belongs to another browser")}
	case page.FaultExpired:
		// An address from yesterday's history is a new request: what was said or
		// typed for the old one does not count for it.
		f.Since, f.Denied = h.Now().UnixMicro(), false
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	switch f.Kind {
	case flowDevice:
		return h.showDevice(w, r, f, visit)
	case flowAccount:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/account", http.StatusSeeOther)
		return nil
	case flowInspect:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/inspect", http.StatusSeeOther)
		return nil
	case flowPassword:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/account/password", http.StatusSeeOther)
		return nil
	case flowLogout:
		return h.showLogout(w, r, f, visit)
	case flowHandoff:
		return h.handOver(w, r, f, visit, true)
	}
	to, q, err := h.again(r, f)
	if err != nil {
		if to.client.ID != "" {
			return h.refuse(w, r, to, err)
		}
		return err
	}
	return h.advance(w, r, to, f, q, visit)
}

// language keeps what a person chose and shows the same page again.
func (h *handler) language(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if chosen, err := page.LanguageCookie(form.Get("language")); err == nil {
		chosen.Secure = h.cookies.secure
		http.SetCookie(w, chosen)
	}
	f, fault, err := h.open(r, form.Get("flow"))
	if err != nil || fault == page.FaultCookies {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/account", http.StatusSeeOther)
		return nil
	}
	f.Chosen = true
	return h.goOn(w, r, f)
}
