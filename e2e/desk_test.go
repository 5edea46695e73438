package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// The desk of dev: who is signed in at the shop is let in, reads and writes, and
// no token and no readable cookie reaches the browser. With pointer and keyboard.
func TestDeskInABrowser(t *testing.T) {
	d := startApps(t, "--desk-listen", "localhost:0")
	if !strings.HasPrefix(d.Desk, "http://localhost:") {
		t.Fatalf("desk: %q", d.Desk)
	}
	for name, hand := range map[string]func(*tab) hand{"pointer": func(b *tab) hand { return mouse{b} }, "keyboard": func(b *tab) hand { return keyboard{b} }} {
		t.Run(name, func(t *testing.T) {
			b := openTab(t)
			h := hand(b)
			b.visit(d.Desk)
			b.arrives("Sign in")
			h.fill("username", "ada")
			h.fill("password", d.password)
			h.press("Sign in")
			b.arrives("Signed in as Ada Lovelace")
			b.shows("Token")
			b.looked("desk-" + name)
			if seen := value[string](b, `document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.documentElement.outerHTML`); strings.Contains(seen, "eyJ") || strings.Contains(seen, "gatehouse-app") {
				t.Errorf("a script sees %q", seen)
			}
			if b.cookie("gatehouse-app-", d.Desk) == "" {
				t.Error("no cookie of the session")
			}
			h.fill("text", "oil the drawbridge by "+name)
			h.press("Write")
			b.shows("oil the drawbridge by " + name)
			h.press("Sign out")
			b.arrives("Sign out")
			h.press("Sign out")
			b.arrives("You are signed out")
			b.visit(d.Desk)
			b.arrives("Sign in")
			b.clean(name)
		})
	}
}

// Without a session the desk's gateway refuses, and bob may read and not write.
func TestDeskWithoutASession(t *testing.T) {
	d := startApps(t, "--desk-listen", "localhost:0")
	for _, row := range []struct {
		method, path string
		headers      []string
		want         int
		code         string
	}{
		{"GET", "/", nil, 401, "missing_session"},
		{"POST", "/notes", nil, 403, "csrf"},
		{"POST", "/notes", []string{"Origin", d.Desk, "Gatehouse-CSRF", "1"}, 401, "missing_session"},
		{"GET", "/", []string{"Authorization", "Bearer " + d.Users[0].Token}, 400, "invalid_request"},
		{"GET", "/", []string{"Host", "evil.example"}, 421, "invalid_request"},
		{"GET", "/nothing", nil, 403, "access_denied"},
	} {
		r, _ := http.NewRequest(row.method, d.Desk+row.path, nil)
		for i := 0; i+1 < len(row.headers); i += 2 {
			r.Header.Set(row.headers[i], row.headers[i+1])
			if row.headers[i] == "Host" {
				r.Host = row.headers[i+1]
			}
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ Error string }
		_ = json.NewDecoder(answer.Body).Decode(&body)
		answer.Body.Close()
		if answer.StatusCode != row.want || body.Error != row.code {
			t.Errorf("%s %s %v: %d %s, want %d %s", row.method, row.path, row.headers, answer.StatusCode, body.Error, row.want, row.code)
		}
	}
}
