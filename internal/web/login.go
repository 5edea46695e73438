package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

func (h *handler) showLogin(w http.ResponseWriter, r *http.Request, status int, f flow, v page.Login) error {
	sealed, err := h.seal(w, r, f)
	if err != nil {
		return err
	}
	v.Common, v.Flow = page.Common{Locales: f.locales()}, sealed
	h.Pages.Login(w, r, status, v)
	return nil
}

// login takes username and password. Whatever is wrong, the page comes again
// with the request intact and the username kept.
func (h *handler) login(w http.ResponseWriter, r *http.Request) error {
	form, f, fault, err := h.posted(w, r, flowAuthorize, flowDevice, flowAccount, flowHandoff, flowInspect)
	if err != nil {
		return err
	}
	view := page.Login{Username: form.Get("username"), Fault: fault}
	clientID := iam.ClientID("")
	if f.Kind == flowAuthorize {
		to, q, err := h.again(r, f)
		if err != nil {
			if to.client.ID != "" {
				return h.refuse(w, r, to, err)
			}
			return err
		}
		clientID = q.Client.ID
		view.App, view.AppHost, view.Cancel = nameOf(q.Client), hostOf(f.Request.RedirectURI), true
	}
	if f.Kind == flowHandoff {
		client, err := h.Tokens.HandoffClient(r.Context(), f.Client)
		if err != nil {
			return atFault(err)
		}
		clientID, view.App, view.AppHost = client.ID, nameOf(client), hostOf(client.Handoff.URL)
	}
	if fault != "" {
		return h.showLogin(w, r, http.StatusBadRequest, f, view)
	}
	if form.Get("cancel") != "" {
		f.Denied = true
		return h.goOn(w, r, f)
	}
	if view.Username == "" || form.Get("password") == "" {
		view.Fault = page.FaultRequired
		return h.showLogin(w, r, http.StatusBadRequest, f, view)
	}
	had, err := h.visit(r)
	if err != nil {
		return err
	}
	result, err := h.Logins.Password(r.Context(), login.Attempt{Client: clientID, Username: view.Username, Password: form.Get("password"), Address: respond.Address(r)})
	if err == nil {
		var cookie string
		if _, cookie, err = h.Sessions.Begin(r.Context(), result, had, r.UserAgent()); err == nil {
			h.cookies.set(w, h.cookies.session, cookie)
			return h.goOn(w, r, f)
		}
	}
	status, fault, wait := loginFault(err)
	if fault == "" {
		return err
	}
	h.Logger.Info("login refused", "cause", err, "address", respond.Address(r).String(), "request_id", respond.RequestID(r.Context()))
	view.Fault, view.Wait = fault, wait
	if wait > 0 {
		respond.RetryAfter(w, wait)
	}
	return h.showLogin(w, r, status, f, view)
}

// loginFault is what a person is told of a login that failed.
func loginFault(err error) (int, page.Fault, time.Duration) {
	var throttled *login.Throttled
	switch {
	case errors.As(err, &throttled):
		return http.StatusTooManyRequests, page.FaultTooMany, throttled.Wait
	case errors.Is(err, login.ErrDenied), errors.Is(err, iam.ErrConflict):
		return http.StatusBadRequest, page.FaultDenied, 0
	case errors.Is(err, login.ErrBusy):
		return http.StatusServiceUnavailable, page.FaultBusy, busyWait
	}
	return http.StatusInternalServerError, "", 0
}
