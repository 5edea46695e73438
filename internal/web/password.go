package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/login"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// passwordChanger decides; *login.Service does it.
type passwordChanger interface {
	ChangePassword(ctx context.Context, a login.Attempt, next string) error
}

// maxAccountBytes bounds the form.
const maxAccountBytes = 8 << 10

// busyWait is what a client is told to wait when all hashing slots are taken.
const busyWait = 2 * time.Second

// Account is what people do with their own account: /account/password, and the
// address at which password managers look for it.
func Account(changer passwordChanger, logger *slog.Logger) http.Handler {
	h := accountPage{changer: changer, logger: logger}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /account/password", func(w http.ResponseWriter, _ *http.Request) {
		page.ShowPassword(w, http.StatusOK, page.Password{})
	})
	mux.HandleFunc("POST /account/password", h.change)
	mux.Handle("GET /.well-known/change-password", http.RedirectHandler("/account/password", http.StatusFound))
	return http.NewCrossOriginProtection().Handler(mux)
}

type accountPage struct {
	changer passwordChanger
	logger  *slog.Logger
}

func (h accountPage) change(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxAccountBytes)
	if err := r.ParseForm(); err != nil {
		page.ShowPassword(w, http.StatusBadRequest, page.Password{Fault: "The form could not be read. Try again."})
		return
	}
	view := page.Password{Username: r.PostForm.Get("username")}
	next := r.PostForm.Get("new-password")
	if next != r.PostForm.Get("new-password-again") {
		view.AgainFault = "This is not the same as the new password above. Type both again."
		page.ShowPassword(w, http.StatusBadRequest, view)
		return
	}
	attempt := login.Attempt{Username: view.Username, Password: r.PostForm.Get("current-password"), Address: respond.Address(r)}
	h.answer(w, r, view, h.changer.ChangePassword(r.Context(), attempt, next))
}

// answer shows the outcome. A refusal of the login is one, whatever its reason.
func (h accountPage) answer(w http.ResponseWriter, r *http.Request, view page.Password, err error) {
	status := http.StatusBadRequest
	var throttled *login.Throttled
	var invalid *iam.Invalid
	switch {
	case err == nil:
		view, status = page.Password{Done: true}, http.StatusOK
	case errors.As(err, &throttled):
		respond.RetryAfter(w, throttled.Wait)
		view.Fault, status = throttled.Sentence(), http.StatusTooManyRequests
	case errors.Is(err, login.ErrDenied):
		view.CurrentFault = "That username and password don't match."
	case errors.As(err, &invalid):
		view.NewFault = invalid.Error()
	case errors.Is(err, login.ErrBusy):
		respond.RetryAfter(w, busyWait)
		view.Fault, status = "Too many logins at once. Nothing was changed. Try again in a moment.", http.StatusServiceUnavailable
	case errors.Is(err, iam.ErrConflict):
		view.Fault, status = "The password was changed elsewhere in the same moment. Nothing was changed here. Try again with the password that is valid now.", http.StatusConflict
	default:
		respond.Error(w, r, h.logger, err)
		return
	}
	if err != nil {
		cause := err.Error()
		if invalid != nil {
			cause = "the new password is not allowed" // why may tell a part of it
		}
		h.logger.Info("password change refused", "cause", cause, "address", respond.Address(r).String(), "request_id", respond.RequestID(r.Context()))
	}
	page.ShowPassword(w, status, view)
}
