package respond_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/iam"
	"github.com/gatehouse-auth/gatehouse/internal/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/respond"
)

func TestAPanicIsAnswered(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil)) // at the level that serve has
	serve := func(cause any) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h := respond.Identify(respond.With(logger, func(http.ResponseWriter, *http.Request) error { panic(cause) }))
		h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
		return w
	}
	w := serve("out of cheese\nlevel=INFO msg=forged")
	id := w.Header().Get("X-Request-Id")
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "server_error") || strings.Contains(w.Body.String(), "cheese") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "out of cheese") || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "respond_test.go") {
		t.Errorf("the log does not say what happened, where and to whom: %s", &log)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log, want 1: a value began a line of its own", n)
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("a handler that aborts on purpose was answered")
		}
	}()
	serve(http.ErrAbortHandler)
}

// Trouble of the store is 503 and says when to come back; a fault of ours is
// 500. Neither tells the client what happened.
func TestTroubleOfTheStore(t *testing.T) {
	for name, tc := range map[string]struct {
		err    error
		status int
		code   string
		retry  bool
	}{
		"the disk is full":        {fmt.Errorf("issue: %w: disk is full", iam.ErrUnavailable), 503, "temporarily_unavailable", true},
		"a fault of ours":         {errors.New("disk is full"), 500, "server_error", false},
		"a refusal because of it": {oauth.Refuse(oauth.CodeAccessDenied, "No.").Because(iam.ErrUnavailable), 400, "access_denied", false},
	} {
		w := httptest.NewRecorder()
		respond.Error(w, httptest.NewRequest("GET", "/x", nil), slog.New(slog.DiscardHandler), tc.err)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.code) || (w.Header().Get("Retry-After") != "") != tc.retry || strings.Contains(w.Body.String(), "full") {
			t.Errorf("%s: %d %s, Retry-After %q", name, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
	}
}
