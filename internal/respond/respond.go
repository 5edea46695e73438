package respond

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
)

// Handler is an HTTP handler that returns its refusal instead of writing it.
type Handler func(w http.ResponseWriter, r *http.Request) error

// With makes an http.Handler that answers errors and logs their causes. A
// panic is an error like any other: it must not end a connection in silence.
func With(logger *slog.Logger, h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler {
				panic(p)
			}
			if p != nil {
				Error(w, r, logger, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		if err := h(w, r); err != nil {
			Error(w, r, logger, err)
		}
	})
}

// JSON writes v with status. Answers may hold tokens: nothing may keep them.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
	return nil // the client is gone; there is nobody to tell
}

// refusal is the body of an error answer (RFC 6749 §5.2).
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	RequestID   string `json:"request_id"`
}

// expected is an answer of 500 or above that is no fault.
type expected struct{ error }

func (e expected) Unwrap() error { return e.error }

// Expected marks a refusal with a status of 500 or above that happens to a
// healthy server, such as one that ends: the log has it as information.
func Expected(err error) error { return expected{err} }

// Error answers err: an *oauth.Error with its own code and sentence, a store
// that is away with 503, anything else with server_error and no detail. The cause goes to the log only.
func Error(w http.ResponseWriter, r *http.Request, logger *slog.Logger, err error) {
	var known *oauth.Error
	switch {
	case errors.As(err, &known):
	case errors.Is(err, iam.ErrUnavailable):
		known = oauth.Refuse(oauth.CodeTemporarilyUnavailable, "The database cannot be used now. Try again in a moment.")
	default:
		known = oauth.Refuse(oauth.CodeServerError, "Something went wrong on our side. The log has the cause under this request id.")
	}
	status, id := statusOf(known.Code), RequestID(r.Context())
	if known.Wait > 0 {
		status = http.StatusTooManyRequests
		RetryAfter(w, known.Wait)
	}
	level := slog.LevelInfo
	if status >= 500 && !errors.As(err, new(expected)) {
		level = slog.LevelError
	}
	logger.LogAttrs(r.Context(), level, "request refused", slog.String("code", known.Code), slog.Int("status", status),
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("request_id", id), slog.String("cause", err.Error()))
	if status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="gatehouse", charset="UTF-8"`)
	}
	if status == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "2")
	}
	JSON(w, status, refusal{Code: known.Code, Description: known.Description, RequestID: id})
}

// RetryAfter says how long to wait, in whole seconds and never too few (RFC 9110 §10.2.3).
func RetryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
}

func statusOf(code string) int {
	switch code {
	case oauth.CodeInvalidClient, oauth.CodeInvalidToken:
		return http.StatusUnauthorized
	case oauth.CodeInsufficientAuth, oauth.CodeInsufficientScope:
		return http.StatusForbidden
	case oauth.CodeTemporarilyUnavailable:
		return http.StatusServiceUnavailable
	case oauth.CodeServerError:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// NotFound answers what no route takes.
func NotFound(w http.ResponseWriter, r *http.Request) {
	JSON(w, http.StatusNotFound, refusal{Code: "not_found", Description: "There is nothing at this address.", RequestID: RequestID(r.Context())})
}

// Method lets only the named methods through; HEAD goes with GET.
func Method(h http.Handler, methods ...string) http.Handler {
	allow := strings.Join(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, m := range methods {
			if r.Method == m || r.Method == http.MethodHead && m == http.MethodGet {
				h.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("Allow", allow)
		JSON(w, http.StatusMethodNotAllowed, refusal{Code: oauth.CodeInvalidRequest, Description: "This endpoint takes " + allow + " only.", RequestID: RequestID(r.Context())})
	})
}

type requestIDKey struct{}

// Identify gives each request an id of our own drawing; one that a client sent
// is not believed, because it would be written to the log.
func Identify(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := strings.ToLower(rand.Text())[:16]
		w.Header().Set("X-Request-Id", id)
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

// RequestID is the id that Identify gave, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
