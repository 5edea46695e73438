package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/page"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

// setup makes the first administrator; *directory.Setup does it.
type setup interface {
	Waits(ctx context.Context) (bool, error)
	Claim(ctx context.Context, code, username, password string) (iam.User, error)
}

// maxSetupBytes bounds the form.
const maxSetupBytes = 8 << 10

// Setup is the page at /setup. It is there only while a setup code waits to be
// used; at all other times there is nothing at its address.
func Setup(s setup, logger *slog.Logger) http.Handler {
	h := setupPage{setup: s, logger: logger}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /setup", h.show)
	mux.HandleFunc("POST /setup", h.claim)
	return http.NewCrossOriginProtection().Handler(mux)
}

type setupPage struct {
	setup  setup
	logger *slog.Logger
}

func (h setupPage) show(w http.ResponseWriter, r *http.Request) {
	waits, err := h.setup.Waits(r.Context())
	switch {
	case err != nil:
		respond.Error(w, r, h.logger, err)
	case !waits:
		respond.NotFound(w, r)
	default:
		page.ShowSetup(w, http.StatusOK, page.Setup{})
	}
}

func (h setupPage) claim(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxSetupBytes)
	if err := r.ParseForm(); err != nil {
		page.ShowSetup(w, http.StatusBadRequest, page.Setup{Fault: "The form could not be read. Try again."})
		return
	}
	username := r.PostForm.Get("username")
	user, err := h.setup.Claim(r.Context(), r.PostForm.Get("code"), username, r.PostForm.Get("password"))
	var invalid *iam.Invalid
	switch {
	case errors.As(err, &invalid):
		h.logger.Info("setup refused", "cause", err, "address", respond.Address(r).String(), "request_id", respond.RequestID(r.Context()))
		page.ShowSetup(w, http.StatusBadRequest, page.Setup{Username: username, Fault: invalid.Error()})
	case err != nil:
		respond.Error(w, r, h.logger, err)
	default:
		page.ShowSetup(w, http.StatusOK, page.Setup{Username: user.Username, Done: true})
	}
}
