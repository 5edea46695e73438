package interop_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// programs that log in, of each language.
var logins = []struct {
	language, library, dir string
	command                []string
}{
	{"go", "x/oauth2", ".", []string{filepath.Join(cache, "bin/login")}},
	{"node", "openid-client", "node", []string{"node", "login.mjs"}},
	{"python", "Authlib", "python", []string{filepath.Join(cache, "python/bin/python"), "login.py"}},
	{"java", "Nimbus", "java/java-jwt", []string{"java", "-cp", "target/classes:target/dependency/*", "Login"}},
	{"php", "league/oauth2-client", "php", []string{"php", "login.php"}},
	{"dotnet", "Duende.IdentityModel", "dotnet/Login", []string{"dotnet", "bin/Release/net10.0/Login.dll"}},
}

// TestLogin obtains tokens from each language as its guide says: a service for
// itself, and a user by code and PKCE in a browser. The API takes both; and a
// program to which somebody else's answer is brought does not take it.
func TestLogin(t *testing.T) {
	d := startDev(t)
	d.app("login-app")
	id, secret, _ := d.service()
	password, _ := d.user("ada")
	for _, l := range logins {
		t.Run(l.language+" "+l.library, func(t *testing.T) {
			if !ready(t, l.language) {
				t.Skip("not run: it is named at the end")
			}
			run := func(as, client, secret string) *process {
				return start(t, l.dir, []string{"ISSUER=" + d.Issuer, "CLIENT_ID=" + client, "CLIENT_SECRET=" + secret}, append(slices.Clone(l.command), as)...)
			}
			service := run("service", id, secret).line("token")
			if got := status("GET", d.Audience+"/orders", service); got != 200 {
				t.Errorf("service: %d", got)
			}
			p := run("user", "login-app", "")
			open(t, newBrowser(t).signIn(d.Issuer, p.line("open"), "ada", password))
			token := p.line("token")
			if got := status("POST", d.Audience+"/orders", token); got != 201 {
				t.Errorf("user: %d", got)
			}
			p = run("user", "login-app", "")
			open(t, changed(t, newBrowser(t).signIn(d.Issuer, p.line("open"), "ada", password), "state", "of-somebody-else"))
			if err := p.ended(); err == nil {
				t.Error("an answer with another state was taken")
			}
		})
	}
}

// open is the browser that goes to the program's own address.
func open(t *testing.T, link string) {
	t.Helper()
	answer, err := client.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "signed in") {
		t.Errorf("%v %s", err, text)
	}
}

