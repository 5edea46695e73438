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

// busyWait is what a client is told to wait when all hashing slots are taken.
const busyWait = 2 * time.Second

// password is the form that changes a password. Nobody needs to be signed in:
// who knows the current password may change it.
func (h *handler) password(w http.ResponseWriter, r *http.Request) error {
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	return h.showPassword(w, r, http.StatusOK, page.Password{Username: visit.User.Username})
}

func (h *handler) showPassword(w http.ResponseWriter, r *http.Request, status int, v page.Password) error {
	sealed, err := h.seal(w, r, flow{Kind: flowPassword, Since: h.Now().UnixMicro()})
	if err != nil {
		return err
	}
	v.Flow = sealed
	h.Pages.Password(w, r, status, v)
	return nil
}

// changePassword ends every session and grant of the user (C14). The browser
// that did it gets a new session if it had one.
func (h *handler) changePassword(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	view, next := page.Password{Username: form.Get("username")}, form.Get("new-password")
	if next != form.Get("new-password-again") {
		view.Differs = true
		return h.showPassword(w, r, http.StatusBadRequest, view)
	}
	visit, err := h.visit(r)
	if err != nil {
		return err
	}
	attempt := login.Attempt{Username: view.Username, Password: form.Get("current-password"), Address: respond.Address(r)}
	if err := h.Logins.ChangePassword(r.Context(), attempt, next); err != nil {
		return h.passwordFault(w, r, view, err)
	}
	own, err := iam.CanonicalUsername(view.Username)
	view = page.Password{Done: true}
	if err == nil && visit.SignedIn() && visit.User.Username == own {
		cookie, err := h.Sessions.Again(r.Context(), visit, r.UserAgent())
		if err != nil {
			return err
		}
		h.cookies.set(w, h.cookies.session, cookie)
		view.SignedIn = true
	}
	return h.showPassword(w, r, http.StatusOK, view)
}

// passwordFault shows the form again. A refusal of the login is one, whatever
// its reason.
func (h *handler) passwordFault(w http.ResponseWriter, r *http.Request, view page.Password, err error) error {
	cause := err.Error()
	var invalid *iam.Invalid
	status, fault, wait := loginFault(err)
	switch {
	case errors.As(err, &invalid):
		// Why it is not allowed may tell a part of it, so the log does not say it.
		status, view.NewFault, cause = http.StatusBadRequest, invalid.Error(), "the new password is not allowed"
	case errors.Is(err, iam.ErrConflict):
		status, view.Fault = http.StatusConflict, page.FaultChanged
	case fault == "":
		return err
	default:
		view.Fault, view.Wait = fault, wait
	}
	if wait > 0 {
		respond.RetryAfter(w, wait)
	}
	h.Logger.Info("password change refused", "cause", cause, "address", respond.Address(r).String(), "request_id", respond.RequestID(r.Context()))
	return h.showPassword(w, r, status, view)
}
