package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
	"github.com/gatehouse-auth/gatehouse/internal/throttle"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// records is what pages show and change beside logins and tokens.
type records interface {
	Client(ctx context.Context, id iam.ClientID) (iam.Client, error)
	Consent(ctx context.Context, user iam.UserID, client iam.ClientID) (iam.Consent, error)
	Consents(ctx context.Context, user iam.UserID) ([]iam.Consent, error)
	GiveConsent(ctx context.Context, user iam.UserID, client iam.ClientID, scopes []string, event iam.Event) error
	RevokeConsent(ctx context.Context, user iam.UserID, client iam.ClientID, event iam.Event) (bool, error)
	GrantedApps(ctx context.Context, user iam.UserID) ([]iam.Grant, error)
	Sessions(ctx context.Context, user iam.UserID) ([]iam.Session, error)
	SessionApps(ctx context.Context, id iam.SessionID) ([]iam.SessionApp, error)
	EndOtherSessions(ctx context.Context, keep iam.SessionID, user iam.UserID, event iam.Event) error
	APIs(ctx context.Context) ([]iam.API, error)
}

// logins decides about passwords; *login.Service does it.
type logins interface {
	Password(ctx context.Context, a login.Attempt) (login.Login, error)
	ChangePassword(ctx context.Context, a login.Attempt, next string) error
}

// forms seals what a browser carries from one page to the next.
type forms interface {
	SealForm(kind string, plaintext []byte) (iam.KeyID, []byte, error)
	OpenForm(kind string, id iam.KeyID, sealed []byte) ([]byte, error)
}

// Config of the pages of sign-on; every field but Now is required.
type Config struct {
	Issuer   string
	Pages    *page.Pages
	Tokens   *token.Service
	Logins   logins
	Sessions *login.Sessions
	Records  records
	Forms    forms
	Keys     published
	Guesses  *throttle.Throttle // of device codes
	Logger   *slog.Logger
	Now      func() time.Time
}

type handler struct {
	Config
	cookies cookies
}

// SignOn adds the pages of single sign-on to mux.
func SignOn(mux *http.ServeMux, c Config) error {
	if c.Issuer == "" || c.Pages == nil || c.Tokens == nil || c.Logins == nil || c.Sessions == nil || c.Records == nil || c.Forms == nil || c.Keys == nil || c.Guesses == nil || c.Logger == nil {
		return errors.New("web: every field of Config but Now is required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	jar, err := newCookies(c.Issuer)
	if err != nil {
		return err
	}
	h := &handler{Config: c, cookies: jar}
	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Pages.Problem(w, r, http.StatusForbidden, page.Problem{Message: page.FaultCross, Reference: respond.RequestID(r.Context())})
	}))
	for _, route := range []struct {
		path   string
		show   action
		post   action
		anyone bool // a POST may come from another site: it is answered with a GET
		once   bool // a GET does something that counts, so a HEAD of a link checker is not taken for one
	}{
		{"/oauth/authorize", h.authorize, h.asGet("/oauth/authorize"), true, true},
		{oauth.HandoffPath, h.handoff, nil, true, true},
		{"/login", nil, h.login, false, false},
		{"/consent", nil, h.consent, false, false},
		{"/continue", h.resume, nil, false, true},
		{"/device", h.device, h.deviceCode, false, false},
		{"/device/confirm", nil, h.deviceDecision, false, false},
		{"/oauth/logout", h.logout, h.asGet("/oauth/logout"), true, true},
		{"/oauth/logout/confirm", nil, h.logoutDecision, false, false},
		{"/account", h.account, nil, false, false},
		{"/account/password", h.password, h.changePassword, false, false},
		{"/account/apps/revoke", nil, h.revokeApp, false, false},
		{"/account/sessions/end", nil, h.endSession, false, false},
		{"/account/sessions/end-others", nil, h.endOthers, false, false},
		{"/inspect", h.inspectForm, h.inspect, false, false},
		{"/language", nil, h.language, false, false},
	} {
		head := route.show
		if route.once {
			head = nil
		}
		var served http.Handler = h.methods(route.show, head, route.post)
		if !route.anyone {
			served = own.Handler(served)
		}
		mux.Handle(route.path, served)
	}
	// Password managers look for the form there.
	mux.Handle("GET /.well-known/change-password", http.RedirectHandler("/account/password", http.StatusFound))
	mux.Handle("/assets/", c.Pages.Assets())
	return nil
}

// action answers a request, or says why not: a *problem for a page that
// explains it, anything else for a page that says it is our fault.
type action func(w http.ResponseWriter, r *http.Request) error

// methods serves GET with show, HEAD with head and POST with post; nil: not there.
func (h *handler) methods(show, head, post action) http.HandlerFunc {
	take := map[string]action{http.MethodGet: show, http.MethodHead: head, http.MethodPost: post}
	var names []string
	for _, name := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if take[name] != nil {
			names = append(names, name)
		}
	}
	allow := strings.Join(names, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		run := take[r.Method]
		if run == nil {
			w.Header().Set("Allow", allow)
			h.explain(w, r, &problem{status: http.StatusMethodNotAllowed, fault: page.FaultNotFound, detail: "this address takes " + allow + " only"})
			return
		}
		respond.With(h.Logger, func(w http.ResponseWriter, r *http.Request) error {
			if err := run(w, r); err != nil {
				h.explain(w, r, err)
			}
			return nil
		}).ServeHTTP(w, r)
	}
}

// problem is a refusal that a person reads.
type problem struct {
	status int
	fault  page.Fault
	detail string // for the developer of the app, folded away
	app    bool   // the app is set up wrongly
	cause  error  // for the log
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.detail
}

// explain shows the page of an error, and logs its cause.
func (h *handler) explain(w http.ResponseWriter, r *http.Request, err error) {
	var known *problem
	switch {
	case errors.As(err, &known):
	case errors.Is(err, iam.ErrUnavailable):
		known = &problem{status: http.StatusServiceUnavailable, fault: page.FaultBusy}
		respond.RetryAfter(w, busyWait)
	default:
		known = &problem{status: http.StatusInternalServerError, fault: page.FaultServer}
	}
	level := slog.LevelInfo
	if known.status >= 500 {
		level = slog.LevelError
	}
	id := respond.RequestID(r.Context())
	h.Logger.LogAttrs(r.Context(), level, "page refused", slog.Int("status", known.status), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.String("request_id", id), slog.String("cause", err.Error()))
	h.Pages.Problem(w, r, known.status, page.Problem{Status: known.status, Message: known.fault, Detail: known.detail, Reference: id, AppAtFault: known.app})
}