func changed(t *testing.T, link, name, value string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Set(name, value); value == "" {
		q.Del(name)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// ended waits for the end of a program: nil for exit code 0.
func (p *process) ended() error {
	p.t.Helper()
	for timeout := time.After(time.Minute); ; {
		select {
		case _, open := <-p.lines:
			if !open {
				return p.cmd.Wait()
			}
		case <-timeout:
			p.t.Fatal("it does not end within a minute")
		}
	}
}

// TestMobile is the whole life of a mobile app's login: the link that the
// system hands over, a refresh, two at once, the end. A link that another app
// made up, or with a code that another app asked for, gives nothing.
func TestMobile(t *testing.T) {
	if !ready(t, "node") {
		t.Skip("not run: it is named at the end")
	}
	d := startDev(t)
	const claimed = "https://app.example.com/signed-in"
	d.app("phone", "--redirect-uri", claimed, "--redirect-uri", "com.example.orders:/cb")
	password, _ := d.user("ada")
	phone := func(redirect string) *process {
		return start(t, "node", []string{"ISSUER=" + d.Issuer, "CLIENT_ID=phone", "REDIRECT_URI=" + redirect}, "node", "mobile.mjs")
	}
	for _, redirect := range []string{claimed, "com.example.orders:/cb"} {
		p := phone(redirect)
		link := newBrowser(t).signIn(d.Issuer, p.line("open"), "ada", password)
		if !strings.HasPrefix(link, redirect+"?") {
			t.Fatalf("the browser ends at %s, not at %s", link, redirect)
		}
		fmt.Fprintln(p.stdin, link)
		first, second := p.line("token"), p.line("refreshed")
		if first == second || status("GET", d.Audience+"/orders", second) != 200 {
			t.Error("no new token after the refresh, or the API does not take it")
		}
		if got := p.line("after"); got != "invalid_grant" {
			t.Errorf("the refresh token after signing out: %s", got)
		}
	}
	stolen := newBrowser(t).signIn(d.Issuer, phone(claimed).line("open"), "ada", password)
	for _, tc := range []struct {
		name, reason string
		link         func(own string) string
	}{
		{"made up", "OAUTH_INVALID_RESPONSE", func(string) string { return claimed + "?code=v1.x&state=x&iss=" + url.QueryEscape(d.Issuer) }},
		{"asked for by another phone", "OAUTH_INVALID_RESPONSE", func(string) string { return stolen }},
		{"of another issuer", "OAUTH_INVALID_RESPONSE", func(own string) string { return changed(t, own, "iss", "https://evil.example.com") }},
		{"with a code of another phone", "invalid_grant", func(own string) string {
			u, err := url.Parse(stolen)
			if err != nil {
				t.Fatal(err)
			}
			return changed(t, own, "code", u.Query().Get("code"))
		}},
	} {
		p := phone(claimed)
		own := newBrowser(t).signIn(d.Issuer, p.line("open"), "ada", password)
		fmt.Fprintln(p.stdin, tc.link(own))
		if got := p.line("refused"); got != tc.reason {
			t.Errorf("a link that was %s: %s, want %s", tc.name, got, tc.reason)
		}
	}
}

// TestBFF is a person's browser at the single-page app: a cookie and no token.
func TestBFF(t *testing.T) {
	if !ready(t, "node") {
		t.Skip("not run: it is named at the end")
	}
	d := startDev(t)
	port := freePort(t)
	origin := "http://127.0.0.1:" + port
	var made struct {
		Secret string `json:"client_secret"`
	}
	out := d.administer("client", "create", "spa", "--confidential", "--first-party", "--redirect-uri", origin+"/callback", "--id-token-alg", "ES256",
		"--scope", "openid", "--scope", "orders:read", "--scope", "orders:write", "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	bff := start(t, "node", []string{"ISSUER=" + d.Issuer, "CLIENT_ID=spa", "CLIENT_SECRET=" + made.Secret, "API=" + d.Audience, "ORIGIN=" + origin, "PORT=" + port}, "node", "bff.mjs")
	if _, ok := waitFor(30*time.Second, func() bool { return status("GET", origin+"/healthz", "") == 200 }); !ok {
		t.Fatalf("the BFF is not ready: %s", bff.log)
	}
	password, _ := d.user("ada")
	b := newBrowser(t)
	seen := ""
	visit := func(method, path, from string) page {
		r, _ := http.NewRequest(method, origin+path, nil)
		if from != "" {
			r.Header.Set("Origin", from)
		}
		answer, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		seen += string(text) + fmt.Sprint(answer.Header)
		return page{answer, string(text)}
	}
	want := func(what string, p page, status int) {
		t.Helper()
		if p.StatusCode != status {
			t.Errorf("%s: %d, want %d\n%s", what, p.StatusCode, status, tail(bff.log))
		}
	}
	want("before the login", visit("GET", "/api/orders", ""), 401)
	begun := visit("GET", "/login", "")
	want("login", begun, 302)
	back := b.signIn(d.Issuer, begun.Header.Get("Location"), "ada", password)
	want("another browser with this one's answer", newBrowser(t).send("GET", back, nil), 400)
	want("an answer with another state", b.send("GET", changed(t, back, "state", "x"), nil), 400)

	begun = visit("GET", "/login", "")
	before := begun.Cookies()[0]
	back = b.signIn(d.Issuer, begun.Header.Get("Location"), "ada", password)
	landed := visit("GET", strings.TrimPrefix(back, origin), "")
	want("callback", landed, 302)
	session := landed.Cookies()[0]
	if !session.HttpOnly || session.SameSite != http.SameSiteLaxMode || session.Value == before.Value {
		t.Errorf("the cookie is %v, before the login %v", session, before)
	}
	want("read", visit("GET", "/api/orders", ""), 200)
	want("write", visit("POST", "/api/orders", origin), 201)
	want("write, from another site", visit("POST", "/api/orders", "https://evil.example.com"), 403)
	want("write, from nowhere", visit("POST", "/api/orders", ""), 403)
	want("who", visit("GET", "/me", ""), 200)
	if strings.Contains(seen, "eyJ") {
		t.Error("a token reached the browser")
	}
	want("logout, from another site", visit("POST", "/logout", "https://evil.example.com"), 403)
	want("logout", visit("POST", "/logout", origin), 204)
	u, _ := url.Parse(origin)
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: session.Name, Value: session.Value}})
	want("the old cookie after the logout", visit("GET", "/api/orders", ""), 401)
}
