package guardtest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/guard"
	"github.com/gatehouse-auth/gatehouse/guardtest"
)

func TestC42RevokeReachesEveryGuard(t *testing.T) {
	iss := guardtest.NewIssuer(t)
	first, second := iss.Guard(t, "https://orders.example.com"), iss.Guard(t, "https://orders.example.com")
	stranger := iss.Guard(t, "https://other.example.com")
	token := func() string { return iss.Token(guardtest.Token{Audience: "https://orders.example.com"}) }
	out, in := token(), token()
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	status := func(g *guard.Guard, token string) (int, string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		g.Authenticated()(ok).ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	// The second guard has never seen a request when the token is revoked.
	if code, body := status(first, out); code != http.StatusNoContent {
		t.Fatal(code, body)
	}
	iss.Revoke(t, out)
	for name, g := range map[string]*guard.Guard{"asked before": first, "new": second} {
		if code, body := status(g, out); code != http.StatusUnauthorized || !strings.Contains(body, "The token was revoked.") || !strings.Contains(body, "invalid_token") {
			t.Errorf("%s: %d %s", name, code, body)
		}
		if code, body := status(g, in); code != http.StatusNoContent {
			t.Errorf("%s: another token: %d %s", name, code, body)
		}
		if age, heard := g.FeedAge(); !heard || age > 3*time.Second {
			t.Errorf("%s: the feed is %s old (%v)", name, age, heard)
		}
	}
	if _, err := stranger.Verify(context.Background(), out); !errors.Is(err, guard.ErrInvalid) || errors.Is(err, guard.ErrRevoked) {
		t.Errorf("at another API: %v", err)
	}
}
